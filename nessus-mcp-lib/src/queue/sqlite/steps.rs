//! Steps that wait for the one connection that writes, and the transactions that they share.
//!
//! A sync takes longer than a step, and more steps come meanwhile. So whatever waits shares the next transaction and its
//! sync. Each step has a savepoint of its own in it: one that fails undoes only itself. Nobody is answered before the commit.
//!
//! The first who finds nobody writing leads: it runs what waits, on a blocking thread, until nothing waits any more. The
//! others only wait for their answers.

use std::{
    collections::VecDeque,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::Span;

use super::errors::again;
use crate::queue::error::QueueError;

/// How many steps share a transaction at most, and for how long it takes in more: other processes wait for its end.
const MOST_SHARED: usize = 128;
const LONGEST_SHARED: Duration = Duration::from_millis(20);

/// Where the answer of a step comes. Nothing comes when the step panicked, or when the runtime that should have run it ended.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, QueueError>>;

/// One step, and who waits for its answer.
trait Step: Send {
    /// Runs it. It may be run again: what it did may be undone together with another step that failed.
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), Failure>;
    /// Answers with what the last run came to.
    fn succeeded(self: Box<Self>);
    fn failed(self: Box<Self>, error: QueueError);
}

enum Failure {
    Error(rusqlite::Error),
    Panic,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Error(error)
    }
}

struct Waiting<T, F> {
    step: F,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, QueueError>>,
    /// What the step logs belongs to whoever asked for it.
    span: Span,
}

impl<T, F> Step for Waiting<T, F>
where
    T: Send,
    F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let run = || self.span.in_scope(|| (self.step)(transaction));
        self.result = Some(catch_unwind(AssertUnwindSafe(run)).map_err(|_reported| Failure::Panic)??);
        Ok(())
    }

    // Whoever is gone needs no answer.
    fn succeeded(self: Box<Self>) {
        if let Some(result) = self.result {
            let _ = self.answer.send(Ok(result));
        }
    }

    fn failed(self: Box<Self>, error: QueueError) {
        let _ = self.answer.send(Err(error));
    }
}

/// The steps that wait, the oldest first.
#[derive(Default)]
pub(super) struct Steps(Mutex<Queued>);

#[derive(Default)]
struct Queued {
    steps: VecDeque<Box<dyn Step>>,
    is_led: bool,
}

impl Steps {
    /// Adds a step. Says also whether the caller has to lead: nobody does.
    #[must_use]
    pub(super) fn add<T, F>(&self, step: F) -> (Answer<T>, bool)
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let mut queued = self.queued();
        queued.steps.push_back(Box::new(Waiting { step, result: None, answer, span: Span::current() }));
        (receiver, !mem::replace(&mut queued.is_led, true))
    }

    /// Whether something waits. If not, nobody leads any more.
    pub(super) fn go_on(&self) -> bool {
        let mut queued = self.queued();
        queued.is_led = !queued.steps.is_empty();
        queued.is_led
    }

    #[cfg(test)]
    pub(super) fn are_led(&self) -> bool {
        self.queued().is_led
    }

    /// Nobody leads any more, and nobody will run what waits.
    pub(super) fn give_up(&self) {
        let abandoned = mem::take(&mut *self.queued());
        drop(abandoned);
    }

    /// Fails what waits.
    pub(super) fn fail(&self, error: &QueueError) {
        self.fail_first(usize::MAX, error);
    }

    /// Runs steps that wait in one transaction, and answers them.
    pub(super) fn run(&self, connection: &mut Connection, describe: impl Fn(rusqlite::Error) -> QueueError) {
        let waiting = self.queued().steps.len();
        let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            // Not those that came meanwhile: they have not waited as long as they may.
            Err(error) => return self.fail_first(waiting, &describe(error)),
        };
        let began = Instant::now();
        let mut done = Vec::new();
        while done.len() < MOST_SHARED && (done.is_empty() || began.elapsed() < LONGEST_SHARED) {
            let Some(mut step) = self.queued().steps.pop_front() else { break };
            let Err(failure) = in_savepoint(&transaction, &mut *step) else {
                done.push(step);
                continue;
            };
            let goes_on = undo(&transaction);
            if let Failure::Error(error) = failure {
                step.failed(describe(error));
            }
            if !goes_on {
                // What the others did is undone as well, so it is done again without this one.
                done.into_iter().rev().for_each(|step| self.queued().steps.push_front(step));
                return;
            }
        }
        match transaction.commit() {
            Ok(()) => done.into_iter().for_each(Step::succeeded),
            Err(error) => {
                let error = describe(error);
                for step in done {
                    step.failed(again(&error));
                }
            }
        }
    }

    fn fail_first(&self, count: usize, error: &QueueError) {
        let mut queued = self.queued();
        let count = count.min(queued.steps.len());
        let failed: Vec<_> = queued.steps.drain(..count).collect();
        drop(queued);
        for step in failed {
            step.failed(again(error));
        }
    }

    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

fn in_savepoint(transaction: &Transaction<'_>, step: &mut dyn Step) -> Result<(), Failure> {
    transaction.prepare_cached("SAVEPOINT step")?.execute([])?;
    step.run(transaction)?;
    transaction.prepare_cached("RELEASE step")?.execute([])?;
    Ok(())
}

/// Undoes a step that failed. Whether the transaction goes on: after some errors, such as that of a full disk, SQLite has undone
/// all of it.
fn undo(transaction: &Transaction<'_>) -> bool {
    let back = || transaction.execute_batch("ROLLBACK TO step; RELEASE step");
    !transaction.is_autocommit() && back().is_ok()
}
