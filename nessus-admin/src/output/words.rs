//! The library's advice in the words of this program.
//!
//! Its sentences are written for agents and name the tools of the MCP server. Whoever has a command line has none of them.

use nessus_mcp_lib::{error::counted, time::Timestamp};

/// What an operator does in the place of an agent's tool.
const COMMANDS: [(&str, &str); 19] = [
    ("get_scan_status", "nessus-admin tasks show"),
    ("get_scan_results", "nessus-admin report"),
    ("get_scan_summary", "nessus-admin report"),
    ("cancel_scan", "nessus-admin tasks cancel"),
    ("pause_scan", "nessus-admin tasks pause"),
    ("resume_scan", "nessus-admin tasks resume"),
    ("retry_scan", "nessus-admin tasks retry"),
    ("list_tasks", "nessus-admin tasks list"),
    ("list_scanners", "nessus-admin circuits"),
    ("list_policies", "nessus-admin scanners check"),
    ("list_pools", "nessus-admin stats"),
    ("get_pool_status", "nessus-admin stats"),
    ("get_queue_status", "nessus-admin stats"),
    ("health_check", "nessus-admin doctor"),
    ("compare_scans", "nessus-admin diff"),
    ("run_untrusted_scan", "a scan without a login"),
    ("run_trusted_scan", "a scan with a login"),
    ("run_privileged_scan", "a scan with a login that takes more rights"),
    ("run_authenticated_scan", "a scan with a login"),
];

/// A sentence of the library that names this program's commands.
pub(crate) fn own_words(text: &str) -> String {
    let mut text = text.to_owned();
    for (tool, command) in COMMANDS {
        if text.contains(tool) {
            let quoted = if command.starts_with("nessus-admin") { format!("`{command}`") } else { command.to_owned() };
            text = text.replace(&format!("`{tool}`"), &quoted).replace(tool, &quoted);
        }
    }
    text
}

/// How long ago something was, in its largest unit.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => counted(seconds, "second", "seconds"),
        120..7200 => counted(seconds / 60, "minute", "minutes"),
        7200..172_800 => counted(seconds / 3600, "hour", "hours"),
        _ => counted(seconds / 86_400, "day", "days"),
    }
}

/// The same in a few letters, for a table.
pub(crate) fn short_age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_the_place_of_tools() {
        assert_eq!(own_words("it waits; ask get_scan_status"), "it waits; ask `nessus-admin tasks show`");
        assert_eq!(own_words("`list_tasks` shows them"), "`nessus-admin tasks list` shows them");
        assert_eq!(own_words("use run_trusted_scan"), "use a scan with a login");
        assert_eq!(own_words("nothing to say"), "nothing to say");
    }

    /// A tool that is new needs a row here.
    #[test]
    fn every_tool_has_a_command() {
        let table = include_str!("../../../nessus-mcp-server/src/access/table.rs");
        let is_tool = |text: &&str| text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let tools: Vec<_> = table.split('"').skip(1).step_by(2).filter(is_tool).collect();
        assert!(tools.len() > 10, "{tools:?}");
        for tool in tools {
            assert!(COMMANDS.iter().any(|(known, _)| *known == tool), "`{tool}` has no command");
        }
    }
}
