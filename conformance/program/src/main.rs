//! The program `netroxy-conformance`; everything is in the library.

fn main() -> std::process::ExitCode {
    netroxy_conformance::main()
}
