//! The findings of a scan, to open one by one: all, or those that match filters, a page at a time.

use maud::{Markup, html};
use nessus_mcp_lib::{
    error::counted,
    ids::TaskId,
    results::{Finding, RecordKind, ResultsPage, ScanMetadata, Severity, severity_class},
    service::{ResultsRequest, ServiceError},
};

use super::{
    frame::{Page, link, short, text},
    reader::{Failure, Reader},
    words::incomplete,
};

/// The findings of a page.
const PAGE: i64 = 40;
/// The characters of JSON that they may have together.
const MOST_CHARS: u64 = 200_000;
/// The fields that are read.
const FIELDS: [&str; 14] = [
    "host",
    "port",
    "protocol",
    "plugin_id",
    "plugin_name",
    "plugin_family",
    "severity",
    "cvss_score",
    "cve",
    "synopsis",
    "description",
    "solution",
    "see_also",
    "plugin_output",
];
/// And of compliance checks.
const CHECK_FIELDS: [&str; 11] = [
    "host",
    "plugin_id",
    "description",
    "plugin_output",
    "cm:compliance-result",
    "cm:compliance-check-name",
    "cm:compliance-audit-file",
    "cm:compliance-reference",
    "cm:compliance-actual-value",
    "cm:compliance-policy-value",
    "cm:compliance-solution",
];
/// The most links of a finding.
const MOST_LINKS: usize = 20;

/// Findings that were read.
pub(super) struct Listed(ResultsPage);

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let task_id = reader.task_id()?;
    let params = &reader.params;
    let mut request = request(&task_id);
    if let Some(kind) = params.get("kind") {
        let kind: RecordKind = kind.parse().map_err(ServiceError::from)?;
        request.kind = Some(kind);
        if kind == RecordKind::Compliance {
            request.custom_fields = Some(CHECK_FIELDS.map(str::to_owned).to_vec());
        }
    }
    if let Some(filters) = params.get("filters") {
        request.filters = filters.parse().map_err(ServiceError::from)?;
    }
    request.cursor = params.get("cursor").map(str::to_owned);
    let view = reader.service().status(&task_id).await?;
    let listed = read(reader, request).await?;
    let path = format!("/ui/scans/{task_id}/findings");
    let query = |left_out| params.without(left_out).filter(|(name, _)| *name != "task_id");
    let body = html! {
        p.pages {
            a href={ "/ui/scans/" (task_id) } { "Report" }
            @if params.get("filters").is_some() { a href=(path) { "All findings" } }
        }
        @if let Some(filters) = params.get("filters") { p.note { "Those that match " code { (short(filters, 500)) } } }
        (incomplete(view.status))
        @if let Some(known) = &listed.0.metadata { (notes(known)) }
        p.note { (listed.0.schema.matched) " match." }
        (list(&listed))
        p.pages {
            @if params.get("cursor").is_some() { a href=(link(&path, query("cursor"))) { "First" } }
            @if let Some(cursor) = listed.0.next_cursor() { a href=(link(&path, query("cursor").chain([("cursor", cursor)]))) rel="next" { "More" } }
        }
    };
    Ok(Page::new(format!("Findings of {}", short(&view.name, 200)), body))
}

/// What a reader must know of the export. Later pages have only the number of warnings.
fn notes(known: &ScanMetadata) -> Markup {
    let irregular = known.data_warnings.len() as u64;
    let elsewhere = known.warning_count.unwrap_or_default().saturating_sub(known.warnings.len() as u64 + irregular);
    html! {
        ul.notes {
            @for warning in &known.warnings { li.warn { (short(warning, 500)) } }
            @if irregular > 0 { li { "The export has " (counted(irregular, "irregularity", "irregularities")) ", which " code { "get_scan_results" } " names." } }
            @if elsewhere > 0 { li.warn { "The first page has " (counted(elsewhere, "warning", "warnings")) "." } }
        }
    }
}

/// The worst findings of a task.
pub(super) fn request(task_id: &TaskId) -> ResultsRequest {
    let mut request = ResultsRequest::new(task_id.clone());
    request.custom_fields = Some(FIELDS.map(str::to_owned).to_vec());
    request.page_size = Some(PAGE);
    request.max_chars = Some(MOST_CHARS);
    request
}

pub(super) async fn read(reader: &Reader, mut request: ResultsRequest) -> Result<Listed, ServiceError> {
    if request.cursor.is_some() {
        request.page = None;
    }
    let lines = reader.service().results(request).await?;
    let page: Result<ResultsPage, _> = lines.parse();
    page.map(Listed).map_err(|error| ServiceError::invalid("results", format!("cannot be read: {error}"), None))
}

/// The findings, each to open.
pub(super) fn list(listed: &Listed) -> Markup {
    let findings = &listed.0.findings;
    html! {
        @if findings.is_empty() { p.note { "Nothing matches." } }
        @for finding in findings { (one(finding)) }
    }
}

fn one(finding: &Finding) -> Markup {
    let (class, rating) = if finding.kind == RecordKind::Compliance {
        let result = finding.compliance_result.as_deref().unwrap_or("NO RESULT");
        (if result == "FAILED" { "failed" } else { "checked" }, result)
    } else {
        (severity_class(finding.severity), finding.severity.map_or("Unknown", Severity::name))
    };
    let place = match (finding.port, finding.protocol.as_deref()) {
        (Some(port), Some(protocol)) if port > 0 => format!("{port}/{protocol}"),
        _ => String::new(),
    };
    let name = finding.compliance_check_name.as_deref().or(finding.plugin_name.as_deref());
    html! {
        details class=(class) {
            summary {
                span.rating { (text(rating)) } " "
                span.where { (text(finding.host.as_deref().unwrap_or_default())) " " (place) } " "
                span.name { (text(name.unwrap_or("A finding without a name"))) } " "
                span.score { @if let Some(score) = finding.cvss_score { (format!("{score:.1}")) } }
            }
            dl { (fields(finding)) }
        }
    }
}

fn fields(finding: &Finding) -> Markup {
    let cve = finding.cve.as_ref().map(|numbers| numbers.join(", "));
    let references = finding.compliance_reference.as_ref().map(|all| all.join(", "));
    let plugin = finding.plugin_id.map(|id| id.to_string());
    // Whether the scanned host may have written it.
    let of_compliance = finding.kind == RecordKind::Compliance;
    let rows = [
        ("Plugin", plugin.as_deref(), false),
        ("Family", finding.plugin_family.as_deref(), false),
        ("CVE", cve.as_deref(), false),
        ("Synopsis", finding.synopsis.as_deref(), false),
        ("Description", finding.description.as_deref(), of_compliance),
        ("Solution", finding.solution.as_deref(), false),
        ("Audit file", finding.compliance_audit_file.as_deref(), false),
        ("Reference", references.as_deref(), false),
        ("Required", finding.compliance_policy_value.as_deref(), false),
        ("Found", finding.compliance_actual_value.as_deref(), true),
        ("How to comply", finding.compliance_solution.as_deref(), false),
        ("Output", finding.plugin_output.as_deref(), true),
    ];
    html! {
        @for (name, value, is_untrusted) in rows {
            @if let Some(value) = value {
                dt { (name) @if is_untrusted { small { "said by the scanned host" } } }
                dd { (text(value)) }
            }
        }
        @if let Some(links) = &finding.see_also {
            dt { "See also" }
            @for address in links.iter().take(MOST_LINKS) {
                dd { @if is_web_page(address) { a href=(address) rel="noopener noreferrer" { (text(address)) } } @else { (text(address)) } }
            }
        }
    }
}

/// Whether an address may be opened: one of a web page, and nothing that a browser would run.
fn is_web_page(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    let is_plain = address.chars().all(|character| character.is_ascii_graphic());
    is_plain && (lower.starts_with("https://") || lower.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_web_pages_are_links() {
        for address in ["https://nvd.example/x?a=b&c", "HTTP://a.example"] {
            assert!(is_web_page(address), "{address}");
        }
        for address in [
            "javascript:alert(1)",
            " https://a.example",
            "java\nscript:x",
            "data:text/html,x",
            "https://a\u{202e}b",
            "//a.example",
            "",
        ] {
            assert!(!is_web_page(address), "{address}");
        }
    }
}
