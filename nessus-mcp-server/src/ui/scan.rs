//! *Scan*: the report of one scan. The worst findings are read as `findings.rs` reads them, all else from the summary.

use maud::{Markup, PreEscaped, html};
use nessus_mcp_lib::{
    error::counted,
    ids::{InstanceId, TaskId},
    results::{
        AuthenticationView, ComplianceCounts, ComplianceView, HostRow, PluginRow, Section, SeverityCounts,
        SolutionsView, host_chart, severity_chart,
    },
    service::{ServiceError, TaskSummaryView, TaskView},
};

use super::{
    findings,
    frame::{Page, link, short, text},
    reader::{Failure, Reader, shown},
    words::{counts_cells, counts_head, findings as findings_path, incomplete, severity, status, tag, when},
};

/// The characters of JSON that a summary may have, which bounds its lists.
const SUMMARY_CHARS: usize = 60_000;
/// The hosts of the chart, as in the report.
const CHARTED: usize = 15;
/// The most rows of a table.
const ROWS: usize = 100;
/// How many findings are shown whole.
const WORST: i64 = 10;
/// The characters of a text.
const CHARS: usize = 500;

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let task_id = reader.task_id()?;
    let view = reader.service().status(&task_id).await?;
    let title = short(&view.name, 200).into_owned();
    if !view.results_available {
        let body = without_results(&view);
        return Ok(if view.status.is_terminal() { Page::new(title, body) } else { Page::live(title, body) });
    }
    // After one another: both read the export, of which only so much is in memory at a time.
    let summary = reader.service().summary(&task_id, SUMMARY_CHARS).await?;
    let worst = reader.section("get_scan_results", worst(reader, &task_id)).await;
    let body = html! {
        (head(reader, &view, &summary))
        (notes(&view, &summary))
        (charts(&summary))
        section {
            h2 { "Worst findings" }
            (shown(&worst, findings::list))
            p.pages { a href={ "/ui/scans/" (task_id) "/findings" } { "All findings" } }
        }
        @if let Some(hosts) = &summary.summary.hosts { (by_host(&task_id, hosts)) }
        @if let Some(plugins) = &summary.summary.plugins { (by_plugin(&task_id, plugins)) }
        @if let Some(solutions) = &summary.summary.solutions { (by_solution(solutions)) }
        @if let Some(logins) = &summary.summary.authentication { (logins_of(logins)) }
        @if let Some(compliance) = &summary.summary.compliance { (compliance_of(&task_id, &summary, compliance)) }
    };
    Ok(Page::new(title, body))
}

async fn worst(reader: &Reader, task_id: &TaskId) -> Result<findings::Listed, ServiceError> {
    let mut request = findings::request(task_id);
    request.page_size = Some(WORST);
    findings::read(reader, request).await
}

fn without_results(view: &TaskView) -> Markup {
    html! {
        p { (status(view.status)) " "
            @if view.status.is_terminal() { "This scan has ended without results." }
            @else { "There is a report when this scan has ended." }
        }
        @if let Some(message) = &view.error_message {
            p.alarm { (short(message, CHARS)) @if let Some(code) = &view.error_code { " (" code { (text(code)) } ")" } }
        }
        p.pages { a href={ "/ui/tasks/" (view.task_id) } { "Its task" } }
    }
}

fn head(reader: &Reader, view: &TaskView, summary: &TaskSummaryView) -> Markup {
    let (found, counts) = (&summary.summary, &summary.summary.counts);
    let facts = [
        ("Targets", Some(summary.targets.as_str())),
        ("Kind", Some(view.scan_type.as_str())),
        ("Scanner", view.scanner_instance.as_ref().map(InstanceId::as_str)),
        ("Policy", found.policy_name.as_deref()),
        ("Nessus", found.scanner_version.as_deref()),
        ("Plugins", found.plugin_feed_version.as_deref()),
        ("Severities by", found.severity_basis.as_deref()),
    ];
    let exploitable = found.exploitable.as_ref().map_or(0, |risk| risk.findings);
    let known = found.known_exploited.as_ref().map_or(0, |risk| risk.findings);
    let cards = [
        ("hosts in the export", counts.hosts),
        ("of them answered", counts.hosts.saturating_sub(counts.dead_hosts)),
        ("findings above Info", counts.vulnerabilities),
        ("with a public exploit", exploitable),
        ("known to be exploited (CISA)", known),
    ];
    html! {
        p { (status(view.status)) @if let Some(at) = view.completed_at { " ended " (when(at, reader.now)) } }
        p.pages {
            a href={ "/ui/tasks/" (view.task_id) } { "Its task" }
            @if reader.may("compare_scans") { a href=(link("/ui/compare", [("after", view.task_id.as_str())])) { "Compare with an earlier scan" } }
        }
        dl.facts {
            @for (name, value) in facts {
                @if let Some(value) = value { div { dt { (name) } dd { (short(value, CHARS)) } } }
            }
        }
        ul.cards { @for (what, count) in cards { li { strong { (count) } (what) } } }
    }
}

/// What was not scanned, and what a reader must know.
fn notes(view: &TaskView, summary: &TaskSummaryView) -> Markup {
    let counts = &summary.summary.counts;
    html! {
        (incomplete(view.status))
        ul.notes {
            @if counts.dead_hosts > 0 {
                li.warn { strong { "Not scanned: " (counts.dead_hosts) ". " } "These hosts did not answer or were not reached; nothing is known about them." }
            }
            @for warning in &summary.warnings { li.warn { (short(warning, CHARS)) } }
            @if counts.not_grouped > 0 { li { (counted(counts.not_grouped, "finding is", "findings are")) " counted and in no list: there are too many groups." } }
        }
    }
}

fn charts(summary: &TaskSummaryView) -> Markup {
    let counts = &summary.summary.counts;
    let hosts: Vec<(&str, SeverityCounts)> = summary.summary.hosts.as_ref().map_or_else(Vec::new, |hosts| {
        let above_info = hosts.shown.iter().filter(|host| host.severity_counts.above_info() > 0);
        above_info.take(CHARTED).map(|host| (&*host.host, host.severity_counts)).collect()
    });
    let left_out = usize::try_from(counts.hosts_with_vulnerabilities).unwrap_or(usize::MAX).saturating_sub(hosts.len());
    html! {
        // The charts escape their texts.
        section.charts { (PreEscaped(severity_chart(&counts.severity_counts))) (PreEscaped(host_chart(&hosts, left_out))) }
    }
}

/// How many rows are not shown.
fn more<T>(section: &Section<T>) -> Markup {
    let shown = section.shown.len().min(ROWS) as u64;
    let left_out = section.left_out + (section.shown.len() as u64).saturating_sub(shown);
    html! { @if left_out > 0 { p.note { "and " (left_out) " more of " (section.total) } } }
}

fn by_host(task_id: &TaskId, hosts: &Section<HostRow>) -> Markup {
    html! {
        section {
            h2 { "By host" }
            @if hosts.shown.is_empty() { p.note { "No host has a finding above Info." } }
            @else {
                div.scroll { table {
                    thead { tr { th { "Host" } (counts_head()) th { "Exploitable" } th.text { "Login" } } }
                    tbody {
                        @for host in hosts.shown.iter().take(ROWS) {
                            tr {
                                td {
                                    @if let Some(filters) = &host.filters { a href=(findings_path(task_id, &[("filters", &filters.to_string())])) { (text(&host.host)) } }
                                    @else { (text(&host.host)) }
                                    @if let Some(address) = &host.host_ip { " " (text(address)) }
                                    @if let Some(system) = &host.operating_system { small.id { (short(system, 120)) } }
                                }
                                (counts_cells(&host.severity_counts))
                                td { (host.exploitable) }
                                td.text {
                                    @if let Some(verdict) = host.authentication { (verdict.as_str().replace('_', " ")) }
                                    @if let Some(cause) = &host.cause { small.id { (cause.as_str().replace('_', " ")) } }
                                }
                            }
                        }
                    }
                } }
                (more(hosts))
            }
        }
    }
}

fn by_plugin(task_id: &TaskId, plugins: &Section<PluginRow>) -> Markup {
    html! {
        section {
            h2 { "By plugin" }
            @if plugins.shown.is_empty() { p.note { "No plugin has a finding above Info." } }
            @else {
                div.scroll { table {
                    thead { tr { th { "Plugin" } th.text { "Severity" } th { "CVSS" } th { "VPR" } th { "EPSS" } th { "Hosts" } th { "Findings" } th.text { "Exploit" } } }
                    tbody { @for plugin in plugins.shown.iter().take(ROWS) { (plugin_row(task_id, plugin)) } }
                } }
                (more(plugins))
            }
        }
    }
}

fn plugin_row(task_id: &TaskId, plugin: &PluginRow) -> Markup {
    let score = |score: Option<f64>| score.map(|score| format!("{score:.1}")).unwrap_or_default();
    let filters = plugin.plugin_id.map(|id| serde_json::json!({ "plugin_id": id }).to_string());
    html! {
        tr {
            td {
                @if let Some(filters) = &filters { a href=(findings_path(task_id, &[("filters", filters)])) { (short(&plugin.plugin_name, 200)) } }
                @else { (short(&plugin.plugin_name, 200)) }
                @if let Some(id) = plugin.plugin_id { small.id { (id) } }
            }
            td.text { (severity(plugin.severity)) }
            td { (score(plugin.cvss_score)) }
            td { (score(plugin.vpr_score)) }
            td { @if let Some(chance) = plugin.epss_score { (format!("{:.1} %", chance * 100.0)) } }
            td { (plugin.hosts) }
            td { (plugin.findings) }
            td.text {
                @if plugin.exploit_available { (tag("warn", "public")) " " }
                @if let Some(day) = &plugin.cisa_known_exploited { (tag("bad", "CISA")) " by " (text(day)) }
            }
        }
    }
}

fn by_solution(solutions: &SolutionsView) -> Markup {
    html! {
        @if !solutions.section.shown.is_empty() {
            section {
                h2 { "What to do" }
                p.note {
                    (counted(solutions.first, "solution clears", "solutions clear")) " " (counted(solutions.first_clear, "finding", "findings"))
                    " above Info; " (solutions.without_solution) " without a solution."
                }
                div.scroll { table {
                    thead { tr { th { "Solution" } th { "Clears" } th { "Hosts" } (counts_head()) } }
                    tbody {
                        @for solution in solutions.section.shown.iter().take(ROWS) {
                            tr { td { (short(&solution.solution, CHARS)) } td { (solution.clears) } td { (solution.hosts) } (counts_cells(&solution.severity_counts)) }
                        }
                    }
                } }
                (more(&solutions.section))
            }
        }
    }
}

fn logins_of(logins: &AuthenticationView) -> Markup {
    let report = &logins.report;
    let hosts: Vec<_> = (report.counts.named().into_iter())
        .chain([("did not answer", report.dead_hosts)])
        .filter(|(_, hosts)| *hosts > 0)
        .map(|(verdict, hosts)| format!("{verdict} on {hosts}"))
        .collect();
    html! {
        section {
            h2 { "Logins" }
            p { strong { (report.status.as_str().replace('_', " ")) } ". By host: " (hosts.join(", ")) "." }
            @if !report.causes.is_empty() {
                ul { @for cause in &report.causes { li { (cause.cause.as_str().replace('_', " ")) ": " (counted(cause.hosts, "host", "hosts")) } } }
            }
            @if let Some(hosts) = &logins.by_host {
                div.scroll { table {
                    thead { tr { th { "Host" } th.text { "Verdict" } th.text { "Why" } } }
                    tbody {
                        @for row in hosts.shown.iter().take(ROWS) {
                            tr { td { (text(&row.host)) } td.text { (row.verdict.replace('_', " ")) } td.text { @if let Some(cause) = &row.cause { (cause.replace('_', " ")) } } }
                        }
                    }
                } }
                (more(hosts))
            }
        }
    }
}

fn checks_head(title: &str) -> Markup {
    html! { thead { tr { th { (title) } th { "Failed" } th { "Error" } th { "Warning" } th { "Other" } th { "Passed" } th { "Hosts" } } } }
}

fn checks_cells(counts: &ComplianceCounts, hosts: u64) -> Markup {
    html! { @for count in [counts.failed, counts.error, counts.warning, counts.other, counts.passed, hosts] { td { (count) } } }
}

fn compliance_of(task_id: &TaskId, summary: &TaskSummaryView, view: &ComplianceView) -> Markup {
    let kind = view.kind.name();
    let items = summary.summary.counts.compliance_items;
    let named = |name: Option<&str>, filters: Option<&serde_json::Value>| {
        let name = name.unwrap_or("not said");
        html! {
            @if let Some(filters) = filters { a href=(findings_path(task_id, &[("kind", kind), ("filters", &filters.to_string())])) { (short(name, 200)) } }
            @else { (short(name, 200)) }
        }
    };
    html! {
        section {
            h2 { "Compliance" }
            p.note { (counted(items, "outcome", "outcomes")) " of compliance checks. They are no findings: neither the counts nor the charts above have them." }
            div.scroll { table {
                (checks_head("Audit file"))
                tbody { @for row in view.by_audit.shown.iter().take(ROWS) {
                    tr { td { (named(row.audit_file.as_deref(), row.filters.as_ref())) } (checks_cells(&row.compliance_counts, row.hosts)) }
                } }
            } }
            (more(&view.by_audit))
            div.scroll { table {
                (checks_head("Check"))
                tbody { @for row in view.by_check.shown.iter().take(ROWS) {
                    tr {
                        td { (named(row.check_name.as_deref(), row.filters.as_ref())) @if let Some(reference) = &row.reference { small.id { (short(reference, 120)) } } }
                        (checks_cells(&row.compliance_counts, row.hosts))
                    }
                } }
            } }
            (more(&view.by_check))
        }
    }
}
