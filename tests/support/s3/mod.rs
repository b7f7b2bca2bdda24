//! An S3 server in memory, on loopback: its conditional writes are atomic, and it breaks on demand.
//!
//! ```no_run
//! # async fn example() {
//! use nessus_mcp_tests::s3::{BUCKET, Fault, Operation, S3Error, SimulatedS3};
//! let s3 = SimulatedS3::start().await;
//! // ... point a client at it: `s3.environment()`, `s3://nessus/...` ...
//! s3.inject(Fault::answer(S3Error::SlowDown).on(Operation::Put).count(3));
//! let fetched: u64 = s3.requests().iter().filter(|request| request.key.ends_with(".idx/0")).map(|request| request.sent).sum();
//! println!("{fetched} bytes of {} objects", s3.objects(BUCKET).len());
//! # }
//! ```
//!
//! It answers on a thread of its own, so that a test may block its own. Each write is one step under one lock: of many
//! conditional writes of a key exactly one wins. Path-style addresses only; no multipart uploads and no copies, which get
//! a `NotImplemented`.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its store cannot go on")]

mod answers;
mod connection;
mod control;
mod fault;
mod process;
mod requests;
mod state;
mod store;
mod wire;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::state::{Shared, State};
pub use self::{
    fault::{Fault, FaultKind, S3Error},
    process::S3Process,
    state::{ConditionalWrites, Operation, Request, S3Config},
};
use crate::processes::PATIENCE;

/// The bucket that is there from the start.
pub const BUCKET: &str = "nessus";

/// A running server. It ends when it is dropped, and its objects with it.
#[derive(Debug)]
pub struct SimulatedS3 {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for SimulatedS3 {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has panicked only if a request has, whose client has seen that.
            let _ = thread.join();
        }
    }
}

impl SimulatedS3 {
    /// A server on a free port, with an empty [`BUCKET`].
    pub async fn start() -> Self {
        Self::start_with(S3Config::default()).await
    }

    /// A server with this configuration.
    pub async fn start_with(config: S3Config) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, config.port));
        let listener = listener.unwrap_or_else(|error| panic!("the S3 server cannot listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let shared = Arc::new(Shared::new(config));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let serve = connection::serve(listener, serving, ready);
                tokio::select! { () = serve => {}, _ = stopped => {} }
            });
            // Requests that are held are not waited for.
            runtime.shutdown_background();
        });
        is_ready.await.unwrap_or_else(|_| panic!("the S3 server does not start"));
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a client of the real S3 needs in its environment to come here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let config = self.shared.config();
        environment(&self.url(), &config.access_key_id, &config.secret_access_key)
    }

    /// Sets a fault; it comes after those that are already set.
    pub fn inject(&self, fault: Fault) {
        self.shared.change(|state| state.faults.push(fault));
    }

    /// Ends all faults, and lets those requests go on that are held.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Sets the server's clock off from that of the machine, by seconds.
    pub fn shift_clock(&self, seconds: i64) {
        self.shared.change(|state| state.clock_shift = seconds);
    }

    /// What becomes of the conditions of writes from now on.
    pub fn conditional_writes(&self, conditional_writes: ConditionalWrites) {
        self.shared.change(|state| state.config.conditional_writes = conditional_writes);
    }

    /// Makes a bucket, empty if it was not there.
    pub fn create_bucket(&self, name: &str) {
        self.shared.change(|state| {
            state.buckets.entry(name.to_owned()).or_default();
        });
    }

    /// Removes a bucket with everything in it.
    pub fn remove_bucket(&self, name: &str) {
        self.shared.change(|state| state.buckets.remove(name));
    }

    /// All objects of a bucket, by key.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Bytes> {
        self.shared.look(|state| {
            let bucket = state.buckets.get(bucket).unwrap_or_else(|| panic!("there is no bucket `{bucket}`"));
            bucket.objects().map(|(key, object)| (key.to_owned(), object.content.clone())).collect()
        })
    }

    /// Puts an object past all faults and conditions: what somebody else has done to the bucket.
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        let content = content.into();
        self.shared.change(|state| {
            let now = state.now();
            state.buckets.entry(bucket.to_owned()).or_default().put(key, content, Vec::new(), now);
        });
    }

    /// Removes an object past all faults; `false` when there was none.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.shared.change(|state| state.buckets.get_mut(bucket).is_some_and(|bucket| bucket.delete(key)))
    }

    /// Lets all objects have been written so many seconds earlier.
    pub fn age(&self, seconds: i64) {
        self.shared.change(|state| state.buckets.values_mut().for_each(|bucket| bucket.age(seconds)));
    }

    /// All requests so far, in the order in which they came; those in hand have no status yet.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.look(|state| state.requests.clone())
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.change(State::forget_requests);
    }

    /// Waits until the requests are as `are_there` wants them.
    pub async fn wait_for(&self, what: &str, are_there: impl Fn(&[Request]) -> bool) {
        let mut changes = self.shared.changes();
        let waiting = async {
            while !self.shared.look(|state| are_there(&state.requests)) {
                // The sender is in `shared`.
                let _ = changes.changed().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(came, "waited {} s in vain for {what}\n{:#?}", PATIENCE.as_secs(), self.requests());
    }
}

/// What a client of the real S3 needs in its environment to come to the server at `url`.
pub fn environment(url: &str, access_key_id: &str, secret_access_key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT", url.to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", access_key_id.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret_access_key.to_owned()),
    ]
}

/// Serves until the process ends; tells its address as soon as it listens. For the program `simulated-s3`.
pub async fn serve_for_ever(config: S3Config, announce: impl FnOnce(&str)) {
    let server = SimulatedS3::start_with(config).await;
    announce(&server.url());
    loop {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
