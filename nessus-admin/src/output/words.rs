//! The library's texts in the words of this program.

use nessus_mcp_lib::{
    config::cli::operator_words,
    error::{counted, reworded},
    time::Timestamp,
};

/// The library's words, and the command of this program that stands for them. None of the latter contains one of the former.
const WORDS: [(&str, &str); 13] = [
    ("ask for the task's status", "ask `nessus-admin tasks show`"),
    ("the task's status", "`nessus-admin tasks show`"),
    ("the task's results", "`nessus-admin report`"),
    ("retry the task", "use `nessus-admin tasks retry`"),
    ("resume the task", "use `nessus-admin tasks resume`"),
    ("until the task is resumed", "until `nessus-admin tasks resume`"),
    ("cancel the task", "use `nessus-admin tasks cancel`"),
    ("the list of tasks", "`nessus-admin tasks list`"),
    ("the list of scanners", "`nessus-admin circuits`"),
    ("the list of policies", "`nessus-admin scanners check`"),
    ("the list of pools", "`nessus-admin stats`"),
    ("the status of the pool", "`nessus-admin stats`"),
    ("the health report", "`nessus-admin doctor`"),
];

/// A text of the library that names this program's commands.
pub(crate) fn own_words(text: &str) -> String {
    operator_words(&reworded(text, &WORDS))
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
    fn words_are_put_in_once() {
        for (_, own) in WORDS {
            assert_eq!(own_words(own), own);
        }
        assert_eq!(own_words("it waits; ask for the task's status"), "it waits; ask `nessus-admin tasks show`");
        assert_eq!(own_words("nothing to say"), "nothing to say");
    }
}
