//! From an export and a query to an output, whatever its format: two readings, a selection, a page.
//!
//! The first reading checks the whole export, counts, and remembers what matches; only then is anything written. The
//! second reads the selected items again, in their order, and hands them to a [`Sink`].

use std::io::{BufRead, Read, Seek, SeekFrom};

use serde::Serialize;

use super::{
    cursor::{Cursor, Identity},
    encoding::{self, Utf8},
    error::{Location, ResultsError},
    query::Query,
    record::Record,
    second_reading::SecondReading,
    survey::{Survey, survey},
    validate::ExportStats,
    walk::{Visit, buffered},
    xml::ExportReader,
};
use crate::error::Classified as _;

/// What a conversion has found and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversionSummary {
    /// Findings that match the filters.
    pub total_vulnerabilities: u64,
    /// Findings written: those of the page.
    pub written: u64,
    /// Pages that the matching findings fill; 1 when everything was asked for.
    pub total_pages: u64,
    /// Whether the page has ended early for its budget.
    pub truncated: bool,
    /// Where the next page begins, when there is more and not everything was asked for.
    pub next_cursor: Option<String>,
    /// What the whole export holds; of a broken one, what was read before the damage.
    pub stats: ExportStats,
    /// Where the export is broken, when it is and the conversion was allowed to go on.
    pub damage: Option<Damage>,
}

/// Where and how an export is broken, of which only the findings before that place were converted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Damage {
    /// The stable code of the error, such as `truncated_export`.
    pub error: &'static str,
    /// The error as a sentence, with the place.
    pub message: String,
    /// The place.
    #[serde(flatten)]
    pub at: Location,
}

impl Damage {
    /// The damage an error tells of, when what comes before it can be relied on.
    pub(super) fn of(error: &ResultsError) -> Option<Self> {
        let at = match error {
            ResultsError::Truncated(at)
            | ResultsError::Malformed { at, .. }
            | ResultsError::LimitExceeded { at, .. } => Location::clone(at),
            _ => return None,
        };
        Some(Self { error: error.code(), message: error.to_string(), at })
    }
}

/// Where findings go: one for each format.
pub(super) trait Sink {
    /// Sees everything in the first reading, in file order, and whether an item matches.
    fn look(&mut self, _visit: Visit<'_>, _matches: bool) {}

    /// The first reading is over and the second begins.
    fn begin(&mut self, survey: &Survey<'_>) -> Result<(), ResultsError>;

    /// Takes a selected finding; false when there is no room for it.
    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError>;

    /// All is written.
    fn end(&mut self, summary: &ConversionSummary) -> Result<(), ResultsError>;
}

/// What to do with which export.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion<'q> {
    /// What is wanted.
    pub query: &'q Query,
    /// Whether a broken export gives the findings before the damage.
    pub is_lenient: bool,
}

impl Conversion<'_> {
    /// Converts an export that can be read twice, from its first byte on.
    pub(super) fn file<R: Read + Seek>(
        self,
        input: R,
        sink: &mut impl Sink,
    ) -> Result<ConversionSummary, ResultsError> {
        match encoding::open(input, self.is_lenient)? {
            Utf8::Direct(mut input, base) => self.read(&mut input, base, sink),
            Utf8::Copy(mut copy) => self.read(&mut copy, 0, sink),
        }
    }

    /// Converts an export that can be read only once, by way of a temporary file.
    pub(super) fn stream<R: Read>(self, input: R, sink: &mut impl Sink) -> Result<ConversionSummary, ResultsError> {
        self.read(&mut encoding::spool(input, self.is_lenient)?, 0, sink)
    }

    fn read<R: Read + Seek>(
        self,
        input: &mut R,
        base: u64,
        sink: &mut impl Sink,
    ) -> Result<ConversionSummary, ResultsError> {
        self.write(input, base, sink, |input, sink| {
            survey(reader(input, base)?, self.query, self.is_lenient, |visit, matches| sink.look(visit, matches))
        })
    }

    /// Writes what `survey` selects. The first byte of UTF-8 is the one at `base`.
    pub(super) fn write<'h, R: Read + Seek, S: Sink>(
        self,
        input: &mut R,
        base: u64,
        sink: &mut S,
        survey: impl FnOnce(&mut R, &mut S) -> Result<Survey<'h>, ResultsError>,
    ) -> Result<ConversionSummary, ResultsError> {
        let query = self.query;
        let is_whole = query.page.is_all() && query.max_chars.is_none();
        let identity = if is_whole { None } else { Some(Identity::of(input, base)?) };
        if let (Some(cursor), Some(identity)) = (&query.cursor, &identity) {
            cursor.check(identity)?;
        }
        let survey = survey(input, sink)?;
        sink.begin(&survey)?;
        let window = query.window(survey.matched);
        let second = SecondReading { selection: &survey.selection, hosts: &*survey.hosts, filters: &query.filters };
        let (written, is_full) = second.write(input, sink)?;
        if !is_full && written != window.end - window.start {
            return Err(ResultsError::Changed);
        }
        let position = window.start + written;
        let next_cursor = identity
            .filter(|_| position < survey.matched)
            .map(|identity| Cursor::new(&query.filters, &query.sort, &identity, position).to_string());
        let summary = ConversionSummary {
            total_vulnerabilities: survey.matched,
            written,
            total_pages: query.page.count(survey.matched),
            truncated: is_full,
            next_cursor,
            stats: survey.stats,
            damage: survey.damage,
        };
        sink.end(&summary)?;
        Ok(summary)
    }
}

fn reader<R: Read + Seek>(input: &mut R, base: u64) -> Result<ExportReader<impl BufRead>, ResultsError> {
    input.seek(SeekFrom::Start(base)).map_err(ResultsError::Read)?;
    Ok(ExportReader::new(buffered(input)?, base))
}
