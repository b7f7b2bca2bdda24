//! Parts of the report for pages of others: its charts and its style sheet.

use super::{charts, style};
use crate::results::judge::SeverityCounts;

/// The style sheet of the report, in light and dark: what [`severity_chart`] and [`host_chart`] need to have their colours.
pub const REPORT_STYLE: &str = style::SHEET;

/// The report's chart of findings by severity: a `figure` of HTML with inline SVG, all texts escaped, without styles and
/// scripts of its own.
///
/// ```
/// use nessus_mcp_lib::results::{SeverityCounts, severity_chart};
///
/// let mut counts = SeverityCounts::default();
/// counts.high = 3;
/// assert!(severity_chart(&counts).contains("<title>High: 3</title>"));
/// ```
pub fn severity_chart(counts: &SeverityCounts) -> String {
    drawn(|output| charts::severities(counts, output))
}

/// The report's chart of hosts, each with its name and its findings, and how many others have findings above `Info`. In the
/// form of [`severity_chart`]; empty without hosts.
pub fn host_chart(hosts: &[(&str, SeverityCounts)], left_out: usize) -> String {
    drawn(|output| charts::hosts(hosts, left_out, false, output))
}

fn drawn(draw: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut drawn = Vec::new();
    // Memory takes what is written.
    let _ = draw(&mut drawn);
    String::from_utf8_lossy(&drawn).into_owned()
}
