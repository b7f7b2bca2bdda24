//! All printing: data goes to stdout, messages go to stderr. Also decides the exit code.
//!
//! Programs get JSON, one object a line ([`json()`]). People get tables ([`table()`]), values with their names
//! ([`details()`]) and sentences ([`say()`]).

mod colour;
pub(crate) mod screen;
mod table;
mod terminal;
mod words;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

pub(crate) use nessus_mcp_lib::config::cli::confirmed;
use nessus_mcp_lib::{error::Failure, results::ResultsError, streams};
use serde::Serialize;

pub(crate) use self::{
    colour::Colour,
    table::{Cell, Column, Table},
    terminal::Terminal,
    words::{age, own_words, short_age},
};

/// How long the process waits at its end until stderr is read.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// Stdout for the findings of a conversion. It blocks while nobody reads, because a conversion has nothing else to do.
pub(crate) fn stdout() -> impl Write {
    io::stdout().lock()
}

/// Queues lines of data for stdout. A reader that stops delays the output, but not the command.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) {
    for line in lines {
        streams::stdout().write(format!("{}\n", line.as_ref()).as_bytes());
    }
}

/// Prints one object for programs, in a line of its own.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(document).map_err(|error| Failure::new(error.to_string()))?;
    lines([text]);
    Ok(())
}

/// Prints a table for people.
pub(crate) fn table(table: &Table) {
    lines(table.lines(Terminal::of_stdout()));
}

/// Prints values with their names, for people. Values that are empty are left out.
pub(crate) fn details(rows: impl IntoIterator<Item = (&'static str, Cell)>) {
    lines(table::details(rows, Terminal::of_stdout()));
}

/// Prints what was done, or a result that is no table, for people: each text is one line.
pub(crate) fn say(text: impl AsRef<str>) {
    lines([Terminal::of_stdout().visible(text.as_ref())]);
}

/// Waits until nobody reads stdout any more.
pub(crate) async fn reader_left() {
    streams::stdout().broken().await;
}

/// Waits until all lines are written. A closed pipe is not a failure: `head` closes it when it has enough.
fn all_written() -> Result<(), Failure> {
    match streams::stdout().finish(None) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a message to stderr, after the data that was written before it.
fn message(text: &str) {
    // `exit_code` reports a failure to write.
    let _ = all_written();
    let terminal = Terminal::of_stderr();
    let coloured = [("error:", Colour::Bad), ("warning:", Colour::Warning)].into_iter().find_map(|(word, colour)| {
        let rest = text.strip_prefix(word)?;
        Some(format!("{}{}", colour.paint(word, terminal), terminal.printable(rest)))
    });
    let text = coloured.unwrap_or_else(|| terminal.printable(text).into_owned());
    streams::stderr().write(format!("{text}\n").as_bytes());
}

/// Writes one JSON document, indented.
pub(crate) fn pretty(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(error.to_string()))?;
    lines([text]);
    Ok(())
}

/// Prints a message that is no warning.
pub(crate) fn note(text: &str) {
    message(text);
}

/// Prints a message, and waits until it is there: what follows goes to the terminal in another way.
pub(crate) fn note_at_once(text: &str) {
    message(text);
    let _ = streams::stderr().finish(Some(EXIT_WAIT));
}

/// Prints a warning: the command succeeds nevertheless.
pub(crate) fn warning(text: &str) {
    message(&format!("warning: {text}"));
}

/// Takes a closed pipe for success, for a conversion to stdout.
pub(crate) fn unless_reader_left(converted: Result<(), ConvertFailure>) -> Result<(), Failure> {
    match converted {
        Err(ConvertFailure::Results(error)) if error.is_broken_pipe() => Ok(()),
        converted => Ok(converted?),
    }
}

/// Why a conversion failed. Whether it is a closed pipe can still be asked.
#[derive(Debug)]
pub(crate) enum ConvertFailure {
    /// The export or the query.
    Results(ResultsError),
    /// Anything else.
    Other(Failure),
}

impl From<ResultsError> for ConvertFailure {
    fn from(error: ResultsError) -> Self {
        Self::Results(error)
    }
}

impl From<Failure> for ConvertFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<ConvertFailure> for Failure {
    fn from(failure: ConvertFailure) -> Self {
        match failure {
            ConvertFailure::Results(error) => error.into(),
            ConvertFailure::Other(failure) => failure,
        }
    }
}

/// Prints a failure that does not end the process.
pub(crate) fn failure(failure: &Failure) {
    message(&failure.clone().reworded(own_words).to_string());
}

/// Prints the failure, if there is one, and returns the exit code of the process.
pub(crate) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome.and_then(|()| all_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            self::failure(&failure);
            failure.exit_code()
        }
    };
    let _ = streams::stderr().finish(Some(EXIT_WAIT));
    code
}
