//! Judges any Netroxy v0.3 server or client by what it does on the wire.

pub use cli::main;

mod again;
mod baseline;
mod canonical;
pub mod catalog;
mod cli;
mod descriptors;
mod diff;
mod embedded;
mod flakes;
mod fuzz;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod html;
mod input;
pub mod manifest;
mod message;
mod monitor;
mod noise;
pub mod notation;
mod output;
mod pcap;
mod player;
mod ports;
mod recording;
mod reference;
mod report;
pub mod rules;
mod run;
mod selftest;
mod serve;
mod states;
mod sut;
mod tap;
mod transcript;
mod vectors;
mod verdict;
mod wire;
