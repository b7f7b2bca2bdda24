//! Speaks to an object store. All calls block.
//!
//! They run on a runtime of their own, so that they go on whatever the caller's runtime does, and time that a test has paused is not theirs.

use std::{
    error::Error as _,
    io,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt as _;
use object_store::{
    BackoffConfig, ClientOptions, Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
    aws::{AmazonS3Builder, S3ConditionalPut},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    path::Path,
};
use tokio::runtime::{Builder, Runtime};

use super::{failure::ObjectFailure, storage::Tag};
use crate::config::BucketUrl;

/// How long one request may take, and all tries of it together.
const REQUEST: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
const ALL_TRIES: Duration = Duration::from_secs(30);
const TRIES: usize = 4;
/// How many requests of one call are under way at once.
const AT_ONCE: usize = 4;

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

/// An object of a list.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its key.
    pub(super) key: String,
    /// When it was written, by the store's clock.
    pub(super) modified: SystemTime,
}

/// Part of a bucket: the keys below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    url: BucketUrl,
}

impl Bucket {
    /// The bucket of this name; who may use it says the environment. Nothing is asked of it yet.
    pub(super) fn new(url: &BucketUrl) -> io::Result<Self> {
        let options = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT);
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            ..BackoffConfig::default()
        };
        let retry = RetryConfig { backoff, max_retries: TRIES, retry_timeout: ALL_TRIES };
        let bucket = url.bucket();
        let store: Result<Arc<dyn ObjectStore>, Error> = match url.scheme() {
            "s3" => {
                // What the environment says of HTTP, certificates and proxies is kept where it is set.
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
                let builder = builder.with_conditional_put(S3ConditionalPut::ETagMatch);
                let builder = with_times(builder, AmazonS3Builder::with_config);
                builder.build().map(|store| Arc::new(store) as _)
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry);
                let builder = with_times(builder, MicrosoftAzureBuilder::with_config);
                builder.build().map(|store| Arc::new(store) as _)
            }
            _ => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry);
                builder.with_client_options(options).build().map(|store| Arc::new(store) as _)
            }
        };
        let store = store.map_err(|error| ObjectFailure::of(&error))?;
        Ok(Self { store, url: url.clone() })
    }
}
