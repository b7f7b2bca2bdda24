//! Speaks to an object store. All calls block.
//!
//! They run on a runtime of their own, so that they go on whatever the caller's does, and time that a test has paused is not theirs.
//!
//! An answer may be lost although its conditional write was done. So each such write has a name, and an object tells in its metadata what the
//! last [`NAMES`] were called: a writer finds its own again, also when others have written since. Only where [`NAMES`] or more have done so before
//! it looks is a write taken for refused that was done, and its change is made again.

use std::{
    borrow::Cow,
    io,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt as _;
use object_store::{
    Attribute, AttributeValue, Attributes, BackoffConfig, Error, GetOptions, GetResult, ObjectMeta, ObjectStore,
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
    failure::{bad_settings, failure, is_missing_object, stale},
    storage::{Tag, pause},
};
use crate::{
    config::{BucketKind, BucketUrl},
    fail_points::fail_point,
};

/// How long all tries of a request may take together, and how many there are.
const ALL_TRIES: Duration = Duration::from_secs(30);
const TRIES: usize = 4;
/// How often a conditional write is made whose outcome is not known.
const UNCLEAR: u32 = 5;
/// How many requests of one call are under way at once.
pub(super) const AT_ONCE: usize = 4;

/// Where an object tells what its last conditional writes were called: `latest.before.before that`, some 300 bytes. S3 takes 2 KiB, and no other
/// store less.
const WRITES: Attribute = Attribute::Metadata(Cow::Borrowed("writes"));
/// How many those are.
const NAMES: usize = 16;

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
        Ok(Self { store: store.map_err(|error| bad_settings(&error))?, url: url.clone() })
    }

    /// A bucket in memory.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let url = "s3://memory/prefix".parse().ok();
        let Some(crate::config::DataUrl::Bucket(url)) = url else { panic!("no bucket") };
        Self { store: Arc::new(object_store::memory::InMemory::new()), url }
    }

    /// The URL of a key, for messages.
    pub(super) fn shown(&self, key: &str) -> String {
        format!("{}/{key}", self.url)
    }

    /// Reads an object, unless it is the version that is `known`.
    pub(super) fn get(&self, key: &str, known: Option<&Tag>) -> io::Result<Got> {
        let if_none_match = known.and_then(|tag| tag.etag.clone());
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let path = self.path(key);
        let got = run(async {
            let answer = self.store.get_opts(&path, options).await?;
            let tag = tag_of(&answer);
            Ok((answer.bytes().await?, tag))
        })?;
        match got {
            Ok((bytes, tag)) => Ok(Got::Content(bytes.into(), tag)),
            Err(Error::NotModified { .. }) => Ok(Got::Unchanged),
            Err(error) if is_missing_object(&error) => Ok(Got::Missing),
            Err(error) => Err(failure("read", &error)),
        }
    }

    /// Whether there is an object. Where a store refuses to say so, it is read: only then the answer has a body, which says why.
    pub(super) fn has(&self, key: &str) -> io::Result<bool> {
        let written = self.written_at(key).map(|at| at.is_some());
        written.or_else(|_| Ok(!matches!(self.get(key, None)?, Got::Missing)))
    }

    /// When an object was written, by the store's clock; `None` where there is none.
    pub(super) fn written_at(&self, key: &str) -> io::Result<Option<SystemTime>> {
        match run(self.store.head(&self.path(key)))? {
            Ok(meta) => Ok(Some(meta.last_modified.into())),
            Err(error) if is_missing_object(&error) => Ok(None),
            Err(error) => Err(failure("read", &error)),
        }
    }

    /// Writes an object, whatever stands there.
    pub(super) fn put(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let put = run(self.store.put(&self.path(key), PutPayload::from(content.to_vec())))?;
        put.map(|_| ()).map_err(|error| failure("write", &error))
    }

    /// Writes an object if the version that was seen stands there; where none was seen, if none stands there. An answer that is lost is found
    /// out: what stands there then has the name of this write or not. Its content would not tell: somebody else may have written the same.
    pub(super) fn put_if(&self, key: &str, seen: Option<&Tag>, content: &[u8]) -> io::Result<Written> {
        let mode = match seen {
            Some(Tag { etag, version, .. }) => {
                PutMode::Update(UpdateVersion { e_tag: etag.clone(), version: version.clone() })
            }
            None => PutMode::Create,
        };
        let path = self.path(key);
        let write = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        let earlier = seen.into_iter().flat_map(Tag::writes);
        let names: Vec<_> = [&*write].into_iter().chain(earlier).take(NAMES).collect();
        let attributes = Attributes::from_iter([(WRITES, AttributeValue::from(names.join(".")))]);
        let mut unclear = None;
        for round in 0..UNCLEAR {
            let options = PutOptions { mode: mode.clone(), attributes: attributes.clone(), ..PutOptions::default() };
            unclear = match run(self.store.put_opts(&path, PutPayload::from(content.to_vec()), options))? {
                Ok(_) => return Ok(Written::Done),
                Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
                    return Err(failure("write", &error));
                }
                // Also where an earlier try of ours has done it, whose answer was lost.
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => None,
                Err(error) if seen.is_some() && is_missing_object(&error) => return Ok(Written::Refused),
                Err(error) => Some(failure("write", &error)),
            };
            let there = match self.tag(key) {
                Ok(there) => there,
                Err(error) => return Err(unclear.unwrap_or(error)),
            };
            match there {
                Some(tag) if tag.writes().any(|name| name == write) => return Ok(Written::Done),
                Some(tag) if seen.is_none_or(|seen| !tag.is_seen_with(seen)) => return Ok(Written::Refused),
                None if seen.is_some() => return Ok(Written::Refused),
                // Somebody else's create was under way and came to nothing; or the store shows what is not there any more.
                _ => {}
            }
            if let Some(error) = unclear.take_if(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                return Err(error);
            }
            pause(round);
        }
        Err(unclear.unwrap_or_else(stale))
    }

    /// The version of an object; `None` where there is no object.
    fn tag(&self, key: &str) -> io::Result<Option<Tag>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match run(self.store.get_opts(&self.path(key), options))? {
            Ok(answer) => Ok(Some(tag_of(&answer))),
            Err(error) if is_missing_object(&error) => Ok(None),
            Err(error) => Err(failure("read", &error)),
        }
    }

    /// Removes an object; fine when there is none.
    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        match run(self.store.delete(&self.path(key)))? {
            Ok(()) => Ok(()),
            Err(error) if is_missing_object(&error) => Ok(()),
            Err(error) => Err(failure("delete", &error)),
        }
    }

    /// Removes all objects below a key; how many.
    pub(super) fn remove_below(&self, key: &str) -> io::Result<usize> {
        let below = self.path(key);
        run(async {
            let found: Result<Vec<ObjectMeta>, _> = self.store.list(Some(&below)).try_collect().await;
            let mut removals = JoinSet::new();
            let mut count = 0;
            for object in found.map_err(|error| failure("list", &error))? {
                if removals.len() >= AT_ONCE
                    && let Some(Ok(removed)) = removals.join_next().await
                {
                    removed?;
                }
                let store = Arc::clone(&self.store);
                removals.spawn(async move {
                    match store.delete(&object.location).await {
                        Err(error) if !is_missing_object(&error) => Err(failure("delete", &error)),
                        _ => Ok(()),
                    }
                });
                count += 1;
            }
            while let Some(removed) = removals.join_next().await {
                removed.unwrap_or(Ok(()))?;
            }
            Ok(count)
        })?
    }

    /// What lies right below a key.
    pub(super) fn list(&self, key: &str) -> io::Result<Listed> {
        let below = self.path(key);
        let listed = run(self.store.list_with_delimiter(Some(&below)))?.map_err(|error| failure("list", &error))?;
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

    /// All objects below a key, by their keys below it.
    pub(super) fn list_all(&self, key: &str) -> io::Result<Vec<(String, SystemTime)>> {
        let below = self.path(key);
        let found: Result<Vec<ObjectMeta>, Error> = run(self.store.list(Some(&below)).try_collect())?;
        let found = found.map_err(|error| failure("list", &error))?;
        let rest = |path: &Path| {
            let parts: Vec<_> = path.prefix_match(&below)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        Ok(found.iter().filter_map(|one| Some((rest(&one.location)?, one.last_modified.into()))).collect())
    }

    /// Writes objects, a few at a time. `next` gives each key and its content.
    pub(super) fn put_all(&self, mut next: impl FnMut() -> io::Result<Option<(String, Vec<u8>)>>) -> io::Result<()> {
        let mut puts = JoinSet::new();
        let done = |ended: Option<Result<Result<(), Error>, _>>| match ended {
            Some(Ok(put)) => put.map_err(|error| failure("write", &error)),
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

/// The version of an object that was asked for.
fn tag_of(answer: &GetResult) -> Tag {
    let writes = answer.attributes.get(&WRITES).map(|writes| writes.as_ref().to_owned());
    let ObjectMeta { e_tag, version, .. } = answer.meta.clone();
    Tag { etag: e_tag, version, writes: writes.unwrap_or_default() }
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
