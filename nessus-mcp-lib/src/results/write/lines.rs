//! Lines on their way out, within their budget.

use std::{io::Write, mem};

use serde::Serialize;
use serde_json::Value as Json;

use super::{group, render};
use crate::results::{
    convert::Group,
    error::ResultsError,
    query::{GroupBy, Projection},
    record::Record,
};

/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;
/// Characters kept for the line that ends a page.
const LAST_LINE: u64 = 320;
/// The most characters of another line that is no record, where there is a budget. No scanner and hardly a question
/// makes longer ones.
const LINE_CHARS: u64 = 12_000;
/// The most characters of a list or an object in a line that was over that, and of a text.
const LIST_CHARS: usize = 2_000;
const TEXT_CHARS: usize = 500;

/// A buffer before the output that counts characters.
pub(crate) struct Lines<W> {
    output: W,
    buffer: Vec<u8>,
    /// What the caller calls the budget.
    option: &'static str,
    /// The most characters of all lines, when there is a limit.
    budget: Option<u64>,
    /// The characters written.
    written: u64,
    has_records: bool,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(output: W, budget: Option<u64>, option: &'static str) -> Self {
        Self { output, buffer: Vec::with_capacity(WRITE_BYTES * 2), option, budget, written: 0, has_records: false }
    }

    /// Writes a line that is not a record. Where there is a budget, one that is very long has its lists and texts cut, and
    /// says so.
    pub(crate) fn line(&mut self, line: &impl Serialize) -> Result<(), ResultsError> {
        let begin = self.buffer.len();
        let failed = |error: serde_json::Error| ResultsError::Write(error.into());
        serde_json::to_writer(&mut self.buffer, line).map_err(failed)?;
        if self.budget.is_some() && render::characters(&self.buffer[begin..]) > LINE_CHARS {
            self.buffer.truncate(begin);
            let line = cut(serde_json::to_value(line).map_err(failed)?);
            serde_json::to_writer(&mut self.buffer, &line).map_err(failed)?;
        }
        self.buffer.push(b'\n');
        self.count(begin);
        self.write_if_full()
    }

    /// Says whether there is room for records at all, as it must be asked before the first one.
    pub(crate) fn begin_records(&self, has_any: bool) -> Result<(), ResultsError> {
        self.has_room(self.written + LAST_LINE + if has_any { render::SHORTEST } else { 0 })
    }

    /// An error when the budget is less than this.
    fn has_room(&self, least: u64) -> Result<(), ResultsError> {
        match self.budget {
            Some(asked) if asked < least => Err(ResultsError::BudgetTooSmall { asked, least, option: self.option }),
            _ => Ok(()),
        }
    }

    /// Writes the line of a group, unless it is over the budget; whether it was written. The first must have room.
    pub(crate) fn group(&mut self, by: GroupBy, group: &Group, record: &Record<'_>) -> Result<bool, ResultsError> {
        let begin = self.buffer.len();
        group::write(&mut self.buffer, by, group, record).map_err(ResultsError::Write)?;
        let needed = self.written + LAST_LINE + render::characters(&self.buffer[begin..]);
        if let Err(refused) = self.has_room(needed) {
            self.buffer.truncate(begin);
            return if self.has_records { Ok(false) } else { Err(refused) };
        }
        self.has_records = true;
        self.count(begin);
        self.write_if_full()?;
        Ok(true)
    }

    /// Writes a record, unless it is over the budget; whether it was written. The first is shortened to fit.
    pub(crate) fn record(&mut self, record: &Record<'_>, projection: &Projection) -> Result<bool, ResultsError> {
        let begin = self.buffer.len();
        render::write_record(&mut self.buffer, record, projection).map_err(ResultsError::Write)?;
        if let Some(budget) = self.budget {
            let left = budget.saturating_sub(self.written + LAST_LINE);
            if render::characters(&self.buffer[begin..]) > left {
                self.buffer.truncate(begin);
                if self.has_records {
                    return Ok(false);
                }
                render::write_shortened(&mut self.buffer, record, projection, left).map_err(ResultsError::Write)?;
            }
        }
        self.has_records = true;
        self.count(begin);
        self.write_if_full()?;
        Ok(true)
    }

    /// Counts what was appended since `begin`, where that matters.
    fn count(&mut self, begin: usize) {
        if self.budget.is_some() {
            self.written += render::characters(&self.buffer[begin..]);
        }
    }

    fn write_if_full(&mut self) -> Result<(), ResultsError> {
        if self.buffer.len() < WRITE_BYTES {
            return Ok(());
        }
        self.output.write_all(&self.buffer).map_err(ResultsError::Write)?;
        self.buffer.clear();
        // One huge finding must not keep its memory until the end.
        self.buffer.shrink_to(WRITE_BYTES * 2);
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<(), ResultsError> {
        let buffer = mem::take(&mut self.buffer);
        self.output.write_all(&buffer).and_then(|()| self.output.flush()).map_err(ResultsError::Write)
    }
}

/// A line with the first entries of its long lists and objects; how many more there are stands beside them, as
/// `NAME_left_out`. Long texts are cut with `…`.
fn cut(line: Json) -> Json {
    let Json::Object(members) = line else { return line };
    let mut shown = serde_json::Map::new();
    for (name, mut value) in members {
        let left_out = match &mut value {
            Json::Array(entries) => {
                let total = entries.len();
                entries.truncate(that_fit(entries.iter().map(written)));
                total - entries.len()
            }
            Json::Object(entries) => {
                let total = entries.len();
                let fit = that_fit(entries.iter().map(|(name, entry)| name.len() + 3 + written(entry)));
                *entries = mem::take(entries).into_iter().take(fit).collect();
                total - entries.len()
            }
            Json::String(text) => {
                if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
                    text.truncate(end);
                    text.push('…');
                }
                0
            }
            _ => 0,
        };
        if left_out > 0 {
            shown.insert(format!("{name}_left_out"), left_out.into());
        }
        shown.insert(name, value);
    }
    Json::Object(shown)
}

/// How many entries of these lengths have room.
fn that_fit(lengths: impl Iterator<Item = usize>) -> usize {
    let ends = lengths.scan(0, |end, length| {
        *end += length + 1;
        Some(*end)
    });
    ends.take_while(|end| *end <= LIST_CHARS).count()
}

/// The characters of a value as JSON, or a few more.
fn written(value: &Json) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written_line(budget: Option<u64>, line: &Json) -> Json {
        let mut output = Vec::new();
        let mut lines = Lines::new(&mut output, budget, "max_chars");
        lines.line(line).unwrap();
        lines.finish().unwrap();
        serde_json::from_slice(&output).unwrap()
    }

    #[test]
    fn only_lines_that_are_too_long_for_a_budget_are_cut() {
        let line = json!({"type": "schema", "fields": vec!["cve"; 1_900], "filters_applied": {"a": "b"}});
        assert_eq!(written_line(Some(40_000), &line), line);
        let line = json!({
            "type": "schema", "fields": vec!["cve"; 10_000], "total": 7, "name": "é".repeat(5_000),
            "filters_applied": {"cve": "x".repeat(9_000), "aha": "short"},
        });
        assert_eq!(written_line(None, &line), line);
        let expected = json!({
            "type": "schema", "fields": vec!["cve"; 333], "fields_left_out": 9_667, "total": 7,
            "name": format!("{}…", "é".repeat(500)), "filters_applied": {"aha": "short"}, "filters_applied_left_out": 1,
        });
        assert_eq!(written_line(Some(40_000), &line), expected);
    }
}
