//! A data directory with tasks of every kind that housekeeping meets, and things that only look like tasks.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its files cannot go on")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nessus_mcp_lib::{
    ids::{PoolName, TaskId, TraceId},
    task::{ScanPayload, ScanType, Task, TaskStatus},
    time::{Clock as _, SystemClock, Timestamp},
};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is special about a planted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Completed long ago.
    Old,
    /// Completed yesterday.
    Young,
    /// Failed long ago.
    OldFailed,
    /// Failed longer ago than completed tasks are kept.
    Failed,
    /// Cancelled long ago.
    OldCancelled,
    /// Waits, for months.
    Queued,
    /// Runs, for months.
    Running,
    /// Completed long ago, and read yesterday.
    Read,
    /// Completed in the future, and created long ago.
    Future,
    /// Completed in 1970.
    WrongClock,
    /// Completed long ago, with a file of somebody in its directory.
    ForeignFile,
    /// Completed long ago, with a link out of the data directory.
    LinkInside,
    /// Completed long ago, with a directory in its own.
    FolderInside,
    /// Its export is a link out of the data directory.
    LinkedExport,
    /// Completed long ago, and its file is damaged.
    Damaged,
    /// Failed long ago, with a scan that is not known to have ended.
    ScanMayRun,
    /// Completed long ago, and its idempotency key was used yesterday.
    KeyStands,
    /// Completed long ago; a process died while it removed it.
    HalfRemoved,
    /// Completed long ago, by a newer version of this program.
    Newer,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 19] = [
        Self::Old,
        Self::Young,
        Self::OldFailed,
        Self::Failed,
        Self::OldCancelled,
        Self::Queued,
        Self::Running,
        Self::Read,
        Self::Future,
        Self::WrongClock,
        Self::ForeignFile,
        Self::LinkInside,
        Self::FolderInside,
        Self::LinkedExport,
        Self::Damaged,
        Self::ScanMayRun,
        Self::KeyStands,
        Self::HalfRemoved,
        Self::Newer,
    ];

    /// Whether housekeeping removes it.
    pub const fn goes(self) -> bool {
        matches!(self, Self::Old | Self::OldFailed | Self::OldCancelled | Self::HalfRemoved)
    }

    fn status(self) -> TaskStatus {
        match self {
            Self::OldFailed | Self::Failed | Self::ScanMayRun => TaskStatus::Failed,
            Self::OldCancelled => TaskStatus::Cancelled,
            Self::Queued => TaskStatus::Queued,
            Self::Running => TaskStatus::Running,
            _ => TaskStatus::Completed,
        }
    }

    fn age(self) -> Duration {
        match self {
            Self::Young => DAY,
            Self::Failed => 10 * DAY,
            _ => 100 * DAY,
        }
    }

    /// The task's document.
    fn document(self, now: Timestamp, number: usize) -> (TaskId, Value) {
        let ended = now.minus(self.age());
        let created = if self == Self::WrongClock { Timestamp::from_millis(0) } else { ended.minus(DAY) };
        let name = format!("{}_{:08x}", created.compact(), number);
        let task_id = TaskId::new(format!("ne_ness_{name}")).unwrap_or_else(|error| panic!("{error}"));
        let pool = PoolName::new("nessus").unwrap_or_else(|error| panic!("{error}"));
        let payload = ScanPayload::new(format!("{self:?} {number}"), "192.0.2.1");
        let trace_id = TraceId::generate();
        let mut task = Task::new(task_id.clone(), trace_id, ScanType::Untrusted, "nessus", pool, payload, created);
        task.status = self.status();
        task.started_at = (task.status != TaskStatus::Queued).then_some(created);
        task.completed_at = task.status.is_terminal().then_some(ended);
        task.revision = 1;
        let mut document = json!(task);
        match self {
            Self::Read => document["last_accessed_at"] = json!(now.minus(DAY)),
            Self::Future => document["completed_at"] = json!(now.plus(400 * DAY)),
            Self::WrongClock => document["completed_at"] = json!(Timestamp::from_millis(1000)),
            Self::ScanMayRun => {
                document["scanner_instance_id"] = json!("gone");
                document["nessus_scan_id"] = json!(7);
                document["open_scans"] = json!([{ "instance_id": "gone", "scan_id": 7, "attempt": 1 }]);
            }
            Self::KeyStands => {
                document["idempotency"] = json!({ "key": name, "request_hash": "x", "claimed_at": now.minus(DAY) });
            }
            Self::Newer => document["schema_version"] = json!(99),
            _ => {}
        }
        (task_id, document)
    }
}

/// What was planted.
#[derive(Debug)]
pub struct Planted {
    /// The tasks, by kind.
    pub tasks: BTreeMap<Kind, Vec<TaskId>>,
    /// What is no task, and must stay as well.
    pub foreign: Vec<PathBuf>,
    /// What lies outside of the data directory, and links lead to.
    pub outside: Vec<PathBuf>,
}

impl Planted {
    /// Plants so many tasks into a data directory: `Kind::Old` unless it is the turn of another kind, a hundredth of each.
    pub fn plant(data: &Path, outside: &Path, count: usize) -> Self {
        let now = SystemClock.now();
        let mut planted = Self { tasks: BTreeMap::new(), foreign: Vec::new(), outside: Vec::new() };
        fs::create_dir_all(data.join("tasks")).unwrap_or_else(|error| panic!("{error}"));
        fs::create_dir_all(data.join("archive")).unwrap_or_else(|error| panic!("{error}"));
        fs::create_dir_all(outside.join("directory")).unwrap_or_else(|error| panic!("{error}"));
        for name in ["precious", "directory/precious", "directory/.tmp-precious"] {
            planted.outside.push(written(&outside.join(name), b"precious"));
        }
        age(&outside.join("directory/.tmp-precious"));
        for number in 0..count {
            let kind = Kind::ALL.get(number % 100).copied().unwrap_or(Kind::Old);
            let task_id = planted.task(kind, data, outside, (now, number));
            planted.tasks.entry(kind).or_default().push(task_id);
        }
        planted.look_alikes(data, outside);
        planted
    }

    fn task(&mut self, kind: Kind, data: &Path, outside: &Path, (now, number): (Timestamp, usize)) -> TaskId {
        let (task_id, document) = kind.document(now, number);
        let name = if kind == Kind::HalfRemoved { format!("{task_id}.removed") } else { task_id.to_string() };
        let directory = data.join("tasks").join(name);
        fs::create_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        written(&directory.join("task.json"), format!("{document:#}\n").as_bytes());
        written(&directory.join("task.lock"), b"");
        if kind == Kind::HalfRemoved {
            let record = json!({ "task": document, "archived_at": now.minus(DAY) });
            written(&data.join("archive").join(format!("{task_id}.json")), record.to_string().as_bytes());
        }
        if kind == Kind::LinkedExport {
            link(&outside.join("precious"), &directory.join("scan_native.nessus"));
        } else {
            written(&directory.join("scan_native.nessus"), b"<NessusClientData_v2/>");
        }
        match kind {
            Kind::ForeignFile => self.foreign.push(written(&directory.join("report.pdf"), b"theirs")),
            Kind::LinkInside => link(&outside.join("directory"), &directory.join("results")),
            Kind::FolderInside => {
                let own = directory.join("notes");
                fs::create_dir(&own).unwrap_or_else(|error| panic!("{error}"));
                self.foreign.push(written(&own.join("todo"), b"theirs"));
            }
            Kind::Damaged => _ = written(&directory.join("task.json"), b"{\"task_id\":"),
            _ => {}
        }
        task_id
    }

    /// What lies among the tasks and is none.
    fn look_alikes(&mut self, data: &Path, outside: &Path) {
        let tasks = data.join("tasks");
        let linked = tasks.join("ne_ness_20200101_000000_0badcafe");
        link(&outside.join("directory"), &linked);
        let half = tasks.join("ne_ness_20200101_000000_0badcaff.removed");
        link(&outside.join("directory"), &half);
        self.foreign.extend([linked, half]);
        for name in ["lost+found", "ne_ness_20200101_000000", "backup of ne_ness_20200101_000000_0badcafe"] {
            let directory = tasks.join(name);
            fs::create_dir(&directory).unwrap_or_else(|error| panic!("{error}"));
            self.foreign.push(written(&directory.join("task.json"), b"{}"));
        }
        self.foreign.push(written(&tasks.join("README"), b"theirs"));
        self.foreign.push(written(&data.join("archive/notes.txt"), b"theirs"));
        let record = data.join("archive/ne_ness_20200101_000000_0badcafd.json");
        link(&outside.join("precious"), &record);
        self.foreign.push(record);
    }

    /// How many tasks were planted that go.
    pub fn going(&self) -> usize {
        self.tasks.iter().filter(|(kind, _)| kind.goes()).map(|(_, tasks)| tasks.len()).sum()
    }

    /// What is wrong with the data directory after housekeeping: what should be gone and is not, and the other way round.
    pub fn faults(&self, data: &Path) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, tasks) in &self.tasks {
            for task_id in tasks {
                let directory = data.join("tasks").join(task_id.as_str());
                let is_there = directory.join("task.json").exists();
                let is_archived = data.join("archive").join(format!("{task_id}.json")).exists();
                let is_right = if kind.goes() {
                    !directory.exists()
                        && !data.join("tasks").join(format!("{task_id}.removed")).exists()
                        && is_archived
                } else {
                    is_there && !is_archived
                };
                if !is_right {
                    faults.push(format!("{kind:?} {task_id}: there {is_there}, archived {is_archived}"));
                }
            }
        }
        let must_stay = self.foreign.iter().chain(&self.outside);
        let lost = must_stay.filter(|path| fs::symlink_metadata(path).is_err());
        faults.extend(lost.map(|path| format!("{} is gone", path.display())));
        faults
    }
}

fn written(path: &Path, content: &[u8]) -> PathBuf {
    let written = File::create(path).and_then(|mut file| file.write_all(content));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path.to_owned()
}

fn link(to: &Path, path: &Path) {
    symlink(to, path).unwrap_or_else(|error| panic!("cannot link {}: {error}", path.display()));
}

/// Makes a file two days old.
pub fn age(path: &Path) {
    let aged = File::open(path).and_then(|file| file.set_modified(SystemTime::now() - 2 * DAY));
    aged.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
