//! The files of tasks, and what lies beside them: the only code that writes under `tasks/`, `archive/` and to `queue.json`.
//!
//! ```text
//! tasks/{task_id}/task.json  scan_native.nessus  scan_native.idx  scan_schema_{profile}.jsonl
//!                 credential.sealed     the login that came with the request, until the task ends
//! archive/{task_id}.json   queue.json
//! ```
//!
//! In a bucket `task.json` has the sealed login. They are kept in a directory ([`files`]), or as objects in a bucket ([`objects`]): [`Storage`] is what both can do.

#[cfg(feature = "objects")]
mod bucket;
mod document;
mod entries;
#[cfg(feature = "objects")]
mod failure;
mod file_removal;
mod files;
mod lock;
mod names;
#[cfg(feature = "objects")]
mod objects;
mod storage;
#[cfg(feature = "objects")]
mod sweep;
mod task_store;

pub use self::names::{EXPORT_FILE, INDEX_FILE};
pub(crate) use self::{entries::Inspected, names::profile_file_name};
pub(super) use self::{
    entries::{Abandoned, Foreign, Inventory},
    names::newest_first,
    storage::Hold,
    task_store::TaskStore,
};
