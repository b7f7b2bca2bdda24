//! The index of an export: where its items stand, and what most filters and orders ask of them.
//!
//! Without it, a page costs a reading of the whole export. With it, a page costs two passes over 64 bytes an item, of which
//! a stretch is in memory, and the reading of the items shown and their hosts. In memory are 16 bytes a host. What the columns cannot decide (a text, a field with several values, a
//! value that does not fit its type) is read from the item itself, so both ways give the same answers.
//!
//! # Trust
//! An index is derived, so it is only believed while everything speaks for it: its version, the table of fields it was
//! made with, a checksum over all of it that finds every change of a single word, and the export's size, time of
//! change, and hash of both ends. Each item carries a hash too, which is looked at when the item is shown. Whatever
//! does not fit makes an [`IndexError`] or [`ResultsError::Changed`], and the index is made again.
//!
//! That is against accidents. Who can write into the directory can replace the export itself, so nothing is signed;
//! but an index made with bad intent cannot do more than that: places are looked up with bounds, and items are parsed
//! as hostile in any case.

mod checksum;
mod file;
mod row;
mod search;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Seek as _, Write},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

pub(super) use self::{
    checksum::short,
    search::{Window, search},
};
use self::{
    file::{Output, Stored},
    row::Columns,
};
use super::{
    cursor::Identity,
    encoding,
    error::ResultsError,
    fields::FieldSet,
    record::{Host, Record},
    survey::Warnings,
    validate::{ExportStats, Tally, Validation, ValidationReport},
    walk::{Visit, buffered, walk},
    xml::{ExportReader, Header, Item, Step},
};

/// Combinations of fields beyond this are not indexed; exports have some hundreds.
const MOST_SHAPES: usize = 1 << 16;

/// An index that fits its export, for [`JsonNlConverter::convert_indexed`](super::JsonNlConverter::convert_indexed).
///
/// ```
/// use std::io::{Seek, Write};
/// use nessus_mcp_lib::{JsonNlConverter, results::{ExportIndex, Query}};
///
/// let mut export = tempfile::tempfile()?;
/// export.write_all(br#"<NessusClientData_v2><Report><ReportHost name="10.0.0.7">
///     <ReportItem severity="3" pluginID="900001" port="443"/></ReportHost></Report></NessusClientData_v2>"#)?;
/// let mut file = tempfile::tempfile()?;
/// assert!(ExportIndex::build(&export, &file)?.is_usable);
/// file.rewind()?;
/// let index = ExportIndex::load(&file, &export)?;
/// let query = Query::builder().filters(r#"{"severity": ">=High"}"#.parse()?).build()?;
/// let summary = JsonNlConverter::new(query).convert_indexed(&export, &index, std::io::sink())?;
/// assert_eq!(summary.total_vulnerabilities, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ExportIndex {
    about: About,
    stored: Stored,
}

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

/// Why an index is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It cannot be read.
    #[error("the index cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// It is cut short, was changed, or is no index.
    #[error("the index is damaged")]
    Damaged,
    /// Another version of this library has made it.
    #[error("the index is of another version")]
    Version,
    /// The export is not the one it was made of.
    #[error("the index is of another export")]
    Stale,
    /// The export can have none: making it again is of no use.
    #[error("the export can have no index")]
    Impossible,
    /// The export cannot be read.
    #[error(transparent)]
    Export(#[from] ResultsError),
}

/// All but the rows and hosts.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    export: ExportIdentity,
    /// Whether the rest is there.
    is_usable: bool,
    header: Header,
    stats: ExportStats,
    warnings: Warnings,
    /// Undeclared elements and attributes, in the order of the file.
    names: Vec<String>,
    shapes: Vec<Shape>,
}

/// Which export it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ExportIdentity {
    size: u64,
    hash: [u8; 32],
    /// Bytes before the first character.
    base: u64,
    /// Nanoseconds since 1970.
    modified: Option<u128>,
}

/// Which fields an item has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Shape {
    /// Declared fields with an occurrence.
    present: FieldSet,
    /// Declared fields that the `full` profile shows.
    shown: FieldSet,
    /// Undeclared ones, as indices of the names, in the order of the item.
    others: Vec<u32>,
}

impl ExportIdentity {
    fn of(export: &File, base: u64) -> Result<Self, ResultsError> {
        let modified = export.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_nanos());
        let mut export = export;
        let Identity { size, hash } = Identity::of(&mut export, base)?;
        Ok(Self { size, hash, base, modified })
    }
}

impl ExportIndex {
    /// Validates an export as [`validate`](super::validate) does, and writes its index on the way, in memory that does
    /// not grow with it but for some 50 bytes a host. `output` is to be kept also when the index is not usable, because it
    /// says so.
    ///
    /// # Errors
    /// When it is not a complete .nessus export of version 2, or `output` cannot be written.
    pub fn build<W: Write>(export: &File, output: W) -> Result<IndexSummary, ResultsError> {
        Self::build_showing(export, output, |_| {})
    }

    /// Judges an export as [`Validation::run`] does, and writes its index in the same reading; whether that is usable.
    ///
    /// # Errors
    /// Those of [`ExportIndex::build`].
    pub fn build_validated<W: Write>(
        export: &File,
        output: W,
        validation: &Validation,
    ) -> Result<(ValidationReport, bool), ResultsError> {
        let mut judge = validation.judge();
        let summary = Self::build_showing(export, output, |visit| {
            judge.visit(visit);
        })?;
        Ok((validation.report(summary.stats, judge), summary.is_usable))
    }

    /// As [`ExportIndex::build`], and shows `look` everything on the way.
    fn build_showing<W: Write>(
        export: &File,
        output: W,
        mut look: impl FnMut(Visit<'_>),
    ) -> Result<IndexSummary, ResultsError> {
        let mut tally = Tally::default();
        let mut builder = Builder::new(Output::begin(output).map_err(ResultsError::Write)?);
        // Before the content is read: what changes meanwhile makes the index stale, not wrong.
        let Some(base) = encoding::mark_of_utf8(&mut &*export)? else {
            let identity = ExportIdentity::of(export, 0)?;
            (&*export).rewind().map_err(ResultsError::Read)?;
            walk(export, |visit| {
                tally.visit(visit);
                look(visit);
            })?;
            builder.is_possible = false;
            return builder.finish(identity, Header::default(), tally.finish());
        };
        let identity = ExportIdentity::of(export, base)?;
        (&*export).seek(io::SeekFrom::Start(base)).map_err(ResultsError::Read)?;
        let mut reader = ExportReader::new(buffered(export)?, base);
        loop {
            let step = reader.next()?;
            tally.count(step, &reader);
            look(Visit::of(step, &reader));
            match step {
                Step::HostStart | Step::HostEnd => {}
                Step::Item => builder.item(&Record { host: reader.host(), item: reader.item() })?,
                Step::End => break,
            }
        }
        builder.warnings.mended = reader.mended();
        builder.finish(identity, reader.header().clone(), tally.finish())
    }

    /// Checks an index and compares it with its export. The index is read again while it is used, and its position changes.
    ///
    /// # Errors
    /// When it is not to be used for this export, and is to be made again.
    pub fn load(index: &File, export: &File) -> Result<Self, IndexError> {
        let (stored, about) = Stored::open(index)?;
        let about: About = serde_json::from_slice(&about).map_err(|_| IndexError::Damaged)?;
        if ExportIdentity::of(export, about.export.base)? != about.export {
            return Err(IndexError::Stale);
        }
        if !about.is_usable {
            return Err(IndexError::Impossible);
        }
        if stored.row_count() != about.stats.items {
            return Err(IndexError::Damaged);
        }
        Ok(Self { about, stored })
    }

    /// How many items and hosts an index says it has, without looking whether it is to be believed.
    pub(super) fn extent(index: &File) -> Option<(u64, u64)> {
        file::extent(index)
    }

    /// What the export holds.
    pub fn stats(&self) -> &ExportStats {
        &self.about.stats
    }

    pub(super) fn base(&self) -> u64 {
        self.about.export.base
    }
}

/// Gathers what is known of items.
struct Builder<W: Write> {
    output: Output<W>,
    /// Whether the rows can stand for the items.
    is_possible: bool,
    warnings: Warnings,
    host: Option<Host>,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    shapes: Vec<Shape>,
    known: HashMap<Shape, u32>,
    /// Used again for every item.
    shape: Shape,
}

impl<W: Write> Builder<W> {
    fn new(output: Output<W>) -> Self {
        Self {
            output,
            is_possible: true,
            warnings: Warnings::default(),
            host: None,
            names: Vec::new(),
            numbers: HashMap::new(),
            shapes: Vec::new(),
            known: HashMap::new(),
            shape: Shape::default(),
        }
    }

    fn item(&mut self, record: &Record<'_>) -> Result<(), ResultsError> {
        self.warnings.add(record);
        if !self.is_possible {
            return Ok(());
        }
        // Properties that come late change the host in the midst of its items.
        if self.host.as_ref() != Some(record.host) {
            self.output.host(record.host).map_err(ResultsError::Write)?;
            self.host = Some(record.host.clone());
        }
        let host = u32::try_from(self.output.host_count() - 1).unwrap_or(u32::MAX);
        let shape = self.shape(record);
        self.is_possible = self.shapes.len() <= MOST_SHAPES && self.names.len() <= MOST_SHAPES;
        let columns = Columns::of(record, host, shape, record.item.as_written().map_or(0, short));
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

    fn finish(self, export: ExportIdentity, header: Header, stats: ExportStats) -> Result<IndexSummary, ResultsError> {
        let Self { output, is_possible: is_usable, warnings, names, shapes, .. } = self;
        let mut about = About { export, is_usable, header, stats: stats.clone(), warnings, names, shapes };
        if !is_usable {
            (about.names, about.shapes) = (Vec::new(), Vec::new());
        }
        let about = serde_json::to_vec(&about).map_err(|error| ResultsError::Write(error.into()))?;
        output.finish(&about).map_err(ResultsError::Write)?;
        Ok(IndexSummary { stats, is_usable })
    }
}

#[cfg(test)]
mod tests;
