//! The state machine and the TaskManager against a model that is too simple to be wrong.
//!
//! Random sequences of what can happen to a task: created again, written by workers whose claims come and go, changed by
//! the API layer, retried. After each step the file must be what the model says, with its whole history.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use tokio::runtime::Builder;

use super::{Charges, ScanPayload, ScanType, Task, TaskError, TaskManager, TaskStatus, Writer};
use crate::{
    ids::{FencingToken, PoolName, TaskId, TraceId},
    time::{Clock, ManualClock, Timestamp},
};

/// What a step writes.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Only the progress, to this value.
    Progress(u8),
    /// Another state.
    Status(TaskStatus),
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Somebody creates it again.
    Create,
    /// Another worker claims it: its fence is this much larger than the largest given before.
    Claim(u64),
    /// The holder of the claim that was given `age` claims ago writes.
    Worker { age: usize, change: Change },
    /// The API layer writes.
    Api(Change),
    /// An operator asks for another attempt.
    Retry,
}

/// The model: a task in a few words.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    status: TaskStatus,
    progress: Option<u8>,
    /// The fence of the last worker that wrote.
    fence: Option<u64>,
    attempt: u32,
    history: Vec<(TaskStatus, TaskStatus, u32)>,
}

/// What a step must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Exists,
    Stale,
    Refused,
}

/// The documented steps, written down a second time.
fn is_a_step(from: TaskStatus, to: TaskStatus) -> bool {
    use TaskStatus::{Cancelled, Completed, Failed, Queued, Running, Timeout};
    matches!(
        (from, to),
        (Queued, Running | Failed | Cancelled) | (Running, Running | Completed | Failed | Timeout | Cancelled)
    )
}

fn has_ended(status: TaskStatus) -> bool {
    !matches!(status, TaskStatus::Queued | TaskStatus::Running)
}

impl Model {
    fn new() -> Self {
        Self { status: TaskStatus::Queued, progress: None, fence: None, attempt: 1, history: Vec::new() }
    }

    fn work(&mut self, fence: u64, change: Change) -> Answer {
        if self.fence.is_some_and(|written| written > fence) {
            return Answer::Stale;
        }
        if has_ended(self.status) {
            return Answer::Refused;
        }
        let answer = self.change(change);
        if answer == Answer::Done {
            self.fence = Some(fence);
        }
        answer
    }

    fn change(&mut self, change: Change) -> Answer {
        match change {
            Change::Progress(progress) => self.progress = Some(progress),
            Change::Status(to) if to == self.status => {}
            Change::Status(to) if is_a_step(self.status, to) => {
                self.history.push((self.status, to, self.attempt));
                self.status = to;
            }
            Change::Status(_) => return Answer::Refused,
        }
        Answer::Done
    }

    fn retry(&mut self) -> Answer {
        if !matches!(self.status, TaskStatus::Failed | TaskStatus::Timeout) {
            return Answer::Refused;
        }
        self.history.push((self.status, TaskStatus::Queued, self.attempt));
        self.status = TaskStatus::Queued;
        self.attempt += 1;
        self.progress = None;
        Answer::Done
    }
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..100_u8).prop_map(Change::Progress),
        proptest::sample::select(TaskStatus::ALL.to_vec()).prop_map(Change::Status),
        // Else most tasks would end at once.
        Just(Change::Status(TaskStatus::Running)),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Create),
        3 => (1..5_u64).prop_map(Step::Claim),
        6 => (prop_oneof![3 => Just(0_usize), 1 => 1..4_usize], changes())
            .prop_map(|(age, change)| Step::Worker { age, change }),
        1 => changes().prop_map(Step::Api),
        2 => Just(Step::Retry),
    ]
}

/// The real thing, with the claims given so far.
struct Real {
    _directory: tempfile::TempDir,
    clock: ManualClock,
    tasks: TaskManager,
    first: Task,
    fences: Vec<u64>,
}

impl Real {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
        let tasks = TaskManager::open_with_clock(directory.path(), Arc::new(clock.clone())).unwrap();
        let id = TaskId::generate("nessus", "nessus", clock.now());
        let (pool, payload) = (PoolName::new("nessus").unwrap(), ScanPayload::new("office", "192.0.2.1"));
        let first = Task::new(id, TraceId::generate(), ScanType::Untrusted, "nessus", pool, payload, clock.now());
        Self { _directory: directory, clock, tasks, first, fences: vec![1] }
    }

    /// Does a step to the file and to the model; returns what came of it and what must.
    async fn step(&mut self, step: Step, model: &mut Model) -> (Answer, Answer) {
        self.clock.advance(std::time::Duration::from_secs(1));
        let id = &self.first.task_id;
        match step {
            Step::Create => (answer(self.tasks.create(self.first.clone()).await), Answer::Exists),
            Step::Claim(larger) => {
                self.fences.push(self.fences.last().unwrap() + larger);
                (Answer::Done, Answer::Done)
            }
            Step::Worker { age, change } => {
                let fence = self.fences[self.fences.len().saturating_sub(age + 1)];
                let written =
                    self.tasks.update(id, Writer::Worker(FencingToken(fence)), move |task| make(task, change)).await;
                (answer(written), model.work(fence, change))
            }
            Step::Api(change) => {
                let written = self.tasks.update(id, Writer::Api, move |task| make(task, change)).await;
                (answer(written), model.change(change))
            }
            Step::Retry => (answer(self.tasks.retry(id, Charges::default(), None).await), model.retry()),
        }
    }

    /// The file in the words of the model.
    async fn seen(&self) -> (Model, Task) {
        let task = self.tasks.get(&self.first.task_id).await.unwrap();
        let history = task.history.iter().map(|entry| (entry.from, entry.to, entry.attempt)).collect();
        let fence = task.fence.map(|fence| fence.0);
        (Model { status: task.status, progress: task.progress, fence, attempt: task.attempt, history }, task)
    }
}

fn make(task: &mut Task, change: Change) {
    match change {
        Change::Progress(progress) => task.progress = Some(progress),
        Change::Status(status) => task.status = status,
    }
}

fn answer<T>(result: Result<T, TaskError>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(TaskError::AlreadyExists(_)) => Answer::Exists,
        Err(TaskError::StaleFencingToken { .. }) => Answer::Stale,
        Err(TaskError::Transition(_)) => Answer::Refused,
        Err(error) => panic!("{error}"),
    }
}

/// The ends and retries that the history has.
fn ends(task: &Task) -> Vec<(String, u32)> {
    let ends = task.history.iter().filter(|step| step.to != TaskStatus::Running);
    let word = |to: TaskStatus| if to == TaskStatus::Queued { "retry_requested" } else { to.as_str() };
    // A retry belongs to the attempt that it begins.
    ends.map(|step| (word(step.to).to_owned(), step.attempt + u32::from(step.to == TaskStatus::Queued))).collect()
}

/// Those that the events tell of.
fn told_ends(task: &Task) -> Vec<(String, u32)> {
    let is_end =
        |word: &str| word == "retry_requested" || word.parse::<TaskStatus>().is_ok_and(TaskStatus::is_terminal);
    let ends = task.events.iter().filter(|event| is_end(event.event.as_str()));
    ends.map(|event| (event.event.as_str().to_owned(), event.attempt)).collect()
}

async fn agree(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut real, mut model) = (Real::new(), Model::new());
    real.tasks.create(real.first.clone()).await.unwrap();
    for step in steps {
        let (_, before) = real.seen().await;
        let (came, must) = real.step(step, &mut model).await;
        prop_assert_eq!(came, must, "{:?}", step);
        let (seen, task) = real.seen().await;
        prop_assert_eq!(&seen, &model, "{:?}", step);
        if came != Answer::Done {
            prop_assert_eq!(&task, &before, "what was refused has changed the file: {:?}", step);
        }
        if before.status.is_terminal() && task.status != before.status {
            prop_assert!(matches!(step, Step::Retry), "{:?} has revived the task", step);
        }
        prop_assert_eq!(task.completed_at.is_some(), task.status.is_terminal());
        // Each step of the history begins where the one before it ended, from the first to the state there is.
        let mut state = TaskStatus::Queued;
        for entry in &task.history {
            prop_assert_eq!(entry.from, state);
            state = entry.to;
        }
        prop_assert_eq!(state, task.status);
        prop_assert!(task.history.is_sorted_by_key(|entry| entry.at));
        prop_assert_eq!(told_ends(&task), ends(&task), "{:?}", step);
        let progress_only =
            matches!(step, Step::Worker { change: Change::Progress(_), .. }) && task.fence == before.fence;
        prop_assert!(!progress_only || task.events == before.events, "a look has an event: {:#?}", task.events);
    }
    Ok(())
}

proptest! {
    // Each step is a durable write.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_task_does_what_the_model_does(steps in vec(steps(), 1..25)) {
        Builder::new_current_thread().build().unwrap().block_on(agree(steps))?;
    }
}
