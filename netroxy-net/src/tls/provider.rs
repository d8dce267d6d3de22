//! The cryptography of both peers, which is that of ring.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{CipherSuite, SupportedCipherSuite};

/// ring, with AES-128 before AES-256, because it takes less work. The order of the client decides.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    let is_aes_128 = |suite: &SupportedCipherSuite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    provider
        .cipher_suites
        .sort_by_key(|suite| !is_aes_128(suite));
    Arc::new(provider)
}
