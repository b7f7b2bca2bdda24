//! What a finding is: an item of an export with its host, and the declared fields with their types.
//!
//! Takes the texts that [`xml`](super::xml) finds, and keeps what they mean in an [`Item`] and a [`Host`]: `namespaces.rs`
//! says what a name stands for, `spelling.rs` what a text does (`docs/values.md` has the rules). Gives a [`Record`],
//! which answers for each [`FieldId`] of the table in `fields.rs` with typed [`Value`]s. What is not in the table is
//! text under its own name.

mod compliance;
mod field_ref;
mod fields;
mod finding;
mod host;
mod host_names;
mod host_time;
mod identity;
mod item;
mod kind;
mod namespaces;
mod rating;
mod repeats;
mod severity;
mod spelling;
mod value;

pub(crate) use self::identity::{
    Blocks, FindingKey, FindingPart, HostEvidence, HostPart, Machines, Protocol, group, match_hosts,
};
pub(crate) use self::{
    compliance::ComplianceResult,
    field_ref::{FieldRef, nearest},
    fields::{ALL, FIELDS, FieldId, FieldSet, Kind, MOST_NAMES, NAME_BYTES, Origin, key_of_other},
    finding::{Record, is_called},
    host::Host,
    host_names::{as_address, is_same as is_same_name},
    item::{Item, Occurrence, Opened, Place},
    namespaces::{Level, NAMESPACE_BYTES, Namespaces, is_declaration, split},
    rating::{RATINGS, RatingCounts, rating_name, rating_of_severity, rating_of_word},
    repeats::{RepeatFinder, Repeats},
    severity::severity,
    spelling::{boolean, day, decimal, integer, meant, number},
    value::Value,
};
pub use self::{
    kind::RecordKind,
    severity::{NoSeverity, Severity},
};
