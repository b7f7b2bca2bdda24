//! The declared fields of findings, for documentation that is generated.

use super::profile::Profile;
use crate::results::record::{ALL, FieldId, Kind};

/// A declared field of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeclaredField {
    /// Its name in JSON, filters, `custom_fields` and orders.
    pub name: &'static str,
    /// Its type, in a word or two.
    pub kind: String,
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
        Kind::Attachment => "attachment",
        Kind::Key => "key",
    };
    let shows = |profile: &Profile| profile.fields().is_some_and(|fields| fields.contains(&id));
    DeclaredField {
        name: id.name(),
        kind: if id.is_list() { format!("list of {kind}") } else { kind.to_owned() },
        profiles: Profile::ALL.into_iter().filter(shows).collect(),
        is_untrusted: id.is_untrusted(),
    }
}
