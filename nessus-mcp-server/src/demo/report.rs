//! What the demo prints.

use nessus_mcp_lib::{
    error::{Failure, counted},
    service::TaskView,
};
use serde_json::Value;

use crate::output::line;

const SEVERITIES: [&str; 5] = ["Critical", "High", "Medium", "Low", "Info"];
/// How many findings are shown in full.
const WORST: usize = 5;
/// The width of the progress bar.
const BAR: usize = 20;

/// Prints one line with the state of the scan.
pub(super) fn progress(view: &TaskView) {
    let percent = view.progress.unwrap_or(0);
    let filled = BAR * usize::from(percent) / 100;
    let scanner = view.scanner_instance.as_ref().map(|id| format!(" on {id}")).unwrap_or_default();
    line(format!("   [{}{}] {percent:>3} % {}{scanner}", "#".repeat(filled), ".".repeat(BAR - filled), view.status));
}

/// Prints counts by severity and the worst findings, from the JSON lines that the tool returned.
pub(super) fn findings(view: &TaskView, lines: &str) -> Result<(), Failure> {
    let lines: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(format!("the results are not JSON lines: {error}")))?;
    let found: Vec<&Value> = lines.iter().filter(|line| line["type"] == "vulnerability").collect();
    let seconds = view.execution_time.unwrap_or_default();
    let count = counted(found.len(), "finding", "findings");
    line(format!("{count} on {} in {seconds:.1} s\n", view.targets));
    line("severity   findings");
    line("---------  --------");
    for severity in SEVERITIES {
        let count = found.iter().filter(|line| line["severity"] == severity).count();
        line(format!("{severity:<9}  {count:>8}"));
    }
    line("\nThe worst five:\n");
    line(format!("{:<9} {:>4}  {:<15} {:<15} finding", "severity", "cvss", "host", "cve"));
    line(format!("{:-<9} {:->4}  {:-<15} {:-<15} {:-<40}", "", "", "", "", ""));
    for finding in found.iter().take(WORST) {
        let text = |field: &str| finding[field].as_str().unwrap_or("-").to_owned();
        let score = finding["cvss_score"].as_f64().map_or("-".to_owned(), |score| format!("{score:.1}"));
        let cve = finding["cve"][0].as_str().unwrap_or("-");
        let name = finding["plugin_name"].as_str().map_or_else(|| text("synopsis"), str::to_owned);
        line(format!("{:<9} {score:>4}  {:<15} {cve:<15} {name}", text("severity"), text("host")));
    }
    for warning in &view.validation_warnings {
        line(format!("\nwarning: {warning}"));
    }
    line("");
    Ok(())
}

/// Prints how to connect an agent to this server.
pub(super) fn how_to_connect(url: &str) {
    line("Connect an agent while this runs (Ctrl-C ends it):\n");
    line(format!("  Claude Code     claude mcp add --transport http nessus {url}"));
    line(format!("  FastMCP 4       fastmcp call {url} list_tasks"));
    line(format!("  mcp.json        {{\"mcpServers\": {{\"nessus\": {{\"type\": \"http\", \"url\": \"{url}\"}}}}}}\n"));
}
