//! The declared fields of findings, for whoever asks what there is.

use serde::Serialize;

use super::{filter::valid, profile::Profile};
use crate::results::record::{ALL, FieldId, Kind, RecordKind};

/// A declared field of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeclaredField {
    /// Its name in JSON, filters, `custom_fields` and orders.
    pub name: &'static str,
    /// Its type, in a word or two, such as `text` or `list of integer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its values are, in a few words.
    pub meaning: &'static str,
    /// What a condition on it may look like, operators included; the same for all fields of a type.
    pub operators: &'static str,
    /// Of which kind the items are that have it; `None` for both.
    #[serde(rename = "kind", skip_serializing_if = "Option::is_none")]
    pub record_kind: Option<RecordKind>,
    /// The profiles that show it, other than `full`, which shows everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// Whether its texts come from scanned machines.
    #[serde(rename = "untrusted", skip_serializing_if = "std::ops::Not::not")]
    pub is_untrusted: bool,
}

/// The declared fields, in the order of `full`.
///
/// ```
/// let fields = nessus_mcp_lib::results::declared_fields();
/// let port = fields.iter().find(|field| field.name == "port").unwrap();
/// assert_eq!((port.kind.as_str(), port.meaning), ("integer", "port; 0 is the host as a whole"));
/// assert!(port.operators.contains(">="));
/// ```
pub fn declared_fields() -> Vec<DeclaredField> {
    ALL.iter().copied().map(declared).collect()
}

fn declared(id: FieldId) -> DeclaredField {
    let kind = match id.field().kind {
        Kind::Text => "text",
        Kind::Host => "host",
        Kind::Name => "name",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Severity => "severity",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Outcome => "result",
        Kind::Attachment => "attachment",
        Kind::Key => "key",
    };
    let kinds = id.kind().map_or(RecordKind::ALL.to_vec(), |kind| vec![kind]);
    let shows =
        |profile: &Profile| kinds.iter().any(|kind| profile.fields(*kind).is_some_and(|fields| fields.contains(&id)));
    DeclaredField {
        name: id.name(),
        meaning: id.field().meaning,
        operators: valid(id.field().kind),
        kind: if id.is_list() { format!("list of {kind}") } else { kind.to_owned() },
        profiles: Profile::ALL.into_iter().filter(shows).collect(),
        record_kind: id.kind(),
        is_untrusted: id.is_untrusted(RecordKind::default),
    }
}
