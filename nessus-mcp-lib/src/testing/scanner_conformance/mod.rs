//! What every [`ScannerInterface`] must do, as checks that panic where it does not.
//!
//! Implement [`ScannerHarness`] for the scanner, then make a test of each check:
//!
//! ```text
//! nessus_mcp_lib::scanner_conformance_tests!(MyHarness::start());
//! ```
//!
//! The argument is an expression that makes a future of a harness; it runs once for every check. The macro needs
//! `tokio` with `macros` and `rt-multi-thread` in the calling crate. [`run_all`] does the same inside one test.
//!
//! The scans of a harness should take from half a second to a few seconds: long enough to be stopped and held, short
//! enough to be waited for. Checks wait for what must come, for a minute at the most, and measure no time. What a scanner
//! cannot do it answers with [`ScannerError::Unsupported`](crate::scanner::ScannerError::Unsupported), which is accepted for
//! `pause`, `resume`, `offer` and `marked_scans`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]

mod exports;
mod faults;
mod life;
mod markers;
mod offers;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{exports::*, faults::*, life::*, markers::*, offers::*};
use crate::{
    ids::ScanId,
    scanner::{ScanRequest, ScanState, ScanStatus, ScannerInterface},
};

/// A scanner under test.
#[async_trait]
pub trait ScannerHarness: Send + Sync {
    /// The scanner; without scans at first, and the same each time.
    fn scanner(&self) -> Arc<dyn ScannerInterface>;

    /// What a scan takes as targets, in the notation of [`crate::targets::TargetSet`]. The first address is of IPv4, and it and the four
    /// behind it are scanned too.
    fn targets(&self) -> String {
        "192.0.2.1-192.0.2.3".to_owned()
    }

    /// How often a scan with this marker was created and launched, as the scanner's own side has counted; `None` where
    /// nobody counts.
    async fn counted(&self, marker: &str) -> Option<Counted> {
        let _ = marker;
        None
    }

    /// A scanner of the same kind whose other side cannot be reached; `None` for one that has no other side.
    async fn unreachable(&self) -> Option<Arc<dyn ScannerInterface>> {
        None
    }
}

/// What the scanner's own side has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Scans that were created.
    pub creates: u64,
    /// Launches.
    pub launches: u64,
}

impl Counted {
    /// These counts.
    pub const fn new(creates: u64, launches: u64) -> Self {
        Self { creates, launches }
    }
}

/// Makes a `#[tokio::test]` of every check; the argument is an expression for a future of a [`ScannerHarness`].
#[macro_export]
macro_rules! scanner_conformance_tests {
    (@each tests ($harness:expr) $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let harness = $harness.await;
                $crate::testing::scanner_conformance::$check(&harness).await;
            }
        )*
    };
    (@each calls ($harness:expr) $($check:ident)*) => {
        $( $crate::testing::scanner_conformance::$check(&$harness.await).await; )*
    };
    (@all $what:ident $harness:tt) => {
        $crate::scanner_conformance_tests! { @each $what $harness
            a_scan_is_created_once_and_not_launched
            a_scan_is_found_by_its_whole_marker
            a_long_name_does_not_hide_the_marker
            of_two_scans_with_one_marker_neither_is_taken
            scans_with_a_marker_are_listed
            what_is_offered_can_be_scanned_with
            what_is_not_offered_creates_nothing
            a_scan_runs_to_its_end
            a_running_scan_is_not_launched_again
            a_scan_is_stopped
            a_scan_is_held_and_goes_on
            what_does_not_exist_is_not_found
            a_deleted_scan_is_gone
            a_running_scan_is_not_deleted
            an_export_is_whole_and_can_be_repeated
            every_target_is_one_host_of_the_export
            a_running_scan_is_not_exported
            a_sink_that_fails_is_told_from_a_scanner_that_does
            a_scanner_out_of_reach_is_retryable_and_has_not_acted
            nothing_is_created_or_launched_too_late
            many_tasks_share_a_scanner
            a_dropped_call_breaks_nothing
            a_closed_scanner_can_be_used_again
            a_scanner_says_what_it_is
        }
    };
    ($harness:expr) => { $crate::scanner_conformance_tests! { @all tests ($harness) } };
}

/// Runs every check, each with a fresh harness.
///
/// # Panics
/// When a check fails.
pub async fn run_all<H, F>(fresh: impl Fn() -> F)
where
    H: ScannerHarness,
    F: Future<Output = H>,
{
    crate::scanner_conformance_tests! { @all calls (fresh()) }
}

/// The marker of the numbered task.
fn marker(number: u32) -> String {
    format!("ne_ness_20251201_143022_{number:08x}")
}

fn request(harness: &dyn ScannerHarness, number: u32) -> ScanRequest {
    ScanRequest::new(marker(number), "conformance", harness.targets())
}

/// A scan that was created.
async fn created(harness: &dyn ScannerHarness, number: u32) -> ScanId {
    harness.scanner().create(&request(harness, number)).await.expect("a scan is created")
}

/// A scan that was launched and has not ended.
async fn launched(harness: &dyn ScannerHarness, number: u32) -> ScanId {
    let scan = created(harness, number).await;
    harness.scanner().launch(&scan).await.expect("a created scan is launched");
    scan
}

/// A scan that has completed.
async fn completed(harness: &dyn ScannerHarness, number: u32) -> ScanId {
    let scan = launched(harness, number).await;
    let status = reached(harness, &scan, ScanState::is_terminal).await;
    assert_eq!(status.state, ScanState::Completed, "{status:?}");
    scan
}

/// Waits until the scan is in such a state.
async fn reached(harness: &dyn ScannerHarness, scan: &ScanId, wanted: impl Fn(ScanState) -> bool) -> ScanStatus {
    let scanner = harness.scanner();
    for _ in 0..1200 {
        let status = scanner.status(scan).await.expect("a scan that exists has a status");
        if wanted(status.state) {
            return status;
        }
        assert!(!status.state.is_terminal(), "it ended before: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the scan does not get there: {:?}", scanner.status(scan).await);
}

/// Asserts what the scanner's own side has counted, where it counts.
async fn assert_counted(harness: &dyn ScannerHarness, number: u32, creates: u64, launches: u64) {
    if let Some(counted) = harness.counted(&marker(number)).await {
        assert_eq!(counted, Counted::new(creates, launches));
    }
}
