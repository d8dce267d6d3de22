//! Which server certificates a client accepts.

use std::fmt;
use std::path::PathBuf;

/// Which server certificates a client accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate. The connection is encrypted, but anyone on the path can pretend to be the server.
    Anyone,
    /// A certificate that the system trusts, for the server's name.
    System,
    /// A certificate signed by one in this PEM file, for the server's name.
    CaFile(PathBuf),
    /// The certificate with this SHA-256 fingerprint. Its name and dates are not checked.
    Fingerprint(Fingerprint),
}

/// SHA-256 of a certificate in DER form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// The error for a text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 fingerprint: 64 hex digits, with or without colons")]
pub struct InvalidFingerprint;

impl std::str::FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(InvalidFingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().try_fold(0_u8, |byte, digit| {
                let digit = digit.to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit.map(|d| byte << 4 | d).ok_or(InvalidFingerprint)
            })?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}
