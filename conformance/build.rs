//! The spec text and the cases are embedded: build again when they change.

fn main() {
    for path in ["../spec/v0.3", "suts", "fixtures"] {
        println!("cargo:rerun-if-changed={path}");
    }
}
