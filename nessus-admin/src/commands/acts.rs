//! Orders about tasks: each is written down and carried out, and one that fails holds back no other.

use std::{collections::VecDeque, sync::Arc};

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted},
    ids::{PoolName, TaskId},
    service::{ControlView, MatchingTasks},
    task::TaskStatus,
};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{pools, queue, recorded::Recorder};
use crate::{
    args::ChosenTasksArgs,
    output::{self, own_words},
};

/// How many tasks are acted on at once: their syncs of the disk share some of the time.
const AT_ONCE: usize = 16;

/// What is done to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Cancel it.
    Cancel,
    /// Hold it.
    Pause,
    /// Let it go on.
    Resume,
    /// Put it back into the queue.
    Retry,
}

impl Act {
    /// Before `3 tasks`.
    const fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }

    /// Whether it can be done to tasks in this state.
    const fn is_for(self, state: TaskStatus) -> bool {
        match self {
            Self::Retry => state.allows_retry(),
            Self::Cancel | Self::Pause | Self::Resume => !state.is_terminal(),
        }
    }
}

/// An order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The command, in the audit log.
    pub(super) command: &'static str,
    /// What is done.
    pub(super) act: Act,
    /// Why.
    pub(super) reason: Option<String>,
}

/// Who carries orders out.
#[derive(Clone)]
pub(super) struct Operator {
    pub(super) service: ScanService,
    pub(super) recorder: Recorder,
}

impl Operator {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        Ok(Self { service: queue::open_service(settings).await?, recorder: Recorder::open(settings).await? })
    }

    /// The task with this id, or whose id alone begins so, in one of these pools, if some are given.
    async fn find(&self, name: &str, pools: &[PoolName]) -> Result<TaskId, Failure> {
        let task_id = self.service.find_task(name).await?;
        if !pools.is_empty() {
            let pool = self.service.tasks().get(&task_id).await?.scanner_pool;
            if !pools.contains(&pool) {
                return Err(Failure::new(format!("task `{task_id}` is in the pool `{pool}`")));
            }
        }
        Ok(task_id)
    }

    /// Carries an order about one task out.
    pub(super) async fn act(&self, order: &Order, task: &TaskId) -> Result<ControlView, Failure> {
        let (service, reason) = (&self.service, order.reason.as_deref());
        let act = async {
            Ok(match order.act {
                Act::Cancel => service.cancel(task, reason).await?,
                Act::Pause => service.pause(task, reason).await?,
                Act::Resume => service.resume(task).await?,
                Act::Retry => service.retry(task).await?,
            })
        };
        let arguments = json!({ "task": task, "reason": reason });
        self.recorder.run(order.command, arguments, Some(task.as_str()), act).await
    }

    /// Carries an order out about each of these tasks, and tells what became of each in their order.
    pub(super) async fn act_on_each(
        &self,
        order: &Arc<Order>,
        tasks: impl IntoIterator<Item = TaskId>,
        mut tell: impl FnMut(TaskId, Result<ControlView, Failure>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut begun: VecDeque<(TaskId, JoinHandle<_>)> = VecDeque::with_capacity(AT_ONCE);
        let mut tasks = tasks.into_iter();
        loop {
            while begun.len() < AT_ONCE
                && let Some(task) = tasks.next()
            {
                let (operator, order, named) = (self.clone(), Arc::clone(order), task.clone());
                begun.push_back((task, tokio::spawn(async move { operator.act(&order, &named).await })));
            }
            let Some((task, acting)) = begun.pop_front() else { return Ok(()) };
            let outcome =
                acting.await.unwrap_or_else(|error| Err(Failure::new(format!("nothing is known of it: {error}"))));
            tell(task, outcome)?;
        }
    }
}

/// How an order went.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    failed: u64,
    last: Option<Failure>,
}

impl Tally {
    fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        self.last = Some(failure);
    }
}

/// Carries an order out about the tasks that the command line chooses.
pub(super) async fn on_chosen(args: &ChosenTasksArgs, order: Order) -> Result<(), Failure> {
    check(args, order.act)?;
    let settings = args.common.settings()?;
    let operator = Operator::open(&settings).await?;
    if args.all_matching {
        let found = matching(args, order.act, &settings, &operator.service).await?;
        if found.tasks.is_empty() && found.unreadable.is_empty() {
            output::note("no task matches: nothing was done");
            return Ok(());
        }
        let reason = order.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        output::confirmed(
            &format!("{} {}{reason}?", order.act.verb(), counted(found.tasks.len(), "task", "tasks")),
            args.yes,
        )?;
        return on_all(&operator, order, found, args.json).await;
    }
    on_named(&operator, order, (&args.tasks, &[]), args.json).await
}

/// Carries an order out about tasks that are named by their ids, or by the beginnings of those; only about tasks of these pools,
/// if some are given.
pub(super) async fn on_named(
    operator: &Operator,
    order: Order,
    (names, pools): (&[String], &[PoolName]),
    is_json: bool,
) -> Result<(), Failure> {
    let (mut tally, mut tasks) = (Tally::default(), Vec::new());
    for name in names {
        match operator.find(name, pools).await {
            Ok(task) => tasks.push(task),
            Err(failure) => {
                tell_failure(name, &failure, is_json, names.len() > 1)?;
                tally.fail(failure);
            }
        }
    }
    let are_many = names.len() > 1;
    let tell = |task: TaskId, outcome: Result<ControlView, Failure>| match outcome {
        Ok(view) => tell_success(&view, is_json),
        Err(failure) => {
            tell_failure(task.as_str(), &failure, is_json, are_many)?;
            tally.fail(failure);
            Ok(())
        }
    };
    operator.act_on_each(&Arc::new(order), tasks, tell).await?;
    end(tally, are_many)
}

async fn on_all(operator: &Operator, order: Order, found: MatchingTasks, is_json: bool) -> Result<(), Failure> {
    let (mut tally, mut over, act) = (Tally::default(), 0_u64, order.act);
    for task in &found.unreadable {
        let failure = Failure::new(format!("task `{task}` cannot be read, and may match"));
        tell_failure(task.as_str(), &failure, is_json, true)?;
        tally.fail(failure);
    }
    let tell = |task: TaskId, outcome: Result<ControlView, Failure>| match outcome {
        Ok(view) => {
            tally.done += 1;
            tell_success(&view, is_json)
        }
        Err(failure) => {
            tell_failure(task.as_str(), &failure, is_json, true)?;
            // What has ended since it was counted needs the order no more.
            match failure.code() {
                "already_ended" | "not_retryable" | "not_pausable" => over += 1,
                _ => tally.fail(failure),
            }
            Ok(())
        }
    };
    operator.act_on_each(&Arc::new(order), found.tasks, tell).await?;
    let over = if over > 0 {
        format!("; {}", counted(over, "task needs it no more", "tasks need it no more"))
    } else {
        String::new()
    };
    output::note(&format!("{}: {}{over}", act.verb(), counted(tally.done, "task done", "tasks done")));
    end(tally, true)
}

fn tell_success(view: &ControlView, is_json: bool) -> Result<(), Failure> {
    let message = own_words(&view.message);
    if is_json {
        return output::json(&json!({
            "task_id": view.task_id, "outcome": "ok", "status": view.status, "attempt": view.attempt, "message": message,
        }));
    }
    output::say(format!("{}  {}  attempt={}  {message}", view.task_id, view.status, view.attempt));
    Ok(())
}

/// Tells of a task that the order was not carried out about. One alone is told by the end of the process.
fn tell_failure(task: &str, failure: &Failure, is_json: bool, are_many: bool) -> Result<(), Failure> {
    if is_json {
        let (message, hint) = (own_words(failure.message()), failure.hint().map(own_words));
        output::json(&json!({
            "task_id": task, "outcome": "failed", "error": failure.code(), "message": message, "hint": hint,
        }))?;
    } else if are_many {
        output::failure(failure);
    }
    Ok(())
}

/// The end of the process: with the failure of one task, or with how many failed.
fn end(tally: Tally, are_many: bool) -> Result<(), Failure> {
    match tally.last {
        None => Ok(()),
        Some(failure) if !are_many => Err(failure),
        Some(_) => {
            let failed = counted(tally.failed, "task was left as it was", "tasks were left as they were");
            Err(Failure::new(format!("{failed}; the same command goes on where this one stopped")))
        }
    }
}

/// What clap cannot express.
fn check(args: &ChosenTasksArgs, act: Act) -> Result<(), Failure> {
    if !args.all_matching && !args.filter.is_empty() {
        let message = "filters choose among all tasks, and these are named";
        return Err(Failure::usage(message, "leave the task ids out and give `--all-matching`"));
    }
    if let Some(state) = args.filter.state.filter(|state| !act.is_for(*state)) {
        let message = format!("no task that is {state} can be told to {}", act.verb());
        let states = if act == Act::Retry { "failed and timeout" } else { "queued and running" };
        return Err(Failure::usage(message, format!("`--state` may be {states} here")));
    }
    Ok(())
}

async fn matching(
    args: &ChosenTasksArgs,
    act: Act,
    settings: &Settings,
    service: &ScanService,
) -> Result<MatchingTasks, Failure> {
    if let Some(pool) = &args.filter.pool {
        pools::named(settings, service.queue().as_ref(), std::slice::from_ref(pool)).await?;
    }
    let query = args.filter.query(service.clock().now());
    let query = if act == Act::Retry { query.retryable() } else { query.unfinished() };
    let found = service.matching_tasks(query).await?;
    warn_of_unreadable(found.unreadable.len());
    Ok(found)
}

/// Says that tasks may be missing.
pub(super) fn warn_of_unreadable(tasks: usize) {
    if tasks > 0 {
        let files = counted(tasks, "task file cannot be read", "task files cannot be read");
        output::warning(&format!("{files}, and may match: `nessus-admin queue audit` names them"));
    }
}
