//! Faults: everything that can go wrong between a gateway and a scanner, on demand.
//!
//! The [`catalogue`] names them; a [`Fault`] sets one, for so many requests of a kind. What a fault does is one of a few
//! things (see [`Does`](entry::Does)): something happens to the scanner, somebody else answers, the answer is changed, or
//! it travels badly. Several faults may meet in one request; of those that answer, and of those that make an answer travel
//! badly, the first that was set counts.

mod answers;
mod armed;
mod catalogue;
mod changes;
mod entry;
mod error;
mod fault;
mod journeys;
mod state_faults;
mod times;

pub(super) use self::armed::{Asked, Faults};
pub use self::{
    entry::{KnownFault, When},
    error::FaultError,
    fault::Fault,
};

/// The faults there are: of connections first, then of answers, then of the scanner and its scans.
pub fn known_faults() -> impl Iterator<Item = KnownFault> {
    catalogue::all().map(entry::Entry::known)
}
