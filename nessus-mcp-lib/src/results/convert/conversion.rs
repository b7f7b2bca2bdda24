//! From an export and a query to an output, whatever its format: two passes, a selection, a page.
//!
//! The first pass checks the whole export, counts, and remembers what matches; only then is anything written. The
//! second pass reads the selected items again, in their order, and hands them to a [`Sink`].

use std::io::{BufRead, Read, Seek};

use super::{
    first_pass::{FirstPass, first_pass},
    second_pass::SecondPass,
    sink::{ConversionSummary, Sink},
};
use crate::results::{
    error::ResultsError,
    query::{Ask, Cursor, Identity, Query},
    record::Machines,
    xml::{
        ExportReader,
        encoding::{self, Utf8},
        reader, repeats,
    },
};

/// What to do with which export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion<'q> {
    /// What is wanted.
    pub query: &'q Query,
    /// Whether a broken export gives the findings before that place.
    pub is_lenient: bool,
}

impl Conversion<'_> {
    /// Converts an export that can be read twice, from its first byte on.
    pub(crate) fn file<R: Read + Seek>(
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
    pub(crate) fn stream<R: Read>(self, input: R, sink: &mut impl Sink) -> Result<ConversionSummary, ResultsError> {
        self.read(&mut encoding::spool(input, self.is_lenient)?, 0, sink)
    }

    fn read<R: Read + Seek, S: Sink>(
        self,
        input: &mut R,
        base: u64,
        sink: &mut S,
    ) -> Result<ConversionSummary, ResultsError> {
        let is_whole = self.query.page.is_all() && self.query.max_chars.is_none();
        let identity = if is_whole { None } else { Some(Identity::of(input, base)?) };
        self.write(input, identity, sink, |input, sink| {
            let (found, machines) = self.first_pass(reader(input, base)?, sink)?;
            let Some(repeats) = repeats(input, base, &machines, found.warnings.repairs, self.is_lenient)? else {
                return Ok(found);
            };
            sink.forget();
            let items = found.stats.items;
            let again = self.first_pass(reader(input, base)?.knowing(Some(&repeats)), sink);
            let (found, _) = again.map_err(ResultsError::in_sound)?;
            if found.stats.items + found.stats.repeated_items != items {
                return Err(ResultsError::Changed);
            }
            Ok(FirstPass { repeats: Some(repeats), ..found })
        })
    }

    fn first_pass(
        self,
        reader: ExportReader<impl BufRead>,
        sink: &mut impl Sink,
    ) -> Result<(FirstPass<'static>, Machines), ResultsError> {
        first_pass(reader, self.query, self.is_lenient, |visit, matches| sink.look(visit, matches))
    }

    /// Writes what `first_pass` selects. `identity` is that of the export, where a cursor may be asked for.
    pub(crate) fn write<'h, R: Read + Seek, S: Sink>(
        self,
        input: &mut R,
        identity: Option<Identity>,
        sink: &mut S,
        first_pass: impl FnOnce(&mut R, &mut S) -> Result<FirstPass<'h>, ResultsError>,
    ) -> Result<ConversionSummary, ResultsError> {
        let query = self.query;
        if let (Some(cursor), Some(identity)) = (&query.cursor, &identity) {
            cursor.check(identity)?;
        }
        let first_pass = first_pass(input, sink)?;
        sink.begin(&first_pass)?;
        let lines = first_pass.lines();
        let window = query.window(lines);
        let second = SecondPass {
            selection: &first_pass.selection,
            hosts: &*first_pass.hosts,
            repeats: first_pass.repeats.as_ref(),
            query,
        };
        let (written, is_full) = second.write(input, sink)?;
        if !is_full && written != window.end - window.start {
            return Err(ResultsError::Changed);
        }
        let position = window.start + written;
        let next_cursor = identity
            .filter(|_| position < lines && query.ask != Ask::Counts)
            .map(|identity| Cursor::new(query.kind, &query.filters, &query.order(), &identity, position).to_string());
        let summary = ConversionSummary {
            total_vulnerabilities: first_pass.matched,
            matched_hosts: first_pass.counts.hosts,
            matched_plugins: first_pass.counts.plugins,
            written,
            total_pages: query.page.count(lines),
            truncated: is_full,
            next_cursor,
            stats: first_pass.stats,
            failure: first_pass.failure,
        };
        sink.end(&summary)?;
        Ok(summary)
    }
}
