//! What the scanner was asked to do: the evidence for "one create and one launch".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::credentials::SentCredential;

/// What the scanner has seen since it started; `GET /stats` on the control port answers it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stats {
    /// Scans created, by name; a deleted scan stays counted.
    pub creates: BTreeMap<String, u64>,
    /// Launches, by the scan's name.
    pub launches: BTreeMap<String, u64>,
    /// All creates.
    pub total_creates: u64,
    /// All launches.
    pub total_launches: u64,
    /// Runs stopped or killed.
    pub stops: u64,
    /// Scans deleted.
    pub deletes: u64,
    /// Exports requested.
    pub exports: u64,
    /// Export files handed out.
    pub downloads: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins refused.
    pub failed_logins: u64,
    /// Sessions ended by their owner.
    pub logouts: u64,
    /// Sessions open now.
    pub sessions: u64,
    /// Scans on the scanner now.
    pub scans: u64,
    /// Runs that have not ended: from pending to stopping, paused ones included.
    pub running: u64,
    /// The most runs that had not ended at one time.
    pub max_running: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Requests, by method and kind of path, as in `POST /scans/*/launch`; those to no endpoint as `other`.
    pub calls: BTreeMap<String, u64>,
    /// The credentials that were sent, by the scan's name, secrets included.
    pub credentials: BTreeMap<String, Vec<SentCredential>>,
    /// What scans were made of, by their names.
    pub made_of: BTreeMap<String, MadeOf>,
    /// How often each fault has struck, by name.
    pub faults: BTreeMap<String, u64>,
}

/// What a scan was made of, and where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MadeOf {
    /// The name of the template.
    pub template: String,
    /// The name of the policy.
    pub policy: Option<String>,
    /// The id of the scanner.
    pub scanner_id: u64,
}

impl Stats {
    pub(super) fn count_create(&mut self, name: &str) {
        self.total_creates += 1;
        *self.creates.entry(name.to_owned()).or_default() += 1;
    }

    /// `running` includes the run that was just launched.
    pub(super) fn count_launch(&mut self, name: &str, running: usize) {
        self.total_launches += 1;
        *self.launches.entry(name.to_owned()).or_default() += 1;
        self.max_running = self.max_running.max(as_u64(running));
    }

    pub(super) fn count_call(&mut self, name: &str) {
        match self.calls.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.calls.insert(name.to_owned(), 1)),
        }
    }
}

pub(super) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
