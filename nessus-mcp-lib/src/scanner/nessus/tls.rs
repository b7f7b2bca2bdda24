//! What a scanner shows for a certificate: trusting one and no other, by its fingerprint, and saying what is wrong with one.

use std::{error::Error as StdError, io, net::TcpStream, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};

use crate::{hex, time::Timestamp};

/// Which certificate is accepted. The name and the dates are not checked. The handshake proves that the scanner holds the key.
#[derive(Debug, Clone, Copy)]
enum Accepted {
    /// The one with this SHA-256 of its DER form.
    Pinned([u8; 32]),
    /// Whichever there is, to look at it.
    Any,
}

#[derive(Debug)]
struct Verifier {
    accepted: Accepted,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.accepted {
            Accepted::Pinned(sha256) if Sha256::digest(end_entity)[..] != sha256 => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Accepted::Pinned(_) | Accepted::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// TLS that accepts the certificate with this fingerprint only.
///
/// # Errors
/// When the provider has none of the versions of TLS in use.
pub(super) fn pinned(sha256: [u8; 32]) -> Result<ClientConfig, Error> {
    accepting(Accepted::Pinned(sha256))
}

fn accepting(accepted: Accepted) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { accepted, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate that a scanner has shown.
#[derive(Debug)]
pub(super) struct Shown(CertificateDer<'static>);

impl Shown {
    /// The SHA-256 of its DER form, as `tls_pin_sha256` takes it.
    pub(super) fn sha256(&self) -> String {
        hex::encode(&Sha256::digest(&self.0))
    }

    /// The end of its validity.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        end_of(&self.0)
    }
}

/// Makes a TLS handshake with whoever is at the other end, only to see the certificate: nothing is sent over it. Blocks for as long
/// as the timeouts of the connection let it.
///
/// # Errors
/// When there is no TLS at the other end.
pub(super) fn look(mut connection: TcpStream, host: &str) -> io::Result<Shown> {
    // Neither the name nor the address matters here.
    let name = ServerName::try_from(host.to_owned()).or_else(|_| ServerName::try_from("scanner.invalid"));
    let name = name.map_err(io::Error::other)?;
    let config = accepting(Accepted::Any).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut connection)?;
    }
    let certificate = tls.peer_certificates().and_then(<[_]>::first);
    certificate.map(|one| Shown(one.clone().into_owned())).ok_or_else(|| io::Error::other("it shows no certificate"))
}

/// What mends a certificate that was refused for this error, or for one of its causes.
pub(super) fn advice(error: &(dyn StdError + 'static)) -> &'static str {
    use CertificateError as E;
    match refusal_in(error) {
        Some(E::Expired | E::ExpiredContext { .. }) => {
            "renew it on the scanner, or pin it with `tls_pin_sha256`, which does not ask for dates"
        }
        Some(E::NotValidYet | E::NotValidYetContext { .. }) => {
            "set the clocks of the scanner and of this machine right"
        }
        Some(E::NotValidForName | E::NotValidForNameContext { .. }) => {
            "write a name for which it is valid into `url`, or pin it with `tls_pin_sha256`"
        }
        Some(E::ApplicationVerificationFailure) => {
            "it is not the one of `tls_pin_sha256`: if the scanner has got a new one, write the fingerprint of that there"
        }
        _ => "trust its authority on this machine or in `ca_file`, or pin it with `tls_pin_sha256`",
    }
}

/// Why a certificate was refused, by an error or one of its causes.
fn refusal_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CertificateError> {
    let mut next = Some(error);
    while let Some(mut error) = next {
        // An `io::Error` does not tell of the error that it holds, but of its causes.
        while let Some(held) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            error = held;
        }
        if let Some(Error::InvalidCertificate(refusal)) = error.downcast_ref() {
            return Some(refusal);
        }
        next = error.source();
    }
    None
}

/// The end of the validity of a certificate in DER (RFC 5280, 4.1).
fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    // Version (if it is there), serial number, algorithm, issuer.
    let has_version = rest.first() == Some(&0xA0);
    for _ in 0..if has_version { 4 } else { 3 } {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (tag, end, _) = element(element(validity)?.2)?;
    let digits = std::str::from_utf8(end).ok()?.strip_suffix('Z')?;
    let digits = match (tag, digits.get(..2)?.parse::<u32>().ok()?) {
        // UTCTime has a year of two digits.
        (0x17, year) => format!("{}{digits}", if year < 50 { 20 } else { 19 }),
        (0x18, _) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, time) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, time.0, time.1, time.2).parse().ok()
}

/// The tag and the content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        let length =
            digits.iter().try_fold(0_usize, |length, byte| length.checked_mul(256)?.checked_add(usize::from(*byte)));
        (length?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mends_a_certificate_is_found_in_the_causes_of_an_error() {
        let refused = |refusal| io::Error::other(Error::InvalidCertificate(refusal));
        let nested = io::Error::other(refused(CertificateError::Expired));
        assert!(advice(&nested).starts_with("renew it"));
        assert!(advice(&refused(CertificateError::NotValidForName)).contains("`url`"));
        assert!(advice(&refused(CertificateError::UnknownIssuer)).contains("`ca_file`"));
        assert!(advice(&io::Error::other("x")).contains("`ca_file`"));
    }

    #[test]
    fn a_certificate_that_is_cut_off_has_no_end() {
        // The first bytes of one: each prefix is read without a panic.
        let der = [0x30, 0x82, 0x01, 0x0A, 0x30, 0x81, 0x90, 0xA0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x05];
        assert!((0..der.len()).all(|length| end_of(&der[..length]).is_none()));
        assert_eq!(element(&[0x02, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), None);
    }
}
