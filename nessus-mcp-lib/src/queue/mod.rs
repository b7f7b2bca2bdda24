//! The queue: which tasks wait, who works on them, and what has failed.
//!
//! The truth about a task is its `task.json`; the queue is an index that can be rebuilt from those files. It answers
//! four questions that files answer badly: what comes next, who holds it, for how long, and how many scans run on a
//! scanner at this moment.
//!
//! ```text
//!                 enqueue                    claim                      settle(Ack)
//!   task.json  ------------>  ready  ----------------->  leased  ------------------->  gone
//!                              ^  ^                      | |  | settle(DeadLetter)
//!                              |  +-- release, lease ----+ |  +-------------------->  dead letters
//!                              |      expired (front)      | settle(Nack)                |
//!                              +------------ due -------- delayed                         |
//!                              +--------------------- retry_dead -------------------------+
//! ```
//!
//! Nothing is removed before it is settled: a claim only leases a task, and a worker that dies loses its lease, so
//! that the task is delivered again with a larger [`FencingToken`](crate::ids::FencingToken). Exactly-once work needs the fence:
//! a worker that was stopped for longer than its lease still believes it holds the task, and only the comparison of
//! fences under the task's file lock stops it from writing.
//!
//! Backends implement [`Queue`] and pass the suite in `testing::queue_conformance` (feature `testing`).
//! [`open`] chooses one by URL. No type of a backend's crate appears in a signature.

mod binding;
mod body;
mod catalogue;
mod charge;
mod circuit;
mod decorator;
mod entry;
mod error;
#[cfg_attr(
    feature = "testing",
    expect(clippy::ref_option_ref, reason = "what mockall keeps of an argument that is an optional reference")
)]
mod interface;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod url;
mod workers;

#[cfg(feature = "testing")]
pub(crate) use self::decorator::queue_methods;
pub(crate) use self::entry::IDEMPOTENCY_TTL;
#[cfg(feature = "testing")]
pub use self::interface::MockQueue;
pub use self::{
    binding::Binding,
    body::{BodyError, TaskBody},
    catalogue::{CATALOGUE_BATCH, CatalogueChanges, CatalogueRecord, CatalogueState, TaskCatalogue},
    charge::{Charge, ChargeOutcome},
    circuit::{CircuitNotice, CircuitNoticeKind, CircuitReport, PostedNotice, ProcessCircuits},
    decorator::QueueDecorator,
    entry::{
        Claim, DeadLetter, DeadReason, EnqueueOutcome, EntryState, IdempotencyEntry, IdempotencyOutcome,
        LOSSES_ALLOWED, Lease, LeaseInfo, Outlook, QueueStats, RemoveOutcome, RenewOutcome, RetryDeadOutcome,
        SettleOutcome, Settlement, SlotOutcome, pause_after_losses,
    },
    error::{BoxError, QueueError},
    interface::Queue,
    url::{QueueUrl, open},
    workers::{SeenWorker, ServedPool, WorkerRecord},
};
