//! Every declared field has the values that its row in the table says: of its kind, and out of its place in an export.

use std::fmt::Write as _;

use super::*;
use crate::results::{
    record::fields::{ALL, FIELDS},
    xml::{ExportReader, Step},
};

/// Calls `take` with every item of an export.
fn each_record(export: &[u8], mut take: impl FnMut(Record<'_>)) {
    let mut reader = ExportReader::new(export, 0);
    loop {
        match reader.next().unwrap() {
            Step::Item => take(Record { host: reader.host(), item: reader.item() }),
            Step::End => return,
            Step::HostStart | Step::HostEnd | Step::Repeated => {}
        }
    }
}

/// A value with what it says, to compare.
fn told(record: &Record<'_>, value: Value<'_>) -> (&'static str, String) {
    match value {
        Value::Text(text) => ("text", text.to_owned()),
        Value::Integer(number) => ("integer", number.to_string()),
        Value::Number(number) => ("number", number.to_string()),
        Value::Severity(severity) => ("severity", severity.to_string()),
        Value::Boolean(value) => ("boolean", value.to_string()),
        Value::Date(text, day) => ("date", format!("{text} {day}")),
        Value::Key(key) => ("key", key.to_string()),
        Value::Element(occurrence) => ("element", record.item.value(occurrence).to_owned()),
        Value::TypeMismatch(text) => ("mismatch", text.to_owned()),
    }
}

/// What the values of a kind are, those that fit it.
fn told_as(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Host | Kind::Name | Kind::Outcome => "text",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Severity => "severity",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Attachment => "element",
        Kind::Key => "key",
    }
}

/// What an export that has everything says in a field, which no other field of the kind says where that is possible.
fn written(id: FieldId) -> String {
    let at = id as usize;
    match id.field().kind {
        Kind::Text | Kind::Name | Kind::Attachment => format!("the {}", id.name()),
        Kind::Host => format!("192.0.2.{at}"),
        Kind::Integer => (1000 + at).to_string(),
        Kind::Number => format!("{at}.5"),
        Kind::Severity => "4".to_owned(),
        Kind::Outcome => "FAILED".to_owned(),
        Kind::Boolean => "true".to_owned(),
        Kind::Date => format!("{}-02-03T00:00:00Z", 2000 + at),
        Kind::Key => format!("v1:{at:032x}"),
    }
}

/// What a field of that export has to say.
fn expected(id: FieldId) -> String {
    let at = id as usize;
    match (id.field().origin, id.field().kind) {
        (Origin::Derived(Derived::BestScore), _) => written(FieldId::Cvss4BaseScore),
        (_, Kind::Severity) => "Critical".to_owned(),
        _ if id == FieldId::Cve => written(id).to_uppercase(),
        (_, Kind::Date) => format!("{} {}0203", written(id), 2000 + at),
        _ => written(id),
    }
}

/// An export of one item of a kind that has every attribute, element and property of the table that the kind may have.
fn everything(kind: RecordKind) -> String {
    let (mut properties, mut attributes, mut elements) = (String::new(), String::new(), String::new());
    for (&id, field) in ALL.iter().zip(FIELDS) {
        let (xml, value) = (field.xml, written(id));
        if is_of_other(id, kind) {
            continue;
        }
        match field.origin {
            Origin::Host if id == FieldId::Host => Ok(()),
            Origin::Host | Origin::HostList => write!(properties, r#"<tag name="{xml}">{value}</tag>"#),
            Origin::Attribute => write!(attributes, r#" {xml}="{value}""#),
            Origin::Element | Origin::List | Origin::Lines | Origin::Check => {
                write!(elements, "<{xml}>{value}</{xml}>")
            }
            Origin::Derived(_) => Ok(()),
        }
        .unwrap();
    }
    format!(
        r#"<NessusClientData_v2><Report><ReportHost name="{}"><HostProperties>{properties}</HostProperties>
        <ReportItem{attributes}>{elements}</ReportItem></ReportHost></Report></NessusClientData_v2>"#,
        written(FieldId::Host)
    )
}

fn is_of_other(id: FieldId, kind: RecordKind) -> bool {
    id.kind().is_some_and(|of| of != kind)
}

#[rstest::rstest]
fn every_field_has_the_value_that_stands_in_its_place(
    #[values(RecordKind::Vulnerability, RecordKind::Compliance)] kind: RecordKind,
) {
    let mut items = 0;
    each_record(everything(kind).as_bytes(), |record| {
        items += 1;
        assert_eq!(record.kind(), kind);
        for &id in ALL.iter().filter(|id| !is_of_other(**id, kind)) {
            let mut values = Vec::new();
            record.any(id, |value| {
                values.push(told(&record, value));
                false
            });
            let expected = if id == FieldId::FindingKey { record.key().to_string() } else { expected(id) };
            assert_eq!(values, [(told_as(id.field().kind), expected)], "{}", id.name());
        }
        let wanted = ALL.iter().filter(|id| !is_of_other(**id, kind));
        let hidden: Vec<_> = wanted.filter(|id| !record.shown_beside(FieldSet::default()).contains(**id)).collect();
        assert_eq!(hidden, [&FieldId::FindingKey], "`full` shows all but what has to be asked for");
        assert_eq!(record.item.others().count(), 0, "no field is read as one that is not declared");
    });
    assert_eq!(items, 1);
}

#[test]
fn a_check_has_no_ratings_whatever_its_item_says() {
    let mut items = 0;
    let (ratings, check) = (everything(RecordKind::Vulnerability), "<compliance>true</compliance></ReportItem>");
    each_record(ratings.replace("</ReportItem>", check).as_bytes(), |record| {
        items += 1;
        assert_eq!((record.kind(), record.severity(), record.best_score()), (RecordKind::Compliance, None, None));
        let shown = record.shown_beside(FieldSet::default());
        for id in ALL.iter().copied().filter(|id| is_of_other(*id, RecordKind::Compliance)) {
            assert_eq!((record.first(id), shown.contains(id)), (None, false), "{}", id.name());
        }
        record.type_mismatches(|id| assert_ne!(id, FieldId::Severity));
    });
    assert_eq!(items, 1);
}

#[test]
fn every_value_of_the_fixtures_is_of_its_fields_kind() {
    let exports: [&[u8]; 3] = [
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus")),
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office_later.nessus")),
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/login_verdicts.nessus")),
    ];
    let mut seen = FieldSet::default();
    for export in exports {
        each_record(export, |record| {
            for &id in ALL {
                record.any(id, |value| {
                    seen.insert(id);
                    let (kind, text) = told(&record, value);
                    assert_eq!(kind, told_as(id.field().kind), "{}: {text}", id.name());
                    false
                });
            }
        });
    }
    assert!(seen.contains(FieldId::CvssScore) && seen.contains(FieldId::Cve), "the fixtures have values");
}
