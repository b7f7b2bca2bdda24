//! *Compare*: what changed between two scans.

use maud::{Markup, html};
use nessus_mcp_lib::{
    ScanService,
    ids::TaskId,
    results::{ComplianceChanges, DiffView, FindingRow, HostNotComparable, ScanSide, Section, SeverityCounts},
    service::{ServiceError, TaskComparison, TaskListView},
    targets::TargetSet,
    task::{TaskQuery, TaskStatus},
};

use super::{
    frame::{Page, link, short, text},
    reader::{Failure, Reader, shown},
    words::{counts_cells, counts_head, moment, severity, tag},
};

/// The characters of JSON that a comparison may have, which bounds its lists.
const COMPARISON_CHARS: usize = 60_000;
/// The most rows of a table.
const ROWS: usize = 100;
/// The scans that are offered.
const OFFERED: usize = 25;
/// The characters of a text.
const CHARS: usize = 300;

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let scan = |name| reader.params.get(name).map(ScanService::parse_task_id).transpose();
    let body = match (scan("before")?, scan("after")?) {
        (Some(before), Some(after)) => {
            let compared = reader.service().compare(&before, &after, COMPARISON_CHARS).await?;
            html! { (form(reader)) (comparison(&compared)) }
        }
        (_, after) => {
            let offered = Box::pin(reader.section("list_tasks", offered(reader, after.as_ref()))).await;
            html! {
                (form(reader))
                p.note { "Name two scans of the same targets, the earlier one first." }
                (shown(&offered, |offered| offer(offered, after.as_ref())))
            }
        }
    };
    Ok(Page::new("Compare", body))
}

fn form(reader: &Reader) -> Markup {
    html! {
        form.filters method="get" action="/ui/compare" {
            @for (name, label) in [("before", "Earlier scan"), ("after", "Later scan")] {
                label { (label) input.wide type="text" name=(name) placeholder="id of its task" value=[reader.params.get(name)]; }
            }
            button type="submit" { "Compare" }
        }
    }
}

/// The scans to choose from.
struct Offered {
    list: TaskListView,
    /// What is to be known of their targets.
    hint: Option<&'static str>,
    /// The targets that they share one with.
    targets: Option<String>,
}

/// The scans to choose from: of the same targets, where one is chosen.
async fn offered(reader: &Reader, after: Option<&TaskId>) -> Result<Offered, ServiceError> {
    let (mut hint, mut targets) = (None, None);
    let mut query = TaskQuery::default().with_status(TaskStatus::Completed).with_limit(OFFERED);
    if let Some(after) = after {
        let chosen = reader.service().status(after).await?;
        // Where they are many, the first stand for them.
        let (first, is_cut) =
            chosen.targets.split_once(" … ").map_or((&*chosen.targets, false), |(first, _)| (first, true));
        query.targets = TargetSet::policy(first).ok();
        query.created_before = Some(chosen.created_at);
        hint = match query.targets {
            None => Some("These are scans of any targets: those of the later scan cannot be looked for."),
            Some(_) if is_cut => {
                Some("The later scan has too many targets to look for all: these are scans of the first of them.")
            }
            Some(_) => None,
        };
        targets = query.targets.is_some().then(|| first.to_owned());
    }
    Ok(Offered { list: reader.service().list_tasks(query).await?, hint, targets })
}

fn offer(Offered { list, hint, targets }: &Offered, after: Option<&TaskId>) -> Markup {
    let query = [("status", "completed")].into_iter().chain(targets.as_deref().map(|targets| ("targets", targets)));
    html! {
        @if let Some(hint) = hint { p.note { (hint) } }
        @if list.tasks.is_empty() { p.note { "There is no completed scan to choose." } }
        @else {
            div.scroll { table {
                thead { tr { th { "Scan" } th.text { "Targets" } th { "Accepted" } } }
                tbody {
                    @for one in &list.tasks {
                        @let id = one.task_id.as_str();
                        tr {
                            td {
                                @if let Some(after) = after { a href=(link("/ui/compare", [("before", id), ("after", after.as_str())])) { (short(&one.name, 120)) } }
                                @else { a href=(link("/ui/compare", [("after", id)])) { (short(&one.name, 120)) } }
                                small.id { (id) }
                            }
                            td.text { (short(&one.targets, CHARS)) }
                            td { (moment(one.created_at)) }
                        }
                    }
                }
            } }
            @if list.truncated {
                p.note {
                    "and " (list.total.saturating_sub(list.tasks.len())) " more. " a href=(link("/ui/tasks", query)) { "Look for one" }
                    " and put its id above."
                }
            }
        }
    }
}

fn comparison(compared: &TaskComparison) -> Markup {
    let diff = &compared.diff;
    html! {
        div.sides {
            (side("Earlier", &compared.before_task_id, &diff.before))
            (side("Later", &compared.after_task_id, &diff.after))
        }
        (differences(diff))
        (counts(diff))
        (rows("New", &diff.new, Shown::Plain))
        (rows("Fixed", &diff.fixed, Shown::Plain))
        (rows("Rated differently", &diff.severity_changed, Shown::Severities))
        (rows("With another output", &diff.changed_output, Shown::Outputs))
        (not_comparable(&diff.hosts_not_comparable))
        @if let Some(compliance) = &diff.compliance { (compliance_of(compliance)) }
    }
}

fn side(title: &str, task_id: &TaskId, side: &ScanSide) -> Markup {
    html! {
        article.scanner {
            h3 { (title) ": " a href={ "/ui/scans/" (task_id) } { (short(side.report_name.as_deref().unwrap_or(task_id.as_str()), 120)) } }
            dl.facts {
                @if let Some(started) = &side.started { div { dt { "Began" } dd { (text(started)) } } }
                div { dt { "Hosts" } dd { (side.hosts) ", " (side.dead_hosts) " not scanned" } }
                div { dt { "Login" } dd { (side.authentication_status.as_str().replace('_', " ")) } }
                div { dt { "Above Info" } dd { (side.severity_counts.above_info()) } }
            }
        }
    }
}

/// How the scans differ beside their findings.
fn differences(diff: &DiffView) -> Markup {
    html! {
        @if !diff.differences.is_empty() {
            section {
                h2 { "Differences of the scans" }
                p.note { "These alone can change results: read them first." }
                ul.notes {
                    @for one in diff.differences.iter().take(ROWS) {
                        li.warn {
                            strong { (one.what.replace('_', " ")) ": " }
                            (short(one.before.as_deref().unwrap_or("not said"), CHARS)) " → " (short(one.after.as_deref().unwrap_or("not said"), CHARS)) ". "
                            (short(&one.message, CHARS))
                        }
                    }
                }
            }
        }
    }
}

fn counts(diff: &DiffView) -> Markup {
    let counts = &diff.counts;
    let rows: [(&str, &SeverityCounts); 6] = [
        ("New", &counts.new),
        ("Fixed", &counts.fixed),
        ("Still there", &counts.still_there),
        ("Rated differently", &counts.severity_changed),
        ("With another output", &counts.changed_output),
        ("Not comparable", &counts.not_comparable),
    ];
    let maybe_before = counts.new_on_unseen_hosts + counts.new_by_better_login + counts.new_by_wider_scan;
    html! {
        section {
            h2 { "Counts" }
            div.scroll { table {
                thead { tr { th { "" } (counts_head()) } }
                tbody { @for (name, of) in rows {
                    tr { td { (name) } (counts_cells(of)) }
                } }
            } }
            p.note {
                "Hosts in both: " (diff.hosts.in_both) ", only in the earlier: " (diff.hosts.only_before) ", only in the later: " (diff.hosts.only_after) "."
                @if maybe_before > 0 { " Of the new, " (maybe_before) " may have been there before: the earlier scan did not look there." }
                @if counts.not_compared > 0 { " " (counts.not_compared) " were not compared: there are too many." }
            }
        }
    }
}

/// What of a row is shown beside the finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Plain,
    Severities,
    Outputs,
}

fn rows(title: &str, section: &Section<FindingRow>, shown: Shown) -> Markup {
    html! {
        @if section.total > 0 {
            section {
                h2 { (title) }
                div.scroll { table {
                    thead { tr { th { "Finding" } th.text { "Severity" } th.text { "Host" } th { "Port" } @if shown == Shown::Outputs { th.text { "First line that differs" } } } }
                    tbody { @for row in section.shown.iter().take(ROWS) { (finding(row, shown)) } }
                } }
                (more(section))
            }
        }
    }
}

fn finding(row: &FindingRow, shown: Shown) -> Markup {
    html! {
        tr {
            td { (short(&row.plugin_name, 200)) small.id { (row.plugin_id) @if let Some(count) = row.count { " × " (count) } } }
            td.text {
                @if shown == Shown::Severities { (severity(row.previous_severity)) " → " }
                (severity(row.severity))
                @if let Some(why) = row.unseen_before { " " (tag("warn", &why.as_str().replace('_', " "))) }
            }
            td.text { (text(&row.host)) @if let Some(previous) = &row.previous_host { small.id { "was " (text(previous)) } } }
            td { @if row.port > 0 { (row.port) "/" (row.protocol) } }
            @if shown == Shown::Outputs {
                td.text {
                    @if let Some(before) = &row.output_before { "− " (short(before, CHARS)) br; }
                    @if let Some(after) = &row.output_after { "+ " (short(after, CHARS)) }
                }
            }
        }
    }
}

fn not_comparable(section: &Section<HostNotComparable>) -> Markup {
    html! {
        @if section.total > 0 {
            section {
                h2 { "Not comparable" }
                p.note { "The later scan did not look at these: they are not fixed." }
                div.scroll { table {
                    thead { tr { th { "Host" } th.text { "Why" } th { "Findings above Info" } th { "Compliance checks" } } }
                    tbody { @for row in section.shown.iter().take(ROWS) {
                        tr {
                            td { (text(&row.host)) } td.text { (row.reason.as_str().replace('_', " ")) }
                            td { (row.severity_counts.above_info()) } td { (row.compliance_items) }
                        }
                    } }
                } }
                (more(section))
            }
        }
    }
}

fn compliance_of(changes: &ComplianceChanges) -> Markup {
    html! {
        section {
            h2 { "Compliance" }
            p.note {
                (changes.unchanged) " unchanged, " (changes.newly_failed.total) " newly failed, " (changes.newly_passed.total) " newly passed, "
                (changes.changed_otherwise) " changed otherwise, " (changes.gone) " gone, " (changes.not_comparable) " not comparable."
            }
            @for (title, section) in [("Newly failed", &changes.newly_failed), ("Newly passed", &changes.newly_passed)] {
                @if section.total > 0 {
                    div.scroll { table {
                        thead { tr { th { (title) } th.text { "Host" } th.text { "Before" } th.text { "After" } } }
                        tbody { @for row in section.shown.iter().take(ROWS) {
                            tr {
                                td { (short(&row.check, 200)) @if let Some(audit) = &row.audit { small.id { (short(audit, 120)) } } }
                                td.text { (text(&row.host)) } td.text { (row.before.as_deref().unwrap_or("–")) } td.text { (row.after) }
                            }
                        } }
                    } }
                    (more(section))
                }
            }
        }
    }
}

/// How many rows are not shown.
fn more<T>(section: &Section<T>) -> Markup {
    let shown = section.shown.len().min(ROWS) as u64;
    let left_out = section.total.saturating_sub(shown);
    html! { @if left_out > 0 { p.note { "and " (left_out) " more" } } }
}
