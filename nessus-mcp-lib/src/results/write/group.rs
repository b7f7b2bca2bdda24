//! A group of findings as a line of JSON.

use std::io;

use serde::Serialize;

use super::render;
use crate::results::{
    convert::Group,
    query::GroupBy,
    record::{FieldId, RatingCounts, Record, RecordKind, as_address},
};

/// What a group is in numbers, behind what it is called.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct GroupLine {
    /// Findings, or compliance checks, in the group.
    findings: u64,
    /// Machines they are on; absent where each group is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<u32>,
    /// Plugins they are of; absent where each group is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<u32>,
    /// Findings by severity, those that are not 0; of compliance checks `by_result`. Absent where each group is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, u64>"))]
    by_severity: Option<RatingCounts<u32>>,
    /// Compliance checks by result, those that are not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, u64>"))]
    by_result: Option<RatingCounts<u32>>,
    /// Of a solution, the first ten of the plugins, for `filters`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plugin_ids: Vec<i64>,
}

/// Appends the line of a group whose first finding is `record`.
pub(super) fn write(line: &mut Vec<u8>, by: GroupBy, group: &Group, record: &Record<'_>) -> io::Result<()> {
    let kind = record.kind();
    let fields = by.fields(kind);
    match fields.first() {
        Some(key) if group.is_without => line.extend(format!(r#"{{"type":"group","{}":null"#, key.name()).bytes()),
        Some(key) => render::write_group(line, record, *key, fields.iter().copied().filter(says_more(record)))?,
        None => line.extend_from_slice(br#"{"type":"group""#),
    }
    let counts = (!by.is_rating()).then_some(RatingCounts { kind, counts: group.size.ratings });
    let numbers = GroupLine {
        findings: group.size.findings(),
        hosts: (by != GroupBy::Host).then_some(group.size.hosts),
        plugins: (by != GroupBy::Plugin).then_some(group.size.plugins),
        by_severity: counts.filter(|_| kind == RecordKind::Vulnerability),
        by_result: counts.filter(|_| kind == RecordKind::Compliance),
        plugin_ids: group.plugin_ids.clone(),
    };
    let begin = line.len();
    serde_json::to_writer(&mut *line, &numbers)?;
    // One object with what stands before it.
    if let Some(brace) = line.get_mut(begin) {
        *brace = b',';
    }
    line.push(b'\n');
    Ok(())
}

/// Whether a field of a host says more than those before it: a host is called by its name where it was scanned by its
/// address, and by one.
fn says_more<'r>(record: &Record<'r>) -> impl Fn(&FieldId) -> bool + use<'r> {
    let host = record.host;
    move |id| match id {
        FieldId::HostIp => host.get(FieldId::HostIp) != Some(&*host.name),
        FieldId::HostFqdn => as_address(&host.name).is_some(),
        FieldId::NetbiosName => as_address(&host.name).is_some() && host.get(FieldId::HostFqdn).is_none(),
        _ => true,
    }
}
