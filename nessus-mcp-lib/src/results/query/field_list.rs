//! The declared fields of findings, for documentation that is generated.

use super::profile::Profile;
use crate::results::record::{ALL, FieldId, Kind, RecordKind};

/// A declared field of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeclaredField {
    /// Its name in JSON, filters, `custom_fields` and orders.
    pub name: &'static str,
    /// Its type, in a word or two.
    pub kind: String,
    /// Of which kind the items are that have it; `None` for both.
    pub record_kind: Option<RecordKind>,
    /// The profiles that show it, other than `full`, which shows everything.
    pub profiles: Vec<Profile>,
    /// Whether its texts come from scanned machines.
    pub is_untrusted: bool,
}

/// The declared fields, in the order of `full`.
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
        kind: if id.is_list() { format!("list of {kind}") } else { kind.to_owned() },
        profiles: Profile::ALL.into_iter().filter(shows).collect(),
        record_kind: id.kind(),
        is_untrusted: id.is_untrusted(RecordKind::default),
    }
}
