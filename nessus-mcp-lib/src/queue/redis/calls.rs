//! Calls that end: over connections that are opened again when they fail, repeated where that is harmless.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use redis::{Cmd, FromRedisValue, RedisError, Value};
use tokio::{sync::Mutex, time::Instant};

use super::{
    connect::{Link, Replies, connect},
    errors::{self, Outcome},
    scripts::Invocation,
    target::{Target, Topology},
};
use crate::queue::error::QueueError;

/// How long one request may take: connecting, waiting for a server that restarts, repeating. Well under a lease, so that a worker still
/// hears of a failure while it holds its tasks. A script that works off what has piled up has so long for each part.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before the first repetition; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// How many connections for blocking commands are kept while nobody waits.
const IDLE_CONNECTIONS: usize = 4;

/// What is done when a reply is lost, so that nobody knows whether the step happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LostReply {
    /// The call is repeated: the second time changes nothing, or the answer says all the same.
    Repeat,
    /// The caller is told.
    Tell,
}

/// What a call was answered.
pub(super) struct Reply {
    pub(super) value: Value,
    /// Whether an earlier reply to the same call may have been lost.
    pub(super) repeated: bool,
}

/// What is sent.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    /// To every server that holds data.
    Each(&'a Cmd),
    Script(&'a Invocation),
}

impl Request<'_> {
    async fn send(self, mut link: Link) -> Result<Value, RedisError> {
        match self {
            Self::Command(command) => link.ask(command).await,
            Self::Each(command) => link.ask_each(command).await,
            Self::Script(script) => match link.ask(&script.by_hash()).await {
                Err(error) if errors::unknown_script(&error) => link.ask(&script.with_text()).await,
                answered => answered,
            },
        }
    }
}

/// The connections to one queue.
pub(super) struct Calls {
    target: Target,
    /// The connection all calls share, with a number that tells it from earlier ones. It is opened by the first who
    /// needs it; the others wait for that one.
    shared: Mutex<(u64, Option<Link>)>,
    /// For commands that block: on a shared connection they would hold up everybody else.
    idle: std::sync::Mutex<Vec<Link>>,
}

impl Calls {
    /// Connects once; a server that is not there when a process starts is an error at once.
    pub(super) async fn open(target: Target) -> Result<Self, QueueError> {
        let link = connect(&target.topology, Replies::Prompt).await;
        let link = link.map_err(|error| errors::describe(&target.location, error))?;
        Ok(Self { target, shared: Mutex::new((0, Some(link))), idle: std::sync::Mutex::default() })
    }

    /// The URL without credentials.
    pub(super) fn location(&self) -> &str {
        &self.target.location
    }

    /// Whether the keys lie on several servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.target.topology, Topology::Cluster(_))
    }

    /// Runs a script.
    ///
    /// One that finds more piled up than it may work off at a time, such as in the inbox of its pool, does nothing else, and is called
    /// again: until all is done of each kind that was there at first. What comes meanwhile stands behind that, so then the script does
    /// without it.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Invocation, lost: LostReply) -> Result<T, QueueError> {
        let mut value = self.reply_to(script, lost).await?.value;
        if unfinished(&value).is_none() {
            return self.read(value);
        }
        let (mut script, mut left_of) = (script.clone(), BTreeMap::<String, u64>::new());
        while let Some((kind, done, left)) = unfinished(&value) {
            let still = left_of.get(kind).map_or(left, |before| u64::saturating_sub(*before, done.max(1)));
            left_of.insert(kind.to_owned(), still);
            if still == 0 {
                script.say_enough(kind);
            }
            value = self.reply_to(&script, lost).await?.value;
        }
        self.read(value)
    }

    /// Runs a script and says whether it was repeated.
    pub(super) async fn reply_to(&self, script: &Invocation, lost: LostReply) -> Result<Reply, QueueError> {
        self.until_answered(lost, Request::Script(script)).await
    }

    /// Sends a command that may be repeated.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        let reply = self.until_answered(LostReply::Repeat, Request::Command(command)).await?;
        self.read(reply.value)
    }

    /// Sends a command that may be repeated to every server that holds data.
    pub(super) async fn ask_each<T: FromRedisValue>(&self, command: &Cmd) -> Result<Vec<T>, QueueError> {
        let reply = self.until_answered(LostReply::Repeat, Request::Each(command)).await?;
        self.read(reply.value)
    }

    /// Sends a command once, and gives up after `patience`.
    pub(super) async fn ask_once<T: FromRedisValue>(&self, command: &Cmd, patience: Duration) -> Result<T, QueueError> {
        let once = async {
            let (number, mut link) = self.link().await?;
            match link.ask(command).await {
                Ok(value) => Ok(value),
                Err(error) => Err(self.failed(number, error).await),
            }
        };
        match tokio::time::timeout(patience, once).await {
            Ok(answered) => answered.map_err(|error| errors::describe(self.location(), error)),
            Err(_) => Err(errors::too_slow(self.location())),
        }
    }

    /// Sends a command that makes the server wait for up to `longest`, on a connection of its own. Dropping the future
    /// closes that connection, and the server stops waiting.
    pub(super) async fn block(&self, command: &Cmd, longest: Duration) -> Result<Value, RedisError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut link = match idle {
            Some(link) => link,
            None => connect(&self.target.topology, Replies::Late).await?,
        };
        let answered = tokio::time::timeout(longest + CALL_TIMEOUT, link.ask(command)).await;
        let value = answered.map_err(|_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))??;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(link);
        }
        Ok(value)
    }

    /// An answer in the form it should have.
    pub(super) fn read<T: FromRedisValue>(&self, value: Value) -> Result<T, QueueError> {
        T::from_redis_value(value).map_err(|error| errors::unexpected(self.location(), error))
    }

    async fn until_answered(&self, lost: LostReply, request: Request<'_>) -> Result<Reply, QueueError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let (mut pause, mut repeated) = (FIRST_PAUSE, false);
        loop {
            let attempt = async {
                let (number, link) = self.link().await.map_err(|error| (error, Outcome::NotNow))?;
                match request.send(link).await {
                    Ok(value) => Ok(value),
                    Err(error) => {
                        let error = self.failed(number, error).await;
                        let outcome = errors::outcome(&error);
                        Err((error, outcome))
                    }
                }
            };
            let Ok(attempt) = tokio::time::timeout_at(deadline, attempt).await else {
                return Err(errors::too_slow(self.location()));
            };
            let (error, outcome) = match attempt {
                Ok(value) => return Ok(Reply { value, repeated }),
                Err(failed) => failed,
            };
            // A login that is refused while connecting is not worth a repetition either.
            let again = match outcome {
                Outcome::Unknown => lost == LostReply::Repeat,
                Outcome::NotNow => errors::outcome(&error) != Outcome::Refused,
                Outcome::Refused => false,
            };
            if !again || Instant::now() + pause >= deadline {
                return Err(errors::describe(self.location(), error));
            }
            repeated |= outcome == Outcome::Unknown;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn link(&self) -> Result<(u64, Link), RedisError> {
        let mut shared = self.shared.lock().await;
        let link = if let Some(link) = &shared.1 {
            link.clone()
        } else {
            let link = connect(&self.target.topology, Replies::Prompt).await?;
            *shared = (shared.0 + 1, Some(link.clone()));
            link
        };
        Ok((shared.0, link))
    }

    /// Gives up a connection that failed, or that leads to a server which is not the master any more.
    async fn failed(&self, number: u64, error: RedisError) -> RedisError {
        if errors::outcome(&error) != Outcome::Refused || error.is_unrecoverable_error() {
            let mut shared = self.shared.lock().await;
            if shared.0 == number {
                shared.1 = None;
            }
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        error
    }
}

/// Of what a script has done a part, how many, and how many are left, when it has done nothing but this.
fn unfinished(value: &Value) -> Option<(&str, u64, u64)> {
    let Value::SimpleString(text) = value else { return None };
    let (kind, counts) = text.strip_prefix("MORE ")?.split_once(' ')?;
    let (done, left) = counts.split_once(' ')?;
    Some((kind, done.parse().ok()?, left.parse().ok()?))
}
