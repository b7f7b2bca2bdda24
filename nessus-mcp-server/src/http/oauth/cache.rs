//! Keeps the keys of an identity provider, and decides when they are read again.
//!
//! - They are read when the first token comes, and again with the first token after [`REFRESH`].
//! - A token with an unknown key may be the first after a rotation, so the keys are read at once; after that, unknown keys are
//!   refused without asking for [`UNKNOWN_PAUSE`]. Otherwise anybody could let the server flood its provider.
//! - When they cannot be read, those that are known go on being used until they are [`KEEP`] old, and the provider is asked again
//!   after [`RETRY`].
//! - One reading at a time. It goes on when whoever caused it is gone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nessus_mcp_lib::error::{chain, counted};
use tokio::{sync::OwnedMutexGuard, time::Instant};
use tracing::{info, warn};

use super::{keys::KeySet, source::ReadError};

/// How old keys are when they are read again.
const REFRESH: Duration = Duration::from_secs(300);
/// How long keys are used when they cannot be read again.
const KEEP: Duration = Duration::from_secs(3600);
/// How long to wait after keys could not be read.
const RETRY: Duration = Duration::from_secs(10);
/// How long unknown keys are refused without asking, after one was asked for.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);

/// The keys of a provider.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    known: Mutex<Known>,
    /// Held by whoever reads.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The keys, and when they were read.
    keys: Option<(Arc<KeySet>, Instant)>,
    /// Not to be read before, unless a key is unknown.
    due: Option<Instant>,
    /// Not to be read before because a key is unknown.
    unknown_due: Option<Instant>,
}

/// Why keys are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// There are none.
    Any,
    /// There is none with this id.
    Unknown,
    /// They are old; until they were read, those that are known will do.
    Newer,
}

impl Known {
    fn usable(&self, now: Instant) -> Option<&Arc<KeySet>> {
        self.keys.as_ref().filter(|(_, read_at)| now.duration_since(*read_at) < KEEP).map(|(keys, _)| keys)
    }

    fn need(&self, id: Option<&str>, now: Instant) -> Option<Need> {
        let is_past = |due: Option<Instant>| due.is_none_or(|due| due <= now);
        match self.usable(now) {
            None => is_past(self.due).then_some(Need::Any),
            Some(keys) if !keys.knows(id) => is_past(self.unknown_due).then_some(Need::Unknown),
            Some(_) => is_past(self.due).then_some(Need::Newer),
        }
    }
}

impl KeyCache {
    /// The keys among which one of this id should be; `None` when there are none that may be used. `read` reads them.
    pub(super) async fn keys<F>(self: &Arc<Self>, id: Option<&str>, read: F) -> Option<Arc<KeySet>>
    where
        F: Future<Output = Result<KeySet, ReadError>> + Send + 'static,
    {
        let (lacks, need) = {
            let (known, now) = (self.known(), Instant::now());
            (known.usable(now).is_none_or(|keys| !keys.knows(id)), known.need(id, now))
        };
        let turn = if lacks {
            // Somebody may be reading what is lacking.
            Some(Arc::clone(&self.reading).lock_owned().await)
        } else if need.is_some() {
            Arc::clone(&self.reading).try_lock_owned().ok()
        } else {
            None
        };
        if let Some(turn) = turn {
            self.read_if_needed(id, turn, read).await;
        }
        self.known().usable(Instant::now()).cloned()
    }

    /// Lets the keys be read with the next token, whatever is known.
    pub(super) fn expire(&self) {
        let mut known = self.known();
        (known.due, known.unknown_due) = (None, None);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, unless somebody has done so while this one waited for its turn.
    async fn read_if_needed<F>(self: &Arc<Self>, id: Option<&str>, turn: OwnedMutexGuard<()>, read: F)
    where
        F: Future<Output = Result<KeySet, ReadError>> + Send + 'static,
    {
        {
            let (mut known, now) = (self.known(), Instant::now());
            let Some(need) = known.need(id, now) else { return };
            // Before the answer: one that never comes must not lead to the next question.
            known.due = Some(now + RETRY);
            if need == Need::Unknown {
                known.unknown_due = Some(now + UNKNOWN_PAUSE);
            }
        }
        let cache = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let answer = read.await;
            cache.store(answer);
            drop(turn);
        });
        // It does not panic, and is not cancelled.
        let _ = reading.await;
    }

    fn store(&self, answer: Result<KeySet, ReadError>) {
        let mut known = self.known();
        let now = Instant::now();
        match answer {
            Ok(keys) => {
                info!("{} of the identity provider read", counted(keys.len(), "key", "keys"));
                known.keys = Some((Arc::new(keys), now));
                known.due = Some(now + REFRESH);
            }
            Err(error) => {
                let has_keys = known.usable(now).is_some();
                let error = chain(&error);
                warn!(error, has_keys, "the keys of the identity provider cannot be read");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tokio::{sync::oneshot, time};

    use super::*;

    fn set(ids: &[&str]) -> KeySet {
        let keys = ids.iter().map(|id| json!({ "kty": "RSA", "kid": id, "n": "AA", "e": "AQAB" }));
        KeySet::parse(json!({ "keys": keys.collect::<Vec<_>>() }).to_string().as_bytes()).unwrap()
    }

    /// A provider that has these keys, or fails, and counts how often it is asked.
    #[derive(Clone, Default)]
    struct Provider(Arc<Mutex<Option<Vec<&'static str>>>>, Arc<AtomicUsize>);

    impl Provider {
        fn of(ids: &[&'static str]) -> Self {
            let provider = Self::default();
            provider.has(Some(ids));
            provider
        }

        fn has(&self, ids: Option<&[&'static str]>) {
            *self.0.lock().unwrap() = ids.map(<[_]>::to_vec);
        }

        fn asked(&self) -> usize {
            self.1.load(Ordering::Relaxed)
        }

        async fn read(self) -> Result<KeySet, ReadError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            time::sleep(Duration::from_millis(1)).await;
            let ids = self.0.lock().unwrap().clone();
            ids.map(|ids| set(&ids)).ok_or(ReadError::Slow)
        }

        /// Whether the cache has this key.
        async fn finds(&self, cache: &Arc<KeyCache>, id: &str) -> bool {
            cache.keys(Some(id), self.clone().read()).await.is_some_and(|keys| keys.knows(Some(id)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_asked_for_once_and_then_not_for_a_while() {
        let (cache, provider) = (Arc::new(KeyCache::default()), Provider::of(&["a"]));
        assert!(provider.finds(&cache, "a").await && provider.finds(&cache, "a").await);
        assert_eq!(provider.asked(), 1);
        provider.has(Some(&["b"]));
        assert!(provider.finds(&cache, "b").await && !provider.finds(&cache, "a").await, "a rotation counts at once");
        assert_eq!(provider.asked(), 2);
        provider.has(Some(&["b", "c"]));
        for id in ["a", "c", "http://evil.example", ""] {
            assert!(!provider.finds(&cache, id).await, "{id}");
        }
        assert_eq!(provider.asked(), 2);
        time::advance(UNKNOWN_PAUSE).await;
        assert!(provider.finds(&cache, "c").await && !provider.finds(&cache, "d").await);
        assert_eq!(provider.asked(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_read_again_and_those_that_are_gone_are_refused() {
        let (cache, provider) = (Arc::new(KeyCache::default()), Provider::of(&["a", "b"]));
        assert!(provider.finds(&cache, "a").await);
        provider.has(Some(&["b"]));
        assert!(provider.finds(&cache, "a").await);
        time::advance(REFRESH).await;
        assert!(!provider.finds(&cache, "a").await && provider.finds(&cache, "b").await);
        assert_eq!(provider.asked(), 2);
        provider.has(Some(&["c"]));
        cache.expire();
        assert!(!provider.finds(&cache, "b").await, "an operator can let them be read at once");
    }

    #[tokio::test(start_paused = true)]
    async fn known_keys_are_used_for_a_bounded_time_while_none_can_be_read() {
        let (cache, provider) = (Arc::new(KeyCache::default()), Provider::of(&["a"]));
        assert!(provider.finds(&cache, "a").await);
        provider.has(None);
        time::advance(REFRESH).await;
        for _ in 0..5 {
            assert!(provider.finds(&cache, "a").await);
        }
        assert_eq!(provider.asked(), 2, "the provider is left alone for a while");
        time::advance(RETRY).await;
        assert!(provider.finds(&cache, "a").await);
        assert_eq!(provider.asked(), 3);
        time::advance(KEEP.saturating_sub(REFRESH + RETRY)).await;
        assert!(!provider.finds(&cache, "a").await && !provider.finds(&cache, "a").await);
        assert_eq!(provider.asked(), 4);
        provider.has(Some(&["a"]));
        time::advance(RETRY).await;
        assert!(provider.finds(&cache, "a").await);
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_ask_once_and_one_that_leaves_does_not_end_it() {
        let (cache, provider) = (Arc::new(KeyCache::default()), Provider::of(&["a"]));
        let (answer, wait) = oneshot::channel::<()>();
        let rotated = Provider::of(&["a", "b"]);
        let slow = {
            let provider = provider.clone();
            async move {
                let _ = wait.await;
                provider.read().await
            }
        };
        let gone = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.keys(Some("a"), slow).await.map(drop) }
        });
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let (cache, provider) = (Arc::clone(&cache), provider.clone());
                tokio::spawn(async move { provider.finds(&cache, "a").await })
            })
            .collect();
        tokio::task::yield_now().await;
        answer.send(()).unwrap();
        for found in waiting {
            assert!(found.await.unwrap());
        }
        assert_eq!(provider.asked(), 1);
        // The same for a key that is new to all of them.
        let found = (0..20).map(|_| {
            let (cache, rotated) = (Arc::clone(&cache), rotated.clone());
            tokio::spawn(async move { rotated.finds(&cache, "b").await })
        });
        for found in found.collect::<Vec<_>>() {
            assert!(found.await.unwrap());
        }
        assert_eq!(rotated.asked(), 1);
    }
}
