//! What is done to a fleet.

use std::fmt;

use crate::chaos::Moments;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `kill -9` of a worker, and a new one in its place.
    WorkerKilled,
    /// `kill -9` of a server, and a new one on the same address.
    ServerKilled,
    /// `kill -9` of a Redis primary: of a cluster it starts again on its disk, with a sentinel the replica takes its place.
    RedisKilled,
    /// The S3 server stands still for seconds (SIGSTOP).
    S3Frozen,
    /// All connections to the S3 server are cut, whatever is on them, and nobody reaches it for a while.
    S3Cut,
    /// The bodies of answers of the S3 server break off in their midst.
    S3CutInBody,
    /// The S3 server does what it is told and closes the connection without an answer.
    S3RepliesLost,
    /// The S3 server answers 503 SlowDown.
    S3SlowDown,
    /// The S3 server answers 412 to conditional writes of tasks that it could have done.
    S3Refuses,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::WorkerKilled,
        Self::ServerKilled,
        Self::RedisKilled,
        Self::S3Frozen,
        Self::S3Cut,
        Self::S3CutInBody,
        Self::S3RepliesLost,
        Self::S3SlowDown,
        Self::S3Refuses,
    ];

    /// So many faults in an order of their own, all kinds among them: mostly workers are killed.
    pub(super) fn schedule(count: usize, moments: &mut Moments) -> Vec<Self> {
        let mut left: Vec<_> = Self::ALL.to_vec();
        let weighted = [&Self::ALL[..], &[Self::WorkerKilled; 6], &[Self::ServerKilled; 2]].concat();
        left.extend((left.len()..count).filter_map(|_| moments.pick(&weighted)));
        let mut schedule = Vec::with_capacity(count);
        while !left.is_empty() {
            let places: Vec<usize> = (0..left.len()).collect();
            schedule.push(left.swap_remove(moments.pick(&places).unwrap_or(0)));
        }
        schedule
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WorkerKilled => "worker kill -9",
            Self::ServerKilled => "server kill -9",
            Self::RedisKilled => "redis primary kill -9",
            Self::S3Frozen => "S3 SIGSTOP",
            Self::S3Cut => "S3 connections cut",
            Self::S3CutInBody => "S3 bodies cut",
            Self::S3RepliesLost => "S3 replies lost",
            Self::S3SlowDown => "S3 503",
            Self::S3Refuses => "S3 412",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_follows_from_its_seed_and_has_every_kind() {
        let of = |seed| Fault::schedule(40, &mut Moments::new(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(of(3).len(), 40);
        assert!(Fault::ALL.iter().all(|fault| of(3).contains(fault)));
        assert_eq!(Fault::schedule(0, &mut Moments::new(1)).len(), Fault::ALL.len());
    }
}
