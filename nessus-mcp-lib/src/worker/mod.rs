//! The engine that drives scans: behind `nessus-worker`, and inside the server with `--with-worker`.
//!
//! A worker claims a task under a lease, gives it a slot on a scanner, and takes it through the steps
//! find or create -> launch -> poll -> export -> validate and convert -> complete. It may be killed at any step. Then the
//! lease expires, and another worker claims the task, finds its scan by the marker and continues.
//!
//! Three things together keep a scan from running twice: the lease (one holder at a time), the fencing token that every
//! write to `task.json` is checked against, and the search for the scan on the scanner before one is created. A worker
//! that cannot renew its lease stops before the lease expires.
//!
//! A worker that is told to stop claims nothing more and releases its tasks. Their scans go on; the next workers adopt
//! them.
//!
//! The files, from the lowest up: `announce` (what it tells of itself), `hold` (why a task waits), `outcome` (errors of a step, and what becomes of a task), `retry_pauses`, `shared` and `held_task` (what
//! a run may use), `placement` (a scanner and a slot), `hosts` (what counts against a day), `scope`, `stall`, `pause`, `poll` and `results`, `lifecycle` (the steps in their
//! order), `run_task` (a claim and its settlement), `another_try` (on which scanner a task goes on after an error), `engine` (claims).

mod announce;
mod another_try;
mod approval;
mod engine;
mod heartbeat;
mod held_task;
mod hold;
mod hosts;
mod lifecycle;
mod outcome;
mod pacing;
mod pause;
mod placement;
mod poll;
mod queue_clock;
mod results;
mod retry_pauses;
mod run_task;
mod scope;
mod shared;
mod stall;

pub use self::engine::Worker;

#[cfg(test)]
mod tests;
