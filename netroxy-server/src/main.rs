//! The program. All of it is in the library.

fn main() -> std::process::ExitCode {
    netroxy_server::cli::main()
}
