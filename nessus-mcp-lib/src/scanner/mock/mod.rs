//! [`MockScanner`]: plays scans without a network, for the demo, for `type: mock` instances and for tests.
//!
//! A scan takes a configured time from launch to completion, less what it is held; its results are made from its
//! targets and are the same in every run. Time is tokio's, so that a test may pause it. Tests can make any operation
//! fail, before it takes effect or after, and read how often what was done.
//!
//! With a directory ([`MockConfig::keep_in`]) scans are kept there too, and the scanners of several processes with the same
//! directory are one.

mod disk;
mod expand;
mod report;
mod run;
mod state;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{io::AsyncWriteExt as _, time::Instant};

pub use self::state::MockOperation;
use self::{
    disk::Disk,
    expand::{MockHost, expand},
    run::{End, Run},
    state::{Fault, State},
};
use super::{
    error::{RequestSent, ScannerError},
    facts::{ScanHost, ScannerProperties},
    interface::{ExportSink, ExportSummary, MarkedScan, ScanRequest, ScanState, ScanStatus, ScannerInterface},
    offer::{ScanBasis, ScanOffer, ScanPolicy},
    permit::{permit_is_valid, request_not_sent},
};
use crate::{
    blocking,
    error::excerpt,
    ids::ScanId,
    login::ScanCredential,
    time::{Clock as _, SystemClock},
};

/// How a [`MockScanner`] behaves.
///
/// ```
/// use std::time::Duration;
/// use nessus_mcp_lib::scanner::{MockConfig, MockScanner};
///
/// let scanner = MockScanner::new(MockConfig::new().scan_duration(Duration::from_secs(3)).hosts_per_range(4));
/// assert_eq!(scanner.creates(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct MockConfig {
    scan_duration: Duration,
    hosts_per_range: usize,
    document: Document,
    stop_duration: Duration,
    directory: Option<PathBuf>,
    policies: Vec<ScanPolicy>,
}

/// Where results come from.
#[derive(Clone)]
enum Document {
    /// Made from the targets.
    Generated,
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generated => f.write_str("Generated"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Default for MockConfig {
    fn default() -> Self {
        Self {
            scan_duration: Duration::from_secs(5),
            hosts_per_range: 16,
            document: Document::Generated,
            stop_duration: Duration::ZERO,
            directory: None,
            policies: Vec::new(),
        }
    }
}

impl MockConfig {
    /// Scans of 5 seconds, with results made from their targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time from launch to completion.
    pub fn scan_duration(mut self, duration: Duration) -> Self {
        self.scan_duration = duration;
        self
    }

    /// The time from a stop to the scan's end; none unless said otherwise.
    pub fn stop_duration(mut self, duration: Duration) -> Self {
        self.stop_duration = duration;
        self
    }

    /// How many hosts of a network or range are found at most; 16 unless said otherwise.
    pub fn hosts_per_range(mut self, hosts: usize) -> Self {
        self.hosts_per_range = hosts;
        self
    }

    /// Keeps scans in this directory as well, so that they outlive the process. Faults and counts are not kept.
    pub fn keep_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Has these policies; none unless said otherwise. A scan by one of them is like any other.
    pub fn policies(mut self, policies: impl Into<Vec<ScanPolicy>>) -> Self {
        self.policies = policies.into();
        self
    }

    /// Exports these bytes, whatever was scanned.
    pub fn export_bytes(mut self, document: impl Into<Vec<u8>>) -> Self {
        self.document = Document::Bytes(document.into().into());
        self
    }

    /// Exports the content of this file, whatever was scanned.
    pub fn export_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.document = Document::File(path.into());
        self
    }
}

/// A scanner that plays.
#[derive(Debug)]
pub struct MockScanner {
    config: MockConfig,
    state: Mutex<State>,
    disk: Option<Disk>,
}

impl MockScanner {
    /// A scanner without scans.
    pub fn new(config: MockConfig) -> Self {
        // A task of an earlier process may still know a scan of its scanner: it must not find somebody else's.
        let first_id = u64::try_from(SystemClock.now().as_millis()).unwrap_or(1);
        let disk = config.directory.clone().map(Disk::new);
        let state = Mutex::new(State::new(first_id, config.policies.clone()));
        Self { config, state, disk }
    }

    /// The next call of `operation` fails with `error` and does nothing. Several calls queue several failures.
    pub fn fail_next(&self, operation: MockOperation, error: ScannerError) {
        self.state().script(operation, Fault::Instead(error));
    }

    /// The next call of `operation` takes effect and fails with `error` all the same, as when the answer is lost.
    pub fn lose_answer(&self, operation: MockOperation, error: ScannerError) {
        self.state().script(operation, Fault::After(error));
    }

    /// The next export has these bytes. Several calls queue several.
    pub fn spoil_next_export(&self, document: impl Into<Vec<u8>>) {
        self.state().spoilt.push_back(document.into());
    }

    /// Tells that the licence left out this many hosts of every scan.
    pub fn leave_out_hosts(&self, hosts: u64) {
        self.state().left_out_hosts = Some(hosts);
    }

    /// Calls that were to fail do not any more.
    pub fn forget_faults(&self) {
        self.state().forget_faults();
    }

    /// Gives the scan up in the scanner's place, for this reason; nothing when there is none or it has ended.
    pub fn abort(&self, scan: &ScanId, reason: impl Into<String>) {
        let (now, whole) = (Instant::now(), self.config.scan_duration);
        if let Some(run) = self.state().scans.get_mut(scan.as_str()).and_then(|scan| scan.run.as_mut()) {
            run.end(now, whole, End::Aborted(reason.into()));
        }
    }

    /// Has other policies from now on.
    pub fn set_policies(&self, policies: impl Into<Vec<ScanPolicy>>) {
        self.state().policies = policies.into();
    }

    /// What the scan with this marker was made of; `None` when there is none.
    pub fn basis_of(&self, marker: &str) -> Option<ScanBasis> {
        let state = self.state();
        let scan = state.scans.values().find(|scan| scan.request.marker == marker)?;
        Some(scan.request.basis.clone())
    }

    /// The login that the scan still holds.
    pub fn credential_of(&self, scan: &ScanId) -> Option<ScanCredential> {
        self.state().scans.get(scan.as_str()).and_then(|scan| scan.request.credential.clone())
    }

    /// How many scans were created.
    pub fn creates(&self) -> u64 {
        self.state().creates.values().sum()
    }

    /// How many scans were created with this marker.
    pub fn creates_of(&self, marker: &str) -> u64 {
        self.state().creates.get(marker).copied().unwrap_or_default()
    }

    /// How many scans were launched.
    pub fn launches(&self) -> u64 {
        self.state().launches.values().sum()
    }

    /// How many times scans with this marker were launched.
    pub fn launches_of(&self, marker: &str) -> u64 {
        self.state().launches.get(marker).copied().unwrap_or_default()
    }

    /// How often the operation was called, failures included.
    pub fn calls(&self, operation: MockOperation) -> u64 {
        self.state().calls.get(&operation).copied().unwrap_or_default()
    }

    /// How many scans run at this moment, held ones included.
    pub fn running(&self) -> usize {
        let (now, whole) = (Instant::now(), self.config.scan_duration);
        let state = self.state();
        let runs = state.scans.values().filter_map(|scan| scan.run.as_ref());
        runs.filter(|run| !run.state(now, whole).is_terminal()).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `action` unless a failure is scripted; a lost answer is told afterwards.
    fn perform<T>(
        &self,
        operation: MockOperation,
        action: impl FnOnce(&mut State) -> Result<T, ScannerError>,
    ) -> Result<T, ScannerError> {
        let mut state = self.state();
        let lost = state.enter(operation)?;
        let outcome = action(&mut state)?;
        lost.map_or(Ok(outcome), Err)
    }

    /// Does something with the files of the scans, where it may block; nothing when scans are not kept.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, ScannerError> {
        let Some(disk) = self.disk.clone() else { return Ok(None) };
        let done = blocking::run(move || work(&disk)).await.and_then(|done| done);
        done.map(Some).map_err(|error| ScannerError::Storage(excerpt(&error.to_string()).to_string()))
    }

    /// Takes over what another process has done with a scan.
    async fn recall(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let (id, hosts) = (scan.clone(), self.config.hosts_per_range);
        if let Some(kept) = self.on_disk(move |disk| disk.read(&id, hosts)).await? {
            let known = &mut self.state().scans;
            let before = known.remove(scan.as_str());
            if let Some(mut kept) = kept {
                if let Some(before) = before {
                    kept.request.credential = before.request.credential;
                    kept.request.basis = before.request.basis;
                }
                known.insert(scan.as_str().to_owned(), kept);
            }
        }
        Ok(())
    }

    /// Recalls all scans that are kept on the disk.
    async fn recall_all(&self) -> Result<(), ScannerError> {
        for scan in self.on_disk(Disk::list).await?.unwrap_or_default() {
            // The marker of a scan does not change, so those that are known need not be read again.
            let is_known = self.state().scans.contains_key(scan.as_str());
            if !is_known {
                self.recall(&scan).await?;
            }
        }
        Ok(())
    }

    /// Writes down where a scan stands.
    async fn keep(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let known = self.state().scans.get(scan.as_str()).cloned();
        if let Some(known) = known {
            let id = scan.clone();
            self.on_disk(move |disk| disk.write(&id, &known)).await?;
        }
        Ok(())
    }

    /// Writes down a new scan, under another id where another process has taken this one.
    async fn keep_new(&self, mut id: ScanId) -> Result<ScanId, ScannerError> {
        loop {
            let (wanted, known) = (id.clone(), self.state().scans.get(id.as_str()).cloned());
            let Some(known) = known else { return Ok(id) };
            match self.on_disk(move |disk| disk.create(&wanted, &known)).await? {
                Some(false) => id = self.state().renumber(&id),
                Some(true) | None => return Ok(id),
            }
        }
    }

    /// Changes a scan that was launched: `change` gets its run and where it stands.
    async fn change(
        &self,
        operation: MockOperation,
        scan: &ScanId,
        change: impl FnOnce(&mut Run, ScanState, Instant) -> Result<(), ScannerError> + Send,
    ) -> Result<(), ScannerError> {
        let whole = self.config.scan_duration;
        self.perform_on(scan, operation, |state| match state.find(scan)?.run.as_mut() {
            Some(run) => {
                let now = Instant::now();
                let stands = run.state(now, whole);
                change(run, stands, now)
            }
            None if matches!(operation, MockOperation::Stop | MockOperation::Kill) => Ok(()),
            None => Err(ScannerError::Conflict(format!("scan {scan} was not launched"))),
        })
        .await
    }

    /// As [`perform`](Self::perform), on a scan that may be kept on the disk and that `action` may change.
    async fn perform_on<T>(
        &self,
        scan: &ScanId,
        operation: MockOperation,
        action: impl FnOnce(&mut State) -> Result<T, ScannerError> + Send,
    ) -> Result<T, ScannerError> {
        self.recall(scan).await?;
        // An answer that is lost says nothing about the effect.
        let outcome = self.perform(operation, action);
        self.keep(scan).await?;
        outcome
    }
}

/// What an export needs, taken out of the state so that nothing is held while it is written.
struct Export {
    name: String,
    targets: String,
    hosts: Vec<MockHost>,
    lost: Option<ScannerError>,
}

#[async_trait]
impl ScannerInterface for MockScanner {
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError> {
        let hosts = expand(&request.targets, self.config.hosts_per_range);
        let mut created = None;
        let outcome = self.perform(MockOperation::Create, |state| {
            // As a scanner of its own would, before it gets anything to do.
            state.offer().check(&request.basis).inspect_err(|_| request_not_sent())?;
            in_time(MockOperation::Create)?;
            created = Some(state.create(request, hosts));
            Ok(())
        });
        let kept = match created {
            Some(id) => Some(self.keep_new(id).await?),
            None => None,
        };
        outcome?;
        kept.ok_or_else(|| ScannerError::NotReady("no scan was created".to_owned()))
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        let whole = self.config.scan_duration;
        self.perform_on(scan, MockOperation::Launch, |state| {
            in_time(MockOperation::Launch)?;
            let now = Instant::now();
            let known = state.find(scan)?;
            if known.run.as_ref().is_some_and(|run| !run.state(now, whole).is_terminal()) {
                return Err(ScannerError::Conflict(format!("scan {scan} is running")));
            }
            known.runs += 1;
            let uuid = format!("mock-run-{scan}-{}", known.runs);
            known.run = Some(Run::new(uuid.clone(), now));
            let marker = known.request.marker.clone();
            *state.launches.entry(marker).or_default() += 1;
            Ok(Some(uuid))
        })
        .await
    }

    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError> {
        let whole = self.config.scan_duration;
        self.recall(scan).await?;
        self.perform(MockOperation::Status, |state| {
            let scan = state.find(scan)?;
            let mut status = scan.run.as_ref().map_or_else(
                || ScanStatus::new(ScanState::Created),
                |run| run.status(Instant::now(), whole, scan.hosts.len()),
            );
            status.left_out_hosts = state.left_out_hosts;
            Ok(status)
        })
    }

    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError> {
        let whole = self.config.scan_duration;
        self.recall(scan).await?;
        let (export, spoilt) = {
            let mut state = self.state();
            let lost = state.enter(MockOperation::Export)?;
            let spoilt = state.spoilt.pop_front().map(|bytes| Document::Bytes(bytes.into()));
            let known = state.find(scan)?;
            let now = Instant::now();
            let run = known.run.as_ref().filter(|run| run.state(now, whole).is_terminal());
            let Some(run) = run else {
                return Err(ScannerError::Conflict(format!("scan {scan} has not ended")));
            };
            // A scan that was stopped knows the hosts it got to.
            let hosts = known.hosts.iter().take(run.hosts(now, whole, known.hosts.len())).cloned().collect();
            let (name, targets) = (known.request.scan_name(), known.request.targets.clone());
            (Export { name, targets, hosts, lost }, spoilt)
        };
        let bytes = write(spoilt.as_ref().unwrap_or(&self.config.document), &export, sink)
            .await
            .map_err(|error| ScannerError::Storage(excerpt(&error.to_string()).to_string()))?;
        export.lost.map_or(Ok(ExportSummary::new(bytes)), Err)
    }

    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let (whole, takes) = (self.config.scan_duration, self.config.stop_duration);
        self.change(MockOperation::Stop, scan, |run, _, now| {
            run.stop(now, whole, takes);
            Ok(())
        })
        .await
    }

    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let whole = self.config.scan_duration;
        self.change(MockOperation::Kill, scan, |run, _, now| {
            run.kill(now, whole);
            Ok(())
        })
        .await
    }

    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.change(MockOperation::Pause, scan, |run, stands, now| {
            if !stands.is_terminal() {
                run.hold(now);
            }
            Ok(())
        })
        .await
    }

    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.change(MockOperation::Resume, scan, |run, stands, now| {
            if stands == ScanState::Paused {
                run.go_on(now);
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let whole = self.config.scan_duration;
        self.recall(scan).await?;
        let outcome = self.perform(MockOperation::Delete, |state| {
            let run = state.scans.get(scan.as_str()).and_then(|scan| scan.run.as_ref());
            if run.is_some_and(|run| !run.state(Instant::now(), whole).is_terminal()) {
                return Err(ScannerError::Conflict(format!("scan {scan} is running")));
            }
            state.scans.remove(scan.as_str());
            Ok(())
        });
        if !self.state().scans.contains_key(scan.as_str()) {
            let id = scan.clone();
            self.on_disk(move |disk| disk.remove(&id)).await?;
        }
        outcome
    }

    async fn trash(&self, _scan: &ScanId) -> Result<(), ScannerError> {
        Err(ScannerError::Unsupported("a trash"))
    }

    async fn forget_credentials(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let whole = self.config.scan_duration;
        self.recall(scan).await?;
        self.perform(MockOperation::ForgetCredentials, |state| {
            let known = state.find(scan)?;
            if known.run.as_ref().is_some_and(|run| !run.state(Instant::now(), whole).is_terminal()) {
                return Err(ScannerError::Conflict(format!("scan {scan} is running")));
            }
            known.request.credential = None;
            Ok(())
        })
    }

    async fn hosts(&self, _scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError> {
        Err(ScannerError::Unsupported("the hosts of a scan"))
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        self.recall_all().await?;
        self.perform(MockOperation::FindByMarker, |state| state.find_by_marker(marker))
    }

    async fn marked_scans(&self) -> Result<Vec<MarkedScan>, ScannerError> {
        self.recall_all().await?;
        self.perform(MockOperation::MarkedScans, |state| Ok(state.marked_scans()))
    }

    async fn offer(&self) -> Result<ScanOffer, ScannerError> {
        self.perform(MockOperation::Offer, |state| Ok(state.offer()))
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        self.perform(MockOperation::Properties, |_| {
            Ok(ScannerProperties {
                product: Some("Mock scanner".to_owned()),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                plugin_set: Some("202511200505".to_owned()),
                ..ScannerProperties::default()
            })
        })
    }

    async fn close(&self) {}
}

/// Refuses what would change something for a worker that comes too late.
fn in_time(operation: MockOperation) -> Result<(), ScannerError> {
    if permit_is_valid() {
        return Ok(());
    }
    let message = "it came too late to be done".to_owned();
    Err(ScannerError::Transport { call: format!("{operation:?}"), message, sent: RequestSent::No })
}

/// Writes the document host by host, so that memory does not grow with the number of hosts.
async fn write(document: &Document, export: &Export, sink: &mut ExportSink) -> std::io::Result<u64> {
    let bytes = match document {
        Document::Bytes(bytes) => {
            sink.write_all(bytes).await?;
            bytes.len() as u64
        }
        Document::File(path) => tokio::io::copy(&mut tokio::fs::File::open(path).await?, sink).await?,
        Document::Generated => {
            let mut written = 0;
            let hosts = export.hosts.iter().map(|host| report::host(&export.name, host));
            let head = std::iter::once(report::head(&export.name, &export.targets));
            for part in head.chain(hosts).chain(std::iter::once(report::foot().to_owned())) {
                sink.write_all(part.as_bytes()).await?;
                written += part.len() as u64;
            }
            written
        }
    };
    sink.flush().await?;
    Ok(bytes)
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod tests;
