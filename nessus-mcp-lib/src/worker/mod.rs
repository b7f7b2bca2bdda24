//! The engine that drives scans: behind `nessus-worker`, and inside the server with `--with-worker`.
//!
//! A worker claims a task under a lease, gives it a slot on a scanner, and walks the road
//! find or create -> launch -> poll -> export -> validate and convert -> complete. It may be killed at any step:
//! the lease runs out, another worker claims the task, finds the scan by its marker and goes on where it stands.
//!
//! Three things together keep a scan from running twice: the lease (one holder at a time), the fence checked with every
//! write to `task.json`, and the search for the scan on the scanner before one is created. A worker that cannot renew
//! its lease stops acting before the lease is over.
//!
//! When it is told to stop, a worker claims nothing more, hands its leases back and leaves the scans running on their
//! scanners; whoever claims the tasks next adopts them.

mod engine;
mod heartbeat;
mod held_task;
mod lifecycle;
mod outcome;
mod pacing;
mod placement;
mod poll;
mod queue_clock;
mod results;
mod run_task;
mod shared;
mod stall;

pub use self::engine::Worker;

#[cfg(test)]
mod tests;
