//! The audit log: who did what, from where, who let them and by which rule, and what became of it.
//!
//! Lines of JSON, one file a day in UTC. Each line has the hash of the one before it, and is signed where the deployment has a
//! secret key, so that [`verify`] finds a line that was altered, moved, taken out or taken away. [`Audit`] writes; every process
//! role on a machine has a chain of its own, and processes of one role share it. `docs/audit.md` says what it proves, and what not.

mod chain;
mod digest;
mod error;
mod file;
mod head;
mod joined;
mod line;
mod log;
mod places;
mod read;
mod verify;

pub use self::{
    chain::ChainKey,
    digest::{digest, digest_of},
    error::AuditError,
    line::{Decision, Entry, Event, HalfLine, Kind, Line, Who},
    log::{Asked, Audit, ProcessRole},
    read::{FoundLine, Progress, Search, search},
    verify::{ChainReport, Flaw, Place, Unanswered, verify},
};

#[cfg(test)]
mod tests;
