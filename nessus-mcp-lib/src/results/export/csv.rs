//! Comma-separated values.

use std::io::{self, Write};

use csv::{ByteRecord, Terminator, Writer, WriterBuilder};

use super::cells;
use crate::error::counted;
use crate::results::{
    convert::{ConversionSummary, FirstPass, OTHER_NAMES, Sink},
    error::ResultsError,
    query::Query,
    record::{FieldRef, Record},
};

/// The characters that a formula or command begins with, also in their wide forms.
const MARKS: [char; 10] = ['=', '+', '-', '@', '|', '%', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'];
/// The most characters of a cell that spreadsheets take, as they count them: in units of UTF-16.
const MOST_UNITS: usize = 32_767;
/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;

/// A table on its way out.
pub(super) struct Csv<'q, W: Write> {
    query: &'q Query,
    columns: Vec<FieldRef>,
    output: Writer<W>,
    row: ByteRecord,
    cell: String,
}

impl<'q, W: Write> Csv<'q, W> {
    pub(super) fn new(query: &'q Query, output: W) -> Self {
        let output = WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(WRITE_BYTES).from_writer(output);
        Self { query, columns: Vec::new(), output, row: ByteRecord::new(), cell: String::new() }
    }
}

impl<W: Write> Sink for Csv<'_, W> {
    fn begin(&mut self, first_pass: &FirstPass<'_>) -> Result<(), ResultsError> {
        if first_pass.has_more_fields {
            return Err(ResultsError::TooManyFields { limit: OTHER_NAMES });
        }
        self.columns = self.query.projection.shown(&first_pass.present).to_vec();
        if self.columns.is_empty() {
            // A profile that shows what there is, of nothing.
            return Ok(());
        }
        let names = self.columns.iter().map(|field| {
            let mut name = field.name().to_owned();
            defuse(&mut name);
            shorten(&mut name);
            name
        });
        self.output.write_record(names).map_err(unwritable)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError> {
        self.row.clear();
        for field in &self.columns {
            self.cell.clear();
            let mut is_text = false;
            let mut is_first = true;
            cells::values(record, field, |value| {
                is_text |= cells::is_text(&value) || !is_first;
                if !std::mem::take(&mut is_first) {
                    self.cell.push_str(cells::SEPARATOR);
                }
                self.cell.push_str(&cells::text(value, record));
            });
            if is_text {
                defuse(&mut self.cell);
                shorten(&mut self.cell);
            }
            self.row.push_field(self.cell.as_bytes());
        }
        self.output.write_byte_record(&self.row).map_err(unwritable)?;
        // One huge cell must not keep its memory until the end.
        self.cell.shrink_to(WRITE_BYTES);
        Ok(true)
    }

    fn end(&mut self, _summary: &ConversionSummary) -> Result<(), ResultsError> {
        self.output.flush().map_err(ResultsError::Write)
    }
}

/// Whether a spreadsheet would take a text for a formula, or a program of the kind for a command: it begins, after
/// white space that some of them skip, with one of the characters that mark one, also in their wide forms.
fn is_formula(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(MARKS)
}

/// Puts an apostrophe before what would be a formula: at the start, and after a semicolon or tab, where programs begin a
/// new cell that take these for separators.
fn defuse(text: &mut String) {
    if is_formula(text) {
        text.insert(0, '\'');
    }
    if !text.contains([';', '\t']) {
        return;
    }
    let mut defused = String::with_capacity(text.len() + 8);
    let mut rest = text.as_str();
    while let Some(at) = rest.find([';', '\t']) {
        let (cell, after) = rest.split_at(at + 1);
        defused.push_str(cell);
        let blank = after.len() - after.trim_start_matches([' ', '\u{A0}', '"']).len();
        let (blank, after) = after.split_at(blank);
        defused.push_str(blank);
        if after.starts_with(MARKS) {
            defused.push('\'');
        }
        rest = after;
    }
    defused.push_str(rest);
    *text = defused;
}

/// Cuts what a spreadsheet would cut, or go on with in another cell, and says how long it was. Quotation marks count twice,
/// as they are written, and the mark is no formula, whatever stands before it.
fn shorten(text: &mut String) {
    let units = |found: char| found.len_utf16() + usize::from(found == '"');
    // No character has fewer bytes than units, but for quotation marks.
    let is_short = text.len() + 2 <= MOST_UNITS / 2 || text.chars().map(units).sum::<usize>() + 2 <= MOST_UNITS;
    if is_short {
        return;
    }
    let mark = format!("… [cut, {} in all]", counted(text.chars().count(), "character", "characters"));
    let mut room = MOST_UNITS - 2 - mark.chars().map(units).sum::<usize>();
    let fits = |(_, found): &(usize, char)| room.checked_sub(units(*found)).map(|left| room = left).is_none();
    let end = text.char_indices().find(fits).map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.push_str(&mark);
}

fn unwritable(error: csv::Error) -> ResultsError {
    ResultsError::Write(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_formula_behind_a_separator_of_other_countries_is_defused() {
        for (text, expected) in [
            ("x;=cmd|'/C calc'!A0", "x;'=cmd|'/C calc'!A0"),
            ("ok; =1+1", "ok; '=1+1"),
            ("a\t@x;\"+1", "a\t'@x;\"'+1"),
            ("=1;=2", "'=1;'=2"),
            ("CVE-1; CVE-2", "CVE-1; CVE-2"),
            ("a;", "a;"),
        ] {
            let mut text = text.to_owned();
            defuse(&mut text);
            assert_eq!(text, expected);
        }
    }

    proptest! {
        #[test]
        fn no_cell_is_longer_than_a_spreadsheet_takes(
            piece in "[a\"é;=\t\n\u{1F600}\u{4E00}-]{1,6}", length in 20_000..70_000_usize, begin in "[=a]",
        ) {
            let mut text: String = begin.chars().chain(piece.chars().cycle()).take(length).collect();
            defuse(&mut text);
            let whole = text.clone();
            shorten(&mut text);
            let mut row = Writer::from_writer(Vec::new());
            row.write_record([&text, "end"]).unwrap();
            let written = String::from_utf8(row.into_inner().unwrap()).unwrap();
            let cell = written.strip_suffix(",end\n").unwrap();
            prop_assert!(cell.encode_utf16().count() <= MOST_UNITS, "also as it is written");
            if whole == text {
                return Ok(());
            }
            let cut = text.strip_suffix(&format!("… [cut, {} characters in all]", whole.chars().count())).unwrap();
            prop_assert!(whole.starts_with(cut));
            let left = MOST_UNITS - cell.encode_utf16().count();
            prop_assert!(left <= 3, "no more is cut than must be: {}", left);
            let mut again = text.clone();
            defuse(&mut again);
            prop_assert_eq!(again, text, "what is left is no formula");
        }
    }

    #[test]
    fn what_fits_is_not_cut() {
        for (mut text, fits) in [
            ("a".repeat(MOST_UNITS - 2), true),
            ("a".repeat(MOST_UNITS - 1), false),
            ("é".repeat(MOST_UNITS - 2), true),
            ("\u{1F600}".repeat(MOST_UNITS / 2 - 1), true),
            ("\"".repeat(MOST_UNITS / 2 - 1), true),
            ("\"".repeat(MOST_UNITS / 2), false),
        ] {
            let whole = text.clone();
            shorten(&mut text);
            assert_eq!(text == whole, fits, "{}", whole.len());
        }
    }

    #[test]
    fn formulas_are_told_from_texts() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "  =1",
            "\u{A0}=1",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "|cmd",
            "%0A",
            "-rw-r--r-- root",
        ] {
            assert!(is_formula(text), "{text:?}");
        }
        for text in ["", "a=1", "1-1", "10.0.0.1", "'=1", "(=1)", "CVE-2026-1", "two\n=lines"] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
