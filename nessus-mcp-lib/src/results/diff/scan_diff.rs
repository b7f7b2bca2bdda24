//! Two exports, read and compared.

use std::io::{Read, Seek};

use super::{
    compare::{self, Outcome},
    outputs,
};
use crate::results::{error::ResultsError, judge::LoginExpected};

/// Two scans compared.
///
/// ```
/// use std::io::Cursor;
/// use nessus_mcp_lib::results::{DEFAULT_CHARS, ScanDiff};
///
/// let scan = |items: &str| format!("<NessusClientData_v2><Report><ReportHost name='h'>
///     <ReportItem severity='0' pluginID='1' port='0'/>{items}</ReportHost></Report></NessusClientData_v2>");
/// let before = scan("<ReportItem severity='3' pluginID='900001' port='443' protocol='tcp'/>");
/// let after = scan("");
/// let view = ScanDiff::read(Cursor::new(before), Cursor::new(after))?.view(DEFAULT_CHARS);
/// assert_eq!((view.counts.fixed.high, view.counts.new.total()), (1, 0));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
#[derive(Debug)]
pub struct ScanDiff {
    pub(super) outcome: Outcome,
}

impl ScanDiff {
    /// Reads two whole exports, from their first bytes on: of the earlier and of the later scan.
    ///
    /// # Errors
    /// When one of them is not a complete .nessus export of version 2.
    pub fn read<B: Read + Seek, A: Read + Seek>(before: B, after: A) -> Result<Self, ResultsError> {
        Self::read_as(before, LoginExpected::NotSaid, after, LoginExpected::NotSaid)
    }

    /// As [`ScanDiff::read`], knowing whether the scans were to log in.
    pub fn read_as<B: Read + Seek, A: Read + Seek>(
        before: B,
        before_login: LoginExpected,
        after: A,
        after_login: LoginExpected,
    ) -> Result<Self, ResultsError> {
        Ok(Self { outcome: compare::compare((before, before_login), (after, after_login))? })
    }

    /// Reads the same two exports once more, to show what changed in the outputs of the findings that are listed.
    ///
    /// # Errors
    /// As [`ScanDiff::read`].
    pub fn read_outputs<B: Read, A: Read>(&mut self, before: B, after: A) -> Result<(), ResultsError> {
        outputs::read_parts(&mut self.outcome, before, after)
    }
}
