//! Finding the scan of a task again, so that it is not created twice, and a run again, so that it is not launched twice.

use std::{collections::BTreeSet, time::Duration};

use super::{
    call::{Call, decode_error},
    wire::{self, Details, ListedScan, ScanList},
};
use crate::{
    ids::ScanId,
    scanner::{
        error::ScannerError,
        interface::{MarkedScan, name_carries},
    },
};

/// How far a scan may seem older than the request that created it: the scanner counts in whole seconds.
const SLACK_SECONDS: u64 = 5;

/// The scan in `GET /scans` whose name carries the marker; scans in the trash do not count.
///
/// # Errors
/// [`ScannerError::AmbiguousMarker`] when there are several, [`ScannerError::Decode`] when this is no list of scans:
/// taken for an empty one it would have a second scan created.
pub(super) fn find(call: &Call, list: &ScanList, marker: &str) -> Result<Option<ScanId>, ScannerError> {
    one(call, carrying(call, list, marker)?, marker)
}

/// As [`find`], of those that were created within the last `age` by the scanner's own clock; where it does not tell the
/// time, the marker alone has to do.
pub(super) fn find_new(
    call: &Call,
    list: &ScanList,
    marker: &str,
    age: Duration,
) -> Result<Option<ScanId>, ScannerError> {
    let earliest = known(list.timestamp).map(|now| now.saturating_sub(age.as_secs() + SLACK_SECONDS));
    let mut found = carrying(call, list, marker)?;
    found.retain(|scan| match (earliest, known(scan.creation_date)) {
        (Some(earliest), Some(created)) => created >= earliest,
        _ => true,
    });
    one(call, found, marker)
}

/// Whether `GET /scans` lists the scan, be it in the trash.
///
/// # Errors
/// [`ScannerError::Decode`] when this is no list of scans.
pub(super) fn lists(call: &Call, list: &ScanList, scan: u64) -> Result<bool, ScannerError> {
    Ok(scans(call, list)?.iter().any(|listed| listed.id == Some(scan)))
}

/// A time the scanner tells; 0 stands for none.
fn known(time: Option<u64>) -> Option<u64> {
    time.filter(|seconds| *seconds > 0)
}

fn scans<'a>(call: &Call, list: &'a ScanList) -> Result<&'a [ListedScan], ScannerError> {
    list.scans.as_deref().ok_or_else(|| decode_error(call, "there is no `scans` in it"))
}

fn carrying<'a>(call: &Call, list: &'a ScanList, marker: &str) -> Result<Vec<&'a ListedScan>, ScannerError> {
    let carries = |scan: &&ListedScan| scan.name.as_deref().is_some_and(|name| name_carries(name, marker));
    Ok(not_in_trash(call, list)?.filter(carries).collect())
}

/// The scans in `GET /scans` whose name carries the marker of some task; scans in the trash do not count.
///
/// # Errors
/// [`ScannerError::Decode`] when this is no list of scans.
pub(super) fn marked(call: &Call, list: &ScanList) -> Result<Vec<MarkedScan>, ScannerError> {
    Ok(not_in_trash(call, list)?.filter_map(wire::marked).collect())
}

fn not_in_trash<'a>(call: &Call, list: &'a ScanList) -> Result<impl Iterator<Item = &'a ListedScan>, ScannerError> {
    // Folder ids differ from user to user; only the type says which one is the trash.
    let is_trash = |folder: Option<u64>| {
        folder.is_some()
            && list.folders.iter().flatten().any(|known| known.id == folder && known.kind.as_deref() == Some("trash"))
    };
    Ok(scans(call, list)?.iter().filter(move |scan| !is_trash(scan.folder_id)))
}

fn one(call: &Call, found: Vec<&ListedScan>, marker: &str) -> Result<Option<ScanId>, ScannerError> {
    let ids = found.into_iter().map(|scan| scan.id.map(ScanId::from));
    let mut ids =
        ids.collect::<Option<Vec<_>>>().ok_or_else(|| decode_error(call, "there is a scan without an `id`"))?;
    if ids.len() > 1 {
        return Err(ScannerError::AmbiguousMarker { marker: marker.to_owned(), scans: ids });
    }
    Ok(ids.pop())
}

/// The runs a scan has had: what the scanner calls them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runs {
    names: BTreeSet<String>,
    /// Whether there is none that could not be read: it would look new when it can be read again.
    are_all: bool,
}

impl Runs {
    pub(super) fn of(details: &Details) -> Self {
        let entries = details.history.runs.iter().filter_map(|entry| {
            entry.uuid.clone().or_else(|| entry.history_id.map(|id| id.to_string())).filter(|name| !name.is_empty())
        });
        Self { names: entries.chain(current(details)).collect(), are_all: details.history.is_whole }
    }

    /// The run that is in `details` and not among these.
    pub(super) fn new_in(&self, details: &Details) -> Option<String> {
        let is_new = |name: &String| !self.names.contains(name);
        let earlier = || Self::of(details).names.into_iter().find(is_new).filter(|_| self.are_all);
        current(details).filter(is_new).or_else(earlier)
    }
}

/// The name of the run that the details are of. Before its first run a scan bears the name of its template.
pub(super) fn current(details: &Details) -> Option<String> {
    let uuid = details.info.as_ref().and_then(|info| info.uuid.clone());
    uuid.filter(|uuid| !uuid.is_empty() && !uuid.starts_with("template-"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::de::DeserializeSeed as _;

    use super::*;
    use crate::scanner::nessus::{call::Access, wire::Wanted};

    const LIST: &str = r#"{
        "folders": [{"id": 2, "type": "trash"}, {"id": 3, "type": "main"}],
        "timestamp": "1000",
        "scans": [
            {"id": 1, "name": "nightly [ne_a_1]", "folder_id": 3},
            {"id": "2", "name": "nightly [ne_a_11]", "folder_id": null},
            {"id": 3, "name": "deleted [ne_b_1]", "folder_id": 2},
            {"id": 4, "name": "ne_c_1", "folder_id": 3},
            {"id": 5, "name": "named after another [ne_d_1] [ne_e_1]", "folder_id": 3},
            {"id": 6, "name": "twice [ne_f_1]", "folder_id": 3, "creation_date": 500},
            {"id": 7, "name": "Copy of twice [ne_f_1]", "folder_id": 3, "creation_date": "990"},
            {"id": 8, "name": null, "folder_id": 3},
            {"id": 9, "name": "thrown away once [ne_g_1]", "folder_id": 2},
            {"id": 10, "name": "thrown away once [ne_g_1]", "folder_id": 3},
            {"id": 11, "name": "old [ne_h_1]", "folder_id": 3, "creation_date": 900},
            {"id": 12, "name": "without a time [ne_i_1]", "folder_id": 3, "creation_date": 0},
            {"name": "without an id [ne_j_1]", "folder_id": 3}
        ]}"#;

    fn call() -> Call {
        Call::get("/scans", Access::Session)
    }

    fn list(json: &str, marker: &str) -> ScanList {
        let wanted = Wanted::Marker(marker.to_owned());
        wanted.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    #[rstest]
    #[case("ne_a_1", Some(1))]
    #[case("ne_a_11", Some(2))]
    #[case("ne_a", None)]
    #[case("ne_b_1", None)]
    #[case("ne_c_1", None)]
    #[case("ne_d_1", None)]
    #[case("ne_e_1", Some(5))]
    #[case("ne_g_1", Some(10))]
    fn a_scan_is_found_by_its_whole_marker(#[case] marker: &str, #[case] scan: Option<u64>) {
        assert_eq!(find(&call(), &list(LIST, marker), marker).unwrap(), scan.map(ScanId::from));
    }

    #[rstest]
    #[case::of_two_the_new_one("ne_f_1", 20, Some(7))]
    #[case::older_than_the_request("ne_h_1", 20, None)]
    #[case::within_a_long_request("ne_h_1", 95, Some(11))]
    #[case::without_a_time("ne_i_1", 20, Some(12))]
    fn a_new_scan_is_told_by_the_scanners_own_clock(
        #[case] marker: &str,
        #[case] seconds: u64,
        #[case] scan: Option<u64>,
    ) {
        let found = find_new(&call(), &list(LIST, marker), marker, Duration::from_secs(seconds)).unwrap();
        assert_eq!(found, scan.map(ScanId::from));
        let timeless = list(&LIST.replace("\"1000\"", "0"), "ne_h_1");
        let found = find_new(&call(), &timeless, "ne_h_1", Duration::from_secs(seconds)).unwrap();
        assert_eq!(found, Some(11.into()), "a scanner without a clock");
    }

    #[test]
    fn of_two_scans_neither_is_taken() {
        let error = find(&call(), &list(LIST, "ne_f_1"), "ne_f_1").unwrap_err();
        assert!(matches!(error, ScannerError::AmbiguousMarker { scans, .. } if scans == [6.into(), 7.into()]));
    }

    #[test]
    fn what_is_no_list_is_not_an_empty_one() {
        let no_lists = ["{}", r#"{"folders":[]}"#, r#"{"scans":{}}"#, r#"{"scans":false}"#, r#"{"scans":[null,1]}"#];
        for json in no_lists {
            let error = find(&call(), &list(json, "ne_a_1"), "ne_a_1").unwrap_err();
            assert!(matches!(error, ScannerError::Decode { .. }), "{error:?}");
        }
        assert_eq!(find(&call(), &list(r#"{"scans":null}"#, "ne_a_1"), "ne_a_1").unwrap(), None);
        let error = find(&call(), &list(LIST, "ne_j_1"), "ne_j_1").unwrap_err();
        assert!(matches!(error, ScannerError::Decode { .. }), "{error:?}");
    }

    #[rstest]
    #[case(r#"{"info":{"uuid":"run-2"}}"#, Some("run-2"))]
    #[case(r#"{"info":{"uuid":"run-1"},"history":[{"uuid":"run-1"}]}"#, None)]
    #[case(r#"{"info":{"uuid":"run-1"},"history":[{"uuid":"run-1"},{"history_id":9,"uuid":null}]}"#, Some("9"))]
    #[case(r#"{"info":{"uuid":"template-1"},"history":null}"#, None)]
    fn a_run_is_new_when_it_was_not_there_before(#[case] after: &str, #[case] run: Option<&str>) {
        let before: Details = serde_json::from_str(r#"{"info":{"uuid":"run-1"},"history":[]}"#).unwrap();
        let after: Details = serde_json::from_str(after).unwrap();
        assert_eq!(Runs::of(&before).new_in(&after).as_deref(), run);
    }

    #[rstest]
    #[case(r#"{"info":{"uuid":"run-2"},"history":{}}"#)]
    #[case(r#"{"info":{"uuid":"run-2"},"history":[{"uuid":"run-2"},[]]}"#)]
    fn a_run_that_could_not_be_read_before_is_not_new(#[case] before: &str) {
        let before: Details = serde_json::from_str(before).unwrap();
        let after = r#"{"info":{"uuid":"run-2"},"history":[{"uuid":"run-1"},{"uuid":"run-2"}]}"#;
        let after: Details = serde_json::from_str(after).unwrap();
        assert_eq!(Runs::of(&before).new_in(&after), None);
    }
}
