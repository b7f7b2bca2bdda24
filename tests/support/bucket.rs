//! Deployments whose tasks are in a bucket, with a store and a queue of their own, and what must be in the bucket in the end.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its store cannot go on")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    pin::Pin,
    sync::Arc,
    thread,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::{
    binaries,
    deployment::Deployment,
    processes::Program,
    redis::RedisServer,
    s3::{BUCKET, SimulatedS3},
};

/// What the keys of a deployment begin with.
const PREFIX: &str = "site";
/// What the logins of tasks are sealed with, by all processes: there is no directory that they share.
const SECRET_KEY: &str = "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4";
/// Longer than a mark stands before what it stands for is collected.
const TWO_DAYS: i64 = 2 * 24 * 3600;
/// Who holds this runs the housekeeping. A process that was killed holds it for a while.
const LEAD: &str = "nessus-mcp.housekeeping:queue:slots:leader";

thread_local! {
    static MADE: RefCell<Option<Vec<Arc<Bucket>>>> = const { RefCell::new(None) };
}

/// Runs a check whose deployments keep their tasks in buckets, and then sees to it that nothing is left over in any of them. The check
/// makes its deployments on this thread, and its processes end with it.
pub async fn in_buckets(check: Pin<Box<dyn Future<Output = ()> + '_>>) {
    MADE.with(|made| *made.borrow_mut() = Some(Vec::new()));
    check.await;
    let made = MADE.with(|made| made.borrow_mut().take()).unwrap_or_default();
    assert!(!made.is_empty(), "the check has made no bucket");
    for bucket in made {
        bucket.has_nothing_left_over();
    }
}

/// Whether deployments that are made here keep their tasks in buckets.
pub fn is_wanted() -> bool {
    MADE.with(|made| made.borrow().is_some())
}

/// The queues a check is to be tried on: the embedded one, and this Redis. A bucket has its own instead.
pub fn queues(redis: &RedisServer) -> Vec<Option<String>> {
    if is_wanted() { vec![None] } else { vec![None, Some(redis.url())] }
}

/// An object store, a bucket of it, and a queue.
#[derive(Debug)]
pub struct Bucket {
    /// The store.
    pub s3: SimulatedS3,
    /// The queue.
    pub redis: RedisServer,
}

impl Bucket {
    /// A new one, where deployments are to have one.
    pub(crate) fn for_deployment() -> Option<Arc<Self>> {
        MADE.with(|made| {
            let mut made = made.borrow_mut();
            let made = made.as_mut()?;
            let bucket = Arc::new(Self::start());
            made.push(Arc::clone(&bucket));
            Some(bucket)
        })
    }

    fn start() -> Self {
        // Deployments are made by asynchronous tests, which must not block on their own runtime.
        let starting = thread::spawn(|| {
            let runtime = Builder::new_current_thread().build().unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(SimulatedS3::start())
        });
        let s3 = starting.join().unwrap_or_else(|_| panic!("the S3 server does not start"));
        Self { s3, redis: RedisServer::start() }
    }

    /// Lets a program use it.
    pub(crate) fn used_by(&self, program: Program) -> Program {
        let program = program.env("DATA_URL", format!("s3://{BUCKET}/{PREFIX}"));
        let program = program.env("NESSUS_MCP_SECRET_KEY", SECRET_KEY);
        self.s3.environment().into_iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// All objects, by their keys below the prefix.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        let objects = self.s3.objects(BUCKET).into_iter();
        let below = |key: String| key.strip_prefix(PREFIX)?.strip_prefix('/').map(str::to_owned);
        objects.filter_map(|(key, content)| Some((below(key)?, content))).collect()
    }

    /// Puts an object there, past all conditions.
    pub fn put(&self, key: &str, content: impl Into<Bytes>) {
        self.s3.put(BUCKET, &format!("{PREFIX}/{key}"), content);
    }

    /// Lets two days pass, after which nobody leads the housekeeping.
    pub fn two_days_later(&self) {
        self.s3.age(TWO_DAYS);
        let _ = self.redis.ask(&["DEL", LEAD]);
    }

    /// Two days later, after housekeeping: each object of a task is named by its file, each part that is named is there and sound, and
    /// nothing is marked.
    fn has_nothing_left_over(self: Arc<Self>) {
        self.s3.clear_faults();
        self.two_days_later();
        let deployment = Deployment::on_bucket(&self);
        let keep_house = || {
            let ran = deployment.program(binaries::admin(), &["housekeeping", "run", "--yes", "--json"]).run();
            assert_eq!(ran.code, Some(0), "{ran:?}");
            ran
        };
        // The first run only says what it would remove, if no worker has lived long enough to do that.
        let mut ran = keep_house();
        if ran.stdout.contains("\"dry_run\":true") {
            ran = keep_house();
        }
        let objects = self.objects();
        let left: Vec<_> = left_over(&objects);
        assert!(left.is_empty(), "{left:#?}\n{:#?}\n{ran:?}", objects.keys());
    }
}

/// What is there and should not be, or the other way round.
fn left_over(objects: &BTreeMap<String, Bytes>) -> Vec<String> {
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for (key, content) in objects.iter().filter(|(key, _)| key.starts_with("tasks/") && key.ends_with("/task.json")) {
        let task: Value = serde_json::from_slice(content).unwrap_or_else(|error| panic!("{key}: {error}"));
        let folder = key.trim_end_matches("task.json");
        named.insert(key.clone());
        let has_ended = ["queued", "running"].iter().all(|status| task["status"] != *status);
        if has_ended && task.get("sealed_login").is_some() {
            wrong.push(format!("{key} still has the login"));
        }
        for (name, file) in task["files"].as_object().into_iter().flatten() {
            let upload = file["upload"].as_str().unwrap_or_default();
            for (number, hash) in file["parts"].as_array().into_iter().flatten().enumerate() {
                let part = format!("{folder}{name}.{upload}/{number:06}");
                let is_sound = objects.get(&part).is_some_and(|content| hash.as_str() == Some(&sha256(content)));
                if !is_sound {
                    wrong.push(format!("{part} is not as its task says"));
                }
                named.insert(part);
            }
        }
    }
    let is_wrong = |key: &&String| {
        let is_task = key.starts_with("tasks/") && !named.contains(*key);
        is_task || key.starts_with("uploads/") || key.starts_with("probes/")
    };
    wrong.extend(objects.keys().filter(is_wrong).map(|key| format!("{key} is left over")));
    wrong
}

fn sha256(content: &[u8]) -> String {
    let mut digits = String::new();
    for byte in digest(&SHA256, content).as_ref() {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_found() {
        let part = Bytes::from_static(b"part");
        let file = serde_json::json!({ "upload": "1-a", "parts": [sha256(&part)] });
        let task = serde_json::json!({ "status": "completed", "files": { "scan": file } }).to_string();
        let sound = BTreeMap::from([
            ("tasks/t/task.json".to_owned(), Bytes::from(task)),
            ("tasks/t/scan.1-a/000000".to_owned(), part.clone()),
            ("archive/x.json".to_owned(), part.clone()),
        ]);
        assert_eq!(left_over(&sound), Vec::<String>::new());
        for wrong in [
            "tasks/t/scan.1-b/000000",
            "tasks/t/credential.sealed",
            "tasks/u.removed",
            "uploads/t/scan.1-b",
            "probes/x",
        ] {
            let mut objects = sound.clone();
            objects.insert(wrong.to_owned(), Bytes::new());
            assert_eq!(left_over(&objects), [format!("{wrong} is left over")]);
        }
        let key = "tasks/t/task.json".to_owned();
        let mut outlived = sound.clone();
        let mut task: Value = serde_json::from_slice(&outlived[&key]).unwrap();
        task["sealed_login"] = "c2VhbGVk".into();
        outlived.insert(key, Bytes::from(task.to_string()));
        assert_eq!(left_over(&outlived), ["tasks/t/task.json still has the login"]);
        let mut altered = sound;
        altered.insert("tasks/t/scan.1-a/000000".to_owned(), Bytes::new());
        assert_eq!(left_over(&altered).len(), 1);
    }
}
