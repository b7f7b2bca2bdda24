//! What the logs of all processes say about each task.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use crate::processes::files_below;

/// The line a worker writes when it has completed a task.
const COMPLETED: &str = "the task is completed";
/// The lines of a worker that has a task's scan in its hands.
const WITH_SCAN: [&str; 3] = [
    "the scan was created",
    "a scan of the task exists on the scanner and is adopted",
    "the scanner reports another state of the scan",
];

/// What the logs say about a task.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    /// How often a worker said that it has completed it.
    pub(crate) completed: usize,
    /// The claims whose holders had its scan in their hands.
    holders: BTreeSet<u64>,
}

impl Logged {
    /// How often another claim took the task's scan over.
    pub(crate) fn adopted(&self) -> usize {
        self.holders.len().saturating_sub(1)
    }
}

/// Reads all logs of a deployment.
pub(crate) fn gather(directory: &Path) -> BTreeMap<String, Logged> {
    let mut tasks: BTreeMap<String, Logged> = BTreeMap::new();
    for (_, log) in files_below(&directory.join("logs")) {
        // A line that a kill cut off is no JSON.
        for line in String::from_utf8_lossy(&log).lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let (Some(message), Some(task)) = (line["message"].as_str(), line["task_id"].as_str()) else {
                continue;
            };
            let logged = tasks.entry(task.to_owned()).or_default();
            logged.completed += usize::from(message == COMPLETED);
            if WITH_SCAN.contains(&message) {
                let fence = &line["fence"];
                logged.holders.extend(fence.as_u64().or_else(|| fence.as_str()?.parse().ok()));
            }
        }
    }
    tasks
}
