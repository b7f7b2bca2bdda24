//! What is done to the processes of a run.

use std::fmt;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `kill -9` of a worker, and a new one.
    WorkerKilled,
    /// `kill -9` of the server during submits, and a new one on the same address.
    ServerKilled,
    /// A worker stands still (SIGSTOP) for longer than its lease, and goes on (SIGCONT).
    WorkerFrozen,
    /// `kill -9` of Redis, and a start on its append-only file.
    RedisKilled,
    /// `kill -9` of Redis, and a start without any data.
    RedisEmptied,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::WorkerKilled, Self::ServerKilled, Self::WorkerFrozen, Self::RedisKilled, Self::RedisEmptied];

    /// The letter it is called by on the command line.
    pub fn letter(self) -> char {
        match self {
            Self::WorkerKilled => 'a',
            Self::ServerKilled => 'b',
            Self::WorkerFrozen => 'c',
            Self::RedisKilled => 'd',
            Self::RedisEmptied => 'e',
        }
    }

    /// The faults that a text such as `abc` stands for; `None` for an unknown letter.
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        text.chars().map(|letter| Self::ALL.into_iter().find(|fault| fault.letter() == letter)).collect()
    }

    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|fault| *fault == self).unwrap_or(0)
    }

    pub(super) fn is_of_the_queue(self) -> bool {
        matches!(self, Self::RedisKilled | Self::RedisEmptied)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WorkerKilled => "worker kill -9",
            Self::ServerKilled => "server kill -9",
            Self::WorkerFrozen => "worker SIGSTOP",
            Self::RedisKilled => "redis kill -9",
            Self::RedisEmptied => "redis emptied",
        })
    }
}
