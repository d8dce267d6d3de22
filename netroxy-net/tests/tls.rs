//! Certificates, keys in every usual form, and whom a client trusts.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::path::{Path, PathBuf};

use netroxy_net::tls::{self, Fingerprint, Trust};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
}

async fn handshake(cert: &str, key: &str, trust: &Trust, name: &str) -> Result<(), String> {
    let server = tls::server(&file(cert), &file(key)).map_err(|e| e.to_string())?;
    let client = tls::client(trust).map_err(|e| e.to_string())?;
    let (near, far) = duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    });
    let connecting = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await?;
        assert_eq!(seen, b"hello");
        Ok(())
    };
    let result = connecting.await.map_err(|e: std::io::Error| e.to_string());
    // It fails when the client does; that is what is looked at.
    let _ = serving.await.unwrap();
    result
}

#[tokio::test]
async fn keys_in_every_usual_form_work() {
    for (cert, key) in [
        ("rsa.pem", "rsa-pkcs1.key"),
        ("rsa.pem", "rsa-pkcs8.key"),
        ("ec.pem", "ec-sec1.key"),
        ("ec.pem", "ec-pkcs8.key"),
        ("ec-with-params.pem", "ec-with-params.key"),
        ("ed25519.pem", "ed25519.key"),
    ] {
        let result = handshake(cert, key, &Trust::Anyone, "localhost").await;
        assert_eq!(result, Ok(()), "{cert} {key}");
    }
}

#[tokio::test]
async fn a_client_trusts_whom_it_is_told_to_and_nobody_else() {
    let rsa = CertificateDer::from_pem_file(file("rsa.pem")).unwrap();
    let pin = Fingerprint::of(&rsa);
    let other_pin = Fingerprint::of(b"another certificate");
    for (trust, name, good) in [
        (Trust::Anyone, "nobody.example", true),
        (Trust::CaFile(file("rsa.pem")), "localhost", true),
        (Trust::CaFile(file("rsa.pem")), "127.0.0.1", true),
        (Trust::CaFile(file("rsa.pem")), "nobody.example", false),
        (Trust::CaFile(file("ec.pem")), "localhost", false),
        (Trust::CaFile(file("signed-ca.pem")), "localhost", false),
        (Trust::Fingerprint(pin), "nobody.example", true),
        (Trust::Fingerprint(other_pin), "localhost", false),
        (Trust::System, "localhost", false),
    ] {
        let result = handshake("rsa.pem", "rsa-pkcs1.key", &trust, name).await;
        assert_eq!(result.is_ok(), good, "{trust:?} {name}: {result:?}");
    }
}

#[tokio::test]
async fn a_certificate_signed_by_the_ca_file_is_trusted_for_its_name() {
    let ca = Trust::CaFile(file("signed-ca.pem"));
    for (name, good) in [("localhost", true), ("nobody.example", false)] {
        let result = handshake("signed.pem", "ec-sec1.key", &ca, name).await;
        assert_eq!(result.is_ok(), good, "{name}: {result:?}");
    }
}

#[test]
fn a_fingerprint_is_read_as_it_is_written() {
    let pin = Fingerprint::of(b"x");
    assert_eq!(pin.to_string().parse(), Ok(pin));
    assert_eq!(
        pin.to_string().replace(':', "").to_lowercase().parse(),
        Ok(pin)
    );
    for bad in ["", "ab", "zz", &"ab".repeat(33), &"xy".repeat(32)] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

#[track_caller]
fn error(cert: &str, key: &str, start: &str, end: &str) {
    let error = tls::server(&file(cert), &file(key)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(start) && text.ends_with(end), "{text}");
    assert!(!error.hint().is_empty());
}

#[test]
fn what_is_wrong_with_a_certificate_or_key_is_said_with_the_file() {
    error(
        "none.pem",
        "ec-sec1.key",
        "cannot read certificate ",
        "none.pem",
    );
    error("ec.pem", "none.key", "cannot read private key ", "none.key");
    error(
        "ec-sec1.key",
        "ec-sec1.key",
        "",
        "ec-sec1.key holds no certificate in PEM form",
    );
    error(
        "ec.pem",
        "ec.pem",
        "",
        "ec.pem holds no private key in PEM form",
    );
    error(
        "ec.pem",
        "README.md",
        "",
        "README.md holds no private key in PEM form",
    );
    error(
        "rsa.pem",
        "encrypted-pkcs8.key",
        "the private key in ",
        "encrypted-pkcs8.key is encrypted",
    );
    error(
        "rsa.pem",
        "encrypted-pkcs1.key",
        "the private key in ",
        "encrypted-pkcs1.key is encrypted",
    );
    error(
        "rsa.pem",
        "ec-sec1.key",
        "certificate ",
        "ec-sec1.key cannot be used",
    );
}
