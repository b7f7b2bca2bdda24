//! The scanners of this library before the conformance suite: the mock, and Nessus against the simulated one over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod crowds;
mod custom;
mod mock;
mod nessus;
