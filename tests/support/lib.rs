//! Shared support of the integration tests.
//!
//! ```text
//! sim          a simulated Nessus
//! processes    a binary as a process: clean environment, bounded waits, signals
//! binaries     the binaries of the workspace, built when they are needed
//! deployment   a data directory, a scanners.yaml, and the processes that share them
//! site         a whole site: scanner, server, workers
//! ```

pub mod binaries;
pub mod deployment;
pub mod processes;
pub mod sim;
pub mod site;
