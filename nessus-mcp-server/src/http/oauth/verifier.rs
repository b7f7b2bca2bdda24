//! Checks access tokens by the policy in force.

use std::sync::{Arc, Mutex, PoisonError};

use nessus_mcp_lib::policy::{Claims, OAuth};

use super::{
    cache::KeyCache,
    source::Source,
    token::{JwtError, Unchecked},
};

/// Checks access tokens. Cheap to clone: clones share the keys.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Verifier(Arc<Mutex<Option<Provider>>>);

/// The provider that a policy names, and its keys.
#[derive(Debug)]
struct Provider {
    /// As the policy has it that was read last.
    oauth: Arc<OAuth>,
    source: Source,
    keys: Arc<KeyCache>,
}

impl Verifier {
    /// Whether a token may be one of a provider.
    pub(in crate::http) fn is_like(token: &str) -> bool {
        Unchecked::is_like(token)
    }

    /// The claims of a token that is right in everything.
    ///
    /// # Errors
    /// [`JwtError`] says what is not right; [`JwtError::NoKeys`] that this cannot be told.
    pub(in crate::http) async fn check(&self, token: &str, oauth: &Arc<OAuth>) -> Result<Claims, JwtError> {
        let unchecked = Unchecked::read(token, oauth)?;
        let (source, keys) = self.keys_of(oauth);
        let keys = keys.keys(unchecked.key_id.as_deref(), source.read()).await.ok_or(JwtError::NoKeys)?;
        unchecked.check(oauth, &keys)
    }

    /// The keys of the policy's provider. When a policy was read, they are to be read again; those of another provider are
    /// forgotten.
    fn keys_of(&self, oauth: &Arc<OAuth>) -> (Source, Arc<KeyCache>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source::new(oauth);
        let provider = match current.take() {
            Some(provider) if Arc::ptr_eq(&provider.oauth, oauth) => provider,
            Some(provider) if provider.source == source => {
                provider.keys.expire();
                Provider { oauth: Arc::clone(oauth), ..provider }
            }
            _ => Provider { oauth: Arc::clone(oauth), source, keys: Arc::default() },
        };
        let known = (provider.source.clone(), Arc::clone(&provider.keys));
        *current = Some(provider);
        known
    }
}
