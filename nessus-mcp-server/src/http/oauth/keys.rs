//! The public keys of an identity provider.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// The keys that signatures are checked with.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    jwk: Jwk,
    key: DecodingKey,
}

/// A JSON document of keys (RFC 7517).
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys of a document that can check a signature; others in it are passed over, whatever they are.
    pub(super) fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().filter_map(|key| Key::new(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a token that names this key, or none, may be signed with one of these.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.0.iter().any(|key| key.id() == Some(id)))
    }

    /// The key of this id that fits the algorithm. A token that names none has to have been signed with the only one that fits.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm) && (id.is_none() || key.id() == id));
        let first = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then_some(&first.key)
    }
}

impl Key {
    /// `None` for a key that checks no signatures, or that more than the provider has.
    fn new(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let is_public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures && is_public)?;
        Some(Self { jwk, key })
    }

    fn id(&self) -> Option<&str> {
        self.jwk.common.key_id.as_deref()
    }

    /// Whether it is of the type that an algorithm asks for, and not meant for another one.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let is_meant = self.jwk.common.key_algorithm.is_none_or(|meant| meant == KeyAlgorithm::from(algorithm));
        let has_type = match &self.jwk.algorithm {
            AlgorithmParameters::RSA(_) => algorithm.family() == AlgorithmFamily::Rsa,
            AlgorithmParameters::EllipticCurve(key) => match algorithm {
                Algorithm::ES256 => key.curve == EllipticCurve::P256,
                Algorithm::ES384 => key.curve == EllipticCurve::P384,
                _ => false,
            },
            AlgorithmParameters::OctetKeyPair(key) => {
                algorithm == Algorithm::EdDSA && key.curve == EllipticCurve::Ed25519
            }
            _ => false,
        };
        is_meant && has_type
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(id: &str, more: &Value) -> Value {
        let mut key = json!({ "kty": "RSA", "kid": id, "n": "sXch", "e": "AQAB" });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_checks_no_signature_is_passed_over() {
        let keys = set(&[
            rsa("a", &json!({})),
            rsa("for encryption", &json!({ "use": "enc" })),
            json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" }),
            json!({ "kty": "EC", "kid": "odd", "crv": "secp256k1", "x": "AA", "y": "AA" }),
            json!({ "kty": "new", "kid": "new" }),
            json!({ "kty": "RSA", "kid": "half", "n": "AA" }),
            json!("text"),
            json!({ "kty": "RSA", "kid": 5, "n": "AA", "e": "AQAB" }),
        ]);
        assert_eq!(keys.len(), 1);
        assert!(keys.knows(Some("a")) && keys.knows(None) && !keys.knows(Some("shared")) && !keys.knows(Some("")));
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type() {
        let ec = |id: &str, curve: &str| json!({ "kty": "EC", "kid": id, "crv": curve, "x": "AA", "y": "AA" });
        let ed = json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "AA" });
        let keys = set(&[
            rsa("any", &json!({})),
            rsa("ps", &json!({ "alg": "PS256" })),
            ec("p256", "P-256"),
            ec("p384", "P-384"),
            ec("p521", "P-521"),
            ed,
        ]);
        let found = |algorithm| {
            let ids = ["any", "ps", "p256", "p384", "p521", "ed"].into_iter();
            ids.filter(|id| keys.find(Some(id), algorithm).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(found(Algorithm::RS256), ["any"]);
        assert_eq!(found(Algorithm::PS256), ["any", "ps"]);
        assert_eq!((found(Algorithm::ES256), found(Algorithm::ES384)), (vec!["p256"], vec!["p384"]));
        assert_eq!(found(Algorithm::EdDSA), ["ed"]);
        assert!(found(Algorithm::HS256).is_empty());
        assert!(keys.find(None, Algorithm::ES256).is_some() && keys.find(None, Algorithm::PS256).is_none());
    }
}
