//! What became of the scans of a fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
    time::Duration,
};

use nessus_mcp_lib::task::{Task, TaskStatus};
use serde_json::Value;

use super::{Fault, Plan, RedisKind, agents::Told, director::Ended};
use crate::sim::Stats;

/// What the keys of all objects of a fleet begin with.
const PREFIX: &str = "fleet/";
/// How many findings are told.
const TOLD: usize = 20;

/// How many scans of a kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Count {
    /// Scans that agents wanted.
    pub submitted: usize,
    /// Tasks that are completed.
    pub completed: usize,
    /// Tasks that are not completed or were never launched, and submits that were never answered.
    pub lost: usize,
    /// Tasks whose scans were launched more than once, as the scanners counted.
    pub launched_twice: usize,
    /// Tasks that were completed more than once, by their history or by the logs.
    pub completed_twice: usize,
    /// Objects that belong to no task, after housekeeping.
    pub orphans: usize,
    /// Tasks beyond one for each idempotency key. These are forgotten with the data of a Redis primary whose replica lagged behind.
    pub keys_twice: usize,
}

/// The outcome of a run. The promises hold when [`is_clean`](Self::is_clean).
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// How the Redis servers belonged together.
    pub redis: RedisKind,
    /// Decides the order of the faults.
    pub seed: u64,
    /// What there was.
    pub count: Count,
    /// How often each fault was done.
    pub faults: BTreeMap<Fault, usize>,
    /// Processes that were started again because queue or store were away when they started, or nothing moved.
    pub started_again: usize,
    /// From the first submit to the last end.
    pub took: Duration,
    /// What went wrong, one sentence each.
    pub findings: Vec<String>,
    /// Where the files of the run are, when something went wrong.
    pub directory: PathBuf,
}

impl Verdict {
    pub(super) fn of(plan: &Plan, told: &Told, mut ended: Ended, scanners: &[Stats], took: Duration) -> Self {
        let mut verdict = Self {
            redis: plan.redis,
            seed: plan.seed,
            count: Count { submitted: plan.scans, ..Count::default() },
            faults: std::mem::take(&mut ended.faults),
            started_again: ended.started_again,
            took,
            findings: std::mem::take(&mut ended.findings),
            directory: std::mem::take(&mut ended.directory),
        };
        let tasks = tasks(&ended.objects);
        for (key, task) in told {
            match task {
                None => verdict.lose(format!("the submit of {key} was never answered")),
                Some(task) if !tasks.contains_key(task.as_str()) => verdict.lose(format!("{task} of {key} is gone")),
                Some(_) => {}
            }
        }
        verdict.count.keys_twice = tasks.len().saturating_sub(told.len());
        for (id, task) in &tasks {
            let of_task = |counts: &BTreeMap<String, u64>| -> u64 {
                counts.iter().filter(|(name, _)| name.contains(id.as_str())).map(|(_, count)| count).sum()
            };
            let launched: u64 = scanners.iter().map(|stats| of_task(&stats.launches)).sum();
            let said = ended.logged.get(id).map_or(0, |logged| logged.completed);
            verdict.weigh(id, task.as_ref(), launched, said);
        }
        verdict.count.orphans = verdict.find_orphans(&ended.objects, &tasks);
        if verdict.is_clean() {
            ended.stage.forget_files();
        }
        verdict
    }

    /// Whether no promise was broken.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first two lines of the table that [`row`](Self::row) continues.
    pub const HEADER: &str = "\
| redis | seed | scans | completed | lost | launched twice | completed twice | orphans | keys twice | faults | started again | seconds |
|---|---|---|---|---|---|---|---|---|---|---|---|";

    /// The run as a row of the table.
    pub fn row(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        let Count { submitted, completed, lost, launched_twice, completed_twice, orphans, keys_twice } = self.count;
        format!(
            "| {} | {} | {submitted} | {completed} | {lost} | {launched_twice} | {completed_twice} | {orphans} | {keys_twice} | {} | {} | {} |",
            self.redis,
            self.seed,
            faults.join(", "),
            self.started_again,
            self.took.as_secs(),
        )
    }

    /// What went wrong, and where to look.
    pub fn report(&self) -> String {
        let mut text = format!("{}\n{}\n", Self::HEADER, self.row());
        for finding in self.findings.iter().take(TOLD) {
            let _ = writeln!(text, "- {finding}");
        }
        if !self.is_clean() {
            let _ = writeln!(text, "{} findings; logs are in {}", self.findings.len(), self.directory.display());
        }
        text
    }

    fn lose(&mut self, finding: String) {
        self.count.lost += 1;
        self.findings.push(finding);
    }

    fn weigh(&mut self, id: &str, task: Option<&Task>, launched: u64, said: usize) {
        let is_completed = task.is_some_and(|task| task.status == TaskStatus::Completed);
        self.count.completed += usize::from(is_completed);
        if !is_completed || launched == 0 {
            let what = task.map(|task| (task.status, task.error_code.clone(), task.error_message.clone()));
            self.lose(format!("{id} is lost: {what:?}, launched {launched} times"));
        }
        if launched > 1 {
            self.count.launched_twice += 1;
            self.findings.push(format!("{id} was launched {launched} times"));
        }
        let ends = task.map_or(0, |task| task.history.iter().filter(|step| step.to.is_terminal()).count());
        if ends > 1 || said > 1 {
            self.count.completed_twice += 1;
            self.findings.push(format!("{id} ended {ends} times, {said} by the logs"));
        }
    }

    /// Objects under the tasks that no task names, and marks of uploads that are still there.
    fn find_orphans(
        &mut self,
        objects: &BTreeMap<String, Option<Value>>,
        tasks: &BTreeMap<String, Option<Task>>,
    ) -> usize {
        let named: BTreeSet<String> = tasks.keys().flat_map(|id| named_by(id, objects)).collect();
        let is_orphan = |key: &&String| {
            let key = key.strip_prefix(PREFIX).unwrap_or(key);
            let is_of_tasks = ["tasks/", "uploads/", "probes/"].iter().any(|place| key.starts_with(place));
            is_of_tasks && !named.contains(key)
        };
        let orphans: Vec<_> = objects.keys().filter(is_orphan).collect();
        self.findings.extend(orphans.iter().map(|key| format!("{key} belongs to no task")));
        orphans.len()
    }
}

/// The tasks of a bucket; `None` for one that cannot be read.
fn tasks(objects: &BTreeMap<String, Option<Value>>) -> BTreeMap<String, Option<Task>> {
    let of = |(key, content): (&String, &Option<Value>)| {
        let id = key.strip_prefix(PREFIX)?.strip_prefix("tasks/")?.strip_suffix("/task.json")?;
        let task = content.as_ref().and_then(|content| serde_json::from_value(content.clone()).ok());
        Some((id.to_owned(), task))
    };
    objects.iter().filter_map(of).collect()
}

/// The keys of the objects that a task's file names, and of the file.
fn named_by(id: &str, objects: &BTreeMap<String, Option<Value>>) -> Vec<String> {
    let file = format!("tasks/{id}/task.json");
    let content = objects.get(&format!("{PREFIX}{file}")).and_then(Option::as_ref);
    let files = content.and_then(|content| content["files"].as_object()).into_iter().flatten();
    let parts = files.flat_map(|(name, stored)| {
        let upload = stored["upload"].as_str().unwrap_or_default();
        let count = stored["parts"].as_array().map_or(0, Vec::len);
        (0..count).map(move |number| format!("tasks/{id}/{name}.{upload}/{number:06}"))
    });
    parts.chain([file.clone()]).collect()
}
