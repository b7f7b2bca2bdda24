//! Fifty writers at once: whether a store's conditional writes are one step.

use std::sync::Arc;

use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion, path::Path,
};
use tokio::task::JoinSet;

/// How many write at the same time.
const WRITERS: usize = 50;
/// How often all of them create the same object.
const ROUNDS: usize = 20;

pub(crate) async fn create(store: &dyn ObjectStore, key: &str, content: &str) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&Path::from(key), PutPayload::from(content.to_owned()), options).await.map(drop)
}

pub(crate) async fn text(store: &dyn ObjectStore, key: &str) -> object_store::Result<String> {
    let bytes = store.get(&Path::from(key)).await?.bytes().await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// What fifty writers have seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Writers {
    /// Rounds of one object that all create, in which not exactly one was told that it has.
    wrong_rounds: usize,
    /// Increments of a counter that were confirmed and are not in it.
    lost_updates: usize,
    refused_creates: usize,
    refused_updates: usize,
    /// Answers that are neither a confirmation nor a refusal.
    errors: Vec<String>,
}

impl Writers {
    /// Lets them write to a store.
    pub(crate) async fn all_at(store: &Arc<dyn ObjectStore>) -> Self {
        let mut seen = Self::default();
        for round in 0..ROUNDS {
            seen.create_once(store, &format!("rounds/{round}")).await;
        }
        seen.count(store).await;
        seen
    }

    async fn create_once(&mut self, store: &Arc<dyn ObjectStore>, key: &str) {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, key) = (Arc::clone(store), key.to_owned());
            writers.spawn(async move { (writer, create(&*store, &key, &writer.to_string()).await) });
        }
        let mut winners = Vec::new();
        for (writer, created) in writers.join_all().await {
            match created {
                Ok(()) => winners.push(writer.to_string()),
                Err(Error::AlreadyExists { .. }) => self.refused_creates += 1,
                Err(error) => self.errors.push(error.to_string()),
            }
        }
        self.wrong_rounds += usize::from(winners != [text(&**store, key).await.unwrap()]);
    }

    async fn count(&mut self, store: &Arc<dyn ObjectStore>) {
        let path = Path::from("counter");
        store.put(&path, "0".into()).await.unwrap();
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (store, path) = (Arc::clone(store), path.clone());
            writers.spawn(async move { add_one(&*store, &path).await });
        }
        let mut added = 0;
        for writer in writers.join_all().await {
            self.refused_updates += writer.refused;
            match writer.error {
                None => added += 1,
                Some(error) => self.errors.push(error),
            }
        }
        let count: usize = text(&**store, "counter").await.unwrap().parse().unwrap();
        self.lost_updates += added - count.min(added);
    }

    /// How many writes were refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused_creates + self.refused_updates
    }

    pub(crate) fn assert_atomic(&self) {
        assert_eq!((self.wrong_rounds, self.lost_updates, self.errors.len()), (0, 0, 0), "{self:#?}");
        assert_eq!(self.refused_creates, ROUNDS * (WRITERS - 1), "{self:#?}");
        assert!(self.refused_updates > 0, "the writers were not at work at the same time");
    }
}

struct Added {
    refused: usize,
    error: Option<String>,
}

/// Adds one to a counter, as often as it takes.
async fn add_one(store: &dyn ObjectStore, path: &Path) -> Added {
    let mut refused = 0;
    loop {
        let error = match try_to_add(store, path).await {
            Ok(()) => return Added { refused, error: None },
            Err(Error::Precondition { .. }) if refused < 100 * WRITERS => {
                refused += 1;
                continue;
            }
            Err(error) => error.to_string(),
        };
        return Added { refused, error: Some(error) };
    }
}

async fn try_to_add(store: &dyn ObjectStore, path: &Path) -> object_store::Result<()> {
    let got = store.get(path).await?;
    let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: None };
    let count: u64 = String::from_utf8(got.bytes().await?.to_vec()).unwrap().parse().unwrap();
    let options = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
    store.put_opts(path, (count + 1).to_string().into(), options).await.map(drop)
}
