//! An index that was made, to be asked.

use super::{
    about::{About, ExportIdentity},
    error::IndexError,
    file::{self, Stored},
};
use crate::{
    results::{error::ResultsError, judge::ExportStats, query::Identity, record::Host},
    source::Source,
};

/// An index that fits its export, for [`JsonNlConverter::convert_indexed`](crate::results::JsonNlConverter::convert_indexed).
///
/// ```
/// use std::io::Write;
/// use nessus_mcp_lib::{JsonNlConverter, results::{ExportIndex, Query}, source::Source};
///
/// let mut export = tempfile::tempfile()?;
/// export.write_all(br#"<NessusClientData_v2><Report><ReportHost name="10.0.0.7">
///     <ReportItem severity="3" pluginID="900001" port="443"/></ReportHost></Report></NessusClientData_v2>"#)?;
/// let export = Source::from(export);
/// let file = tempfile::tempfile()?;
/// assert!(ExportIndex::build(&export, &file)?.is_usable);
/// let index = ExportIndex::load(&file.into(), &export)?;
/// let query = Query::builder().filters(r#"{"severity": ">=High"}"#.parse()?).build()?;
/// let summary = JsonNlConverter::new(query).convert_indexed(export, &index, std::io::sink())?;
/// assert_eq!(summary.total_vulnerabilities, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ExportIndex {
    pub(super) about: About,
    pub(super) stored: Stored,
    bytes_kept: usize,
}

impl ExportIndex {
    /// Checks an index and compares it with its export. The index is read again while it is used.
    ///
    /// # Errors
    /// When it is not to be used for this export, and is to be made again.
    pub fn load(index: &Source, export: &Source) -> Result<Self, IndexError> {
        let (stored, about) = Stored::open(index)?;
        let bytes_kept = stored.bytes_kept() + 2 * about.len();
        let about: About = serde_json::from_slice(&about).map_err(|_| IndexError::Damaged)?;
        if !ExportIdentity::of(export, about.export.base)?.fits(&about.export) {
            return Err(IndexError::Stale);
        }
        if !about.is_usable {
            return Err(IndexError::Impossible);
        }
        if stored.row_count() != about.stats.items + about.stats.repeated_items {
            return Err(IndexError::Damaged);
        }
        Ok(Self { about, stored, bytes_kept })
    }

    /// How many items and hosts an index says it has, without looking whether it is to be believed.
    pub(crate) fn extent(index: &Source) -> Option<(u64, u64)> {
        file::extent(index)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes_kept(&self) -> usize {
        self.bytes_kept
    }

    /// Which export it is of.
    pub(crate) fn identity(&self) -> Identity {
        Identity { size: self.about.export.size, hash: self.about.export.hash }
    }

    /// How many items and hosts there are.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.stored.row_count(), self.stored.host_count())
    }

    /// What the export holds.
    pub fn stats(&self) -> &ExportStats {
        &self.about.stats
    }

    /// The host of this number.
    pub(super) fn host(&self, number: u32) -> Result<Host, ResultsError> {
        let mut host = self.stored.host(number)?;
        if let Some(part) = self.about.repeats.as_ref().and_then(|repeats| repeats.part_of(host.begin)) {
            part.set(&mut host);
        }
        Ok(host)
    }
}
