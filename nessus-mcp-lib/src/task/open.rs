//! Opens the tasks where the settings say that they are: in the data directory, or in a bucket of an object store.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::warn;

use super::{error::TaskError, failure::PlaceFailure, manager::TaskManager, queue_file::QUEUE_FILE, store::TaskStore};
use crate::{
    blocking,
    config::{BucketUrl, DataUrl, Settings},
    durable::{self, DurableFile},
    error::chain,
    time::{Clock, SystemClock, Timestamp},
};

/// What a check of the place of the tasks has found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoreProbe {
    /// How long all its steps have taken together.
    pub took: Duration,
    /// The time by the store's own clock; `None` where it goes by the clock of this machine.
    pub time: Option<Timestamp>,
}

impl TaskManager {
    /// Opens the tasks, to read and write them. What is missing of a data directory is made; a bucket must be there.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when the place cannot be used.
    pub async fn open_for(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, TaskError> {
        match &settings.data_url {
            DataUrl::Directory => on_disk(settings, move |data_dir| Self::open_with_clock(data_dir, clock)).await,
            DataUrl::Bucket(bucket) => {
                // What this machine keeps lies there, and its free space is asked for.
                let made = |data_dir: &Path| {
                    durable::create_directory(data_dir).map_err(TaskError::storage("cannot create", data_dir))
                };
                on_disk(settings, made).await?;
                let opened = in_bucket(settings, bucket, TaskStore::open_bucket).await;
                opened.map(|(store, _)| Self::in_store(store, clock))
            }
        }
    }

    /// The tasks, for who only reads: nothing is made or written, but for what is kept in the cache of the results that are read in a bucket.
    /// `None` where no process has kept any yet.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when an object store cannot be asked.
    pub async fn to_read_for(settings: &Settings) -> Result<Option<Self>, TaskError> {
        match &settings.data_url {
            DataUrl::Directory => {
                let opened = |data_dir: &Path| {
                    let is_there = data_dir.join("tasks").is_dir() || data_dir.join(QUEUE_FILE).is_file();
                    Ok(is_there.then(|| Self::to_read(data_dir)))
                };
                on_disk(settings, opened).await
            }
            DataUrl::Bucket(bucket) => {
                let store = in_bucket(settings, bucket, TaskStore::to_read_bucket).await?;
                let tasks = Self::in_store(store, Arc::new(SystemClock));
                // Whoever keeps tasks has written this first.
                Ok(tasks.data_file(QUEUE_FILE).await?.is_some().then_some(tasks))
            }
        }
    }

    /// Whether the cache of a bucket can be used, for a process that is to read or write results for long: makes its directory. Where nothing can
    /// be written there now, the log says so. Without this, the directory is made when it is needed first.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when there can be no such directory.
    pub async fn check_cache(settings: &Settings) -> Result<(), TaskError> {
        if settings.data_url == DataUrl::Directory {
            return Ok(());
        }
        let directory = settings.cache_dir();
        let checked = blocking::run(move || {
            durable::create_directory(&directory).map_err(|error| {
                let hint = "name another directory for the cache, one that this user can write to";
                let refused = PlaceFailure::error(error.kind(), error.to_string(), Some(hint));
                TaskError::storage("cannot create", &directory)(refused)
            })?;
            let written = DurableFile::create(&directory.join("probe")).and_then(|mut file| file.write_all(b"probe"));
            if let Err(error) = written {
                warn!(
                    directory = %directory.display(), error = chain(&error),
                    "the directory of the cache cannot be written to: nothing that is read is kept, and no results can be written"
                );
            }
            Ok(())
        });
        checked.await.map_err(TaskError::storage("cannot reach", settings.cache_dir()))?
    }

    /// Whether the place of the tasks can be used: reads, writes, lists and deletes something there, and finds out whether conditional
    /// writes hold. Nothing of it stays.
    ///
    /// # Errors
    /// [`TaskError::Storage`] with the first step that is refused.
    pub async fn probe_for(settings: &Settings) -> Result<StoreProbe, TaskError> {
        match &settings.data_url {
            DataUrl::Directory => {
                let begun = Instant::now();
                Self::open_for(settings, Arc::new(SystemClock)).await?;
                Ok(StoreProbe { took: begun.elapsed(), time: None })
            }
            DataUrl::Bucket(bucket) => {
                let begun = Instant::now();
                let (_, time) = in_bucket(settings, bucket, TaskStore::open_bucket).await?;
                Ok(StoreProbe { took: begun.elapsed(), time: Some(time) })
            }
        }
    }
}

/// Runs `work` with the data directory, on a thread that may block.
async fn on_disk<T: Send + 'static>(
    settings: &Settings,
    work: impl FnOnce(&Path) -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    let data_dir = settings.data_dir.clone();
    let result = blocking::run(move || work(&data_dir)).await;
    result.map_err(TaskError::storage("cannot reach", &settings.data_dir))?
}

/// Opens a bucket, on a thread that may block. What it needs of this machine's disk it will have in the directory of the cache.
async fn in_bucket<T: Send + 'static>(
    settings: &Settings,
    bucket: &BucketUrl,
    open: impl FnOnce(&BucketUrl, (&Path, u64)) -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    let (directory, url) = (settings.cache_dir(), bucket.clone());
    let most_bytes = settings.cache_max_bytes();
    let result = blocking::run(move || open(&url, (&directory, most_bytes))).await;
    result.map_err(TaskError::storage("cannot reach", PathBuf::from(bucket.to_string())))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Classified as _, ErrorKind};

    #[tokio::test]
    async fn reading_makes_nothing_and_opening_does() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::new(directory.path().join("data"), "unused");
        assert!(TaskManager::to_read_for(&settings).await.unwrap().is_none());
        assert!(!settings.data_dir.exists());
        TaskManager::open_for(&settings, Arc::new(SystemClock)).await.unwrap();
        let tasks = TaskManager::to_read_for(&settings).await.unwrap().unwrap();
        assert_eq!(tasks.ids().await.unwrap(), []);
        assert_eq!(tasks.queue_file().await.unwrap().id, None);
    }

    #[tokio::test]
    async fn a_cache_is_asked_for_where_there_is_a_bucket() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::new(directory.path().join("data"), "unused");
        TaskManager::check_cache(&settings).await.unwrap();
        assert!(!settings.data_dir.exists());
        let settings = settings.with_data_url("s3://scans".parse().unwrap());
        TaskManager::check_cache(&settings).await.unwrap();
        assert_eq!(settings.cache_dir().read_dir().unwrap().count(), 0, "it is there, and nothing of the check");
        durable::replace(&directory.path().join("file"), b"").unwrap();
        let settings = settings.with_cache_dir(directory.path().join("file"));
        let refused = TaskManager::check_cache(&settings).await.unwrap_err();
        assert!(refused.to_string().starts_with("cannot create `"), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Configuration);
        assert!(refused.hint().unwrap().starts_with("name another directory for the cache"), "{refused}");
    }
}
