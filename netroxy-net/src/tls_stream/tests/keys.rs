//! Session tickets, and new keys during the traffic.

use rustls::{
    CipherSuite, CipherSuiteCommon, ProtocolVersion, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};

use super::*;

#[tokio::test]
async fn the_second_connection_resumes_the_session_of_the_first() {
    for (role, version) in ways() {
        let (server, client) = (server_config(version, provider()), client_config());
        for expected in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let (mut ours, mut other) = meet(role, server.clone(), client.clone()).await;
            assert_eq!(
                ours.handshake_kind(),
                Some(expected),
                "{role:?} {version:?}"
            );
            assert_eq!(other.get_ref().1.handshake_kind(), Some(expected));
            // With TLS 1.3 the tickets come before the first bytes of the server, so this read takes them in.
            ours.write_all(b"x").await.unwrap();
            other.write_all(b"y").await.unwrap();
            assert_eq!(ours.read_u8().await.unwrap(), b'y');
            assert_eq!(other.read_u8().await.unwrap(), b'x');
        }
    }
}

#[tokio::test]
async fn the_cipher_is_aes_128() {
    for version in VERSIONS {
        let (_ours, other) = pair(Role::Client, version).await;
        let suite = other.get_ref().1.negotiated_cipher_suite().unwrap();
        let expected = match version.version {
            ProtocolVersion::TLSv1_3 => CipherSuite::TLS13_AES_128_GCM_SHA256,
            _ => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        };
        assert_eq!(suite.suite(), expected);
    }
}

#[tokio::test]
async fn the_other_end_may_change_its_keys_at_any_time() {
    for role in [Role::Client, Role::Server] {
        let (mut ours, mut other) = pair(role, &TLS13).await;
        let sent = bytes(200_000);
        for round in 0..5 {
            match &mut other {
                Other::Client(other) => other.get_mut().1.refresh_traffic_keys().unwrap(),
                Other::Server(other) => other.get_mut().1.refresh_traffic_keys().unwrap(),
            }
            let mut seen = vec![0; sent.len()];
            let (written, read) = tokio::join!(other.write_all(&sent), ours.read_exact(&mut seen));
            written.unwrap();
            read.unwrap();
            assert!(seen == sent, "{role:?} {round}");
            // The other end has also requested new keys from this one.
            let mut seen = vec![0; sent.len()];
            let (written, read) = tokio::join!(ours.write_all(&sent), other.read_exact(&mut seen));
            written.unwrap();
            read.unwrap();
            assert!(seen == sent, "{role:?} {round}");
        }
    }
}

/// Keys that encrypt only 20 records.
fn short_lived_keys() -> Arc<CryptoProvider> {
    let limited = |suite: SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: limited(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: suite.aead_alg,
                quic: None,
            })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: limited(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            })))
        }
    };
    fn limited(common: &CipherSuiteCommon) -> CipherSuiteCommon {
        CipherSuiteCommon {
            suite: common.suite,
            hash_provider: common.hash_provider,
            confidentiality_limit: 20,
        }
    }
    let provider = provider();
    Arc::new(CryptoProvider {
        cipher_suites: provider
            .cipher_suites
            .iter()
            .copied()
            .map(limited)
            .collect(),
        ..(*provider).clone()
    })
}

#[tokio::test]
async fn a_key_that_reaches_its_limit_is_replaced() {
    let config = server_config(&TLS13, short_lived_keys());
    let (mut ours, mut other) = meet(Role::Server, config, client_config()).await;
    let sent = bytes(5_000_000);
    let mut seen = vec![0; sent.len()];
    let (written, read) = tokio::join!(ours.write_all(&sent), other.read_exact(&mut seen));
    written.unwrap();
    read.unwrap();
    assert!(seen == sent);
    other.write_all(b"as well").await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap(), b'a');
}

/// TLS 1.2 cannot replace keys, so the stream ends, in order.
#[tokio::test]
async fn a_key_of_tls_1_2_that_reaches_its_limit_ends_the_stream() {
    let config = server_config(&TLS12, short_lived_keys());
    let (mut ours, mut other) = meet(Role::Server, config, client_config()).await;
    let sent = bytes(5_000_000);
    let mut seen = Vec::new();
    let writing = async {
        let error = ours.write_all(&sent).await.unwrap_err();
        ours.shutdown().await.unwrap();
        error
    };
    let (error, read) = tokio::join!(writing, other.read_to_end(&mut seen));
    assert!(error.to_string().contains("exhausted"), "{error}");
    read.unwrap();
    assert!(!seen.is_empty() && sent.starts_with(&seen));
}
