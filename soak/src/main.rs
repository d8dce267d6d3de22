//! Runs a Netroxy server and client under faults, checks every byte, and prints figures.
//!
//! It knows the two as programs and by their configuration files, and shares no code with them, so that it cannot share
//! their mistakes. It needs Linux: it reads `/proc` and uses many addresses of the loopback network.

mod chaos;
mod cli;
mod faults;
mod figures;
mod guests;
mod idle;
mod kill;
mod netem;
mod proc;
mod pump;
mod relay;
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
