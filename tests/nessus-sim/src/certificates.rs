//! Certificates of the scanner's own making, as a Nessus that was just installed has one.

use std::{fmt, io, sync::Arc};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// A certificate that a scanner with https shows. All are self-signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// For 127.0.0.1 and localhost, valid.
    #[default]
    Sound,
    /// For the same, but its time is over.
    Expired,
    /// Valid, but for another host.
    WrongHost,
}

const ALL: [Certificate; 3] = [Certificate::Sound, Certificate::Expired, Certificate::WrongHost];

/// One of each kind, made when the scanner starts.
#[derive(Clone)]
pub(super) struct Certificates(Arc<[Made; 3]>);

struct Made {
    pem: String,
    sha256: String,
    acceptor: TlsAcceptor,
}

impl Certificates {
    /// Makes them.
    pub(super) fn make() -> io::Result<Self> {
        let [sound, expired, wrong_host] = ALL.map(make);
        Ok(Self(Arc::new([sound?, expired?, wrong_host?])))
    }

    fn made(&self, kind: Certificate) -> &Made {
        let [sound, expired, wrong_host] = &*self.0;
        match kind {
            Certificate::Sound => sound,
            Certificate::Expired => expired,
            Certificate::WrongHost => wrong_host,
        }
    }

    /// What makes a connection a TLS connection that shows this one.
    pub(super) fn acceptor(&self, kind: Certificate) -> TlsAcceptor {
        self.made(kind).acceptor.clone()
    }

    pub(super) fn pem(&self, kind: Certificate) -> &str {
        &self.made(kind).pem
    }

    /// The SHA-256 of the DER form, in lower-case hex.
    pub(super) fn sha256(&self, kind: Certificate) -> &str {
        &self.made(kind).sha256
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.sha256(Certificate::Sound)).finish()
    }
}

fn make(kind: Certificate) -> io::Result<Made> {
    let names: &[&str] = match kind {
        Certificate::Sound | Certificate::Expired => &["127.0.0.1", "localhost"],
        Certificate::WrongHost => &["scanner.example.test"],
    };
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).map_err(io::Error::other)?;
    parameters.distinguished_name.push(DnType::CommonName, "Simulated Nessus");
    // The machine's clock decides what is valid: it is the one by which clients judge.
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(if kind == Certificate::Expired { 2021 } else { 4096 }, 1, 1);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
    let der = certificate.der().clone();
    let sha256 = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![der], key))
        .map_err(io::Error::other)?;
    Ok(Made { pem: certificate.pem(), sha256, acceptor: TlsAcceptor::from(Arc::new(config)) })
}
