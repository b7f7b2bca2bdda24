//! Irregularities that do not stop the reading of an export.

use serde::{Deserialize, Serialize};

/// How often each irregularity was repaired while reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepairCounts {
    /// Characters that XML forbids, each replaced by U+FFFD.
    pub control_characters: u64,
    /// Elements inside a text, left out with their content.
    pub nested_elements: u64,
    /// Text directly inside an item, left out.
    pub stray_texts: u64,
    /// Attributes of elements that have none in any known export, left out.
    pub left_out_attributes: u64,
    /// Hosts whose properties came after their first item, so that earlier items lack them.
    pub late_properties: u64,
    /// Findings of machines with several blocks that were too many to be compared: some may be there twice.
    #[serde(default)]
    pub findings_not_united: u64,
}
