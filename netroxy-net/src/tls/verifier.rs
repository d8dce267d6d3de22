//! Checks the certificate of a server in the handshake of a client.

use std::sync::Arc;
use std::{fmt, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, ProtocolVersion, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Certificate;
use super::trust::Fingerprint;

/// Checks the certificate of a server. The signature of the handshake is checked in every case, because the peer must
/// own the key of the certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) accept: Accept,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Which certificates are accepted.
#[derive(Debug)]
pub(super) enum Accept {
    Anyone,
    Pinned(Fingerprint),
    /// One of `trusted`, or one that they have signed, for the right name.
    Signed {
        trusted: Vec<CertificateDer<'static>>,
        chains: Arc<WebPkiServerVerifier>,
    },
    /// One that the system trusts, for the right name.
    System(rustls_platform_verifier::Verifier),
}

/// Why a server is refused. `Debug` is the plain text, because rustls prints such errors by it.
#[derive(Clone, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn refused(reason: String) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(Refused(reason)))).into()
}

const PIN: &str = "tls.fingerprint takes it as it is";

impl Accept {
    /// Whether the contents of the certificate are not checked: any name, dates, version and kind of key are accepted.
    fn takes_as_it_is(&self) -> bool {
        matches!(self, Self::Anyone | Self::Pinned(_))
    }

    /// A clearer error for a refused certificate, if there is one.
    fn explain(&self, certificate: &CertificateDer<'_>, error: rustls::Error) -> rustls::Error {
        match Certificate::read(certificate) {
            Ok(Certificate {
                is_version_1: true, ..
            }) => refused(format!(
                "the server's certificate is X.509 version 1, which holds no names to check; {PIN}"
            )),
            Ok(_) => error,
            Err(reason) => refused(format!("the server's certificate cannot be read: {reason}")),
        }
    }
}

impl Verifier {
    /// Checks a signature that rustls refused.
    fn check_again(
        &self,
        tls: ProtocolVersion,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        error: rustls::Error,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let read = Certificate::read(certificate).map_err(|reason| {
            refused(format!("the server's certificate cannot be read: {reason}"))
        })?;
        let checked = read.check_signature(tls, signed.scheme, message, signed.signature());
        match checked {
            Ok(()) if self.accept.takes_as_it_is() => Ok(HandshakeSignatureValid::assertion()),
            Ok(()) => Err(refused(format!(
                "the server's certificate has {}, which is not safe enough: {error}; {PIN}",
                read.key
            ))),
            Err(reason) => Err(refused(reason)),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chains: &dyn ServerCertVerifier = match &self.accept {
            Accept::Anyone => return Ok(ServerCertVerified::assertion()),
            Accept::Pinned(pin) => {
                let seen = Fingerprint::of(end_entity);
                if seen == *pin {
                    return Ok(ServerCertVerified::assertion());
                }
                return Err(refused(format!(
                    "the server has another certificate: its fingerprint is {seen}"
                )));
            }
            // A self-signed server certificate is often marked as a CA (openssl does so), and webpki refuses
            // such a chain. If the operator has named this very certificate, only its name is checked.
            Accept::Signed { trusted, .. } if trusted.contains(end_entity) => {
                return ParsedCertificate::try_from(end_entity)
                    .and_then(|parsed| verify_server_name(&parsed, server_name))
                    .map(|()| ServerCertVerified::assertion())
                    .map_err(|error| self.accept.explain(end_entity, error));
            }
            Accept::Signed { chains, .. } => chains.as_ref(),
            Accept::System(system) => system,
        };
        chains
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| self.accept.explain(end_entity, error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
            .or_else(|error| self.check_again(ProtocolVersion::TLSv1_2, message, cert, dss, error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
            .or_else(|error| self.check_again(ProtocolVersion::TLSv1_3, message, cert, dss, error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self
            .provider
            .signature_verification_algorithms
            .supported_schemes();
        if self.accept.takes_as_it_is() {
            // A server uses the first scheme that it can. Signatures of short RSA keys can be checked only with
            // PKCS#1 and SHA-256 or SHA-512. TLS 1.3 ignores these two schemes.
            schemes.sort_by_key(|scheme| match scheme {
                SignatureScheme::RSA_PKCS1_SHA256 => 1,
                SignatureScheme::RSA_PKCS1_SHA512 => 2,
                SignatureScheme::RSA_PSS_SHA256
                | SignatureScheme::RSA_PSS_SHA384
                | SignatureScheme::RSA_PSS_SHA512
                | SignatureScheme::RSA_PKCS1_SHA384 => 3,
                _ => 0,
            });
        }
        schemes
    }
}

/// The error of a client's handshake, or of its first read. Texts of rustls that do not help an operator are replaced.
#[must_use]
pub fn explained(error: io::Error) -> io::Error {
    use rustls::AlertDescription::{
        BadCertificate, CertificateExpired, CertificateRequired, CertificateUnknown,
        HandshakeFailure, UnknownCA, UnsupportedCertificate,
    };
    use rustls::Error;
    let cause = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    let text = match cause {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
            other.to_string()
        }
        // The server has sent no details.
        Some(Error::AlertReceived(HandshakeFailure)) => {
            "the server found no version, cipher or kind of key that both sides know: keys on the \
             curves P-224 and P-521 and versions below TLS 1.2 are not known here"
                .to_owned()
        }
        Some(Error::AlertReceived(CertificateRequired)) => {
            "the server wants a certificate of this client: give tls.cert and tls.key".to_owned()
        }
        Some(Error::AlertReceived(UnknownCA)) => {
            "the server does not take the certificate of this client (tls.cert): no authority in the \
             server's clientCa has signed it"
                .to_owned()
        }
        Some(Error::AlertReceived(
            BadCertificate | CertificateExpired | CertificateUnknown | UnsupportedCertificate,
        )) => "the server refuses the certificate of this client (tls.cert); its log says why"
            .to_owned(),
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}
