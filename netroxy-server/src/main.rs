//! See the library.

fn main() -> std::process::ExitCode {
    netroxy_server::cli::main()
}
