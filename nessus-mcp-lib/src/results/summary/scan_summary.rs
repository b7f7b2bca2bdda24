//! An export, read and grouped.

use std::io::{Read, Seek};

use super::{compliance::Checks, groups::Groups};
use crate::results::{
    error::ResultsError,
    judge::{AuthenticationReport, ExportStats, Judge, LoginExpected, Tally},
    xml::{Header, Visit, walk_united},
};

/// What a whole export holds, grouped.
///
/// ```
/// use nessus_mcp_lib::results::{DEFAULT_CHARS, LoginExpected, ScanSummary};
///
/// let export = br#"<NessusClientData_v2><Report><ReportHost name="192.0.2.1">
///     <ReportItem severity="3" pluginID="900001" pluginName="Old" port="443"/></ReportHost></Report></NessusClientData_v2>"#;
/// let summary = ScanSummary::read(std::io::Cursor::new(export), LoginExpected::No)?;
/// let view = summary.view(DEFAULT_CHARS);
/// assert_eq!(view.counts.severity_counts.high, 1);
/// assert_eq!(view.plugins.map(|plugins| plugins.shown[0].hosts), Some(1));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug)]
pub struct ScanSummary {
    pub(super) header: Header,
    pub(super) stats: ExportStats,
    pub(super) authentication: AuthenticationReport,
    pub(super) groups: Groups,
    pub(super) checks: Checks,
}

impl ScanSummary {
    /// Reads a whole export, from its first byte on.
    ///
    /// # Errors
    /// When it is not a complete .nessus export of version 2.
    pub fn read<R: Read + Seek>(input: R, login: LoginExpected) -> Result<Self, ResultsError> {
        let begin = || (Tally::default(), Judge::new(0), Groups::default(), Header::default());
        let (tally, judge, mut groups, header) = walk_united(input, begin, |(tally, judge, groups, header), visit| {
            tally.visit(visit);
            let judgement = judge.visit(visit);
            match visit {
                Visit::HostStart => groups.begin_host(),
                Visit::Item(record) => groups.add(&record),
                Visit::Repeated(_) => {}
                Visit::HostEnd(host) => groups.end_host(host, judgement),
                Visit::End(found) => *header = found.clone(),
            }
        })?;
        groups.sort();
        let checks = Checks::of(std::mem::take(&mut groups.checks));
        let (authentication, _) = judge.finish(login, 1.0);
        Ok(Self { header, stats: tally.finish(), authentication, groups, checks })
    }
}
