//! `export`: a recording as a capture that Wireshark opens.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::replay::load;
use super::{Complaint, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_USAGE};
use crate::pcap::Capture;
use crate::recording::{Recording, events};
use crate::report;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_LOOKED_UP)]
pub(super) struct Export {
    /// What `tap --record` or `run --record` has written
    recording: PathBuf,
    /// Where the capture goes
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
}

pub(super) fn execute(Export { recording, pcap }: &Export) -> Result<u8, Complaint> {
    let recording = load(recording)?;
    let unwritable = |error: std::io::Error| {
        Complaint::new(
            EXIT_HARNESS,
            format!("cannot write {}: {error}", pcap.display()),
        )
    };
    let file = File::create(pcap).map_err(|error| {
        Complaint::new(
            EXIT_USAGE,
            format!("cannot write {}: {error}", pcap.display()),
        )
        .hint("name a file in a folder that you may write to")
    })?;
    let packets = write(&recording, BufWriter::new(file)).map_err(unwritable)?;
    let port = recording.head.server.map_or(10_000, |server| server.port());
    report::out(&format!(
        "{packets} events to {}; Wireshark decodes them with spec/wireshark/netroxy.lua and netroxy.port {port}\n",
        pcap.display()
    ));
    Ok(0)
}

/// How many events there were.
fn write(recording: &Recording, out: impl Write) -> std::io::Result<usize> {
    let mut capture = Capture::new(out, recording.head.server, recording.head.began)?;
    let events = events(recording);
    for event in &events {
        capture.event(event.at, &event.connection, &event.what, &event.marks)?;
    }
    capture.flush()?;
    Ok(events.len())
}
