//! Speaks to an object store. All calls block.
//!
//! They run on a runtime of their own, so that they go on whatever the caller's does, and time that a test has paused is not theirs.

use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt as _;
use object_store::{
    Attribute, AttributeValue, Attributes, BackoffConfig, Error, GetOptions, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
    aws::{AmazonS3Builder, S3ConditionalPut},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    path::Path,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::{
    failure::{failure, is_missing_object},
    storage::Tag,
};
use crate::{
    config::{BucketKind, BucketUrl},
    fail_points::fail_point,
};

/// How long all tries of a request may take together, and how many there are.
const ALL_TRIES: Duration = Duration::from_secs(30);
const TRIES: usize = 4;
/// How often a conditional write is made whose outcome is not known.
const UNCLEAR: usize = 5;
/// How many requests of one call are under way at once.
pub(super) const AT_ONCE: usize = 4;

/// Where an object tells what its last conditional write was called.
const WRITE: Attribute = Attribute::Metadata(Cow::Borrowed("write"));

/// What a conditional write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Something else stands there.
    Refused,
}

/// What a reading came to.
#[derive(Debug)]
pub(super) enum Got {
    Missing,
    /// It is the version that was known.
    Unchanged,
    Content(Vec<u8>, Tag),
}

/// What lies below a key.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The names of what has more below it.
    pub(super) folders: Vec<String>,
    /// The names of objects, and when they were written, by the store's clock.
    pub(super) objects: Vec<(String, SystemTime)>,
}

/// The keys of a bucket below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    url: BucketUrl,
}

impl Bucket {
    /// The bucket of this name; the environment says where its store is and who asks. Nothing is asked of it yet.
    pub(super) fn new(url: &BucketUrl) -> io::Result<Self> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            ..BackoffConfig::default()
        };
        let retry = RetryConfig { backoff, max_retries: TRIES, retry_timeout: ALL_TRIES };
        let store = match url.kind() {
            BucketKind::S3 => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(url.name()).with_retry(retry);
                let builder = with_options(builder, url, AmazonS3Builder::with_config)?;
                let builder = builder.with_conditional_put(S3ConditionalPut::ETagMatch);
                builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }
            BucketKind::Azure => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(url.name()).with_retry(retry);
                let builder = with_options(builder, url, MicrosoftAzureBuilder::with_config)?;
                builder.build().map(|store| Arc::new(store) as _)
            }
            BucketKind::Google => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(url.name()).with_retry(retry);
                let builder = with_options(builder, url, GoogleCloudStorageBuilder::with_config)?;
                builder.build().map(|store| Arc::new(store) as _)
            }
        };
        Ok(Self { store: store.map_err(|error| failure(&error))?, url: url.clone() })
    }

    /// The URL of a key, for messages.
    pub(super) fn shown(&self, key: &str) -> String {
        format!("{}/{key}", self.url)
    }

    /// Reads an object, unless it is the version that is `known`.
    pub(super) fn get(&self, key: &str, known: Option<&Tag>) -> io::Result<Got> {
        let if_none_match = known.and_then(|tag| tag.e_tag.clone());
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let path = self.path(key);
        let got = run(async {
            let answer = self.store.get_opts(&path, options).await?;
            let tag = Tag { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() };
            Ok((answer.bytes().await?, tag))
        })?;
        match got {
            Ok((bytes, tag)) => Ok(Got::Content(bytes.into(), tag)),
            Err(Error::NotModified { .. }) => Ok(Got::Unchanged),
            Err(error) if is_missing_object(&error) => Ok(Got::Missing),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Whether there is an object.
    pub(super) fn has(&self, key: &str) -> io::Result<bool> {
        Ok(self.written_at(key)?.is_some())
    }

    /// When an object was written, by the store's clock; `None` where there is none.
    pub(super) fn written_at(&self, key: &str) -> io::Result<Option<SystemTime>> {
        match run(self.store.head(&self.path(key)))? {
            Ok(meta) => Ok(Some(meta.last_modified.into())),
            Err(error) if is_missing_object(&error) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Writes an object, whatever stands there.
    pub(super) fn put(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let put = run(self.store.put(&self.path(key), PutPayload::from(content.to_vec())))?;
        put.map(|_| ()).map_err(|error| failure(&error))
    }

    /// Writes an object if the version that was seen stands there; where none was seen, if none stands there. An answer that is lost is found
    /// out: what stands there then has the name of this write or not. Its content would not tell: somebody else may have written the same.
    pub(super) fn put_if(&self, key: &str, seen: Option<&Tag>, content: &[u8]) -> io::Result<Written> {
        let mode = match seen {
            Some(Tag { e_tag, version }) => {
                PutMode::Update(UpdateVersion { e_tag: e_tag.clone(), version: version.clone() })
            }
            None => PutMode::Create,
        };
        let path = self.path(key);
        let write = uuid::Uuid::new_v4().simple().to_string();
        let attributes = Attributes::from_iter([(WRITE, AttributeValue::from(write.clone()))]);
        let mut unclear = None;
        for _ in 0..UNCLEAR {
            let options = PutOptions { mode: mode.clone(), attributes: attributes.clone(), ..PutOptions::default() };
            match run(self.store.put_opts(&path, PutPayload::from(content.to_vec()), options))? {
                Ok(_) => return Ok(Written::Done),
                Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
                    return Err(failure(&error));
                }
                // Also where an earlier try of ours has done it, whose answer was lost.
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => {
                    match self.last_write(key)? {
                        Some((last, _)) if last.as_deref() == Some(&*write) => return Ok(Written::Done),
                        // Somebody else's create was under way and came to nothing.
                        None if seen.is_none() => unclear = None,
                        _ => return Ok(Written::Refused),
                    }
                }
                Err(error) if seen.is_some() && is_missing_object(&error) => {
                    return Ok(Written::Refused);
                }
                Err(error) => {
                    let error = failure(&error);
                    match self.last_write(key) {
                        Ok(Some((last, _))) if last.as_deref() == Some(&*write) => return Ok(Written::Done),
                        Ok(Some((_, tag))) if Some(&tag) != seen => return Ok(Written::Refused),
                        Ok(_) if error.kind() != io::ErrorKind::PermissionDenied => unclear = Some(error),
                        _ => return Err(error),
                    }
                }
            }
        }
        Err(unclear.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into()))
    }

    /// What the last conditional write of an object was called, and its version; `None` where there is no object.
    fn last_write(&self, key: &str) -> io::Result<Option<(Option<String>, Tag)>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match run(self.store.get_opts(&self.path(key), options))? {
            Ok(answer) => {
                let write = answer.attributes.get(&WRITE).map(|write| write.as_ref().to_owned());
                Ok(Some((write, Tag { e_tag: answer.meta.e_tag, version: answer.meta.version })))
            }
            Err(error) if is_missing_object(&error) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Removes an object; fine when there is none.
    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        match run(self.store.delete(&self.path(key)))? {
            Ok(()) => Ok(()),
            Err(error) if is_missing_object(&error) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Removes all objects below a key; how many.
    pub(super) fn remove_below(&self, key: &str) -> io::Result<usize> {
        let below = self.path(key);
        let removed = run(async {
            let found: Vec<ObjectMeta> = self.store.list(Some(&below)).try_collect().await?;
            let mut removals = JoinSet::new();
            let mut count = 0;
            for object in found {
                if removals.len() >= AT_ONCE
                    && let Some(Ok(removed)) = removals.join_next().await
                {
                    removed?;
                }
                let store = Arc::clone(&self.store);
                removals.spawn(async move {
                    match store.delete(&object.location).await {
                        Err(error) if is_missing_object(&error) => Ok(()),
                        removed => removed,
                    }
                });
                count += 1;
            }
            while let Some(removed) = removals.join_next().await {
                removed.unwrap_or(Ok(()))?;
            }
            Ok(count)
        })?;
        removed.map_err(|error| failure(&error))
    }

    /// What lies right below a key.
    pub(super) fn list(&self, key: &str) -> io::Result<Listed> {
        let below = self.path(key);
        let listed = run(self.store.list_with_delimiter(Some(&below)))?.map_err(|error| failure(&error))?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        Ok(Listed {
            folders: listed.common_prefixes.iter().map(name).collect(),
            objects: listed
                .objects
                .iter()
                .map(|object| (name(&object.location), object.last_modified.into()))
                .collect(),
        })
    }

    /// All objects below a key, by their keys below it, and when they were written, by the store's clock.
    pub(super) fn list_all(&self, key: &str) -> io::Result<Vec<(String, SystemTime)>> {
        Ok(self.below(key)?.into_iter().map(|(name, meta)| (name, meta.last_modified.into())).collect())
    }

    /// How many bytes each object below a key has, by its key below it.
    pub(super) fn sizes(&self, key: &str) -> io::Result<HashMap<String, u64>> {
        Ok(self.below(key)?.into_iter().map(|(name, meta)| (name, meta.size)).collect())
    }

    fn below(&self, key: &str) -> io::Result<Vec<(String, ObjectMeta)>> {
        let below = self.path(key);
        let found: Result<Vec<ObjectMeta>, Error> = run(self.store.list(Some(&below)).try_collect())?;
        let found = found.map_err(|error| failure(&error))?;
        let rest = |path: &Path| {
            let parts: Vec<_> = path.prefix_match(&below)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        Ok(found.into_iter().filter_map(|one| Some((rest(&one.location)?, one))).collect())
    }

    /// Writes objects, a few at a time. `next` gives each key and its content.
    pub(super) fn put_all(&self, mut next: impl FnMut() -> io::Result<Option<(String, Vec<u8>)>>) -> io::Result<()> {
        let mut puts = JoinSet::new();
        let done = |ended: Option<Result<Result<(), Error>, _>>| match ended {
            Some(Ok(put)) => put.map_err(|error| failure(&error)),
            _ => Ok(()),
        };
        while let Some((key, content)) = next()? {
            if puts.len() >= AT_ONCE {
                done(run(puts.join_next())?)?;
                fail_point!("bucket_part_uploaded");
            }
            let (store, path) = (Arc::clone(&self.store), self.path(&key));
            let put = async move { store.put(&path, content.into()).await.map(|_| ()) };
            puts.spawn_on(put, runtime()?.handle());
        }
        while !puts.is_empty() {
            done(run(puts.join_next())?)?;
        }
        Ok(())
    }

    fn path(&self, key: &str) -> Path {
        let prefix = Path::from(self.url.prefix());
        key.split('/').fold(prefix, Path::join)
    }
}

/// What was given in place of the environment. A value is in no message.
fn with_options<B, K: FromStr>(builder: B, url: &BucketUrl, set: impl Fn(B, K, String) -> B) -> io::Result<B> {
    url.options().iter().try_fold(builder, |builder, (name, value)| {
        let key = name.parse().map_err(|_unknown| {
            let message = format!("this kind of object store has no option `{name}`");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(set(builder, key, value.expose().to_owned()))
    })
}

/// The runtime of all object stores.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, io::ErrorKind>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("object-store").enable_all();
        builder.build().map_err(|error| error.kind())
    });
    made.as_ref().map_err(|kind| (*kind).into())
}

/// Waits for an answer.
fn run<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(runtime()?.handle().block_on(work))
}
