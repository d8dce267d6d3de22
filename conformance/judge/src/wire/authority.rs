//! Certificates for clients that verify the server's certificate. They are made for each run, so that their dates fit.

use std::io;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A chain of certificates, and the private key of the first certificate.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The period in which a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dates {
    /// From yesterday until 30 days from now.
    Now,
    /// From 31 days ago until yesterday.
    Past,
}

/// An authority that signs certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Authority {
    pub(super) fn new() -> io::Result<Self> {
        let mut params = params(&[], "a root for one run of netroxy-conformance", Dates::Now)?;
        // The authority is valid earlier than each certificate that it signs.
        params.not_before = past(40).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    pub(super) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate of a server for these hosts, signed by the authority.
    pub(super) fn sign(&self, hosts: &[&str], dates: Dates) -> io::Result<Identity> {
        let mut params = params(hosts, "netroxy-conformance", dates)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let made = params
            .signed_by(&key, &self.issuer)
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        Ok((vec![made.der().clone()], key))
    }
}

fn params(hosts: &[&str], name: &str, dates: Dates) -> io::Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, until) = match dates {
        Dates::Now => (past(1), SystemTime::now() + 30 * DAY),
        Dates::Past => (past(31), past(1)),
    };
    params.not_before = from.into();
    params.not_after = until.into();
    Ok(params)
}

fn past(days: u32) -> SystemTime {
    SystemTime::now()
        .checked_sub(days * DAY)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
