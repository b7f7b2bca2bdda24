//! The faults there are, row by row of the project's fault catalogue.

mod answers;
mod states;
mod wire;

use super::entry::{At, Entry};

const CREATE: At = At::Calls(&["POST /scans"]);
const LAUNCH: At = At::Calls(&["POST /scans/*/launch"]);
const DETAILS: At = At::Calls(&["GET /scans/*"]);
const POLLS: At = At::Calls(&["GET /scans/*", "GET /scans"]);
const STEER: At =
    At::Calls(&["POST /scans/*/pause", "POST /scans/*/resume", "POST /scans/*/stop", "POST /scans/*/kill"]);
const STOP: At = At::Calls(&["POST /scans/*/stop"]);
const DELETE: At = At::Calls(&["DELETE /scans/*"]);
const EXPORT: At = At::Calls(&["POST /scans/*/export"]);
const EXPORT_STATUS: At = At::Calls(&["GET /scans/*/export/*/status", "GET /tokens/*/status"]);
const DOWNLOAD: At = At::Calls(&["GET /scans/*/export/*/download", "GET /tokens/*/download"]);
const LOGIN: At = At::Calls(&["POST /session"]);
const SCRIPT: At = At::Calls(&["GET /nessus6.js"]);
const STATUS: At = At::Calls(&["GET /server/status"]);

/// All faults, in the order of their kind.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    wire::FAULTS.iter().chain(&answers::FAULTS).chain(&states::FAULTS)
}

/// The fault with this name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_fault_and_every_fault_a_row_and_a_name_of_its_own() {
        let rows: HashSet<u8> = all().flat_map(|entry| entry.rows).copied().collect();
        assert_eq!(rows, (1..=56).collect());
        for entry in all() {
            assert!(!entry.rows.is_empty() && !entry.what.is_empty(), "{}", entry.name);
        }
        assert_eq!(all().map(|entry| entry.name).collect::<HashSet<_>>().len(), all().count());
    }
}
