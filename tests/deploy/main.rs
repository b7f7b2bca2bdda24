//! What stands in `deploy/` is true of the programs: their variables, ports, paths and metrics. The compose files are run, as processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bundle;
mod compose;
mod files;
mod guide;
mod image;
mod kubernetes;
mod monitoring;
mod running;
mod settings;
mod units;
