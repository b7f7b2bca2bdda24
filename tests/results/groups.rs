//! Counts and groups, with and without the index, against a plain count of what the reference reads.

use std::collections::{BTreeMap, BTreeSet};

use nessus_mcp_lib::results::{FilterSet, GroupBy, GroupSort, Page, Query, QueryBuilder, RecordKind, ResultsError};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    arbitrary::{self, Texts},
    blocks,
    compare::united,
    engine::{self, Answer},
    filters::kinds,
    indexed::Indexed,
};

/// The words for how bad items are, the worst first.
fn ratings(kind: RecordKind) -> &'static [&'static str] {
    match kind {
        RecordKind::Compliance => &["FAILED", "ERROR", "WARNING", "OTHER", "PASSED"],
        RecordKind::Vulnerability => &["Critical", "High", "Medium", "Low", "Info", "unknown"],
    }
}

fn rating(kind: RecordKind, item: &Map<String, Value>) -> &'static str {
    let (field, other) = match kind {
        RecordKind::Compliance => ("cm:compliance-result", "OTHER"),
        RecordKind::Vulnerability => ("severity", "unknown"),
    };
    let found = item.get(field).and_then(Value::as_str);
    ratings(kind).iter().find(|name| Some(**name) == found).copied().unwrap_or(other)
}

/// What matches, by a plain count.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    findings: u64,
    machines: BTreeSet<usize>,
    plugins: BTreeSet<i64>,
    by_rating: BTreeMap<&'static str, u64>,
    /// Where it comes first.
    first: usize,
}

impl Plain {
    fn add(&mut self, kind: RecordKind, item: &Map<String, Value>, machine: usize) {
        self.findings += 1;
        self.machines.insert(machine);
        self.plugins.extend(item["plugin_id"].as_i64());
        *self.by_rating.entry(rating(kind, item)).or_default() += 1;
    }

    fn worst(&self, kind: RecordKind) -> Vec<u64> {
        ratings(kind).iter().map(|name| self.by_rating.get(name).copied().unwrap_or_default()).collect()
    }
}

/// The field that all findings of a group agree in.
fn field(by: GroupBy, kind: RecordKind) -> &'static str {
    match (by, kind) {
        (GroupBy::Plugin, _) => "plugin_id",
        (GroupBy::Port, _) => "port",
        (GroupBy::Family, _) => "plugin_family",
        (GroupBy::Solution, RecordKind::Compliance) => "cm:compliance-solution",
        (GroupBy::Solution, _) => "solution",
        (GroupBy::Check, _) => "cm:compliance-check-name",
        (GroupBy::Severity, _) => "severity",
        (GroupBy::Result, _) => "cm:compliance-result",
        _ => "host",
    }
}

/// What an item has in common with others of its group.
fn key(by: GroupBy, kind: RecordKind, item: &Map<String, Value>, machine: usize) -> String {
    let value = item.get(field(by, kind)).cloned().unwrap_or_default();
    match by {
        GroupBy::Host => machine.to_string(),
        GroupBy::Severity | GroupBy::Result => rating(kind, item).to_owned(),
        // What is no number is in the group of those without.
        GroupBy::Plugin | GroupBy::Port => {
            value.as_i64().map_or_else(|| "null".to_owned(), |number| number.to_string())
        }
        // Of several, the first.
        _ => value.as_array().map_or(&value, |values| &values[0]).to_string(),
    }
}

/// What is asked.
#[derive(Debug, Clone)]
struct Question {
    kind: RecordKind,
    by: GroupBy,
    sort: &'static str,
    worst_only: bool,
}

impl Question {
    fn filters(&self) -> Value {
        match (self.worst_only, self.kind) {
            (false, _) => json!({}),
            (true, RecordKind::Compliance) => json!({ "cm:compliance-result": "FAILED" }),
            (true, _) => json!({ "severity": ">=High" }),
        }
    }

    fn matches(&self, item: &Map<String, Value>) -> bool {
        item["type"] == self.kind.name()
            && (!self.worst_only || ["FAILED", "High", "Critical"].contains(&rating(self.kind, item)))
    }

    fn base(&self) -> QueryBuilder {
        Query::builder().kind(self.kind).filters(FilterSet::from_json(&self.filters()).unwrap())
    }

    fn groups(&self) -> QueryBuilder {
        self.base().group_by(self.by, self.sort.parse::<GroupSort>().unwrap())
    }

    /// What decides the place of a group, the most first.
    fn order(&self, group: &Plain) -> (u64, Vec<u64>) {
        let worst = group.worst(self.kind);
        let first = match self.sort {
            "findings" => group.findings,
            "hosts" => group.machines.len() as u64,
            "plugins" => group.plugins.len() as u64,
            ">=High" => worst[0] + worst[1],
            "High" => worst[1],
            "PASSED" => worst[4],
            _ => 0,
        };
        (first, worst)
    }
}

fn question() -> impl Strategy<Value = Question> {
    kinds().prop_flat_map(|kind| {
        let by = GroupBy::ALL.into_iter().filter(move |by| match by {
            GroupBy::Severity => kind == RecordKind::Vulnerability,
            GroupBy::Result | GroupBy::Check => kind == RecordKind::Compliance,
            _ => true,
        });
        let sort = match kind {
            RecordKind::Compliance => vec!["worst", "findings", "hosts", "plugins", "PASSED"],
            RecordKind::Vulnerability => vec!["worst", "findings", "hosts", "plugins", ">=High", "High"],
        };
        (Just(kind), select(by.collect::<Vec<_>>()), select(sort), any::<bool>()).prop_map(
            |(kind, by, sort, worst_only)| {
                let is_one = (by == GroupBy::Host && sort == "hosts") || (by == GroupBy::Plugin && sort == "plugins");
                Question { kind, by, sort: if is_one { "worst" } else { sort }, worst_only }
            },
        )
    })
}

/// The counts of all that matches, as the schema line has them.
fn check_schema(question: &Question, all: &Plain, schema: &Value) {
    let name = if question.kind == RecordKind::Compliance { "matched_by_result" } else { "matched_by_severity" };
    let found = (&schema["matched"], &schema["matched_hosts"], &schema["matched_plugins"], &schema[name]);
    let (hosts, plugins) = (json!(all.machines.len()), json!(all.plugins.len()));
    assert_eq!(found, (&json!(all.findings), &hosts, &plugins, &json!(all.by_rating)), "{question:?}");
}

/// The groups from page to page.
fn walk(ask: impl Fn(QueryBuilder) -> Result<Answer, ResultsError>, question: &Question) -> Vec<Map<String, Value>> {
    let (mut groups, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = question.groups().page(Page::new(1, Some(10)).unwrap()).max_chars(2_000);
        if let Some(cursor) = &cursor {
            query = query.cursor(cursor);
        }
        let answer = match ask(query.clone()) {
            Err(ResultsError::BudgetTooSmall { least, .. }) => ask(query.max_chars(least)).unwrap(),
            answer => answer.unwrap(),
        };
        groups.extend(answer.findings().cloned());
        cursor = answer.pagination().unwrap()["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return groups;
        }
    }
}

/// Holds an answer against a plain count; how many groups there are.
fn check(export: &[u8], question: &Question) -> usize {
    let whole = united(export).unwrap();
    let (mut all, mut expected) = (Plain::default(), BTreeMap::<String, Plain>::new());
    for (at, found) in whole.items.iter().enumerate() {
        let (item, machine) = (&found.fields, &whole.machines[found.block]);
        if question.matches(item) {
            all.add(question.kind, item, *machine);
            let group = expected.entry(key(question.by, question.kind, item, *machine));
            group.or_insert_with(|| Plain { first: at, ..Plain::default() }).add(question.kind, item, *machine);
        }
    }
    let mut expected: Vec<(String, Plain)> = expected.into_iter().collect();
    expected.sort_by_key(|(_, group)| (std::cmp::Reverse(question.order(group)), group.first));

    let indexed = Indexed::new(export).unwrap();
    let answer = engine::ask(export, question.groups()).unwrap();
    assert_eq!(indexed.ask(question.groups()).unwrap(), answer, "{question:?}");
    let (schema, groups): (_, Vec<_>) = (&answer.lines[0], answer.findings().cloned().collect());
    check_schema(question, &all, schema);
    assert_eq!((schema["groups"].as_u64(), groups.len()), (Some(expected.len() as u64), expected.len()));
    let by_rating = if question.kind == RecordKind::Compliance { "by_result" } else { "by_severity" };
    let is_rating = matches!(question.by, GroupBy::Severity | GroupBy::Result);
    for ((key, plain), found) in expected.iter().zip(&groups) {
        let count = |name: &str, is_there: bool, count: usize| {
            assert_eq!(found.get(name), is_there.then(|| json!(count)).as_ref(), "{name} of {found:?} {question:?}");
        };
        assert_eq!(found["findings"], plain.findings, "{found:?} {question:?}");
        count("hosts", question.by != GroupBy::Host, plain.machines.len());
        count("plugins", question.by != GroupBy::Plugin, plain.plugins.len());
        assert_eq!(found.get(by_rating), (!is_rating).then(|| json!(plain.by_rating)).as_ref(), "{question:?}");
        // Its name is that of its first finding, shortened like any other text.
        let first = &whole.items[plain.first].fields;
        let name = &found[field(question.by, question.kind)];
        match question.by {
            GroupBy::Severity | GroupBy::Result => {
                assert!(name == key || ["unknown", "OTHER"].contains(&key.as_str()), "{name} {key}");
            }
            GroupBy::Host => assert_eq!(*name, *first.get("host").unwrap_or(&Value::Null)),
            _ if key == "null" => assert!(name.is_null()),
            _ => {
                let whole = &first[field(question.by, question.kind)];
                assert!(name == whole || found.contains_key("truncated_fields"), "{name} {whole}");
            }
        }
        if question.by == GroupBy::Solution {
            let plugins: Vec<i64> = plain.plugins.iter().copied().take(10).collect();
            assert_eq!(found.get("plugin_ids").cloned().unwrap_or(json!([])), json!(plugins));
        }
    }
    for walked in [walk(|query| engine::ask(export, query), question), walk(|query| indexed.ask(query), question)] {
        assert_eq!(walked, groups, "{question:?}");
    }
    for counted in [engine::ask(export, question.base().count_only()), indexed.ask(question.base().count_only())] {
        let counted = counted.unwrap();
        check_schema(question, &all, &counted.lines[0]);
        assert_eq!((counted.findings().count(), counted.pagination()), (0, None));
    }
    let listed = engine::ask(export, question.base()).unwrap();
    assert_eq!(listed, indexed.ask(question.base()).unwrap());
    check_schema(question, &all, &listed.lines[0]);
    expected.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_a_plain_count(export in arbitrary::export(Texts::Plain), question in question()) {
        check(export.as_bytes(), &question);
    }

    /// Machines that stand in several blocks are one.
    #[test]
    fn groups_are_a_plain_count_of_machines(blocks in vec(blocks::block(), 0..9), question in question()) {
        check(blocks::export(&blocks).as_bytes(), &question);
    }
}

/// Hosts of one page, of many, and more findings than are read at once.
#[test]
fn many_groups_are_paged() {
    let host = |host: usize| {
        let item = |item: usize| {
            let (severity, plugin) = ((host * 7 + item * 3) % 5, (host + item * 11) % 70);
            format!(
                "<ReportItem severity='{severity}' port='{plugin}' pluginID='{plugin}' pluginFamily='F{}'>\
                 <solution>Update {}.</solution></ReportItem>",
                plugin % 9,
                plugin % 31
            )
        };
        let items: String = (0..6).map(item).collect();
        // Some stand in the export twice.
        format!("<ReportHost name='10.0.{}.{}'>{items}</ReportHost>", host % 300 / 200, host % 200)
    };
    let hosts: String = (0..400).map(host).collect();
    let export = format!("<NessusClientData_v2><Report>{hosts}</Report></NessusClientData_v2>");
    let kind = RecordKind::Vulnerability;
    for (by, sort, worst_only, expected) in [
        (GroupBy::Host, ">=High", false, 300),
        (GroupBy::Host, "plugins", true, 300),
        (GroupBy::Plugin, "hosts", false, 70),
        (GroupBy::Family, "findings", false, 9),
        (GroupBy::Solution, "findings", true, 31),
    ] {
        assert_eq!(check(export.as_bytes(), &Question { kind, by, sort, worst_only }), expected, "{by} {sort}");
    }
}
