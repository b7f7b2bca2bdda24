//! Making an index while an export is read.

use std::{collections::HashMap, io::Write};

use super::{
    about::{About, ExportIdentity, Shape},
    export_index::ExportIndex,
    file::Output,
    row::{Columns, Texts},
};
use crate::{
    results::{
        convert::{Warnings, short},
        error::ResultsError,
        judge::{Examiner, ExportStats, Tally, Validation, ValidationReport},
        record::{FieldSet, Host, Item, Record, Repeats},
        xml::{Header, Step, Visit, encoding, reader, repeats, steps, walk_united},
    },
    source::Source,
};

/// Combinations of fields beyond this are not indexed; exports have some hundreds.
const MOST_SHAPES: usize = 1 << 16;

/// What [`ExportIndex::build`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexSummary {
    /// What the export holds.
    pub stats: ExportStats,
    /// Whether there is an index now. Not for exports in another encoding than UTF-8, whose bytes are not those that
    /// are read, nor for those with tens of thousands of kinds of undeclared elements: what was written says so, so that
    /// nobody tries again.
    pub is_usable: bool,
}

impl ExportIndex {
    /// Validates an export as [`validate`](crate::results::validate) does, and writes its index on the way, in memory that does
    /// not grow with it but for some 50 bytes a host, and 16 bytes for each of the first 131,072 solutions and families. `output` is to be kept also when the index is not usable, because it
    /// says so.
    ///
    /// # Errors
    /// When it is not a complete .nessus export of version 2, or `output` cannot be written.
    pub fn build<W: Write>(export: &Source, output: W) -> Result<IndexSummary, ResultsError> {
        Self::build_showing(export, output, || (), |(), _| {}).map(|(summary, ())| summary)
    }

    /// Judges an export as [`Validation::run`] does, and writes its index in the same reading; whether that is usable.
    ///
    /// # Errors
    /// Those of [`ExportIndex::build`].
    pub fn build_validated<W: Write>(
        export: &Source,
        output: W,
        validation: &Validation,
    ) -> Result<(ValidationReport, bool), ResultsError> {
        let begin = || validation.examiner();
        let (summary, examiner) = Self::build_showing(export, output, begin, Examiner::visit)?;
        Ok((validation.report(summary.stats, examiner), summary.is_usable))
    }

    /// As [`ExportIndex::build`]. Also gives what `begin` has made and `look` has seen, as [`walk_united`] does.
    fn build_showing<W: Write, V>(
        export: &Source,
        output: W,
        begin: impl Fn() -> V,
        mut look: impl FnMut(&mut V, Visit<'_>),
    ) -> Result<(IndexSummary, V), ResultsError> {
        let begin = || (Tally::default(), Warnings::default(), begin());
        let mut see = |(tally, warnings, seen): &mut (Tally, Warnings, V), visit: Visit<'_>| {
            tally.visit(visit);
            if let Visit::Item(record) = visit {
                warnings.add(&record);
            }
            look(seen, visit);
        };
        let mut builder = Builder::new(Output::begin(output).map_err(ResultsError::Write)?);
        // Before the content is read: what changes meanwhile makes the index stale, not wrong.
        let Some(base) = encoding::mark_of_utf8(&mut export.clone())? else {
            let identity = ExportIdentity::of(export, 0)?;
            let (tally, _, seen) = walk_united(export.clone(), begin, see)?;
            builder.is_possible = false;
            return Ok((builder.finish(identity, Header::default(), tally)?, seen));
        };
        let identity = ExportIdentity::of(export, base)?;
        let mut seen = begin();
        let mut input = export.clone();
        let mut first = reader(&mut input, base)?;
        loop {
            let step = first.next()?;
            see(&mut seen, Visit::of(step, &first));
            match step {
                Step::HostStart | Step::HostEnd | Step::Repeated => {}
                Step::Item => {
                    let block = u32::try_from(seen.0.hosts().saturating_sub(1)).unwrap_or(u32::MAX);
                    builder.item(&Record { host: first.host(), item: first.item() }, block)?;
                }
                Step::End => break,
            }
        }
        let header = first.header().clone();
        let mut repairs = first.repairs();
        drop(first);
        if let Some(repeats) = repeats(&mut input, base, &seen.0.machines(), repairs, false)? {
            // The rows stand as they are; what is counted is counted anew.
            seen = begin();
            repairs = steps(reader(&mut input, base)?.knowing(Some(&repeats)), |visit| see(&mut seen, visit))
                .map_err(ResultsError::in_sound)?;
            builder.repeats = Some(Repeats::clone(&repeats));
        }
        let (tally, warnings, seen) = seen;
        builder.warnings = Warnings { repairs, ..warnings };
        Ok((builder.finish(identity, header, tally)?, seen))
    }
}

/// Gathers what is known of items.
struct Builder<W: Write> {
    output: Output<W>,
    /// Whether the rows can stand for the items.
    is_possible: bool,
    warnings: Warnings,
    repeats: Option<Repeats>,
    host: Option<(u32, Host)>,
    has_namespaces: bool,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    shapes: Vec<Shape>,
    known: HashMap<Shape, u32>,
    texts: Texts,
    /// Used again for every item.
    shape: Shape,
}

impl<W: Write> Builder<W> {
    fn new(output: Output<W>) -> Self {
        Self {
            output,
            is_possible: true,
            warnings: Warnings::default(),
            repeats: None,
            host: None,
            has_namespaces: false,
            names: Vec::new(),
            numbers: HashMap::new(),
            shapes: Vec::new(),
            known: HashMap::new(),
            texts: Texts::default(),
            shape: Shape::default(),
        }
    }

    /// Takes an item of this block of the export.
    fn item(&mut self, record: &Record<'_>, block: u32) -> Result<(), ResultsError> {
        if !self.is_possible {
            return Ok(());
        }
        // Properties that come late change the host in the midst of its items.
        if self.host.as_ref().map(|(block, host)| (*block, host)) != Some((block, record.host)) {
            self.output.host(record.host, block).map_err(ResultsError::Write)?;
            self.host = Some((block, record.host.clone()));
            self.has_namespaces |= !record.host.namespaces.is_usual();
        }
        let host = u32::try_from(self.output.host_count() - 1).unwrap_or(u32::MAX);
        let shape = self.shape(record);
        self.is_possible = self.shapes.len() <= MOST_SHAPES && self.names.len() <= MOST_SHAPES;
        let columns = Columns::of(record, host, shape, record.item.as_written().map_or(0, short), &mut self.texts);
        self.output.row(&columns.encode()).map_err(ResultsError::Write)
    }

    fn shape(&mut self, record: &Record<'_>) -> u32 {
        let item: &Item = record.item;
        self.shape.others.clear();
        for other in item.others() {
            let name = item.name(other);
            let number = self.numbers.get(name).copied().unwrap_or_else(|| {
                let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.names.push(name.to_owned());
                self.numbers.insert(name.to_owned(), number);
                number
            });
            if !self.shape.others.contains(&number) {
                self.shape.others.push(number);
            }
        }
        self.shape.kind = record.kind();
        self.shape.present = item.present();
        self.shape.shown = record.shown_beside(FieldSet::default());
        if let Some(known) = self.known.get(&self.shape) {
            return *known;
        }
        let number = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        self.shapes.push(self.shape.clone());
        self.known.insert(self.shape.clone(), number);
        number
    }

    fn finish(self, export: ExportIdentity, header: Header, tally: Tally) -> Result<IndexSummary, ResultsError> {
        let (stats, machines) = tally.finish_with_machines();
        let Self { output, is_possible: is_usable, warnings, repeats, names, shapes, has_namespaces, .. } = self;
        let mut about =
            About { export, is_usable, has_namespaces, header, stats: stats.clone(), repeats, warnings, names, shapes };
        if !is_usable {
            (about.names, about.shapes, about.repeats) = (Vec::new(), Vec::new(), None);
        }
        let about = serde_json::to_vec(&about).map_err(|error| ResultsError::Write(error.into()))?;
        output.finish(&about, &machines).map_err(ResultsError::Write)?;
        Ok(IndexSummary { stats, is_usable })
    }
}
