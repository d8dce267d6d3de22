//! See the library.

fn main() -> std::process::ExitCode {
    netroxy_client::cli::main()
}
