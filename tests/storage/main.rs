//! Object stores: what the programs keep in them, and what becomes of that when they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod clients;
mod conformance;
mod faults;
mod others;
mod rig;
mod short_fleet;
mod simulated;
mod writers;
