//! Runs a Netroxy server and client under faults, checks every byte, and prints figures.
//!
//! It uses the two programs only by their flags and configuration files. It shares no code with them, so it cannot
//! share their mistakes. It needs Linux: it reads `/proc` and uses many addresses of the loopback network.

mod chaos;
mod cli;
mod connections;
mod faults;
mod figures;
mod guests;
mod idle;
mod kill;
mod leaks;
mod link;
mod netem;
mod proc;
mod pump;
mod relay;
mod scene;
mod services;
mod strangers;
mod stream;
mod suspend;
mod talk;
mod user;
mod world;

fn main() -> std::process::ExitCode {
    cli::main()
}
