//! The lines of a result, typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::finding::Finding;
use crate::results::record::RecordKind;

/// The first line: what was asked for, and how much there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultsSchema {
    /// Of which kind the items are.
    pub kind: RecordKind,
    /// The profile, or `custom`; absent where no findings are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What the groups have in common; absent unless groups are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// The fields that are shown; in `full` those that the matching findings have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Those of them whose texts come from scanned machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untrusted_fields: Vec<String>,
    /// The filters in their normal form.
    #[serde(default)]
    pub filters_applied: Map<String, Value>,
    /// Findings that match, on all pages.
    pub matched: u64,
    /// Findings of this kind in all.
    pub total: u64,
    /// Machines that have a finding that matches.
    #[serde(default)]
    pub matched_hosts: u64,
    /// Plugins that have one.
    #[serde(default)]
    pub matched_plugins: u64,
    /// Findings that match by severity, those that are not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_by_severity: Option<BTreeMap<String, u64>>,
    /// Compliance checks that match by result, those that are not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_by_result: Option<BTreeMap<String, u64>>,
    /// Groups that they fall into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Pages that the matching findings, or their groups, fill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<u64>,
    /// Whatever else the line says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Something irregular in an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataWarning {
    /// What, as a stable code.
    pub warning: String,
    /// The field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How often.
    pub count: u64,
}

/// The second line: what is known of the scan, and what a reader must not miss.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanMetadata {
    /// Whether only the most important is said, as on later pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short: bool,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// How the task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether the export is broken, so that only what stands before that place is shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What a reader must know of the scan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How many warnings the whole line has, where this one is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_count: Option<u64>,
    /// What was irregular in the export.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_warnings: Vec<DataWarning>,
    /// How many items of the other kind there are, and how they are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// Whatever else the line says: names, versions, times, counts over the whole export.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A group of findings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FindingGroup {
    /// Findings, or compliance checks, in the group.
    pub findings: u64,
    /// Machines they are on; absent where each group is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<u64>,
    /// Plugins they are of; absent where each group is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<u64>,
    /// Findings by severity, those that are not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_severity: Option<BTreeMap<String, u64>>,
    /// Compliance checks by result, those that are not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_result: Option<BTreeMap<String, u64>>,
    /// Of a solution, the first ten of the plugins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin_ids: Vec<i64>,
    /// What all of the group have in common, by field.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The last line of a page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pagination {
    /// The page, from 1; absent after a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// The most findings on a page.
    pub page_size: u64,
    /// Pages in all; absent when this page ends early or was asked for by cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<u64>,
    /// Whether the page ends early, because its characters were used up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whether there is more.
    pub has_next: bool,
    /// The number of the next page, where pages go by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<u64>,
    /// The `cursor` for the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whatever else the line says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One line of a result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResultLine {
    /// What was asked for, and how much there is.
    Schema(ResultsSchema),
    /// What is known of the scan.
    Metadata(ScanMetadata),
    /// A finding, or the outcome of a compliance check.
    Finding(Box<Finding>),
    /// A group of findings.
    Group(FindingGroup),
    /// Where the next page begins.
    Pagination(Pagination),
    /// A line of a type that this version does not know.
    Other(Map<String, Value>),
}

impl<'de> Deserialize<'de> for ResultLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let kind = members.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_finding = RecordKind::ALL.iter().any(|known| known.name() == kind);
        let is_known = matches!(&*kind, "schema" | "scan_metadata" | "group" | "pagination");
        if is_known {
            members.remove("type");
        }
        let members = Value::Object(members);
        match &*kind {
            "schema" => serde_json::from_value(members).map(Self::Schema),
            "scan_metadata" => serde_json::from_value(members).map(Self::Metadata),
            "group" => serde_json::from_value(members).map(Self::Group),
            "pagination" => serde_json::from_value(members).map(Self::Pagination),
            _ if is_finding => serde_json::from_value(members).map(Self::Finding),
            _ => serde_json::from_value(members).map(Self::Other),
        }
        .map_err(serde::de::Error::custom)
    }
}

impl Serialize for ResultLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Typed<'l, T> {
            #[serde(rename = "type")]
            kind: &'static str,
            #[serde(flatten)]
            line: &'l T,
        }
        match self {
            Self::Schema(line) => Typed { kind: "schema", line }.serialize(serializer),
            Self::Metadata(line) => Typed { kind: "scan_metadata", line }.serialize(serializer),
            Self::Group(line) => Typed { kind: "group", line }.serialize(serializer),
            Self::Pagination(line) => Typed { kind: "pagination", line }.serialize(serializer),
            Self::Finding(line) => line.serialize(serializer),
            Self::Other(line) => line.serialize(serializer),
        }
    }
}
