//! Names the revision of the protocol that the program judges, and embeds its specification.

/// The only place of this crate that says which one.
const REVISION: &str = "0.3";

fn main() {
    let folder = format!("spec/v{REVISION}");
    println!("cargo:rustc-env=NETROXY_REVISION={REVISION}");
    println!("cargo:rustc-env=NETROXY_SPEC={folder}");
    // Spec text and cases are embedded: build again when they change.
    println!("cargo:rerun-if-changed=../../{folder}");
}
