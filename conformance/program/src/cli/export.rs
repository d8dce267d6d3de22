//! `export`: writes a recording as a capture for Wireshark.

use std::path::PathBuf;

use netroxy_judge::pcap::Capture;
use netroxy_judge::recording::{Recording, events};

use super::complaint::{Complaint, place_complaint, write_complaint};
use super::exit::{EXIT_LOOKED_UP, EXIT_USAGE};
use super::replay::{load, note_cut};
use crate::output::{Place, Readers};
use crate::report;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_LOOKED_UP)]
pub(super) struct Export {
    /// A recording of `tap --record` or `run --record`
    recording: PathBuf,
    /// The capture file to write
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
}

pub(super) fn execute(Export { recording, pcap }: &Export) -> Result<u8, Complaint> {
    let whole = Place::find(pcap, Readers::Owner).map_err(|error| place_complaint(&error))?;
    if Place::find(recording, Readers::Owner).is_ok_and(|source| source == whole) {
        let message = format!("{} is the recording itself", pcap.display());
        return Err(Complaint::new(EXIT_USAGE, message).hint("give the capture another path"));
    }
    let recording = load(recording)?;
    note_cut(&recording);
    let port = recording.head.server.map_or(10_000, |server| server.port());
    let (capture, events) =
        capture(&recording).map_err(|error| write_complaint(&whole.name(), &error))?;
    let written = whole.write(&capture);
    written.map_err(|error| write_complaint(&whole.name(), &error))?;
    report::out(&format!(
        "{events} events to {}; Wireshark decodes them with spec/wireshark/netroxy.lua and netroxy.port {port}\n",
        pcap.display()
    ));
    Ok(0)
}

/// The capture, and its number of events.
fn capture(recording: &Recording) -> std::io::Result<(Vec<u8>, usize)> {
    let mut capture = Capture::new(Vec::new(), recording.head.server, recording.head.began)?;
    let events = events(recording);
    for event in &events {
        capture.event(event.at, &event.connection, &event.what, &event.marks)?;
    }
    Ok((capture.take(), events.len()))
}
