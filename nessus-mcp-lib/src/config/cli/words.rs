//! What the library's texts call by neutral words, and the operators of this project's programs by a command or a variable.

use crate::error::reworded;

/// The library's words, and those of the programs. None of the latter contains one of the former.
const WORDS: [(&str, &str); 41] = [
    ("where the data directory is", "`DATA_DIR`"),
    ("name another data directory", "name another with `DATA_DIR`"),
    ("the URL of the queue", "`QUEUE_URL`"),
    ("bind the queue to this data directory", "run `nessus-admin queue rebind`"),
    ("give the audit log a directory", "give `AUDIT_DIR` a directory"),
    ("the secret key of this deployment", "`NESSUS_MCP_SECRET_KEY` (or `NESSUS_MCP_SECRET_KEY_FILE`)"),
    ("allow more memory for results", "allow more memory with `RESULTS_MEMORY_MIB`"),
    ("allow more time for scans", "raise `SCAN_TIMEOUT_HOURS`"),
    ("`settings.max_hosts_per_scan`", "`MAX_HOSTS_PER_SCAN`"),
    ("`settings.policy_config`", "`POLICY_CONFIG`"),
    ("`settings.worker_pools`", "`WORKER_POOLS`"),
    ("`settings.cache_max_gb`", "`CACHE_MAX_GB`"),
    ("`settings.circuits.failures`", "`CIRCUIT_FAILURES`"),
    ("`settings.circuits.open`", "`CIRCUIT_OPEN_SECONDS`"),
    ("`settings.circuits.max_open`", "`CIRCUIT_OPEN_MAX_SECONDS`"),
    ("`settings.lease`", "`LEASE_SECONDS`"),
    ("`settings.poll_interval`", "`POLL_INTERVAL_SECONDS`"),
    ("`settings.scan_timeout`", "`SCAN_TIMEOUT_HOURS`"),
    ("`settings.pending_timeout`", "`PENDING_TIMEOUT_MINUTES`"),
    ("`settings.stall_timeout`", "`STALL_TIMEOUT_MINUTES`"),
    ("`settings.paused_timeout`", "`PAUSED_TIMEOUT_HOURS`"),
    ("`settings.health_interval`", "`HEALTH_CHECK_INTERVAL_SECONDS`"),
    ("`settings.housekeeping.interval`", "`HOUSEKEEPING_INTERVAL_HOURS`"),
    ("`settings.housekeeping.completed`", "`COMPLETED_TTL_DAYS`"),
    ("`settings.housekeeping.failed`", "`FAILED_TTL_DAYS`"),
    ("`settings.housekeeping.archive`", "`ARCHIVE_TTL_DAYS`"),
    ("`settings.housekeeping.stale`", "`STALE_SCAN_HOURS`"),
    ("`settings.housekeeping.scans`", "`NESSUS_SCAN_RETENTION_HOURS`"),
    (
        "say where your `scanners.yaml` is",
        "give the path of your `scanners.yaml` with `--scanner-config` or `SCANNER_CONFIG`; README.md shows one",
    ),
    ("name another file of scanners", "name another file with `--scanner-config` or `SCANNER_CONFIG`"),
    ("a policy file limits that", "`POLICY_CONFIG` names a policy"),
    ("as is printed with a new token", "as `nessus-admin token new` prints it"),
    ("that is printed with a new token", "that `nessus-admin token new` prints"),
    ("make a new token with the role `approve`", "run `nessus-admin token new NAME --role approve`"),
    ("look at the request again", "look at it again with `nessus-admin approvals show`"),
    ("let a person know who can decide", "let a person know who decides with `nessus-admin approvals`"),
    ("only a person can decide that", "a person decides with `nessus-admin approvals`, no tool can"),
    ("puts the task back into the queue", "does with `nessus-admin retry-dlq`"),
    ("closes or resets the circuit", "uses `nessus-admin close-circuit` or `reset-circuit`"),
    ("reset the circuit; or check with a login", "`nessus-admin reset-circuit`; or check with `--try-login`"),
    ("the list of workers shows them", "`nessus-admin workers` lists them"),
];

/// A text of the library for operators of this project's programs: with their commands and variables.
///
/// ```
/// # use nessus_mcp_lib::config::cli::operator_words;
/// assert_eq!(operator_words("see what the URL of the queue names"), "see what `QUEUE_URL` names");
/// ```
pub fn operator_words(text: &str) -> String {
    reworded(text, &WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_in_once() {
        for (_, own) in WORDS {
            assert_eq!(operator_words(own), own);
        }
    }
}
