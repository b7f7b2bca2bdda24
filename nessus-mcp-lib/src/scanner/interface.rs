//! The contract between the worker and a scanner.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    error::ScannerError,
    facts::{ScanHost, ScannerProperties},
    offer::{ScanBasis, ScanOffer},
};
use crate::{
    ids::{ScanId, TaskId},
    login::ScanCredential,
};

/// What to scan and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanRequest {
    /// The text by which [`ScannerInterface::find_by_marker`] finds the scan again: the task id.
    pub marker: String,
    /// The name a person gave; the scan's name on the scanner is made of it and the marker.
    pub name: String,
    /// Free text; may be empty.
    pub description: String,
    /// The targets, comma separated, in the normal form of [`TargetSet`](crate::targets::TargetSet): each is a single address, a range
    /// `first-last`, a network `address/bits` or a host name, and none overlaps or touches another. What was asked for as
    /// `192.0.2.8-192.0.2.9` is `192.0.2.8/31` here. [`TargetSet::addresses`](crate::targets::TargetSet::addresses) and
    /// [`names`](crate::targets::TargetSet::names) tell the hosts one by one.
    pub targets: String,
    /// The same, with `name[address]` for the addresses of each host name that was asked for. A scanner that takes this form
    /// may use it to know the names, and must not resolve them again. `None` where no names were checked.
    pub named_targets: Option<String>,
    /// What it is made of.
    pub basis: ScanBasis,
    /// Whether it may log in on the targets: with `credential`, else with what a policy has of its own.
    pub logs_in: bool,
    /// What the scanner logs in to the targets with; `None` for a scan from the network only, and for one that logs in with the
    /// credentials of its policy.
    pub credential: Option<ScanCredential>,
}

impl ScanRequest {
    /// A request with the scanner's basic template and no description.
    pub fn new(marker: impl Into<String>, name: impl Into<String>, targets: impl Into<String>) -> Self {
        Self {
            marker: marker.into(),
            name: name.into(),
            description: String::new(),
            targets: targets.into(),
            named_targets: None,
            basis: ScanBasis::default(),
            logs_in: false,
            credential: None,
        }
    }

    /// The scan's name on the scanner: the given name, then the marker in brackets.
    ///
    /// The given name is cut so that the whole has at most [`MAX_SCAN_NAME_CHARS`] characters.
    pub fn scan_name(&self) -> String {
        let suffix = bracketed(&self.marker);
        let longest = MAX_SCAN_NAME_CHARS.saturating_sub(suffix.chars().count() + 1);
        let cut =
            self.name.trim().char_indices().nth(longest).map_or(self.name.trim(), |(end, _)| &self.name.trim()[..end]);
        match cut.trim_end() {
            "" => suffix,
            name => format!("{name} {suffix}"),
        }
    }
}

/// The most characters of a scan's name: Nessus refuses longer ones.
pub const MAX_SCAN_NAME_CHARS: usize = 255;

/// Whether a scan's name is one that [`ScanRequest::scan_name`] makes for this marker.
///
/// Only the end counts: a person may call a scan after another task's marker, and must not get hold of its scan so.
pub(crate) fn name_carries(name: &str, marker: &str) -> bool {
    name.trim_end().ends_with(&bracketed(marker))
}

/// The task whose marker stands at the end of a scan's name.
fn task_in(name: &str) -> Option<TaskId> {
    let (_, marker) = name.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let attempt = |(task_id, attempt): (&str, &str)| {
        attempt.bytes().all(|byte| byte.is_ascii_digit()).then(|| TaskId::new(task_id).ok()).flatten()
    };
    TaskId::new(marker).ok().or_else(|| marker.rsplit_once('.').and_then(attempt))
}

fn bracketed(marker: &str) -> String {
    format!("[{marker}]")
}

/// A scan whose name ends with the id of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MarkedScan {
    /// Its id on the scanner.
    pub scan_id: ScanId,
    /// The task that its name says it is of.
    pub task_id: TaskId,
}

impl MarkedScan {
    /// A scan that is said to be of a task.
    pub const fn new(scan_id: ScanId, task_id: TaskId) -> Self {
        Self { scan_id, task_id }
    }

    /// A scan of this name, if that ends so.
    pub fn of_name(scan_id: ScanId, name: &str) -> Option<Self> {
        task_in(name).map(|task_id| Self { scan_id, task_id })
    }
}

/// Where a scan stands on its scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScanState {
    /// It exists and was never launched.
    Created,
    /// It was launched and waits for the scanner.
    Pending,
    /// It runs.
    Running,
    /// It is held; it may stay so for ever.
    Paused,
    /// It is being stopped.
    Stopping,
    /// It has ended and its results are whole.
    Completed,
    /// It was stopped; what it found so far can be exported.
    Cancelled,
    /// The scanner gave it up.
    Aborted,
    /// The scanner uses a word this library does not know: keep polling, it is not an end.
    Unknown,
}

impl ScanState {
    /// The word in `task.json` and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the scan will not change any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Aborted)
    }
}

/// Progress and state of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanStatus {
    /// Where it stands.
    pub state: ScanState,
    /// 0 to 100; `None` when the scanner does not tell (yet). 100 only when completed.
    pub progress: Option<u8>,
    /// How many hosts the scanner has results for; `None` when it does not tell.
    pub hosts: Option<u64>,
    /// How many of these it is done with; `None` when it does not tell.
    pub hosts_done: Option<u64>,
    /// How many of the targets' hosts the scanner's licence did not allow to be scanned; `None` when it does not tell.
    pub left_out_hosts: Option<u64>,
    /// The scanner's name for this run of the scan.
    pub run_uuid: Option<String>,
    /// The scanner's own words: its status text, or the reason of an abort.
    pub detail: Option<String>,
}

impl ScanStatus {
    /// A status of which only the state is known.
    pub const fn new(state: ScanState) -> Self {
        Self {
            state,
            progress: None,
            hosts: None,
            hosts_done: None,
            left_out_hosts: None,
            run_uuid: None,
            detail: None,
        }
    }
}

/// What an export contained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportSummary {
    /// Bytes written.
    pub bytes: u64,
    /// The SHA-256 of these bytes in lower case hexadecimal; `None` when nobody has computed it.
    pub sha256: Option<String>,
}

impl ExportSummary {
    /// An export of this many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self { bytes, sha256: None }
    }

    /// With the SHA-256 of its bytes, in lower case hexadecimal.
    pub fn sha256(mut self, hash: impl Into<String>) -> Self {
        self.sha256 = Some(hash.into());
        self
    }
}

/// A writer that can begin again, so that a download that breaks off need not be the caller's affair.
#[async_trait]
pub trait RestartableWrite: AsyncWrite + Send + Unpin {
    /// Throws away everything that was written.
    async fn restart(&mut self) -> std::io::Result<()>;
}

#[async_trait]
impl RestartableWrite for Vec<u8> {
    async fn restart(&mut self) -> std::io::Result<()> {
        self.clear();
        Ok(())
    }
}

#[async_trait]
impl RestartableWrite for tokio::fs::File {
    async fn restart(&mut self) -> std::io::Result<()> {
        // What is still on its way into the file must not arrive after it was emptied.
        self.flush().await?;
        self.set_len(0).await?;
        self.rewind().await.map(drop)
    }
}

/// Where an export is written to: an open file, a `Vec<u8>`, or any other [`RestartableWrite`] without borrowed parts.
pub type ExportSink = dyn RestartableWrite;

/// A vulnerability scanner. One value serves many tasks at once and lives as long as the process.
///
/// Implementors guarantee:
/// - No method launches a scan but [`launch`](Self::launch), and no method creates one but [`create`](Self::create).
/// - `create` and `launch` are attempted once a call: a request whose outcome is unclear is not repeated blindly.
///   The caller reconciles with [`find_by_marker`](Self::find_by_marker) and [`status`](Self::status).
/// - Errors are classified: what may succeed later is retryable ([`Classified`](crate::error::Classified)), a refused
///   login is not. No message carries a password, token or cookie.
/// - Dropping a returned future stops the call; the scan on the scanner goes on.
///
/// The suite in `testing::scanner_conformance` (feature `testing`) checks all of this.
///
/// No method has a default: whoever wraps a scanner would lose it without a word. A wrapper that changes only some methods
/// implements [`ScannerDecorator`](super::ScannerDecorator) instead, which passes on all others. What a scanner cannot do it answers with
/// [`ScannerError::Unsupported`], where the method says so.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait ScannerInterface: Send + Sync + std::fmt::Debug {
    /// Creates a scan that can be found by its marker, and does not launch it.
    ///
    /// # Errors
    /// [`ScannerError::Unsupported`] when the request has a credential or a policy and the scanner cannot use it; those of
    /// [`ScanOffer::check`] when the scanner does not have what the scan is to be made of. Nothing was created then.
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError>;

    /// Launches a created scan; returns the scanner's name for the run, if it has one.
    ///
    /// # Errors
    /// [`ScannerError::Conflict`] when it runs already.
    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError>;

    /// The scan's state and progress.
    ///
    /// # Errors
    /// [`ScannerError::NotFound`] when the scanner does not have it (any more).
    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError>;

    /// Writes the scan's results as a .nessus document (version 2) into `sink`, flushed and checked for completeness.
    ///
    /// The sink is restarted when the scanner breaks off on the way and is asked again. After an error it may hold a
    /// part; the caller throws it away.
    ///
    /// # Errors
    /// [`ScannerError::Conflict`] while the scan is active, [`ScannerError::Truncated`] for an incomplete document,
    /// [`ScannerError::ExportLost`] when the scanner answers and does not manage to give one, [`ScannerError::Licence`]
    /// when the licence allows no exports, [`ScannerError::Storage`] when the sink fails.
    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError>;

    /// Asks the scanner to stop the scan; it may take minutes. Fine when the scan is not active.
    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Asks the scanner to end the scan at once, after a [`stop`](Self::stop) that takes too long. Fine when the scan is not
    /// active. A scanner that knows no other way stops it once more.
    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Asks the scanner to hold the scan.
    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Asks the scanner to go on with a held scan.
    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Deletes the scan and its results on the scanner. Fine when it is gone already.
    ///
    /// # Errors
    /// [`ScannerError::Conflict`] while the scan is active.
    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Moves the scan to the scanner's trash, where [`find_by_marker`](Self::find_by_marker) does not see it.
    ///
    /// # Errors
    /// [`ScannerError::Unsupported`] when the scanner has none.
    async fn trash(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// Removes the login from a scan that has ended, so that its secrets do not stay on the scanner. Fine when there is
    /// none, as always on a scanner that takes no [`ScanRequest::credential`].
    ///
    /// # Errors
    /// [`ScannerError::Conflict`] while the scan is active.
    async fn forget_credentials(&self, scan: &ScanId) -> Result<(), ScannerError>;

    /// The hosts the scan has results for, with their counts: also where an export is not allowed.
    ///
    /// # Errors
    /// [`ScannerError::Unsupported`] for a scanner that cannot tell.
    async fn hosts(&self, scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError>;

    /// The scan that was created with `marker`, deleted ones left out.
    ///
    /// On a scanner with free scan names it is the one whose name ends with the marker in brackets.
    ///
    /// # Errors
    /// [`ScannerError::AmbiguousMarker`] when there are several.
    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError>;

    /// The scans whose name ends with the id of a task in brackets, be it one of another deployment; deleted ones left out.
    ///
    /// # Errors
    /// [`ScannerError::Unsupported`] for a scanner that cannot tell.
    async fn marked_scans(&self) -> Result<Vec<MarkedScan>, ScannerError>;

    /// What scans can be made of on this scanner, as it stands now.
    ///
    /// # Errors
    /// [`ScannerError::Unsupported`] for a scanner that cannot tell: what it does not have is then refused by
    /// [`create`](Self::create).
    async fn offer(&self) -> Result<ScanOffer, ScannerError>;

    /// What the scanner tells about itself: its `product` at least. Fails when it cannot be reached or is not ready to scan.
    async fn properties(&self) -> Result<ScannerProperties, ScannerError>;

    /// Releases what is held on the scanner, such as a login session. The value may be used again afterwards, and then
    /// logs in again, also when its login was refused before.
    async fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

    #[test]
    fn a_long_name_is_cut_and_the_marker_stays_whole() {
        for name in ["", " ", "nightly", &"x".repeat(255), &"ü".repeat(400), &"日本 ".repeat(100)] {
            let full = ScanRequest::new(MARKER, name, "192.0.2.1").scan_name();
            assert!(full.chars().count() <= MAX_SCAN_NAME_CHARS, "{full}");
            assert!(full.ends_with(&format!("[{MARKER}]")), "{full}");
            assert!(name_carries(&full, MARKER));
            assert!(full.starts_with(name.trim().chars().next().unwrap_or('[')), "{full}");
        }
        let short = ScanRequest::new(MARKER, "nightly", "192.0.2.1").scan_name();
        assert_eq!(short, format!("nightly [{MARKER}]"));
        let full = ScanRequest::new(MARKER, "x".repeat(400), "192.0.2.1").scan_name();
        assert_eq!(full.chars().count(), MAX_SCAN_NAME_CHARS);
    }

    #[tokio::test]
    async fn a_restarted_sink_holds_only_what_comes_after() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut open = tokio::fs::File::create(file.path()).await.unwrap();
        let mut memory = Vec::new();
        for sink in [&mut open as &mut ExportSink, &mut memory] {
            sink.write_all(&vec![b'x'; 100_000]).await.unwrap();
            sink.restart().await.unwrap();
            sink.write_all(b"whole").await.unwrap();
            sink.flush().await.unwrap();
        }
        assert_eq!(std::fs::read(file.path()).unwrap(), b"whole");
        assert_eq!(memory, b"whole");
    }

    #[test]
    fn a_marker_longer_than_a_name_is_not_cut() {
        let marker = "m".repeat(300);
        assert_eq!(ScanRequest::new(marker.as_str(), "name", "").scan_name(), format!("[{marker}]"));
    }

    #[test]
    fn the_task_in_a_name_is_the_one_at_its_end() {
        for (name, task) in [
            (format!("nightly [{MARKER}]"), Some(MARKER)),
            (format!("nightly [{MARKER}.12] "), Some(MARKER)),
            (format!("[{MARKER}]"), Some(MARKER)),
            (format!("[ne_x_20200101_000000_00000000] [{MARKER}]"), Some(MARKER)),
            (format!("nightly [{MARKER}] copy"), None),
            (format!("nightly [{MARKER}.x]"), None),
            (format!("nightly {MARKER}"), None),
            ("nightly [first]".to_owned(), None),
            (String::new(), None),
        ] {
            let found = task_in(&name).map(|task_id| task_id.to_string());
            assert_eq!(found.as_deref(), task, "{name}");
        }
    }

    #[test]
    fn a_name_that_mentions_another_marker_does_not_carry_it() {
        let name = ScanRequest::new("ne_x_2", format!("report of [{MARKER}]"), "").scan_name();
        assert!(!name_carries(&name, MARKER));
        assert!(name_carries(&name, "ne_x_2"));
        assert!(!name_carries(&name, "x_2"));
    }
}
