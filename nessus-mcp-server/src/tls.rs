//! TLS by a certificate in files, which are read again on SIGHUP.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use nessus_mcp_lib::config::ConfigError;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

/// The certificate of the server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// The certificate as it was last read.
#[derive(Debug)]
struct Current {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    chain: RwLock<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.current.certificate).finish()
    }
}

impl Tls {
    /// Reads the certificate with its chain, and its key, both in PEM.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, ConfigError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = read(certificate, key, &provider)?;
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let chain = RwLock::new(Arc::new(chain));
        let current = Arc::new(Current { certificate, key, provider: Arc::clone(&provider), chain });
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| setting("TLS_CERT", &error.to_string()))?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// What turns a connection into a TLS connection.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the files again: new connections get what is in them. What cannot be used changes nothing.
    ///
    /// # Errors
    /// What is wrong with them; it is logged.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        let Current { certificate, key, provider, chain } = &*self.current;
        match read(certificate, key, provider) {
            Ok(read) => {
                if let Ok(mut chain) = chain.write() {
                    *chain = Arc::new(read);
                }
                info!(certificate = %certificate.display(), "certificate read again");
                Ok(())
            }
            Err(error) => {
                error!(%error, "the certificate is refused; everything stays as it was");
                Err(error)
            }
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&*self.chain.read().ok()?))
    }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, ConfigError> {
    let certificates = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| unreadable("TLS_CERT", certificate, &error))?;
    if certificates.is_empty() {
        return Err(setting(
            "TLS_CERT",
            &format!("names the file `{}`, which has no certificate", certificate.display()),
        ));
    }
    let read = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("TLS_KEY", key, &error))?;
    CertifiedKey::from_der(certificates, read, provider)
        .map_err(|error| setting("TLS_KEY", &format!("names a key that does not fit the certificate: {error}")))
}

fn unreadable(name: &str, path: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    setting(name, &format!("names the file `{}`, which cannot be used: {error}", path.display()))
}

fn setting(name: &str, message: &str) -> ConfigError {
    ConfigError::Setting { name: name.to_owned(), message: message.to_owned() }
}
