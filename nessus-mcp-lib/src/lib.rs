//! Safe, asynchronous use of Nessus scanners.
//!
//! A scan takes minutes to hours, and whoever asked for it has long gone on. This library accepts scans durably, queues
//! them, drives scanners through them, survives crashes on the way, and leaves findings that can be read page by page.
//! `nessus-mcp-server`, `nessus-worker` and `nessus-admin` are thin binaries on top of it; an embedding program has the
//! same power.
//!
//! # Quick starts
//!
//! **Embed the service**, with the worker in the same process:
//!
//! ```no_run
//! use nessus_mcp_lib::{ScanService, Worker, config::{Settings, WorkerSettings}};
//! use nessus_mcp_lib::service::{ResultsRequest, SubmitRequest};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // The same data directory and scanner configuration may be shared by any number of processes.
//! let service = ScanService::open(&Settings::new("./data", "scanners.yaml")).await?;
//! let worker = Worker::new(&service, WorkerSettings::default())?;
//! tokio::spawn(worker.run(std::future::pending()));
//!
//! let scan = service.submit(SubmitRequest::untrusted("office", "192.0.2.0/28")).await?;
//! while !service.status(&scan.task_id).await?.status.is_terminal() {
//!     tokio::time::sleep(std::time::Duration::from_secs(10)).await;
//! }
//! println!("{}", service.results(ResultsRequest::new(scan.task_id)).await?);
//! # Ok(()) }
//! ```
//!
//! Errors, hints and advice name no tool, command or variable: an API of your own may show them, and [`error::reworded`] puts your names there.
//! [`ScanService::prepare_results`] streams all findings. `nessus_mcp_server::McpRoutes` offers the same service to agents at `/mcp` of your axum
//! router; the example `embed_in_axum` has all of it. Where callers have logins, [`ScanService::acting_for`] gives
//! the service of one of them, with rights in the words of `policy.yaml` by [`Rights::parse`](policy::Rights::parse).
//!
//! **Convert a file**, without scanners and queue:
//!
//! ```no_run
//! use nessus_mcp_lib::{JsonNlConverter, results::{FilterSet, Profile, Query}};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let serious: FilterSet = r#"{"severity": ">=High"}"#.parse()?;
//! let query = Query::builder().profile(Profile::Triage).filters(serious).build()?;
//! JsonNlConverter::new(query).convert(std::fs::File::open("scan.nessus")?, std::io::stdout().lock())?;
//! # Ok(()) }
//! ```
//!
//! **Add a scanner, or a queue.** Implement [`ScannerInterface`], or [`Queue`] and [`queue::TaskCatalogue`]. No method of these traits has a
//! default. Whoever wraps one implements [`scanner::ScannerDecorator`] or [`queue::QueueDecorator`], names only what changes, and passes on
//! everything else:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use nessus_mcp_lib::{Queue, queue::{QueueDecorator, QueueError}};
//!
//! /// A queue that notes how fast it answers.
//! #[derive(Debug)]
//! struct Timed(Arc<dyn Queue>);
//!
//! #[async_trait::async_trait]
//! impl QueueDecorator for Timed {
//!     fn inner(&self) -> &dyn Queue {
//!         self.0.as_ref()
//!     }
//!
//!     async fn ping(&self) -> Result<Duration, QueueError> {
//!         let took = self.0.ping().await?;
//!         tracing::info!(?took, "the queue answers");
//!         Ok(took)
//!     }
//! }
//! ```
//!
//! The conformance suites of the feature `testing` check what you built.
//!
//! **Guard calls of your own** with a [`CircuitBreaker`]; its page has an example.
//!
//! **Talk to a server** that runs elsewhere: the module `client` (feature `client`).
//!
//! # What is where
//! From the lowest layer up; a module uses only those on its own line or above it.
//!
//! | modules | what they hold |
//! |---|---|
//! | [`ids`], [`time`], [`error`], [`secret`], [`targets`] | names, clock, error kinds, secrets, target sets |
//! | [`telemetry`] | metrics, log lines, health reports |
//! | [`config`] | `scanners.yaml`, settings of the binaries |
//! | [`policy`], [`audit`] | what may be scanned; who did what |
//! | [`source`], [`results`] | what exports are read from; .nessus exports as lines of JSON |
//! | [`task`], [`queue`], [`circuit_breaker`] | the state machine of a task and its file; the queue's backends; the breaker |
//! | [`scanner`] | Nessus, mock, pools |
//! | [`service`] | what every API layer calls |
//! | [`housekeeping`], `delivery`, [`worker`] | what must be done now and then; telling webhooks; the engine |
//! | `client`, `testing` | a typed MCP client; conformance suites and mocks |
//!
//! Not shown here, because only the binaries and tests of this project need them: `config::cli`, `durable` (files that are whole or
//! absent), `streams` (stdout and stderr that nobody waits for), `fail_points`.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `sqlite` | yes | the embedded queue |
//! | `redis` | yes | the shared queue: Redis or Valkey, also as a cluster or with sentinels |
//! | `nessus` | yes | scanners over HTTP |
//! | `webhooks` | yes | telling others what happens to tasks |
//! | `objects` | | tasks and results in an object store, for workers on machines that share no disk |
//! | `client` | | a typed client of a running `nessus-mcp-server` |
//! | `metrics` | | metrics in Prometheus' format; without it nothing is measured |
//! | `schema` | | JSON schemas of the views |
//! | `cli` | | flags, start and log lines of the binaries |
//! | `testing` | | conformance suites and mocks |
//! | `fail-points` | | for the tests of this project: the process dies at a named step; not for production |
//!
//! Whatever is compiled in, the library logs through `tracing`; who listens is the embedder's choice.
//!
//! # Guarantees, and their limits
//! - An accepted task reaches a terminal state, whatever is killed. It needs a disk that keeps what it has synced, or an object store with
//!   conditional writes, and some worker that comes back.
//! - One task launches one scan. A scan that somebody launches on the scanner itself is not ours to prevent; one that somebody renames there
//!   is not found again.
//! - Results are never silently wrong: what cannot be applied is an error, what was not scanned is said in the data.
//! - Secrets are in no log, error, file or answer. A login that came with a request is on disk encrypted, until its task ends.
//! - Memory is bounded for exports of any size; sorting takes 40 bytes for each finding.
//! - No type of a pre-1.0 crate is in a public signature, but for what the features `testing` (mockall) and `metrics` (prometheus) are made
//!   of: these two are outside the promises of semantic versioning.

#![cfg_attr(
    not(all(
        feature = "metrics",
        feature = "nessus",
        feature = "objects",
        feature = "redis",
        feature = "sqlite",
        feature = "webhooks"
    )),
    allow(
        dead_code,
        reason = "without a backend, what only it uses has no caller; a build with all of them finds what is unused"
    )
)]

pub mod audit;
mod blocking;
pub mod circuit_breaker;
#[cfg(feature = "client")]
pub mod client;
pub mod config;
pub mod credentials;
mod delegate;
#[cfg(feature = "webhooks")]
pub mod delivery;
#[doc(hidden)]
pub mod durable;
pub mod error;
#[doc(hidden)]
pub mod fail_points;
mod hex;
pub mod housekeeping;
pub mod ids;
mod known;
mod login;
#[cfg(feature = "objects")]
mod parts;
pub mod policy;
pub mod queue;
pub mod results;
mod retry;
pub mod scanner;
pub mod secret;
pub mod service;
pub mod source;
#[doc(hidden)]
pub mod streams;
pub mod targets;
pub mod task;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod worker;

pub use circuit_breaker::CircuitBreaker;
pub use queue::Queue;
pub use results::JsonNlConverter;
pub use scanner::ScannerInterface;
pub use service::ScanService;
pub use task::TaskManager;
pub use worker::Worker;
