//! The blocks of a pcapng file: a section, an interface, packets with comments. Little-endian, microseconds.

use std::io::{self, Write};
use std::time::Duration;

/// The section and its only interface.
pub(super) fn head(out: &mut impl Write) -> io::Result<()> {
    let mut section = Vec::new();
    section.extend(0x1a2b_3c4d_u32.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    // The length of the section is not given.
    section.extend((-1_i64).to_le_bytes());
    let program = format!("netroxy-conformance {}", env!("CARGO_PKG_VERSION"));
    option(&mut section, 4, program.as_bytes());
    end_of_options(&mut section);
    block(out, 0x0a0d_0d0a, &section)?;
    let mut interface = Vec::new();
    interface.extend(ETHERNET.to_le_bytes());
    interface.extend(0_u16.to_le_bytes());
    // No limit of the length of packets.
    interface.extend(0_u32.to_le_bytes());
    block(out, 1, &interface)
}

const ETHERNET: u16 = 1;

/// A packet; `at` counts from 1970.
pub(super) fn packet(
    out: &mut impl Write,
    at: Duration,
    bytes: &[u8],
    comment: &str,
) -> io::Result<()> {
    let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    let [a, b, c, d, high @ ..] = micros.to_le_bytes();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut body = Vec::new();
    body.extend(0_u32.to_le_bytes());
    body.extend(high);
    body.extend([a, b, c, d]);
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(&mut body, bytes);
    option(&mut body, 1, comment.as_bytes());
    end_of_options(&mut body);
    block(out, 6, &body)
}

fn block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX);
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(body)?;
    out.write_all(&length.to_le_bytes())
}

/// An option; at most 65535 bytes of the value.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    padded(out, value);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.extend(std::iter::repeat_n(
        0,
        bytes.len().next_multiple_of(4) - bytes.len(),
    ));
}
