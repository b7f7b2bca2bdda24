//! The fault catalogue of `docs/faults.md`, row by row: what becomes of a task when a Nessus fails in each of the ways it is
//! known to fail. In `scope`: what a Nessus is told to scan, and what it is never told.
//!
//! Each test injects its fault into the simulated scanner and lets the real worker drive a task over real HTTP. It is
//! judged by the task's file, by what an agent sees, and by what the scanner was asked to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod answers;
mod control;
mod export;
mod fast_time;
mod identity;
mod life;
mod rig;
mod scope;
mod secrets;
mod session;
mod table;
mod transport;
