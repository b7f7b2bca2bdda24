//! What an index says of its export as a whole.

use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::{
    results::{
        convert::Warnings,
        error::ResultsError,
        judge::ExportStats,
        query::Identity,
        record::{FieldSet, RecordKind, Repeats, is_called},
        xml::Header,
    },
    source::Source,
};

/// All but the rows and hosts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub export: ExportIdentity,
    /// Whether the rest is there.
    pub is_usable: bool,
    /// Whether names of items mean something else than they say.
    pub has_namespaces: bool,
    pub header: Header,
    pub stats: ExportStats,
    /// What stands in several blocks of a machine, where any has several. Its items have rows as all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    pub warnings: Warnings,
    /// Undeclared elements and attributes, in the order of the file.
    pub names: Vec<String>,
    pub shapes: Vec<Shape>,
}

/// Which export it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExportIdentity {
    pub size: u64,
    pub hash: [u8; 32],
    /// Bytes before the first character.
    pub base: u64,
    /// Nanoseconds since 1970; of an export in parts, which are verified by their hashes, this is not known.
    pub modified: Option<u128>,
}

/// Of which kind an item is, and which fields it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Shape {
    pub kind: RecordKind,
    /// Declared fields with an occurrence.
    pub present: FieldSet,
    /// Declared fields that the `full` profile shows.
    pub shown: FieldSet,
    /// Undeclared ones, as indices of the names, in the order of the item.
    pub others: Vec<u32>,
}

impl Shape {
    /// Whether it has an undeclared element or attribute of this name.
    pub(super) fn has_other(&self, name: &str, names: &[String]) -> bool {
        let mut others = self.others.iter().filter_map(|number| names.get(*number as usize));
        others.any(|found| is_called(found, name))
    }
}

impl ExportIdentity {
    pub(super) fn of(export: &Source, base: u64) -> Result<Self, ResultsError> {
        let modified = export.modified();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_nanos());
        let Identity { size, hash } = Identity::of(&mut export.clone(), base)?;
        Ok(Self { size, hash, base, modified })
    }

    /// Whether both are of the same export, by all that is known of it on both sides.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let modified = self.modified.is_none() || other.modified.is_none() || self.modified == other.modified;
        modified && (self.size, self.hash, self.base) == (other.size, other.hash, other.base)
    }
}
