//! The queue: whether it answers and is that of the data directory, who works on it, and what is stuck in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    Queue,
    circuit_breaker::CircuitState,
    config::Settings,
    error::{Classified as _, ErrorKind, Failure, chain, counted, excerpt},
    housekeeping::binding_of,
    ids::{InstanceId, PoolName},
    queue::{QueueError, SeenWorker},
    service::has_older_workers,
    task::{TaskError, TaskManager, TaskQuery, TaskStatus},
    time::{Clock as _, SystemClock},
};

use super::{
    disk::in_one_line,
    finding::{Finding, within},
};
use crate::commands::queue;

/// How long one question to the queue may take.
const QUEUE_LIMIT: Duration = Duration::from_secs(10);
/// How far two clocks may differ before somebody should look, and before scans cannot be timed by them.
pub(super) const CLOCK_WARN: Duration = Duration::from_secs(5);
pub(super) const CLOCK_FAIL: Duration = Duration::from_secs(60);
/// For how long a step of a task may fail before the task counts as stuck.
const STUCK: Duration = Duration::from_secs(15 * 60);
/// The most stuck tasks that are named.
const MOST_NAMED: usize = 20;
/// The most unfinished tasks that are looked at.
const MOST_READ: usize = 5000;

/// The pools of the configuration, each with its scanners.
pub(super) type Pools = Vec<(PoolName, Vec<InstanceId>)>;

/// All checks that need the queue; where it does not answer, they are skipped.
pub(super) async fn check(settings: &Settings, pools: &Pools) -> Vec<Finding> {
    let opened = tokio::time::timeout(QUEUE_LIMIT, reach(settings)).await;
    let late = |_| Err(Failure::new(format!("the queue did not answer within {} s", QUEUE_LIMIT.as_secs())));
    let (queue, latency) = match opened.unwrap_or_else(late) {
        Ok(opened) => opened,
        Err(failure) => {
            let mut finding = Finding::failed("queue", in_one_line(&failure));
            if failure.exit_code() == ErrorKind::Configuration.exit_code().into() {
                finding = finding.of_kind(ErrorKind::Configuration);
            }
            let mend = if failure.code() == "no_queue" {
                "nessus-admin doctor --data-dir DIR, with the directory of the server and its workers"
            } else {
                "nessus-admin config check, which shows QUEUE_URL; then start the queue"
            };
            let mut findings = vec![finding.mend(mend)];
            for check in ["binding", "clock", "workers", "circuits", "pools", "catalogue", "tasks"] {
                findings.push(Finding::skipped(check, "not known without the queue"));
            }
            return findings;
        }
    };
    let mut findings = vec![Finding::ok("queue", format!("it answers within {} ms", latency.as_millis().max(1)))];
    let queue = queue.as_ref();
    let parts = tokio::join!(
        within(QUEUE_LIMIT, "queue", warnings(queue)),
        within(QUEUE_LIMIT, "binding", binding(queue, settings)),
        within(QUEUE_LIMIT, "clock", clock(queue)),
        within(QUEUE_LIMIT, "workers", workers(queue, pools)),
        within(QUEUE_LIMIT, "circuits", circuits(queue, pools)),
        within(QUEUE_LIMIT, "pools", pools_of(queue, pools)),
        within(QUEUE_LIMIT, "catalogue", catalogue(queue, settings)),
    );
    for part in [parts.0, parts.1, parts.2, parts.3, parts.4, parts.5, parts.6] {
        findings.extend(part);
    }
    findings
}

/// The tasks that do not get on. They are read from the files that the catalogue names.
pub(super) async fn stuck_tasks(settings: &Settings) -> Vec<Finding> {
    within(QUEUE_LIMIT * 3, "tasks", async {
        match tasks(settings).await {
            Ok(findings) => findings,
            Err(failure) => vec![Finding::skipped("tasks", in_one_line(&failure))],
        }
    })
    .await
}

/// The queue, whichever directory it belongs to: that is another finding.
async fn reach(settings: &Settings) -> Result<(Arc<dyn Queue>, Duration), Failure> {
    let queue = queue::open_any(settings).await?;
    let latency = queue.ping().await?;
    Ok((queue, latency))
}

fn refused(check: &'static str, error: &QueueError) -> Vec<Finding> {
    vec![Finding::failed(check, chain(error))]
}

async fn warnings(queue: &dyn Queue) -> Vec<Finding> {
    let warnings = match queue.warnings().await {
        Ok(warnings) => warnings,
        Err(error) => return refused("queue", &error),
    };
    let finding = |warning: String| {
        let mend = match () {
            () if warning.contains("maxmemory-policy") => {
                Some("redis-cli CONFIG SET maxmemory-policy noeviction && redis-cli CONFIG REWRITE")
            }
            () if warning.contains("appendonly") => {
                Some("redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE")
            }
            () => None,
        };
        Finding { mend: mend.map(str::to_owned), ..Finding::warning("queue", warning) }
    };
    warnings.into_iter().map(finding).collect()
}

async fn binding(queue: &dyn Queue, settings: &Settings) -> Vec<Finding> {
    let tasks = match TaskManager::to_read_for(settings).await {
        Ok(tasks) => tasks,
        Err(error) => return vec![Finding::skipped("binding", chain(&error))],
    };
    vec![match binding_of(tasks.as_ref(), queue).await {
        Ok(Some(_)) => Finding::ok("binding", "the queue is that of the data directory"),
        Ok(None) => {
            Finding::warning("binding", "the queue belongs to no data directory: it is new, or has lost its data")
                .mend("nessus-admin queue audit --repair")
        }
        Err(error) if error.code() == "queue_mismatch" => {
            let mend = "nessus-admin queue rebind, if these tasks are the right ones; else set DATA_DIR, DATA_URL or QUEUE_URL";
            Finding::failed("binding", chain(&error)).mend(mend)
        }
        Err(error) => Finding::failed("binding", chain(&error)).of_kind(error.kind()),
    }]
}

async fn clock(queue: &dyn Queue) -> Vec<Finding> {
    let before = SystemClock.now();
    let theirs = match queue.now().await {
        Ok(Some(theirs)) => theirs,
        Ok(None) => return vec![Finding::ok("clock", "the queue goes by the clock of this machine")],
        Err(error) => return refused("clock", &error),
    };
    let after = SystemClock.now();
    // It was asked some time between the two.
    let apart = before.since(theirs).max(theirs.since(after));
    let detail = format!("the clocks of this machine and of the queue are {} apart", in_words(apart));
    let mend = "timedatectl set-ntp true, on the machine whose clock is wrong";
    vec![match apart {
        apart if apart >= CLOCK_FAIL => Finding::failed("clock", detail).mend(mend),
        apart if apart >= CLOCK_WARN => Finding::warning("clock", detail).mend(mend),
        _ => Finding::ok("clock", detail),
    }]
}

async fn workers(queue: &dyn Queue, pools: &Pools) -> Vec<Finding> {
    let workers = match queue.workers().await {
        Ok(workers) => workers,
        Err(error) => return refused("workers", &error),
    };
    let alive: Vec<&SeenWorker> = workers.iter().filter(|worker| worker.is_alive()).collect();
    let mut findings = Vec::new();
    for (pool, _) in pools {
        if alive.iter().any(|worker| worker.record.serves(pool).is_some()) {
            continue;
        }
        let has_older = match has_older_workers(queue, pool, &workers, SystemClock.now()).await {
            Ok(has_older) => has_older,
            Err(error) => return refused("workers", &error),
        };
        if !has_older {
            let detail = format!("no worker serves the pool `{pool}`: its scans wait");
            findings.push(Finding::failed("workers", detail).mend(format!("nessus-worker --worker-pools {pool}")));
        }
    }
    let here = env!("CARGO_PKG_VERSION");
    for worker in &workers {
        let record = &worker.record;
        let name = format!("worker {} (pid {} on {})", record.worker, record.pid, excerpt(&record.host));
        if worker.is_lost() {
            let detail = format!("{name} was last heard of {} ago", in_words(worker.age));
            findings.push(Finding::warning("workers", detail).mend("nessus-admin workers"));
        } else if Duration::from_millis(record.clock_offset_ms.unsigned_abs()) >= CLOCK_FAIL {
            let offset = in_words(Duration::from_millis(record.clock_offset_ms.unsigned_abs()));
            let detail = format!("the clock of {name} is {offset} away from that of the queue");
            findings.push(Finding::failed("workers", detail).mend("timedatectl set-ntp true, on its machine"));
        } else if record.version != here {
            let detail = format!("{name} has the version {}, this is {here}", excerpt(&record.version));
            findings.push(Finding::warning("workers", detail).mend("nessus-admin workers"));
        }
    }
    findings.insert(0, Finding::ok("workers", counted(alive.len(), "worker is alive", "workers are alive")));
    findings
}

async fn circuits(queue: &dyn Queue, pools: &Pools) -> Vec<Finding> {
    let mut findings = Vec::new();
    let states = match queue.circuit_states().await {
        Ok(states) => states,
        Err(error) => return refused("circuits", &error),
    };
    // The first process that says so.
    let mut open: BTreeMap<(PoolName, InstanceId), (CircuitState, String)> = BTreeMap::new();
    for report in states.iter().flat_map(|process| &process.circuits) {
        if report.state != CircuitState::Closed {
            let key = (report.pool.clone(), report.instance.clone());
            open.entry(key).or_insert_with(|| (report.state, report.reason.clone()));
        }
    }
    for (pool, instances) in pools {
        let notices = match queue.circuit_notices(pool, instances).await {
            Ok(notices) => notices,
            Err(error) => return refused("circuits", &error),
        };
        for (instance, notice) in instances.iter().zip(notices) {
            let notice = notice.map(|posted| posted.notice);
            let stands = notice.as_ref().and_then(|notice| match notice.kind.as_str() {
                "isolate" => Some(("is isolated by an operator", "close-circuit")),
                "refused" => Some(("has refused the login", "reset-circuit")),
                _ => None,
            });
            let reason = notice.map(|notice| notice.reason).unwrap_or_default();
            if let Some((what, command)) = stands {
                let detail = format!("the scanner {pool}:{instance} {what}: {}", excerpt(&reason));
                findings.push(
                    Finding::warning("circuits", detail).mend(format!("nessus-admin {command} {pool} {instance}")),
                );
            } else if let Some((state, reason)) = open.get(&(pool.clone(), instance.clone())) {
                let detail = format!("the circuit of {pool}:{instance} is {}: {}", state.as_str(), excerpt(reason));
                findings.push(
                    Finding::warning("circuits", detail).mend(format!("nessus-admin scanners check {pool}:{instance}")),
                );
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("circuits", "all are closed"));
    }
    findings
}

/// Dead letters, pauses, and tasks with which workers are lost.
async fn pools_of(queue: &dyn Queue, pools: &Pools) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pool, _) in pools {
        let (stats, suspects) = match (queue.stats(pool).await, queue.suspects(pool).await) {
            (Ok(stats), Ok(suspects)) => (stats, suspects),
            (Err(error), _) | (_, Err(error)) => return refused("pools", &error),
        };
        if stats.dead > 0 {
            let detail = format!("{} in the pool `{pool}`", counted(stats.dead, "dead letter", "dead letters"));
            findings.push(Finding::warning("pools", detail).mend(format!("nessus-admin list-dlq --pool {pool}")));
        }
        if let Some(reason) = &stats.paused {
            let detail = format!("the pool `{pool}` is paused: {}", excerpt(reason));
            findings.push(Finding::warning("pools", detail).mend(format!("nessus-admin resume-pool {pool}")));
        }
        for (task, losses) in suspects {
            let detail =
                format!("{} in a row with the task {task}", counted(losses, "worker was lost", "workers were lost"));
            findings.push(Finding::warning("pools", detail).mend(format!("nessus-admin tasks show {task}")));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("pools", "no dead letter, no pause"));
    }
    findings
}

/// Compares how many tasks the catalogue and the directory have; an audit compares what they say.
async fn catalogue(queue: &dyn Queue, settings: &Settings) -> Vec<Finding> {
    let state = match queue.catalogue_state().await {
        Ok(state) => state,
        Err(error) => return refused("catalogue", &error),
    };
    let files = match count(settings, state.tasks).await {
        Ok(files) => files,
        Err(failure) => {
            let detail = format!("the tasks cannot be counted: {}", in_one_line(&failure));
            return vec![Finding::skipped("catalogue", detail)];
        }
    };
    if state.mark.is_none() && files > 0 {
        let detail = "the catalogue of tasks is not whole; lists read all files until it is made again";
        return vec![Finding::warning("catalogue", detail).mend("nessus-admin queue audit --repair")];
    }
    vec![if state.tasks == files {
        Finding::ok("catalogue", counted(files, "task", "tasks"))
    } else {
        let detail = format!("it knows {}, and the data directory has {files}", counted(state.tasks, "task", "tasks"));
        Finding::warning("catalogue", detail).mend("nessus-admin queue audit")
    }]
}

/// How many tasks there are. A name stands for one until its file is looked for, which is worth it where the catalogue has another
/// number.
async fn count(settings: &Settings, catalogued: u64) -> Result<u64, Failure> {
    let tasks = queue::tasks(settings).await?;
    let ids = tasks.ids().await?;
    let mut count = ids.len() as u64;
    if count > catalogued {
        for id in &ids {
            if matches!(tasks.get(id).await, Err(TaskError::NotFound(_) | TaskError::Removed { .. })) {
                count -= 1;
            }
        }
    }
    Ok(count)
}

async fn tasks(settings: &Settings) -> Result<Vec<Finding>, Failure> {
    let tasks = queue::tasks(settings).await?;
    let queue = queue::open(settings).await?;
    let tasks = tasks.with_catalogue(Arc::clone(&queue));
    let list = tasks.list(TaskQuery::default().unfinished().with_limit(MOST_READ)).await?;
    let now = SystemClock.now();
    let mut findings = Vec::new();
    for (task, reason) in &list.unreadable {
        let detail = format!("the file of {task} cannot be read: {}", excerpt(reason));
        findings.push(Finding::failed("tasks", detail).mend("nessus-admin queue audit"));
    }
    for task in &list.tasks {
        let show = format!("nessus-admin tasks show {}", task.task_id);
        if let Some(error) = task.last_error.as_ref().filter(|error| now.since(error.since) >= STUCK) {
            let since = in_words(now.since(error.since));
            let detail = format!(
                "{} fails at `{}` for {since}: {}: {}",
                task.task_id,
                error.step,
                error.code,
                excerpt(&error.message)
            );
            findings.push(Finding::warning("tasks", detail).mend(show));
        } else if now.since(task.created_at) >= STUCK
            && queue.state_of(&task.scanner_pool, &task.task_id).await?.is_none()
        {
            let state = if task.status == TaskStatus::Running { "runs" } else { "waits" };
            let detail = format!("{} {state} by its file, and the queue does not know it", task.task_id);
            findings.push(Finding::warning("tasks", detail).mend("nessus-admin queue audit --repair"));
        }
    }
    let left = findings.len().saturating_sub(MOST_NAMED);
    if left > 0 {
        findings.truncate(MOST_NAMED);
        findings.push(Finding::warning("tasks", format!("{} more", counted(left, "task", "tasks"))));
    }
    if list.total > MOST_READ {
        let rest = counted(list.total - MOST_READ, "unfinished task was", "unfinished tasks were");
        findings.push(
            Finding::warning("tasks", format!("{rest} not looked at, the oldest")).mend("nessus-admin queue audit"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "tasks",
            counted(list.total, "unfinished task, none is stuck", "unfinished tasks, none is stuck"),
        ));
    }
    Ok(findings)
}

pub(super) fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
