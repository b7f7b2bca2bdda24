//! What every error of this library has in common.
//!
//! The error enums themselves live beside what fails (`QueueError` in [`crate::queue`], `TaskError` in
//! [`crate::task`], ...). This module holds only what lets callers treat them alike: a stable code for agents
//! and dead letters, a [kind](ErrorKind) that decides between retrying and giving up and sets a process's exit
//! code, and [`excerpt`], which keeps somebody else's data short and printable inside a message.

use std::{fmt, io};

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; the same request will fail again.
    InvalidInput,
    /// The thing asked for does not exist.
    NotFound,
    /// The thing exists but is not in a state that allows this.
    Conflict,
    /// Something outside this process did not answer or refused for now; the same call may succeed later.
    Unavailable,
    /// A person must fix a configuration first.
    Configuration,
    /// Anything else: disk errors, damaged files, defects.
    Internal,
}

impl ErrorKind {
    /// The exit code a binary ends with: 1 failed, 69 scanner or queue unavailable, 78 bad configuration.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Unavailable => 69,
            Self::Configuration => 78,
            Self::InvalidInput | Self::NotFound | Self::Conflict | Self::Internal => 1,
        }
    }
}

/// Implemented by every error enum of this library.
pub trait Classified: std::error::Error {
    /// A stable snake_case code: agents, dead letters and metrics rely on it.
    fn code(&self) -> &'static str;

    /// What a caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// One sentence that says what to do next, where there is something to say.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Whether the same call may succeed later without anybody changing anything.
    fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }
}

/// What a binary ends with when something went wrong: one line, what to do about it, and the exit code.
///
/// Made from any [`Classified`] error; `Display` writes `error: ...` and, after a blank line, `hint: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: &'static str,
    exit_code: u8,
}

impl Failure {
    /// A failure with exit code 1 and no hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: "failed", exit_code: 1 }
    }

    /// A command line that is wrong, with what to write instead: exit code 2.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), code: "usage", exit_code: 2 }
    }

    /// The code of the error that it was made from; `failed` where it was none.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same, told in other words.
    pub fn reworded(self, words: impl Fn(&str) -> String) -> Self {
        Self { message: words(&self.message), hint: self.hint.as_deref().map(words), ..self }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> std::process::ExitCode {
        self.exit_code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl<E: Classified> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { message: chain(&error), hint: error.hint(), code: error.code(), exit_code: error.kind().exit_code() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(chain(&error))
    }
}

/// Whether what was asked over a network did not answer, or has asked to wait: the same may succeed later.
pub(crate) fn is_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::ResourceBusy)
}

/// The most bytes of somebody else's data that go into a message.
pub(crate) const EXCERPT_BYTES: usize = 200;

/// Shows at most 200 bytes of `text`, with control characters escaped.
///
/// ```
/// use nessus_mcp_lib::error::excerpt;
/// assert_eq!(excerpt("a\nb").to_string(), "a\\nb");
/// assert!(excerpt(&"x".repeat(500)).to_string().ends_with('…'));
/// ```
pub fn excerpt(text: &str) -> impl fmt::Display + use<> {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() >= EXCERPT_BYTES {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Orders names by how much they are like `wanted`, the most like first, for a "did you mean". Case, and `-` for `_`, do not
/// matter.
///
/// ```
/// use nessus_mcp_lib::error::nearest;
/// assert_eq!(nearest("tarjets", ["name", "targets"]), ["targets", "name"]);
/// ```
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |name: &str| name.replace('-', "_").to_ascii_lowercase();
    let wanted = plain(wanted);
    let mut names: Vec<(usize, &str)> = names.into_iter().map(|name| (distance(&wanted, &plain(name)), name)).collect();
    names.sort_by_key(|(distance, _)| *distance);
    names.into_iter().map(|(_, name)| name).collect()
}

/// Whether one name was probably meant for the other: at most two letters differ, in a name of some length, or only the case.
///
/// ```
/// use nessus_mcp_lib::error::resembles;
/// assert!(resembles("QUEUE_URl", "QUEUE_URL") && resembles("DATADIR", "DATA_DIR") && !resembles("PATH", "TOOLS"));
/// ```
pub fn resembles(name: &str, known: &str) -> bool {
    let (name, known) = (name.to_ascii_lowercase(), known.to_ascii_lowercase());
    distance(&name, &known) <= known.chars().count() / 5
}

/// The Levenshtein distance, of the first 64 characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// A text with other words for some of its phrases, which stand before them. The first rows are put in first.
///
/// The texts of this library name what can be done next in neutral words, such as "ask for the task's status". Whoever shows
/// them to others puts the names of an own program or interface there. They stand in messages and hints of errors, and in members
/// of views called `message`, `error_message`, `hint`, `advice` and `waiting_for`. The phrases are: "ask for the task's status", "the task's status",
/// "the task's results", "retry the task", "resume the task", "until the task is resumed", "cancel the task", "submit a trusted scan",
/// "the list of tasks", "the list of scanners", "the list of pools", "the list of policies", "the status of the pool",
/// "the health report", "whoever wants the scan".
///
/// ```
/// use nessus_mcp_lib::error::reworded;
/// let own = [("ask for the task's status", "GET /scans/{id}")];
/// assert_eq!(reworded("the scan is queued again; ask for the task's status", &own), "the scan is queued again; GET /scans/{id}");
/// ```
pub fn reworded(text: &str, words: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (phrase, own) in words {
        if text.contains(phrase) {
            text = text.replace(phrase, own);
        }
    }
    text
}

/// A count before what is counted, in the number that it asks for.
///
/// ```
/// use nessus_mcp_lib::error::counted;
/// assert_eq!(counted(1, "host has", "hosts have"), "1 host has");
/// assert_eq!(counted(0, "host has", "hosts have"), "0 hosts have");
/// ```
pub fn counted<N: fmt::Display + PartialEq + From<u8> + Copy>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// Joins an error and its sources into one line, `outer: inner: innermost`.
///
/// A source whose text already stands at the end of the line is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = source.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_that_of_levenshtein() {
        for (left, right, expected) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
