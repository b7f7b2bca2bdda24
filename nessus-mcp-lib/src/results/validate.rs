//! What an export holds, counted.

use std::io::{BufReader, Read};

use serde::{Deserialize, Serialize};

use super::{
    encoding,
    error::ResultsError,
    record::{Record, Severity},
    xml::{ExportReader, Step},
};

/// How many names of hosts without findings are kept.
const NAMES: usize = 20;
/// Bytes read at once.
pub(super) const READ_BYTES: usize = 128 << 10;

/// The number of items of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[non_exhaustive]
pub struct SeverityCounts {
    /// Severity 4.
    pub critical: u64,
    /// Severity 3.
    pub high: u64,
    /// Severity 2.
    pub medium: u64,
    /// Severity 1.
    pub low: u64,
    /// Severity 0.
    pub info: u64,
    /// Items whose severity is missing or no number from 0 to 4.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SeverityCounts {
    fn add(&mut self, severity: Option<Severity>) {
        let count = match severity {
            Some(Severity::Critical) => &mut self.critical,
            Some(Severity::High) => &mut self.high,
            Some(Severity::Medium) => &mut self.medium,
            Some(Severity::Low) => &mut self.low,
            Some(Severity::Info) => &mut self.info,
            None => &mut self.unknown,
        };
        *count += 1;
    }
}

/// What a whole export holds, whatever a query asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExportStats {
    /// `ReportHost` elements.
    pub hosts: u64,
    /// Those without any item: they did not answer, or nothing could be learned.
    pub hosts_without_findings: u64,
    /// The names of the first 20 of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts_without_findings_names: Vec<String>,
    /// `ReportItem` elements.
    pub items: u64,
    /// Those that are outcomes of compliance checks; they have severities too and are in the counts.
    pub compliance_items: u64,
    /// Items by severity.
    pub severity_counts: SeverityCounts,
}

/// Counts while an export is read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stats: ExportStats,
    items_at_host: u64,
}

impl Tally {
    /// Counts one step of `reader`.
    pub(super) fn count<R: std::io::BufRead>(&mut self, step: Step, reader: &ExportReader<R>) {
        match step {
            Step::HostStart => {
                self.stats.hosts += 1;
                self.items_at_host = self.stats.items;
            }
            Step::Item => {
                let record = Record { host: reader.host(), item: reader.item() };
                self.stats.items += 1;
                self.stats.compliance_items += u64::from(record.is_compliance());
                self.stats.severity_counts.add(record.severity());
            }
            Step::HostEnd if self.stats.items == self.items_at_host => {
                self.stats.hosts_without_findings += 1;
                if self.stats.hosts_without_findings_names.len() < NAMES {
                    let name = crate::error::excerpt(&reader.host().name);
                    self.stats.hosts_without_findings_names.push(name.to_string());
                }
            }
            Step::HostEnd | Step::End => {}
        }
    }

    pub(super) fn finish(self) -> ExportStats {
        self.stats
    }
}

/// Reads a whole export and counts what it holds, in memory that does not grow with it.
///
/// ```
/// let export = br#"<NessusClientData_v2><Report><ReportHost name="a">
///     <ReportItem severity="3" pluginID="1" port="0"/></ReportHost><ReportHost name="b"/></Report></NessusClientData_v2>"#;
/// let stats = nessus_mcp_lib::results::validate(&export[..])?;
/// assert_eq!((stats.hosts, stats.hosts_without_findings, stats.severity_counts.high), (2, 1, 1));
/// # Ok::<(), nessus_mcp_lib::results::ResultsError>(())
/// ```
///
/// # Errors
/// When it is not a complete .nessus export of version 2.
pub fn validate<R: Read>(input: R) -> Result<ExportStats, ResultsError> {
    encoding::with_utf8(input, |utf8, base| {
        let mut reader = ExportReader::new(BufReader::with_capacity(READ_BYTES, utf8), base);
        let mut tally = Tally::default();
        loop {
            let step = reader.next()?;
            tally.count(step, &reader);
            if step == Step::End {
                return Ok(tally.finish());
            }
        }
    })
}
