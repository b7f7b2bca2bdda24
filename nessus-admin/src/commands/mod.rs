//! The commands.

mod acts;
pub(crate) mod approvals;
mod approver;
pub(crate) mod audit;
pub(crate) mod circuits;
pub(crate) mod convert;
pub(crate) mod dead_letters;
mod export_file;
pub(crate) mod policy;
pub(crate) mod pools;
mod progress;
pub(crate) mod queue;
pub(crate) mod queue_audit;
mod recorded;
pub(crate) mod stats;
pub(crate) mod stop_all;
pub(crate) mod tasks;
pub(crate) mod token;
pub(crate) mod validate;
pub(crate) mod views;
pub(crate) mod workers;
