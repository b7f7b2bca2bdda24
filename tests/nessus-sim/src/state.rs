//! Everything the scanner remembers between two requests.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    config::{Acknowledgement, SimConfig},
    credentials::Sent,
    files::Exports,
    policies::Policy,
    reply::Reply,
    run::{Pace, Run},
    stats::{Stats, as_u64},
    targets::Expansion,
    templates::Template,
    tokens::{Sessions, fresh_api_token},
    wire::ApiError,
};

/// The folder that deleted scans wait in. Real ids differ by user: clients are to look it up by its type.
pub(super) const TRASH: u64 = 2;
/// The folder of new scans.
pub(super) const MY_SCANS: u64 = 3;

/// The state, shared by the two ports and the handle.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A handler that panicked has failed its test already; the others shall still be able to read the stats.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The scanner's memory.
pub(super) struct State {
    pub(super) config: SimConfig,
    pub(super) api_token: String,
    pub(super) api_keys: Option<(String, String)>,
    pub(super) sessions: Sessions,
    pub(super) scans: BTreeMap<u64, Scan>,
    pub(super) exports: Exports,
    pub(super) sent: Sent,
    pub(super) policies: BTreeMap<u64, Policy>,
    pub(super) counted: Stats,
    pub(super) server_uuid: String,
    pub(super) started: Timestamp,
    /// How far the scanner is ahead of its clock.
    pub(super) ahead: Duration,
    next_id: u64,
}

/// A scan as it was created, and its launches.
pub(super) struct Scan {
    pub(super) id: u64,
    pub(super) template: &'static Template,
    pub(super) template_uuid: String,
    pub(super) policy_id: u64,
    /// The policy that it was made of, as it was then.
    pub(super) policy: Option<Policy>,
    pub(super) scanner_id: u64,
    pub(super) folder_id: u64,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) targets: String,
    pub(super) expansion: Arc<Expansion>,
    /// Whether its schedule is on; says nothing about whether it can be launched.
    pub(super) scheduled: bool,
    pub(super) read: bool,
    pub(super) credentials: Vec<CredentialInstance>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    /// Oldest first.
    pub(super) runs: Vec<Run>,
}

/// A credential of a scan. Secrets are masked when they come in: what is not kept cannot leak.
#[derive(Clone)]
pub(super) struct CredentialInstance {
    pub(super) id: String,
    pub(super) category: String,
    pub(super) kind: String,
    pub(super) fields: serde_json::Map<String, Value>,
}

impl Scan {
    /// The latest run.
    pub(super) fn run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// What the scanner calls the policy of its runs.
    pub(super) fn policy_name(&self) -> &str {
        self.policy.as_ref().map_or(self.template.title, |policy| &policy.name)
    }

    pub(super) fn status(&self) -> &'static str {
        self.run().map_or("empty", |run| run.phase.word())
    }

    pub(super) fn is_active(&self) -> bool {
        self.run().is_some_and(|run| run.phase.is_active())
    }

    /// The run with this history id, or the latest.
    pub(super) fn run_of(&self, history_id: Option<&str>) -> Result<Option<&Run>, ApiError> {
        match history_id {
            None => Ok(self.run()),
            Some(wanted) => self
                .runs
                .iter()
                .find(|run| run.history_id.to_string() == wanted)
                .map(Some)
                .ok_or_else(ApiError::not_found),
        }
    }
}

impl State {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            api_token: config.api_token.clone().unwrap_or_else(fresh_api_token),
            api_keys: config.api_keys.clone(),
            sessions: Sessions::new(config.session_idle),
            scans: BTreeMap::new(),
            exports: Exports::new(config.export_lifetime),
            sent: Sent::default(),
            policies: BTreeMap::new(),
            counted: Stats::default(),
            server_uuid: Uuid::new_v4().to_string(),
            started: config.clock.now(),
            ahead: Duration::ZERO,
            next_id: 4,
            config,
        }
    }

    /// What time it is on the scanner.
    pub(super) fn now(&self) -> Timestamp {
        self.config.clock.now().plus(self.ahead)
    }

    /// Brings every run to where it stands now, and tells what time that is.
    pub(super) fn advance(&mut self) -> Timestamp {
        let now = self.now();
        for run in self.scans.values_mut().filter_map(|scan| scan.runs.last_mut()) {
            run.advance(now);
        }
        now
    }

    /// An id that nothing else has: scans, policies and history entries share the numbers, so that a client that
    /// takes one for the other is found out.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn scan(&self, id: u64) -> Result<&Scan, ApiError> {
        self.scans.get(&id).ok_or_else(ApiError::not_found)
    }

    pub(super) fn scan_mut(&mut self, id: u64) -> Result<&mut Scan, ApiError> {
        self.scans.get_mut(&id).ok_or_else(ApiError::not_found)
    }

    /// How many runs have not ended.
    pub(super) fn active(&self) -> usize {
        self.scans.values().filter(|scan| scan.is_active()).count()
    }

    /// The answer to a request that was done and has nothing to say.
    pub(super) fn done(&self) -> Reply {
        match self.config.acknowledgement {
            Acknowledgement::Empty => Reply::empty(),
            Acknowledgement::Object => Reply::json(&json!({})),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::of(&self.config)
    }

    pub(super) fn rotate_api_token(&mut self) -> String {
        self.api_token = fresh_api_token();
        self.api_token.clone()
    }

    pub(super) fn stats(&mut self) -> Stats {
        let now = self.advance();
        Stats {
            sessions: as_u64(self.sessions.open(now)),
            scans: as_u64(self.scans.len()),
            running: as_u64(self.active()),
            credentials: self.sent.by_scan(),
            ..self.counted.clone()
        }
    }
}

/// Whole seconds since 1970, as every time in the API is written.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}
