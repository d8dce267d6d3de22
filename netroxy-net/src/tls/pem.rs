//! Reads PEM files. The error for another file says what it holds instead.

use std::path::Path;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{TlsError, What};
use crate::whole_file;

pub(crate) fn certificates(
    path: &Path,
    what: What,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, what)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(error, path, what, &text))?;
    if chain.is_empty() {
        return Err(refused(PemError::NoItemsFound, path, what, &text));
    }
    Ok(chain)
}

pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, What::Key)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if String::from_utf8_lossy(&text).contains("ENCRYPTED") {
            return TlsError::EncryptedKey {
                path: path.to_owned(),
            };
        }
        refused(error, path, What::Key, &text)
    })
}

/// The bytes of a file, without the byte order mark that some editors write before them.
fn read(path: &Path, what: What) -> Result<Vec<u8>, TlsError> {
    let mut bytes = whole_file::read(path).map_err(|source| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

fn refused(error: PemError, path: &Path, what: What, text: &[u8]) -> TlsError {
    let path = path.to_owned();
    match error {
        PemError::NoItemsFound => TlsError::Missing {
            what,
            path,
            instead: instead(text),
        },
        other => TlsError::BadPem {
            what,
            path,
            reason: other.to_string(),
        },
    }
}

/// What a file holds instead of the expected PEM blocks, if that is known.
fn instead(text: &[u8]) -> Option<&'static str> {
    let begins = |label: &str| {
        let text = String::from_utf8_lossy(text);
        text.lines().any(|line| {
            line.trim_start().starts_with("-----BEGIN ") && line.trim_end().ends_with(label)
        })
    };
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("a text in UTF-16"),
        // A sequence whose length takes two bytes: certificates and keys in DER form begin so.
        [0x30, 0x82, ..] => Some("DER form"),
        _ if begins("PRIVATE KEY-----") => Some("a private key"),
        _ if begins("CERTIFICATE REQUEST-----") => Some("a certificate request"),
        _ if begins("CERTIFICATE-----") => Some("a certificate"),
        _ => None,
    }
}
