//! What became of the tasks of a bad hour.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use nessus_mcp_tests::binaries;

use crate::hour::Hour;

/// What became of the tasks, and which promises were broken.
#[derive(Debug)]
pub(crate) struct Verdict {
    tasks: usize,
    states: BTreeMap<String, usize>,
    creates: u64,
    launches: u64,
    broken: Vec<String>,
    /// Where logs and data stay when one is.
    files: PathBuf,
}

impl Verdict {
    pub(crate) fn of(hour: &Hour) -> Self {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        let mut broken = Vec::new();
        let scanners: Vec<_> = hour.scanners.iter().map(nessus_mcp_tests::sim::SimulatedNessus::stats).collect();
        for id in &hour.tasks {
            let task = hour.deployment.task(id);
            *states.entry(task.status.to_string()).or_default() += 1;
            if task.status.as_str() != "completed" {
                let (code, message) = (task.error_code.unwrap_or_default(), task.error_message.unwrap_or_default());
                broken.push(format!("{id} is {}: {code} {message}", task.status));
            }
            let count = |counts: &BTreeMap<String, u64>| -> u64 {
                counts.iter().filter(|(name, _)| name.contains(id.as_str())).map(|(_, count)| count).sum()
            };
            let creates: u64 = scanners.iter().map(|stats| count(&stats.creates)).sum();
            let launches: u64 = scanners.iter().map(|stats| count(&stats.launches)).sum();
            if (creates, launches) != (1, 1) {
                broken.push(format!("{id} was created {creates} times and launched {launches} times"));
            }
        }
        let mut distinct = hour.tasks.clone();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != hour.tasks.len() {
            broken.push(format!("{} requests were answered with {} tasks", hour.tasks.len(), distinct.len()));
        }
        let on_disk = hour.deployment.task_directories().len();
        if on_disk != hour.tasks.len() {
            broken.push(format!("{} tasks on the disk, {} submitted", on_disk, hour.tasks.len()));
        }
        for code in hour.codes.iter().filter(|code| **code != Some(0)) {
            broken.push(format!("a process that was told to end did so with {code:?}"));
        }
        let letters = hour.deployment.program(binaries::admin(), &["list-dlq"]).run();
        if letters.stdout != "no dead letters\n" {
            broken.push(format!("there are dead letters: {}{}", letters.stdout, letters.stderr));
        }
        let creates = scanners.iter().map(|stats| stats.total_creates).sum();
        let launches = scanners.iter().map(|stats| stats.total_launches).sum();
        if usize::try_from(creates) != Ok(hour.tasks.len()) {
            broken.push(format!("{creates} scans created for {} tasks", hour.tasks.len()));
        }
        let files = hour.deployment.directory().to_owned();
        Self { tasks: hour.tasks.len(), states, creates, launches, broken, files }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<_> = self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        writeln!(
            f,
            "{} tasks: {}; {} scans created, {} launched",
            self.tasks,
            states.join(", "),
            self.creates,
            self.launches
        )?;
        for line in self.broken.iter().take(40) {
            writeln!(f, "BROKEN: {line}")?;
        }
        if self.broken.is_empty() {
            f.write_str("every task is completed, on one scan")
        } else {
            write!(f, "{} broken promises; logs and data are in {}", self.broken.len(), self.files.display())
        }
    }
}
