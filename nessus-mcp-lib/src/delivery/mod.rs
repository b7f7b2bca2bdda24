//! Telling webhooks what happens to tasks.
//!
//! What is to be told stands in the file of each task ([`crate::task::Delivery`]), and a queue of its own knows which tasks
//! have something to tell. A worker takes them from there, beside the scans it runs and without holding them up. So what
//! becomes of a delivery is decided as with a task: whoever dies is followed by another, what the queue forgets is found
//! again, and a webhook may hear the same twice, under the same id.
//!
//! A webhook that does not answer is tried again with growing pauses for a day; then the task stands among the dead letters of
//! [`PoolName::DELIVERIES`](crate::ids::PoolName::DELIVERIES).
//!
//! The files, from the lowest up: `target` (which addresses a webhook may have), `body` (what it is sent), `gate` (those that rest
//! because they fail), `unwritten` (what a failing disk did not take), `webhook` (the request and its signature), `run` (the loop).

mod body;
mod gate;
mod run;
mod target;
mod unwritten;
mod webhook;

pub(crate) use self::run::Deliveries;
pub use self::webhook::{DeliveryError, Sent, ping};

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
