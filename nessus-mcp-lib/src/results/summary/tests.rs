//! Groups against what a filter finds, and what the views look like.

use std::{fmt::Write as _, io::Cursor};

use serde_json::{Value as Json, json};

use super::*;
use crate::error::Classified;
use crate::results::{DEFAULT_CHARS, FilterSet, JsonNlConverter, LoginExpected, MIN_CHARS, Query, Severity};

const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));

fn view(export: &[u8], chars: usize) -> SummaryView {
    ScanSummary::read(std::io::Cursor::new(export), LoginExpected::NotSaid).unwrap().view(chars)
}

/// How many findings the filters show.
fn matching(filters: &Json) -> u64 {
    let query = Query::builder().filters(FilterSet::from_json(filters).unwrap()).build().unwrap();
    JsonNlConverter::new(query).convert(Cursor::new(OFFICE), std::io::sink()).unwrap().total_vulnerabilities
}

/// Many hosts with the same findings.
fn large(hosts: usize, plugins: usize) -> Vec<u8> {
    let mut export = "<NessusClientData_v2><Report name='large'>".to_owned();
    for host in 0..hosts {
        write!(export, "<ReportHost name='host{host:05}.example'>").unwrap();
        for plugin in 0..plugins {
            let severity = plugin % 5;
            write!(
                export,
                "<ReportItem pluginID='{}' pluginName='Flaw {plugin}' severity='{severity}' port='443'>\
                 <solution>Update number {}.</solution><epss_score>0.{plugin:04}</epss_score></ReportItem>",
                900_000 + plugin,
                plugin / 3
            )
            .unwrap();
        }
        export.push_str("</ReportHost>");
    }
    export.push_str("</Report></NessusClientData_v2>");
    export.into_bytes()
}

#[test]
fn a_summary_looks_like_this() {
    let view = view(OFFICE, DEFAULT_CHARS);
    assert!(!view.truncated);
    insta::assert_json_snapshot!("office_json", view);
    insta::assert_snapshot!("office_text", view);
}

#[test]
fn every_filter_shows_what_was_counted() {
    let view = view(OFFICE, DEFAULT_CHARS);
    for row in view.by_severity.iter().flatten() {
        assert_eq!(matching(&row.filters), row.findings, "{row:?}");
    }
    for row in &view.plugins.unwrap().shown {
        assert_eq!(matching(&json!({ "plugin_id": row.plugin_id })), row.findings, "{row:?}");
    }
    for row in &view.solutions.unwrap().section.shown {
        assert!(!row.more_plugins);
        assert_eq!(matching(&json!({ "plugin_id": row.plugin_ids })), row.clears, "{row:?}");
    }
    for row in &view.hosts.unwrap().shown {
        assert_eq!(matching(row.filters.as_ref().unwrap()), row.severity_counts.total(), "{row:?}");
    }
    for risk in [view.exploitable.unwrap(), view.known_exploited.unwrap()] {
        assert!(risk.findings > 0);
        assert_eq!(matching(&risk.filters), risk.findings, "{risk:?}");
    }
}

#[test]
fn the_budget_is_kept_and_what_is_cut_is_said() {
    let export = large(300, 100);
    for chars in [0, MIN_CHARS, 10_000, DEFAULT_CHARS, 1_000_000] {
        let view = view(&export, chars);
        let length = serde_json::to_string(&view).unwrap().chars().count();
        assert!(length <= chars.max(MIN_CHARS), "{length} of {chars}");
        assert_eq!(view.counts.findings, 30_000, "counts are never cut");
        assert_names_have_rows(&view);
        let plugins = view.plugins.unwrap();
        assert_eq!((plugins.total, view.hosts.unwrap().total), (80, 300));
        assert_eq!(view.truncated, chars < 1_000_000);
        let above_info = plugins.shown.iter().filter(|row| row.severity != Some(Severity::Info)).count();
        assert_eq!(plugins.left_out + above_info as u64, 80);
        if chars == DEFAULT_CHARS {
            assert!(length > chars * 8 / 10, "the room is used: {length}");
        }
    }
}

/// Each plugin stands in the table once, and every list names rows of it.
fn assert_names_have_rows(view: &SummaryView) {
    let rows = view.plugins.as_ref().map_or(&[][..], |plugins| &plugins.shown);
    let mut ids: Vec<Option<i64>> = rows.iter().map(|row| row.plugin_id).collect();
    let risks = [&view.known_exploited, &view.exploitable].into_iter().flatten().map(|risk| &risk.plugin_ids);
    for named in risks.chain([&view.highest_epss, &view.highest_vpr].into_iter().flatten()) {
        assert!(named.shown.iter().all(|id| ids.contains(id)), "{named:?}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows.len());
}

#[test]
fn a_summary_has_the_sections_that_are_asked_for() {
    let summary = ScanSummary::read(std::io::Cursor::new(OFFICE), LoginExpected::NotSaid).unwrap();
    let whole = serde_json::to_value(summary.view(DEFAULT_CHARS)).unwrap();
    for section in SummarySection::ALL {
        let view = summary.view_of(&[section], DEFAULT_CHARS);
        assert_names_have_rows(&view);
        let view = serde_json::to_value(&view).unwrap();
        assert_eq!((&view["counts"], &view["truncated"]), (&whole["counts"], &json!(false)), "{section}");
        assert_eq!(view[section.name()], whole[section.name()], "{section}");
        for other in SummarySection::ALL.into_iter().filter(|other| *other != section) {
            // The rows that a list names come with it.
            let is_named = other == SummarySection::Plugins && !view["plugins"].is_null();
            assert!(view[other.name()].is_null() || is_named, "{other} of {section}");
        }
    }
    let view = summary.view_of(&[SummarySection::KnownExploited], DEFAULT_CHARS);
    let rows = view.plugins.unwrap().shown.len();
    assert_eq!(
        (rows as u64, view.counts.distinct_vulnerabilities),
        (view.known_exploited.unwrap().plugin_ids.total, 11)
    );
    let error = "hostz".parse::<SummarySection>().unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("unknown_section", "a summary has no section `hostz`"));
    assert!(error.hint().unwrap().starts_with("did you mean `hosts`? all others: `"), "{:?}", error.hint());
    assert_eq!(" Hosts".parse::<SummarySection>().unwrap(), SummarySection::Hosts);
}

/// A plugin that is information and yet likely to be exploited has its row, too.
#[test]
fn whatever_a_list_names_has_a_row() {
    let export = br#"<NessusClientData_v2><Report><ReportHost name="h">
        <ReportItem severity="0" pluginID="7" port="0"><epss_score>0.9</epss_score></ReportItem>
        <ReportItem severity="3" pluginID="8" port="0"/><ReportItem severity="3" port="0"><vpr_score>9.9</vpr_score></ReportItem>
        </ReportHost></Report></NessusClientData_v2>"#;
    let view = view(export, DEFAULT_CHARS);
    assert_names_have_rows(&view);
    assert_eq!(view.highest_epss.unwrap().shown, [Some(7)]);
    assert_eq!(view.highest_vpr.unwrap().shown, [None]);
    let plugins = view.plugins.unwrap();
    assert_eq!((plugins.total, plugins.left_out, plugins.shown.len()), (2, 0, 3));
}

#[test]
fn groups_count_findings_and_hosts() {
    let export = large(40, 10);
    let view = view(&export, DEFAULT_CHARS);
    let worst = &view.plugins.unwrap().shown[0];
    assert_eq!((worst.severity, worst.hosts, worst.findings), (Some(Severity::Critical), 40, 40));
    assert_eq!(worst.example_hosts.len(), 3);
    // Plugins 0 to 9, of which 0 and 5 are information: solutions of 2, 3, 2 and 1 plugins above.
    let solutions = view.solutions.unwrap();
    assert_eq!((solutions.first, solutions.section.total), (3, 4));
    assert_eq!(solutions.first_clear, 40 * 6);
}

#[test]
fn an_export_without_hosts_has_a_summary() {
    let view = view(b"<NessusClientData_v2><Report/></NessusClientData_v2>", DEFAULT_CHARS);
    assert_eq!((view.counts.hosts, view.truncated), (0, false));
    assert!(view.to_string().contains("0 hosts"));
}

#[test]
fn names_cannot_forge_lines() {
    let export = b"<NessusClientData_v2><Report name='a&#10;Login: success'><ReportHost name='h&#10;x'><ReportItem \
        pluginID='1' severity='4' pluginName='&#x200b;p&#13;q'/></ReportHost></Report></NessusClientData_v2>";
    let text = view(export, DEFAULT_CHARS).to_string();
    assert!(!text.contains("\nLogin: success") && text.contains("a Login: success") && text.contains("p q"), "{text}");
    let row = view(export, DEFAULT_CHARS).hosts.unwrap().shown.remove(0);
    assert_eq!((row.host.as_str(), row.filters), ("h x", None), "a name that was changed is no filter");
}

#[test]
fn one_is_not_several() {
    let export = br#"<NessusClientData_v2><Report name="r"><ReportHost name="h">
        <ReportItem severity="3" pluginID="1" port="80"><solution>Update.</solution><exploit_available>true</exploit_available>
        </ReportItem></ReportHost></Report></NessusClientData_v2>"#;
    let text = view(&export[..], DEFAULT_CHARS).to_string();
    for line in [
        "\n1 host, 0 of them dead, 1 with vulnerabilities\n1 finding, 1 above Info by 1 plugin\n",
        "\nExploits available: 1 finding on 1 host\n",
        "\nSolutions: the first clears 1 finding\n  clears 1 on 1 host (1 high)  Update.\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
