//! Tasks: what was asked for, where it stands, and the only code that changes it.
//!
//! The truth about a task is its `task.json`; the queue is an index that can be rebuilt from it. [`TaskManager`] is
//! the only writer: it checks every change of state against the state machine and every write of a worker against
//! the fencing token, under the task's lock or by conditional writes, so that a worker whose lease is gone cannot overwrite its successor.
//!
//! ```text
//! queued ──> running ──> completed | failed | timeout | cancelled
//!    └─────────────────> failed | cancelled
//! failed | timeout ──> queued        only by an explicit retry
//! ```

mod approval;
mod archive;
mod artifacts;
mod audit;
mod catalogue;
mod charges;
mod chronicle;
mod deliveries;
mod delivery;
mod entry;
mod error;
mod events;
mod failure;
mod lists;
mod manager;
mod mirror;
mod model;
mod open;
mod pause;
mod place;
mod pools;
#[cfg(test)]
mod property_tests;
mod query;
mod queue_file;
mod records;
mod removal;
mod repair;
mod scans;
mod state;
mod store;

pub(crate) use self::{
    artifacts::Artifact,
    deliveries::{enqueue_deliveries, letter_of_deliveries},
    entry::TaskFacts,
    model::{CANCELLED, POISON_TASK, WARNING_CODES},
    place::{OpenResult, ResultPlace},
    records::Charges,
    repair::Rebuild,
    store::{Inspected, profile_file_name},
};
pub use self::{
    audit::CatalogueAudit,
    delivery::Delivery,
    error::TaskError,
    events::{EventKind, TaskEvent},
    lists::TaskList,
    manager::{TaskManager, Writer},
    model::{CredentialReference, ScanPayload, ScanType, ScopeRecord, TASK_SCHEMA_VERSION, Task, TaskKey},
    open::StoreProbe,
    pause::{Pause, PauseRequest, PauseState, PausedBy},
    pools::pools_in_catalogue,
    query::{TaskCursor, TaskQuery},
    queue_file::{PoolOrder, QueueFile},
    records::{
        ChargedHosts, ClientCharge, FetchedExport, FormerScan, HistoryEntry, LastError, Observation, OpenScan, Step,
        StoredFile,
    },
    state::{StateTransitionError, TaskStatus},
    store::{EXPORT_FILE, INDEX_FILE},
};
