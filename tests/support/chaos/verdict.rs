//! What became of the tasks of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nessus_mcp_lib::{
    ids::TaskId,
    task::{Task, TaskStatus},
};

use super::{
    BackendKind, Fault, Plan,
    clients::{self, Answers},
    evidence::Logged,
    stage::Stage,
    watch::Watch,
};
use crate::sim::Stats;

/// The outcome of a run. The promises hold when [`is_clean`](Self::is_clean).
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The queue.
    pub backend: BackendKind,
    /// How often each fault was done.
    pub faults: Vec<(Fault, u32)>,
    /// Tasks that were accepted.
    pub tasks: usize,
    /// Tasks that are not completed, or were never launched, or of whose submit no answer came.
    pub lost: usize,
    /// Tasks for which the scanner launched more than one scan, or one more than once.
    pub launched_twice: usize,
    /// Tasks for which the scanner created more than one scan.
    pub created_twice: usize,
    /// Tasks that were completed more than once, or changed after their end.
    pub completed_twice: usize,
    /// Tasks that logged in to their targets.
    pub logged_in: usize,
    /// Idempotency keys that stand for more than one task.
    pub keys_twice: usize,
    /// How often a worker took over a scan that another had in its hands.
    pub adopted: usize,
    /// The most scans that the scanner ran at one time.
    pub most_running: u64,
    /// How long the run took.
    pub took: Duration,
    /// What went wrong, one sentence each.
    pub findings: Vec<String>,
    /// Where the files of the run are, when something went wrong.
    pub directory: PathBuf,
}

impl Verdict {
    #[expect(clippy::too_many_arguments, reason = "it weighs everything a run leaves behind, once")]
    pub(super) fn of(
        plan: &Plan,
        stage: &Stage,
        answers: Option<Answers>,
        watch: &Watch,
        logs: &BTreeMap<String, Logged>,
        scanner: &Stats,
        fallen: usize,
        took: Duration,
        directory: &Path,
    ) -> Self {
        let mut verdict = Self {
            backend: plan.backend,
            faults: plan.faults.iter().map(|fault| (*fault, stage.count(*fault))).collect(),
            tasks: 0,
            lost: 0,
            launched_twice: 0,
            created_twice: 0,
            completed_twice: 0,
            logged_in: 0,
            keys_twice: 0,
            adopted: logs.values().map(Logged::adopted).sum(),
            most_running: scanner.max_running,
            took,
            findings: Vec::new(),
            directory: directory.to_owned(),
        };
        if fallen > 0 {
            verdict.findings.push(format!("{fallen} processes ended or failed that nobody had killed"));
        }
        let tasks = verdict.weigh_answers(plan, answers.unwrap_or_default(), watch);
        verdict.tasks = tasks.len();
        let most = u64::from(plan.capacity);
        verdict.find(plan.faults.is_empty() && scanner.max_running > most, || {
            format!("the scanner ran {} scans at a time, {most} are allowed", scanner.max_running)
        });
        for task in &tasks {
            verdict.weigh(task, watch, logs.get(task.as_str()), scanner);
        }
        verdict
    }

    /// Whether no promise was broken.
    ///
    /// A scan that was created twice and launched once is no broken promise, but it is told: see `created_twice`. Keys
    /// stand in the queue alone, so a queue that lost its data has forgotten which were used.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// What went wrong, and where to look.
    pub fn report(&self) -> String {
        let mut text = format!("{}\n{}\n", Self::HEADER, self.row());
        for finding in &self.findings {
            let _ = writeln!(text, "- {finding}");
        }
        if !self.is_clean() {
            let _ = writeln!(text, "logs and data are in {}", self.directory.display());
        }
        text
    }

    /// The first two lines of the table that [`row`](Self::row) continues.
    pub const HEADER: &str = "\
| queue | faults | tasks | lost | launched twice | completed twice | created twice | logged in | adopted | most at once | seconds |
|---|---|---|---|---|---|---|---|---|---|---|";

    /// The run as a row of the table.
    pub fn row(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.backend,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
            self.tasks,
            self.lost,
            self.launched_twice,
            self.completed_twice,
            self.created_twice,
            self.logged_in,
            self.adopted,
            self.most_running,
            self.took.as_secs(),
        )
    }

    /// Every answer names one task, the same each time; returns all tasks there are.
    fn weigh_answers(&mut self, plan: &Plan, answers: Answers, watch: &Watch) -> BTreeSet<TaskId> {
        let mut tasks: BTreeSet<_> = watch.all().into_iter().collect();
        let without = plan.tasks - answers.values().filter(|told| !told.is_empty()).count();
        if without > 0 {
            self.lost += without;
            self.findings.push(format!("{without} submits were never answered"));
        }
        for (key, told) in answers {
            let different: BTreeSet<_> = told.into_iter().collect();
            if different.len() > 1 {
                self.keys_twice += 1;
                self.find(!plan.empties_the_queue(), || format!("{key} stands for several tasks: {different:?}"));
            }
            tasks.extend(different);
        }
        if tasks.len() > plan.tasks && !plan.empties_the_queue() {
            self.keys_twice = self.keys_twice.max(tasks.len() - plan.tasks);
            self.findings.push(format!("{} keys became {} tasks", plan.tasks, tasks.len()));
        }
        tasks
    }

    fn weigh(&mut self, id: &TaskId, watch: &Watch, logged: Option<&Logged>, scanner: &Stats) {
        let of_task = |counts: &BTreeMap<String, u64>| -> u64 {
            counts.iter().filter(|(name, _)| name.contains(id.as_str())).map(|(_, count)| count).sum()
        };
        let (created, launched) = (of_task(&scanner.creates), of_task(&scanner.launches));
        let task = watch.read(id);
        let status = task.as_ref().map(|task| task.status);
        if status != Some(TaskStatus::Completed) || launched == 0 {
            self.lost += 1;
            let code = task.as_ref().and_then(|task| task.error_code.clone());
            self.findings.push(format!("{id} is lost: {status:?} {code:?}, {created} created, {launched} launched"));
        }
        if launched > 1 {
            self.launched_twice += 1;
            self.findings.push(format!("{id} was launched {launched} times ({created} created)"));
        }
        self.created_twice += usize::from(created > 1);
        let Some(task) = task else { return };
        self.weigh_login(id, &task, watch, scanner);
        let ends = task.history.iter().filter(|step| step.to.is_terminal()).count();
        let said = logged.map_or(0, |logged| logged.completed);
        // Of two ends of which one overwrote the other the history shows one; the file as it was first seen shows it.
        let changed = watch.first_end(id).is_some_and(|first| *first != task);
        if ends > 1 || said > 1 || changed {
            self.completed_twice += 1;
            self.findings.push(format!("{id} ended {ends} times, {said} by the logs, changed afterwards: {changed}"));
        }
    }

    /// Each scan of a task that logs in got its login, and nothing of it is left.
    fn weigh_login(&mut self, id: &TaskId, task: &Task, watch: &Watch, scanner: &Stats) {
        let of_task = |name: &String| name.contains(id.as_str());
        let created: u64 = scanner.creates.iter().filter(|(name, _)| of_task(name)).map(|(_, count)| count).sum();
        let sent: Vec<_> =
            scanner.credentials.iter().filter(|(name, _)| of_task(name)).flat_map(|(_, sent)| sent).collect();
        let expected = if clients::logs_in(&task.payload.name) { created } else { 0 };
        let is_right = sent.iter().all(|sent| sent.fields["password"] == clients::PASSWORD && sent.removed);
        self.logged_in += usize::from(!sent.is_empty());
        self.find(sent.len() as u64 != expected || !is_right, || {
            format!("{id} logged in with {sent:?}, {expected} times were right, and each is removed afterwards")
        });
        self.find(watch.keeps_login(id), || format!("the login of {id} is still kept"));
    }

    fn find(&mut self, is_one: bool, finding: impl FnOnce() -> String) {
        if is_one {
            self.findings.push(finding());
        }
    }
}
