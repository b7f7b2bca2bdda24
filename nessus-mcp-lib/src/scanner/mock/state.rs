//! What a mock scanner remembers: its scans, the calls to it, and what it was told to do wrong.

use std::collections::{HashMap, VecDeque};

use super::{expand::MockHost, run::Scan};
use crate::{
    error::excerpt,
    ids::ScanId,
    scanner::{
        error::ScannerError,
        interface::{MarkedScan, ScanRequest, name_carries},
        offer::{ScanOffer, ScanPolicy, ScanTemplate},
    },
};

/// The templates of a mock scanner: some of those of Nessus. All of its scans are alike.
const TEMPLATES: [(&str, &str); 6] = [
    ("basic", "Basic Network Scan"),
    ("advanced", "Advanced Scan"),
    ("discovery", "Host Discovery"),
    ("malware", "Malware Scan"),
    ("webapp", "Web Application Tests"),
    ("patch_audit", "Credentialed Patch Audit"),
];

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    next_id: u64,
    /// By the text of their id.
    pub(super) scans: HashMap<String, Scan>,
    faults: HashMap<MockOperation, VecDeque<Fault>>,
    pub(super) calls: HashMap<MockOperation, u64>,
    /// By marker.
    pub(super) creates: HashMap<String, u64>,
    /// By marker.
    pub(super) launches: HashMap<String, u64>,
    /// What the next exports hold instead of their document.
    pub(super) spoilt: VecDeque<Vec<u8>>,
    pub(super) left_out_hosts: Option<u64>,
    pub(super) policies: Vec<ScanPolicy>,
}

/// An operation of a scanner, for [`MockScanner::fail_next`](super::MockScanner::fail_next) and
/// [`MockScanner::calls`](super::MockScanner::calls).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MockOperation {
    /// [`ScannerInterface::create`](crate::ScannerInterface::create).
    Create,
    /// [`ScannerInterface::launch`](crate::ScannerInterface::launch).
    Launch,
    /// [`ScannerInterface::status`](crate::ScannerInterface::status).
    Status,
    /// [`ScannerInterface::export`](crate::ScannerInterface::export).
    Export,
    /// [`ScannerInterface::stop`](crate::ScannerInterface::stop).
    Stop,
    /// [`ScannerInterface::kill`](crate::ScannerInterface::kill).
    Kill,
    /// [`ScannerInterface::pause`](crate::ScannerInterface::pause).
    Pause,
    /// [`ScannerInterface::resume`](crate::ScannerInterface::resume).
    Resume,
    /// [`ScannerInterface::delete`](crate::ScannerInterface::delete).
    Delete,
    /// [`ScannerInterface::forget_credentials`](crate::ScannerInterface::forget_credentials).
    ForgetCredentials,
    /// [`ScannerInterface::find_by_marker`](crate::ScannerInterface::find_by_marker).
    FindByMarker,
    /// [`ScannerInterface::marked_scans`](crate::ScannerInterface::marked_scans).
    MarkedScans,
    /// [`ScannerInterface::offer`](crate::ScannerInterface::offer).
    Offer,
    /// [`ScannerInterface::properties`](crate::ScannerInterface::properties).
    Properties,
}

/// A failure that waits for its call.
#[derive(Debug)]
pub(super) enum Fault {
    /// Instead of the operation.
    Instead(ScannerError),
    /// After it has taken effect.
    After(ScannerError),
}

impl State {
    pub(super) fn new(first_id: u64, policies: Vec<ScanPolicy>) -> Self {
        Self {
            next_id: first_id,
            scans: HashMap::new(),
            faults: HashMap::new(),
            calls: HashMap::new(),
            creates: HashMap::new(),
            launches: HashMap::new(),
            spoilt: VecDeque::new(),
            left_out_hosts: None,
            policies,
        }
    }

    pub(super) fn script(&mut self, operation: MockOperation, fault: Fault) {
        self.faults.entry(operation).or_default().push_back(fault);
    }

    pub(super) fn forget_faults(&mut self) {
        self.faults.clear();
    }

    /// Counts a call; returns the failure to tell after it has taken effect.
    ///
    /// # Errors
    /// The failure that was scripted to come instead.
    pub(super) fn enter(&mut self, operation: MockOperation) -> Result<Option<ScannerError>, ScannerError> {
        *self.calls.entry(operation).or_default() += 1;
        match self.faults.get_mut(&operation).and_then(VecDeque::pop_front) {
            Some(Fault::Instead(error)) => Err(error),
            Some(Fault::After(error)) => Ok(Some(error)),
            None => Ok(None),
        }
    }

    pub(super) fn offer(&self) -> ScanOffer {
        let template = |(name, title): (&str, &str)| {
            let mut template = ScanTemplate::new(name, format!("mock-template-{name}"));
            template.title = Some(title.to_owned());
            template
        };
        ScanOffer::new(TEMPLATES.map(template).into(), self.policies.clone())
    }

    pub(super) fn create(&mut self, request: &ScanRequest, hosts: Vec<MockHost>) -> ScanId {
        let id = ScanId::from(self.next_id);
        self.next_id += 1;
        *self.creates.entry(request.marker.clone()).or_default() += 1;
        let scan = Scan { request: request.clone(), hosts, runs: 0, run: None };
        self.scans.insert(id.as_str().to_owned(), scan);
        id
    }

    /// Gives a new scan another id: its first is another process's.
    pub(super) fn renumber(&mut self, id: &ScanId) -> ScanId {
        let other = ScanId::from(self.next_id);
        self.next_id += 1;
        if let Some(scan) = self.scans.remove(id.as_str()) {
            self.scans.insert(other.as_str().to_owned(), scan);
        }
        other
    }

    pub(super) fn find(&mut self, scan: &ScanId) -> Result<&mut Scan, ScannerError> {
        let missing = || ScannerError::NotFound(format!("scan {}", excerpt(scan.as_str())));
        self.scans.get_mut(scan.as_str()).ok_or_else(missing)
    }

    pub(super) fn marked_scans(&self) -> Vec<MarkedScan> {
        let marked =
            |(id, scan): (&String, &Scan)| MarkedScan::of_name(ScanId::new(id.as_str()), &scan.request.scan_name());
        self.scans.iter().filter_map(marked).collect()
    }

    pub(super) fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        let carries = |scan: &Scan| name_carries(&scan.request.scan_name(), marker);
        let ids = self.scans.iter().filter(|(_, scan)| carries(scan)).map(|(id, _)| ScanId::new(id.as_str()));
        let mut found: Vec<ScanId> = ids.collect();
        if found.len() > 1 {
            found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            return Err(ScannerError::AmbiguousMarker { marker: marker.to_owned(), scans: found });
        }
        Ok(found.pop())
    }
}
