//! Faults of the scanner and its scans.

use std::time::Duration;

use super::{
    super::{
        entry::{
            At::{Any, Nothing, Writes},
            Does::{Follows, Happens, Restarts},
            Entry, entry,
        },
        state_faults,
    },
    CREATE, DELETE, DETAILS, DOWNLOAD, EXPORT, EXPORT_STATUS, LAUNCH, STEER, STOP,
};

const NO_LICENCE: &str = "The scan was aborted: no plugin of the feed is licensed for it.";
const ENGINE_ENDED: &str = "The scan was aborted: the scan engine was restarted.";

pub(super) static FAULTS: [Entry; 30] = [
    entry("rotate_api_token", &[7, 9], Writes, Happens(state_faults::token_rotates), "before a write the X-API-Token is another one"),
    entry("session_expired", &[11, 54], DETAILS, Happens(state_faults::sessions_end), "before a poll every session has ended"),
    entry("session_expired_at_download", &[12], DOWNLOAD, Happens(state_faults::sessions_end), "before a download every session has ended"),
    entry("scan_deleted", &[18], DETAILS, Happens(state_faults::scan_vanishes), "before a poll somebody has deleted the scan"),
    entry("deleted_before_delete", &[19], DELETE, Happens(state_faults::scan_vanishes), "before its deletion somebody has deleted the scan"),
    entry("deleted_before_stop", &[19], STOP, Happens(state_faults::scan_vanishes), "before it is stopped somebody has deleted the scan"),
    entry("launched_by_somebody", &[20], LAUNCH, Happens(state_faults::somebody_launches), "before its launch somebody has launched the scan"),
    entry("ended_before", &[21], STEER, Happens(state_faults::run_completes), "before it is steered the scan has completed"),
    entry("launched_before_delete", &[22], DELETE, Happens(state_faults::somebody_launches), "before its deletion somebody has launched the scan"),
    entry("restart", &[1, 29], Nothing, Restarts, "connections are refused for `delay_ms`, then the scanner loads for `for_ms`; sessions end, runs are aborted with the note `text`")
        .delay(Duration::from_millis(500))
        .text(ENGINE_ENDED)
        .takes(&["delay_ms", "for_ms", "text"]),
    entry("stuck_pending", &[30], LAUNCH, Follows(state_faults::run_stays_pending), "the launched scan stays pending"),
    entry("aborted_at_start", &[31], LAUNCH, Follows(state_faults::run_never_begins), "the launched scan is aborted at 0 %, with the note `text`")
        .text(NO_LICENCE)
        .takes(&["text"]),
    entry("aborted", &[29, 31], DETAILS, Happens(state_faults::run_is_aborted), "before a poll the running scan is aborted, with the note `text`")
        .text(ENGINE_ENDED)
        .takes(&["text"]),
    entry("stuck_at_99", &[32], LAUNCH, Follows(state_faults::run_never_completes), "the launched scan stays at 99 %"),
    entry("paused_by_somebody", &[34], DETAILS, Happens(state_faults::somebody_pauses), "before a poll somebody pauses the running scan"),
    entry("slow_stop", &[35], LAUNCH, Follows(state_faults::stopping_takes_long), "stopping the launched scan takes `delay_ms` of the scanner's clock")
        .delay(Duration::from_secs(300))
        .takes(&["delay_ms"]),
    entry("canceled_by_somebody", &[36], DETAILS, Happens(state_faults::somebody_stops), "before a poll somebody stops the running scan"),
    entry("no_hosts", &[38], LAUNCH, Follows(state_faults::hosts_are_missing), "the launched scan finds no host").bytes(0),
    entry("fewer_hosts", &[38], LAUNCH, Follows(state_faults::hosts_are_missing), "the launched scan keeps `bytes` hosts, the others are trimmed")
        .bytes(1)
        .takes(&["bytes"]),
    entry("logins_fail", &[39], LAUNCH, Follows(state_faults::logins_fail), "the launched scan cannot log in to its hosts"),
    entry("logins_lack_privilege", &[39], LAUNCH, Follows(state_faults::logins_lack_privilege), "the launched scan logs in, but sees too little"),
    entry("export_stuck", &[40], EXPORT, Follows(state_faults::export_stays_loading), "the export is never ready"),
    entry("export_error", &[41], EXPORT, Follows(state_faults::export_fails), "the export fails: its status is 500 once, then 404"),
    entry("export_expired", &[42], EXPORT_STATUS, Happens(state_faults::exports_expire), "before its status is read the export file is gone"),
    entry("export_expired_at_download", &[42], DOWNLOAD, Happens(state_faults::exports_expire), "before its download the export file is gone"),
    entry("twin_scan", &[52], CREATE, Follows(state_faults::scan_has_a_twin), "the created scan has a twin of the same name"),
    entry("twin_in_trash", &[52], CREATE, Follows(state_faults::scan_has_a_twin_in_the_trash), "the created scan has a twin of the same name in the trash"),
    entry("moved_to_trash", &[52], DETAILS, Happens(state_faults::scan_is_trashed), "before a poll somebody moves the scan to the trash"),
    entry("client_logged_out", &[54], Any, Happens(state_faults::sessions_end), "before a request of whatever kind every session has ended"),
    entry("resumed_by_somebody", &[34], DETAILS, Happens(state_faults::somebody_resumes), "before a poll somebody resumes the paused scan"),
];
