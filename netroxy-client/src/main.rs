//! The program `netroxy-client`: the library does everything.

fn main() -> std::process::ExitCode {
    netroxy_client::cli::main()
}
