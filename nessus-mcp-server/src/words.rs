//! What the library's texts call by neutral words, and agents by the name of a tool.

use nessus_mcp_lib::{config::cli::operator_words, error::reworded};

/// The library's words, and those for agents. None of the latter contains one of the former.
const WORDS: [(&str, &str); 15] = [
    ("ask for the task's status", "ask `get_scan_status` with its task_id"),
    ("the task's status", "`get_scan_status`"),
    ("the task's results", "`get_scan_results`"),
    ("retry the task", "use `retry_scan`"),
    ("resume the task", "use `resume_scan`"),
    ("until the task is resumed", "until `resume_scan`"),
    ("cancel the task", "use `cancel_scan`"),
    ("submit a trusted scan", "use `run_trusted_scan`"),
    ("the list of tasks", "`list_tasks`"),
    ("the list of scanners", "`list_scanners`"),
    ("the list of pools", "`list_pools`"),
    ("the list of policies", "`list_policies`"),
    ("the status of the pool", "`get_pool_status`"),
    ("the health report", "`health_check`"),
    ("whoever wants the scan", "your user"),
];

/// A text of the library for an agent: it names tools, and what an operator can do.
pub(crate) fn agent_words(text: &str) -> String {
    operator_words(&reworded(text, &WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::find;

    #[test]
    fn words_are_put_in_once() {
        for (_, own) in WORDS {
            assert_eq!(agent_words(own), own);
        }
    }

    #[test]
    fn each_tool_that_is_named_exists() {
        for (_, own) in WORDS {
            let named = own.split('`').nth(1);
            assert!(named.is_none_or(|named| find(named).is_some()), "{own}");
        }
    }
}
