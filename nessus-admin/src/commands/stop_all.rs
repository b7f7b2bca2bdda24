//! `stop-all`: nothing new begins, what waits is cancelled, what runs is stopped.

use std::{
    collections::{BTreeSet, HashSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    ScanService,
    error::{Classified, ErrorKind, Failure, counted},
    ids::{PoolName, TaskId},
    service::{ControlView, MatchingTasks},
    task::{TaskQuery, TaskStatus},
};
use serde_json::json;

use super::{
    acts::{Act, Operator, Order},
    pools,
};
use crate::{
    args::StopAllArgs,
    output::{self, own_words},
};

/// The time between two looks at what still runs.
const LOOK: Duration = Duration::from_millis(250);

/// The time before what could not be cancelled is told again: whatever kept it may be over.
const AGAIN: Duration = Duration::from_secs(5);

/// How far it came.
#[derive(Debug, Default)]
struct Progress {
    /// How many tasks had not begun.
    cancelled: u64,
    /// How many a worker has to stop.
    stopped: u64,
    /// How many had ended already.
    over: u64,
    failed: Vec<(TaskId, Failure)>,
    /// All that were told to end.
    told: HashSet<TaskId>,
    /// Those that have not ended.
    left: Vec<TaskId>,
    /// Those whose file cannot be read: whether they run is not known, and of which pool they are.
    unreadable: BTreeSet<TaskId>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    TimedOut,
    Interrupted,
}

/// Why something may still run.
#[derive(Debug, thiserror::Error)]
enum NotStopped {
    #[error("{}: {}", counted(names.len(), "task has not ended in time", "tasks have not ended in time"), names.join(", "))]
    TimedOut { names: Vec<String> },
    #[error("interrupted: {}", counted(*tasks, "task has not ended", "tasks have not ended"))]
    Interrupted { tasks: usize },
    #[error("{} and may run: {}", counted(names.len(), "task cannot be read", "tasks cannot be read"), names.join(", "))]
    Unreadable { names: Vec<String> },
}

impl Classified for NotStopped {
    fn code(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "not_stopped",
            Self::Interrupted { .. } => "interrupted",
            Self::Unreadable { .. } => "unreadable_tasks",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }

    fn hint(&self) -> Option<String> {
        if matches!(self, Self::Unreadable { .. }) {
            return Some(
                "`nessus-admin tasks show TASK` says what is wrong with a file; look at the scanners for their scans"
                    .to_owned(),
            );
        }
        Some(
            "the pools stay paused, and a worker stops what was cancelled as soon as it can reach its scanner; the same command goes \
             on, `nessus-admin workers` shows who works, `nessus-admin resume POOL` lets a pool go on"
                .to_owned(),
        )
    }
}

pub(crate) async fn run(args: &StopAllArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let operator = Operator::open(&settings).await?;
    let service = &operator.service;
    let pools = pools::named(&settings, service.queue().as_ref(), &args.pool).await?;
    if !args.yes {
        let queued =
            matching(service, &pools, &TaskQuery::default().with_status(TaskStatus::Queued)).await?.tasks.len();
        let running =
            matching(service, &pools, &TaskQuery::default().with_status(TaskStatus::Running)).await?.tasks.len();
        let (scans, names) = (counted(running, "running scan", "running scans"), listed(&pools));
        output::confirmed(&format!("pause {names}, and cancel {queued} queued and {scans}?"), false)?;
    }
    let begun = Instant::now();
    for pool in &pools {
        let pause = async { Ok(service.index().pause_pool(pool, &args.reason).await?) };
        let arguments = json!({ "pool": pool, "reason": args.reason });
        operator.recorder.run("stop-all", arguments, None, pause).await?;
        output::note(&format!("pool {pool} is paused: nothing new begins until `nessus-admin resume {pool}`"));
    }
    let mut progress = Progress::default();
    let end = tokio::select! {
        ended = stop(&operator, &pools, args, &mut progress) => ended?,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt?;
            End::Interrupted
        }
    };
    if end == End::Interrupted {
        left(service, &pools, &mut progress).await?;
    }
    tell(args, &pools, &progress, (end, begun.elapsed()))?;
    let waiting = matching(service, &pools, &TaskQuery::default().with_status(TaskStatus::Queued)).await?;
    let new = waiting.tasks.iter().filter(|task| !progress.told.contains(task)).count();
    if new > 0 && end != End::Interrupted {
        let tasks = counted(new, "task that was submitted meanwhile waits", "tasks that were submitted meanwhile wait");
        output::note(&format!("{tasks} in the paused pools"));
    }
    progress.failed.iter().for_each(|(_, failure)| output::failure(failure));
    match end {
        End::Interrupted => Err(NotStopped::Interrupted { tasks: progress.left.len() }.into()),
        End::TimedOut => {
            Err(NotStopped::TimedOut { names: progress.left.iter().map(ToString::to_string).collect() }.into())
        }
        End::Stopped if !progress.unreadable.is_empty() => {
            Err(NotStopped::Unreadable { names: progress.unreadable.iter().map(ToString::to_string).collect() }.into())
        }
        End::Stopped => Ok(()),
    }
}

/// Cancels everything, and waits until nothing runs.
async fn stop(
    operator: &Operator,
    pools: &[PoolName],
    args: &StopAllArgs,
    progress: &mut Progress,
) -> Result<End, Failure> {
    let order = Arc::new(Order { command: "cancel", act: Act::Cancel, reason: Some(args.reason.clone()) });
    let unfinished = matching(&operator.service, pools, &TaskQuery::default().unfinished()).await?;
    cancel(operator, &order, unfinished.tasks, progress).await?;
    let deadline = Instant::now() + args.timeout;
    let mut told_at = Instant::now();
    let mut said = usize::MAX;
    loop {
        left(&operator.service, pools, progress).await?;
        if told_at.elapsed() >= AGAIN {
            let failed = mem::take(&mut progress.failed).into_iter().map(|(task, _)| task);
            // Those that could not be read when all were told.
            let untold = progress.left.iter().filter(|task| !progress.told.contains(task)).cloned();
            let again: Vec<_> = failed.chain(untold).collect();
            cancel(operator, &order, again, progress).await?;
            told_at = Instant::now();
        }
        let count = progress.left.len();
        if count == 0 {
            return Ok(End::Stopped);
        }
        if Instant::now() >= deadline {
            return Ok(End::TimedOut);
        }
        if count != said {
            output::note(&counted(count, "scan is being stopped", "scans are being stopped"));
            said = count;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tells these tasks to end.
async fn cancel(
    operator: &Operator,
    order: &Arc<Order>,
    tasks: impl IntoIterator<Item = TaskId>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let note = |task: TaskId, outcome: Result<ControlView, Failure>| {
        match outcome {
            Ok(view) if view.status == TaskStatus::Cancelled => progress.cancelled += 1,
            Ok(_) => progress.stopped += 1,
            Err(failure) if failure.code() == "already_ended" => progress.over += 1,
            Err(failure) => progress.failed.push((task.clone(), failure)),
        }
        progress.told.insert(task);
        Ok(())
    };
    operator.act_on_each(order, tasks, note).await
}

/// The tasks of these pools that match, and those of any pool that cannot be read.
async fn matching(service: &ScanService, pools: &[PoolName], query: &TaskQuery) -> Result<MatchingTasks, Failure> {
    let mut all = MatchingTasks::default();
    for pool in pools {
        let found = service.matching_tasks(query.clone().with_pool(pool.clone())).await?;
        all.tasks.extend(found.tasks);
        all.unreadable.extend(found.unreadable);
    }
    Ok(all)
}

/// Notes what runs in these pools, what was told to end and has not, and what cannot be read.
async fn left(service: &ScanService, pools: &[PoolName], progress: &mut Progress) -> Result<(), Failure> {
    let running = matching(service, pools, &TaskQuery::default().with_status(TaskStatus::Running)).await?;
    let unfinished = matching(service, pools, &TaskQuery::default().unfinished()).await?;
    let told = unfinished.tasks.into_iter().filter(|task| progress.told.contains(task));
    let left: BTreeSet<_> = running.tasks.into_iter().chain(told).collect();
    progress.unreadable = running.unreadable.into_iter().chain(unfinished.unreadable).collect();
    // What could not be cancelled and has ended needs it no more.
    progress.failed.retain(|(task, _)| left.contains(task));
    progress.left = left.into_iter().collect();
    Ok(())
}

fn tell(
    args: &StopAllArgs,
    pools: &[PoolName],
    progress: &Progress,
    (end, took): (End, Duration),
) -> Result<(), Failure> {
    let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
    if args.json {
        let failed = progress.failed.iter().map(
            |(task, failure)| json!({ "task_id": task, "error": failure.code(), "message": own_words(failure.message()) }),
        );
        let outcome = match end {
            End::Stopped if !progress.unreadable.is_empty() => "unreadable",
            End::Stopped => "stopped",
            End::TimedOut => "timed_out",
            End::Interrupted => "interrupted",
        };
        return output::json(&json!({
            "pools": pools, "reason": args.reason, "outcome": outcome, "cancelled": progress.cancelled,
            "stopped": progress.stopped, "already_over": progress.over, "failed": failed.collect::<Vec<_>>(),
            "still_running": progress.left, "unreadable": progress.unreadable, "seconds": seconds,
        }));
    }
    let what = match end {
        End::Stopped if !progress.unreadable.is_empty() => {
            format!("nothing that can be read runs in {} any more, after {seconds} s", listed(pools))
        }
        End::Stopped => format!("nothing runs in {} any more, after {seconds} s", listed(pools)),
        End::TimedOut => format!("not everything has ended after {seconds} s"),
        End::Interrupted => format!("interrupted after {seconds} s"),
    };
    let over = if progress.over > 0 { format!(", {} had ended already", progress.over) } else { String::new() };
    let (cancelled, stopped) = (progress.cancelled, progress.stopped);
    output::say(format!("{what}: {cancelled} cancelled before they began, {stopped} told to stop{over}"));
    Ok(())
}

fn listed(pools: &[PoolName]) -> String {
    pools.iter().map(PoolName::as_str).collect::<Vec<_>>().join(", ")
}
