//! Certificates, keys in every usual form, and the servers that a client trusts.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netroxy_net::tls::{self, Fingerprint, Trust, What};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
}

fn old(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certs")
        .join(name)
}

async fn handshake(cert: &str, key: &str, trust: &Trust, name: &str) -> Result<(), String> {
    let server = tls::server(&file(cert), &file(key)).map_err(|e| e.to_string())?;
    meet(server, trust, name).await
}

async fn meet(server: Arc<ServerConfig>, trust: &Trust, name: &str) -> Result<(), String> {
    let client = tls::client(trust, None).map_err(|e| e.to_string())?;
    let (near, far) = duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    });
    let connecting = async {
        let stream = TlsConnector::from(client).connect(name, near).await;
        let mut stream = stream.map_err(tls::explained)?;
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await?;
        assert_eq!(seen, b"hello");
        Ok(())
    };
    let result = connecting.await.map_err(|e: std::io::Error| e.to_string());
    // The server fails if the client does. Only the result of the client is checked.
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
async fn a_client_trusts_only_the_servers_of_its_configuration() {
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
fn an_error_of_a_certificate_or_key_names_the_file() {
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
        "ec-sec1.key holds no certificate in PEM form, but a private key",
    );
    error(
        "ec.pem",
        "ec.pem",
        "",
        "ec.pem holds no private key in PEM form, but a certificate",
    );
    let swapped = tls::server(&file("ec-sec1.key"), &file("ec.pem")).unwrap_err();
    assert!(swapped.hint().ends_with("swapped?"), "{}", swapped.hint());
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
    error("rsa.pem", "ec-sec1.key", "the certificate ", "ec-sec1.key");
    let mismatch = tls::server(&file("rsa.pem"), &file("ec-sec1.key")).unwrap_err();
    assert!(
        mismatch
            .to_string()
            .contains("rsa.pem was not made for the private key ")
    );
    assert_eq!(mismatch.what(), What::Key);
}

#[test]
fn an_error_names_the_file_that_cannot_be_used() {
    for (cert, key, what, expected) in [
        (
            "v1.pem",
            "v1.key",
            What::Certificate,
            "v1.pem cannot be used: it is X.509 version 1, and has to be version 3",
        ),
        (
            "rsa1024.pem",
            "rsa1024.key",
            What::Key,
            "rsa1024.key cannot be used: its certificate has an RSA key of 1024 bits",
        ),
        (
            "rsa1024-v1.pem",
            "rsa1024.key",
            What::Key,
            "rsa1024.key cannot be used: its certificate has an RSA key of 1024 bits",
        ),
        (
            "rsa8192.pem",
            "rsa8192.key",
            What::Key,
            "rsa8192.key cannot be used: its certificate has an RSA key of 8192 bits",
        ),
        (
            "p521.pem",
            "p521.key",
            What::Key,
            "p521.key cannot be used: its certificate has a key on the curve P-521",
        ),
        (
            "p224.pem",
            "p224.key",
            What::Key,
            "p224.key cannot be used: its certificate has a key on the curve P-224",
        ),
    ] {
        let error = tls::server(&old(cert), &old(key)).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(error.what(), what, "{error}");
    }
}

/// Writes files into a folder of their own.
fn written(name: &str, parts: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, parts.concat()).unwrap();
    (dir, path)
}

#[test]
fn an_error_of_a_chain_in_the_wrong_order_names_the_right_one() {
    let read = |name| fs::read(file(name)).unwrap();
    let (own, ca) = (read("signed.pem"), read("signed-ca.pem"));
    let (_dir, chain) = written("chain.pem", &[&own, &ca]);
    assert!(tls::server(&chain, &file("ec-sec1.key")).is_ok());
    let (_dir, chain) = written("chain.pem", &[&ca, &own]);
    let error = tls::server(&chain, &file("ec-sec1.key")).unwrap_err();
    let expected = "chain.pem cannot be used: the certificate of the private key is number 2 and has to be the first";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(error.what(), What::Certificate);
}

#[test]
fn a_byte_order_mark_before_pem_is_ignored() {
    let read = |name| fs::read(file(name)).unwrap();
    let bom = b"\xef\xbb\xbf";
    let (_certs, cert) = written("cert.pem", &[bom, &read("ec-with-params.pem")]);
    let (_keys, key) = written("key.pem", &[bom, &read("ec-with-params.key")]);
    tls::server(&cert, &key).unwrap();
    tls::client(&Trust::CaFile(cert), None).unwrap();
}

#[test]
fn an_error_says_what_a_file_holds_instead() {
    let der = CertificateDer::from_pem_file(file("rsa.pem")).unwrap();
    let damaged = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (bytes, expected) in [
        (
            &der[..],
            "cert.pem holds no certificate in PEM form, but DER form",
        ),
        (
            b"\xff\xfe-\0-\0",
            "cert.pem holds no certificate in PEM form, but a text in UTF-16",
        ),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
            "cert.pem holds no certificate in PEM form, but a certificate request",
        ),
        (b"", "cert.pem holds no certificate in PEM form"),
    ] {
        let (_dir, cert) = written("cert.pem", &[bytes]);
        let error = tls::server(&cert, &file("rsa-pkcs1.key")).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(error.what(), What::Certificate);
    }
    let (_dir, cert) = written("cert.pem", &[damaged]);
    let error = tls::server(&cert, &file("rsa-pkcs1.key")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cert.pem cannot be used: it is no X.509 certificate"),
        "{error}"
    );
    assert_eq!(error.what(), What::Certificate);
}

/// A server that shows a certificate which rustls does not accept itself.
#[derive(Debug)]
struct FixedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A server of 2016 may have an X.509 version 1 certificate. A client accepts it if it does not check names.
#[tokio::test]
async fn a_certificate_of_version_1_is_refused_if_names_are_checked() {
    let cert = CertificateDer::from_pem_file(old("v1.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(old("v1.key")).unwrap();
    let pin = Fingerprint::of(&cert);
    let provider = Arc::new(ring::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![cert], key));
    for version in [&TLS12, &TLS13] {
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(FixedCertificate(certified.clone())));
        let server = Arc::new(server);
        for trust in [Trust::Anyone, Trust::Fingerprint(pin)] {
            let result = meet(server.clone(), &trust, "nobody.example").await;
            assert_eq!(result, Ok(()), "{trust:?}");
        }
        for trust in [Trust::System, Trust::CaFile(old("v1.pem"))] {
            let refused = meet(server.clone(), &trust, "localhost").await.unwrap_err();
            let expected = "the server's certificate is X.509 version 1, which holds no names to check; \
                        tls.fingerprint takes it as it is";
            assert_eq!(refused, expected);
        }
    }
}

/// The certificate is the pinned one, but the server does not own its key.
#[tokio::test]
async fn a_server_without_the_key_of_its_certificate_is_refused() {
    let cert = CertificateDer::from_pem_file(old("v1.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("ec-sec1.key")).unwrap();
    let provider = Arc::new(ring::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![cert.clone()], key));
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(FixedCertificate(certified)));
    let server = Arc::new(server);
    for trust in [Trust::Anyone, Trust::Fingerprint(Fingerprint::of(&cert))] {
        let refused = meet(server.clone(), &trust, "localhost").await.unwrap_err();
        assert!(
            refused.contains("does not own the key of its certificate"),
            "{refused}"
        );
    }
}

/// A server whose key is on P-521 ends the handshake before it shows its certificate.
#[tokio::test]
async fn a_handshake_failure_of_the_server_is_explained() {
    let client = tls::client(&Trust::Anyone, None).unwrap();
    let (near, mut far) = duplex(1 << 16);
    let name = ServerName::try_from("localhost").unwrap();
    let fatal_handshake_failure = [21, 3, 3, 0, 2, 2, 40];
    far.write_all(&fatal_handshake_failure).await.unwrap();
    let refused = TlsConnector::from(client).connect(name, near).await;
    let text = tls::explained(refused.unwrap_err()).to_string();
    assert!(text.contains("P-224 and P-521"), "{text}");
}

#[tokio::test]
async fn an_error_about_a_wrong_fingerprint_shows_the_right_one() {
    let seen = Fingerprint::of(&CertificateDer::from_pem_file(file("rsa.pem")).unwrap());
    let other = Trust::Fingerprint(Fingerprint::of(b"another certificate"));
    let refused = handshake("rsa.pem", "rsa-pkcs1.key", &other, "localhost").await;
    assert_eq!(
        refused,
        Err(format!(
            "the server has another certificate: its fingerprint is {seen}"
        ))
    );
}
