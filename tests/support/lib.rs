//! Shared support of the integration tests. The simulated Nessus, [`sim`], is a crate of its own.
//!
//! ```text
//! approvals    people who agree to scans, or do not
//! processes    a binary as a process: clean environment, bounded waits, signals
//! binaries     the binaries of the workspace, built when they are needed
//! bucket       a bucket and a queue of a deployment's own, and what must be in it in the end
//! deployment   a data directory, a scanners.yaml, and the processes that share them
//! identity_provider  signs access tokens, rotates its keys, and misbehaves
//! npm          programs of other people that npm installs
//! other_stores moto and azurite, object stores of other people
//! fleet        servers and workers that share no directory, on an object store, while everything around them fails
//! hosts        what a day counts, as a server tells and as the files say
//! planted      a data directory with tasks of every kind that housekeeping meets
//! proxy        a way to a server on which replies get lost, or that is cut for a while
//! redis        Redis servers that a test starts itself
//! redis_groups a cluster, and a master with a replica and a sentinel
//! s3           an S3 server in memory, with atomic conditional writes, that breaks on demand
//! site         a whole site: scanner, server, workers
//! small_disk   a data directory on a disk that a test can fill
//! webhooks     a receiver of webhooks
//! chaos        many tasks on a site whose processes are killed, frozen and emptied, and what must hold afterwards
//! outage       two scanners, one of which is out of reach for a while, under a load of tasks
//! ```

pub mod approvals;
pub mod binaries;
pub mod bucket;
pub mod chaos;
pub mod deployment;
pub mod fleet;
pub mod hosts;
pub mod identity_provider;
pub mod npm;
pub mod other_stores;
pub mod outage;
pub mod planted;
pub mod processes;
pub mod proxy;
pub mod redis;
pub mod redis_groups;
pub mod s3;
pub mod site;
pub mod small_disk;
pub mod webhooks;

pub use nessus_sim as sim;
