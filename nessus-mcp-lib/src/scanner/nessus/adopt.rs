//! Finding the scan of a task again, so that it is not created twice.

use super::wire::ScanList;
use crate::{
    ids::ScanId,
    scanner::{ScannerError, interface::name_carries},
};

/// The scan in `GET /scans` whose name carries the marker; scans in the trash do not count.
///
/// # Errors
/// [`ScannerError::AmbiguousMarker`] when there are several.
pub(super) fn find(list: &ScanList, marker: &str) -> Result<Option<ScanId>, ScannerError> {
    // Folder ids differ from user to user; only the type says which one is the trash.
    let is_trash = |folder: Option<u64>| {
        folder.is_some()
            && list.folders.iter().any(|known| known.id == folder && known.kind.as_deref() == Some("trash"))
    };
    let mut found: Vec<ScanId> = list
        .scans
        .iter()
        .filter(|scan| !is_trash(scan.folder_id))
        .filter(|scan| scan.name.as_deref().is_some_and(|name| name_carries(name, marker)))
        .filter_map(|scan| scan.id.map(ScanId::from))
        .collect();
    if found.len() > 1 {
        return Err(ScannerError::AmbiguousMarker { marker: marker.to_owned(), scans: found });
    }
    Ok(found.pop())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIST: &str = r#"{
        "folders": [{"id": 2, "type": "trash"}, {"id": 3, "type": "main"}],
        "scans": [
            {"id": 1, "name": "nightly [ne_a_1]", "folder_id": 3},
            {"id": "2", "name": "nightly [ne_a_11]", "folder_id": null},
            {"id": 3, "name": "deleted [ne_b_1]", "folder_id": 2},
            {"id": 4, "name": "ne_c_1", "folder_id": 3},
            {"id": 5, "name": "named after another [ne_d_1] [ne_e_1]", "folder_id": 3},
            {"id": 6, "name": "twice [ne_f_1]", "folder_id": 3},
            {"id": 7, "name": "Copy of twice [ne_f_1]", "folder_id": 3},
            {"id": 8, "name": null, "folder_id": 3},
            {"id": 9, "name": "thrown away once [ne_g_1]", "folder_id": 2},
            {"id": 10, "name": "thrown away once [ne_g_1]", "folder_id": 3}
        ]}"#;

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
        let list: ScanList = serde_json::from_str(LIST).unwrap();
        assert_eq!(find(&list, marker).unwrap(), scan.map(ScanId::from));
    }

    #[test]
    fn of_two_scans_neither_is_taken() {
        let list: ScanList = serde_json::from_str(LIST).unwrap();
        let error = find(&list, "ne_f_1").unwrap_err();
        assert!(matches!(error, ScannerError::AmbiguousMarker { scans, .. } if scans == [6.into(), 7.into()]));
    }
}
