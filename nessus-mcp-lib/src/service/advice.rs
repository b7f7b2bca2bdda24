//! What each code means, and what to do about it.

/// What to do where no row of the table has the code.
const UNKNOWN: &str =
    "Read the message. If it names no cause that can be fixed, an operator finds more in the worker's log.";

/// Codes, and what to do about them: of tasks that have failed, of steps that are retried, of what keeps a task waiting, and
/// of warnings about results.
const TABLE: &[(&[&str], &str)] = &[
    // How scans end.
    (
        &["scan_timeout"],
        "The scan took longer than it may. What it had found is kept. Scan fewer hosts at once, or use a lighter \
         template; an operator can allow more time for scans.",
    ),
    (
        &["scan_pending"],
        "The scanner accepted the scan and never began it: it is busy with other scans, or its licence is used up. \
         Look at the list of scanners and the status of the pool, then retry the task.",
    ),
    (
        &["scan_paused"],
        "Somebody held the scan on the scanner and nobody went on with it. Find out who held it and why, then retry \
         the task.",
    ),
    (
        &["scan_stalled"],
        "The scan made no progress for too long, often because of a single host or an overloaded scanner. Scan the targets in \
         smaller parts to find the host, then leave it out or scan it alone.",
    ),
    (
        &["scan_aborted", "scan_not_ended"],
        "The scanner gave the scan up: it was restarted, updated, or ran out of memory or licensed hosts. Read the \
         message, look at the list of scanners, then retry the task.",
    ),
    (
        &["scan_cancelled"],
        "Somebody stopped the scan on the scanner itself. What it had found is kept; submit it again if that was not meant.",
    ),
    (
        &["cancelled"],
        "The scan was cancelled on request. What it had found is kept; submit it again to scan everything.",
    ),
    (
        &["approval_denied"],
        "A person has not agreed to the scan; the message has the reason. Tell whoever wants the scan, and do not \
         submit it again unchanged.",
    ),
    (
        &["approval_expired"],
        "Nobody agreed to the scan in time, or it did not begin in time after that. Tell whoever wants the scan; if it \
         is still wanted, submit it again and let a person know who can decide.",
    ),
    (&["duplicate_request"], "The same request became another task, which the message names. Use that one."),
    (
        &["scan_vanished", "ambiguous_scan"],
        "The scan is gone from the scanner, or is there twice: somebody deletes or copies scans there. Submit it again, and ask \
         the scanner's administrator to leave scans alone whose names end with a task id.",
    ),
    (
        &["earlier_scan_runs"],
        "The scan of an earlier attempt cannot be stopped. An operator must stop it on the scanner; then retry the \
         task.",
    ),
    (
        &["poison_task"],
        "Worker after worker was lost with this task. An operator must look into the workers' logs (memory, restarts); \
         then retry the task, which goes on with the same scan.",
    ),
    // The scanner.
    (
        &["scanner_unreachable", "scanner_timed_out", "scanner_bad_answer", "scanner_server_error"],
        "The scanner does not answer, or not as a scanner does; the list of scanners shows its last health check. An \
         operator checks that it runs, its address, and proxies on the way. It is tried again by itself; after a \
         failure, retry the task.",
    ),
    (
        &["circuit_open"],
        "The scanner failed so often that it is not called for now; the list of scanners says why and until when. Use \
         another pool if it is urgent.",
    ),
    (
        &["scanner_login_refused", "scanner_session_refused"],
        "The scanner refuses the login of this gateway, which is not that on the targets. An operator corrects the user name, \
         the password or the keys in scanners.yaml.",
    ),
    (
        &["scanner_api_not_available"],
        "This edition of Nessus does not let its API create scans with API keys. An operator gives a user name and password in \
         scanners.yaml instead.",
    ),
    (
        &["scanner_forbidden"],
        "The account on the scanner may not do this. An operator gives it the rights to create and run scans.",
    ),
    (
        &["scanner_licence", "licence_limit"],
        "The licence of the scanner does not allow it, or not for so many hosts. Scan fewer hosts, or use another \
         pool; the list of scanners shows the licence.",
    ),
    (
        &["scanner_configuration", "scanner_unusable"],
        "The scanner is set up wrongly, or its certificate is not trusted. An operator reads the message and corrects \
         scanners.yaml or the scanner.",
    ),
    (
        &["scanner_not_ready"],
        "The scanner starts, updates or compiles its plugins, which may take an hour. It is tried again by itself.",
    ),
    (
        &["scanner_too_many_sessions", "scanner_rate_limited", "scanner_conflict"],
        "The scanner is busy, or others use the same account. It is tried again by itself; if that goes on, an operator gives \
         this gateway an account of its own.",
    ),
    (
        &["scanner_rejected", "unsupported"],
        "The scanner refuses what was asked for. Read the message, and submit it again with another template or other targets.",
    ),
    (
        &[
            "unknown_template",
            "unusable_template",
            "unknown_policy",
            "policy_not_allowed",
            "ambiguous_policy",
            "policy_renamed",
            "policy_logs_in",
            "policy_without_login",
        ],
        "Nothing was launched: the scanner has no such template or policy, or it may not be used; the list of policies \
         shows those there are. Submit the scan again with one of them.",
    ),
    (
        &["unknown_instance"],
        "The scanner of this task is not configured any more. An operator configures it again, or the scan is submitted again \
         to another; on the old one it may still run.",
    ),
    // Results.
    (
        &[
            "export_lost",
            "export_truncated",
            "truncated_export",
            "malformed_export",
            "not_a_nessus_export",
            "empty_export",
        ],
        "The scan is complete on the scanner, and its results could not be fetched whole. To fetch them again, without \
         another scan, retry the task.",
    ),
    (
        &["export_too_large", "export_limit_exceeded"],
        "The results are larger than is allowed. Scan the targets in smaller parts.",
    ),
    // This installation.
    (
        &["storage_error", "out_of_resources", "read_failed", "write_failed", "queue_storage_full", "spool_failed"],
        "A disk is full or fails, or the machine is out of memory or open files. The task goes on by itself when an \
         operator has made room; the health report shows what is wrong.",
    ),
    (
        &["task_damaged", "task_newer"],
        "The file of the task cannot be read. An operator repairs it, or starts the version of this program that wrote it.",
    ),
    (
        &["queue_unavailable", "queue_damaged", "queue_internal"],
        "The queue does not answer. Running scans go on; the health report shows when it is back.",
    ),
    // What was asked for.
    (
        &["out_of_scope", "invalid_targets"],
        "Nothing was launched: the targets, or what a name stands for now, are not within the scope. Name targets inside it; \
         only an operator changes the policy.",
    ),
    (
        &["not_permitted"],
        "Nothing was launched: whoever asked for the scan may not use what it needs any more. The message says what; ask for \
         something else, or for the right to use it.",
    ),
    (
        &["client_revoked"],
        "Nothing was launched: the client that asked for the scan was removed from the policy. Somebody who may still \
         scan submits the scan again, or may retry the task.",
    ),
    (
        &["unknown_credential", "credential_not_allowed"],
        "Nothing was launched: the credential is gone, or may not be used on these targets any more. Submit the scan again with \
         another credential_id.",
    ),
    (
        &["login_gone", "login_damaged", "wrong_secret_key", "no_secret_key", "secret_key_unusable"],
        "Nothing was launched: the login that came with the request cannot be read any more. Submit the scan again, best with a \
         credential_id; all servers and workers need the same secret key.",
    ),
    // What keeps a task waiting.
    (
        &["no_worker"],
        "Nothing takes this task. An operator checks that a worker runs that serves this pool; the list of workers \
         shows them.",
    ),
    (
        &["queued_long"],
        "Other scans are before it. queue_position and estimated_wait_seconds say how long that may take; the status \
         of the pool shows them, the list of pools whether another one is free.",
    ),
    (
        &["cannot_begin"],
        "waiting_for says what keeps it from beginning. It begins by itself when that is over; what is disabled, paused or not \
         configured needs an operator.",
    ),
    (
        &["paused"],
        "The field pause says who holds it. If a request has paused it, resume the task; a window opens by itself \
         (until). What somebody has paused on the scanner is resumed there, and stopped after a time.",
    ),
    (
        &["no_progress"],
        "Nothing has changed for a long time. One slow host can be the reason. The scan is stopped by itself when that \
         lasts; to stop it now and keep what was found, cancel the task.",
    ),
    // Results that lack something.
    (
        &["no_hosts", "targets_without_results", "dead_hosts", "hosts_without_findings"],
        "Targets did not answer or were not scanned, so nothing is known of them. validation_warnings names them. Check that \
         they are up, that the scanner reaches them (routes, firewalls), and that they answer pings; if not, use a policy that \
         scans hosts without a ping first.",
    ),
    (
        &["host_count_differs"],
        "The export lacks hosts that the scanner has reported, or has others. Compare with the scanner before relying on counts.",
    ),
    (
        &["authentication_unknown"],
        "Nothing says whether the login worked. Check that plugin 19506 and the family Settings are enabled in the policy.",
    ),
];

/// What to do about a code.
pub(super) fn of(code: &str) -> &'static str {
    known(code).unwrap_or(UNKNOWN)
}

/// What to do about a code, if the table has it.
pub(crate) fn known(code: &str) -> Option<&'static str> {
    TABLE.iter().find(|(codes, _)| codes.contains(&code)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_stands_once_and_its_advice_is_a_sentence() {
        let mut seen = HashSet::new();
        for (codes, advice) in TABLE {
            assert!(codes.iter().all(|code| seen.insert(*code)), "{codes:?}");
            assert!(
                advice.starts_with(char::is_uppercase)
                    || advice.starts_with("queue_")
                    || advice.starts_with("waiting_"),
                "{advice}"
            );
            assert!(advice.ends_with('.') && advice.len() < 320, "{advice}");
        }
        assert_eq!(of("something_new"), UNKNOWN);
    }
}
