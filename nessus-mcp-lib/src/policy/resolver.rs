//! From host names to their addresses.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

/// How many names are looked up at once.
const AT_ONCE: usize = 32;
/// How long one name may take.
const NAME_WAIT: Duration = Duration::from_secs(10);
/// How long all names of a scan may take together.
const ALL_WAIT: Duration = Duration::from_secs(60);

/// Looks host names up.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses that `name` stands for now, in any order.
    ///
    /// # Errors
    /// When it stands for none, or nobody answers. What the error says is shown to whoever asks for a scan.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Looks names up as the machine does.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Answers from a table, which can be changed while it is asked: for tests, and where there is no DNS.
#[derive(Debug, Default)]
pub struct TableResolver(Mutex<BTreeMap<String, Vec<IpAddr>>>);

impl TableResolver {
    /// From now on `name` stands for these addresses; with none it cannot be resolved.
    pub fn set(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned(), addresses.into_iter().collect());
    }
}

#[async_trait]
impl Resolver for TableResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = names.get(name).filter(|addresses| !addresses.is_empty());
        found.cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such name"))
    }
}

/// What names stand for, in order and each address once, or why that is not known.
pub(super) async fn resolve_all<'a>(
    resolver: &Arc<dyn Resolver>,
    names: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Result<Vec<IpAddr>, String>> {
    let (permits, deadline) = (Arc::new(Semaphore::new(AT_ONCE)), Instant::now() + ALL_WAIT);
    let mut lookups = JoinSet::new();
    let mut answers = BTreeMap::new();
    for name in names {
        answers.insert(name.to_owned(), Err("there is no answer".to_owned()));
        let (name, resolver, permits) = (name.to_owned(), Arc::clone(resolver), Arc::clone(&permits));
        lookups.spawn(async move {
            let _permit = permits.acquire().await;
            let until = deadline.min(Instant::now() + NAME_WAIT);
            let answer = tokio::time::timeout_at(until, resolver.resolve(&name)).await;
            (name, answer)
        });
    }
    while let Some(ended) = lookups.join_next().await {
        let Ok((name, answer)) = ended else { continue };
        let answer = match answer {
            Ok(Ok(addresses)) => {
                let mut addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
                addresses.sort_unstable();
                addresses.dedup();
                if addresses.is_empty() { Err("it has no addresses".to_owned()) } else { Ok(addresses) }
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("the resolver does not answer".to_owned()),
        };
        answers.insert(name, answer);
    }
    answers
}
