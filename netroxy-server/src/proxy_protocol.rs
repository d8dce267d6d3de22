//! The PROXY protocol, versions 1 and 2: a proxy names the address of its peer in a header before the first
//! byte.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of a header of version 1.
const WORD: &[u8] = b"PROXY ";
/// The most bytes of a header of version 1.
const LONGEST_LINE: usize = 107;
/// The most bytes of addresses and extensions of version 2. Usual headers have some hundred bytes.
const LONGEST_REST: usize = 4096;

/// The version of a header that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Version 1: a line of text.
    One,
    /// Version 2: binary.
    Two,
}

impl Version {
    /// The header for a user at `source` who has connected to `destination`.
    ///
    /// # Errors
    ///
    /// None: the addresses have a fixed length.
    pub(crate) fn header(self, source: SocketAddr, destination: SocketAddr) -> io::Result<Vec<u8>> {
        let (source, destination) = same_family(source, destination);
        match self {
            Self::One => Ok(v1::Addresses::from((source, destination))
                .to_string()
                .into_bytes()),
            Self::Two => v2::Builder::with_addresses(
                v2::Version::Two | v2::Command::Proxy,
                v2::Protocol::Stream,
                (source, destination),
            )
            .build(),
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "1 or 2, the version of the PROXY protocol";
        match netroxy_net::config_file::within(deserializer, 1, 2, what)? {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(D::Error::custom(what)),
        }
    }
}

/// Makes both addresses IPv4 or both IPv6, as the header requires. An IPv4 peer of a dual-stack socket gets its
/// IPv4 address.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let (source, destination) = (canonical(source), canonical(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |addr: SocketAddr| match addr {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 @ SocketAddr::V6(_) => v6,
    };
    (mapped(source), mapped(destination))
}

/// Reads a header, and no byte after it. The result is the address of the proxy's peer; `None` if the connection is
/// the proxy's own, as a health check is, or if the proxy does not know the address.
///
/// # Errors
///
/// If the stream ends or breaks, or if its first bytes are not a header.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    // A header of either version has at least so many bytes.
    let mut bytes = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut bytes).await?;
    if bytes == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        bytes.extend_from_slice(&fixed);
        let [_, _, high, low] = fixed;
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if rest > LONGEST_REST {
            return Err(no_header("the header is too long"));
        }
        let begin = bytes.len();
        bytes.resize(begin + rest, 0);
        stream
            .read_exact(bytes.get_mut(begin..).unwrap_or_default())
            .await?;
        return binary(&bytes);
    }
    if !bytes.starts_with(WORD) {
        return Err(no_header("the first bytes are no PROXY header"));
    }
    // One byte at a time, because the bytes after the line are not the proxy's.
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() >= LONGEST_LINE {
            return Err(no_header("the header is too long"));
        }
        bytes.push(stream.read_u8().await?);
    }
    text(&bytes)
}

fn binary(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v2::Header::try_from(bytes).map_err(no_header)?;
    Ok(match (header.command, &header.addresses) {
        (v2::Command::Local, _) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => {
            Some((ip.source_address, ip.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => {
            Some((ip.source_address, ip.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    })
}

fn text(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v1::Header::try_from(bytes).map_err(no_header)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
    })
}

fn no_header(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    async fn read_all(bytes: &[u8]) -> io::Result<(Option<SocketAddr>, Vec<u8>)> {
        let mut stream = bytes;
        let source = read(&mut stream).await?;
        Ok((source, stream.to_vec()))
    }

    #[tokio::test]
    async fn a_written_header_is_read_and_no_byte_after_it() {
        for (source, destination) in [
            ("192.0.2.1:4711", "198.51.100.2:443"),
            ("[2001:db8::1]:4711", "[2001:db8::2]:443"),
            ("0.0.0.0:1", "0.0.0.0:1"),
        ] {
            for version in [Version::One, Version::Two] {
                let mut bytes = version.header(addr(source), addr(destination)).unwrap();
                bytes.extend_from_slice(b"\r\nGET /");
                let read = read_all(&bytes).await.unwrap();
                assert_eq!(
                    read,
                    (Some(addr(source)), b"\r\nGET /".to_vec()),
                    "{version:?}"
                );
            }
        }
    }

    #[test]
    fn both_versions_of_the_header_have_the_right_bytes() {
        let (source, destination) = (addr("192.0.2.1:4711"), addr("198.51.100.2:443"));
        let one = Version::One.header(source, destination).unwrap();
        assert_eq!(one, b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n");
        let two = Version::Two.header(source, destination).unwrap();
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb";
        assert_eq!(two, expected);
        let mapped = Version::One
            .header(addr("[::ffff:192.0.2.1]:4711"), destination)
            .unwrap();
        assert_eq!(mapped, one);
        let mixed = Version::One
            .header(source, addr("[2001:db8::2]:443"))
            .unwrap();
        assert_eq!(
            mixed,
            b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 4711 443\r\n"
        );
    }

    #[tokio::test]
    async fn a_header_of_the_proxys_own_connection_names_no_address() {
        let (source, rest) = read_all(b"PROXY UNKNOWN\r\nrest").await.unwrap();
        assert_eq!((source, rest.as_slice()), (None, &b"rest"[..]));
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00rest";
        let (source, rest) = read_all(local).await.unwrap();
        assert_eq!((source, rest.as_slice()), (None, &b"rest"[..]));
    }

    #[tokio::test]
    async fn bytes_that_are_no_header_are_refused() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        let huge = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
        for bytes in [
            b"ATH\nname\nuser\npass\n".to_vec(),
            b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c".to_vec(),
            b"PROX".to_vec(),
            long,
            huge,
        ] {
            assert!(read_all(&bytes).await.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
