//! What the server knows, under one lock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    BUCKET,
    fault::{Fault, FaultKind},
    store::Bucket,
};

/// What becomes of `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionalWrites {
    /// They are kept, in one step with the write.
    #[default]
    Atomic,
    /// They are not looked at: the write is done.
    Ignored,
    /// The write is refused with `NotImplemented`.
    Refused,
    /// They are kept, but what the writer says of the object is not.
    Nameless,
}

/// How a server starts.
#[derive(Clone)]
pub struct S3Config {
    /// 0: a free one.
    pub port: u16,
    /// The buckets that are there.
    pub buckets: Vec<String>,
    /// Whose requests are answered.
    pub access_key_id: String,
    /// What they are signed with.
    pub secret_access_key: String,
    /// What becomes of the conditions of writes.
    pub conditional_writes: ConditionalWrites,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            port: 0,
            buckets: vec![BUCKET.to_owned()],
            access_key_id: "AKIAOFTHETESTS".to_owned(),
            secret_access_key: "planted-secret-access-key".to_owned(),
            conditional_writes: ConditionalWrites::Atomic,
        }
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, buckets, access_key_id, conditional_writes, secret_access_key: _ } = self;
        let mut shown = f.debug_struct("S3Config");
        shown.field("port", port).field("buckets", buckets).field("access_key_id", access_key_id);
        shown.field("conditional_writes", conditional_writes).finish_non_exhaustive()
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// `PutObject`.
    Put,
    /// `GetObject`.
    Get,
    /// `HeadObject`.
    Head,
    /// `DeleteObject`.
    Delete,
    /// `DeleteObjects`.
    DeleteMany,
    /// `ListObjectsV2`.
    List,
    /// Of the bucket itself.
    Bucket,
    /// Something that this server lacks.
    Other,
}

/// A request that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What it asked for.
    pub operation: Operation,
    /// The bucket, as its address says.
    pub bucket: String,
    /// The key; of a list the prefix.
    pub key: String,
    /// Its condition, such as `if-match "..."`.
    pub condition: Option<String>,
    /// The `Range` it asked for.
    pub range: Option<String>,
    /// The bytes of its body.
    pub received: u64,
    /// The bytes of the answer's body.
    pub sent: u64,
    /// `None` while it has no answer, or when it gets none.
    pub status: Option<u16>,
    /// What went wrong on demand.
    pub fault: Option<FaultKind>,
}

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: S3Config,
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) faults: Vec<Fault>,
    pub(super) requests: Vec<Request>,
    /// How many requests were forgotten: what the first one in `requests` is numbered.
    forgotten: usize,
    /// Seconds.
    pub(super) clock_shift: i64,
}

impl State {
    /// By the server's clock.
    pub(super) fn now(&self) -> Timestamp {
        let shift = SignedDuration::from_secs(self.clock_shift);
        Timestamp::now().checked_add(shift).unwrap_or(Timestamp::MAX)
    }

    /// Notes a request and what goes wrong with it; returns its number.
    pub(super) fn note(&mut self, mut request: Request) -> (usize, Option<FaultKind>) {
        let kind = self.faults.iter_mut().find_map(|fault| fault.strikes(&request));
        self.faults.retain(|fault| !fault.is_used_up());
        request.fault = kind;
        self.requests.push(request);
        (self.forgotten + self.requests.len() - 1, kind)
    }

    /// The request with this number, unless it is forgotten.
    pub(super) fn request(&mut self, number: usize) -> Option<&mut Request> {
        self.requests.get_mut(number.checked_sub(self.forgotten)?)
    }

    pub(super) fn forget_requests(&mut self) {
        self.forgotten += self.requests.len();
        self.requests.clear();
    }
}

/// The state, and who waits for a change of it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<()>,
    /// Counts how often held requests were let go.
    releases: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(config: S3Config) -> Self {
        let buckets = config.buckets.iter().map(|name| (name.clone(), Bucket::default())).collect();
        let state = State { config, buckets, faults: Vec::new(), requests: Vec::new(), forgotten: 0, clock_shift: 0 };
        Self { state: Mutex::new(state), changes: watch::Sender::default(), releases: watch::Sender::default() }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        result
    }

    pub(super) fn config(&self) -> S3Config {
        self.look(|state| state.config.clone())
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn releases(&self) -> watch::Receiver<u64> {
        self.releases.subscribe()
    }

    pub(super) fn clear_faults(&self) {
        self.change(|state| state.faults.clear());
        self.releases.send_modify(|releases| *releases += 1);
    }
}
