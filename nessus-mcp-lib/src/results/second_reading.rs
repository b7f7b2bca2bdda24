//! Reading the selected items again and handing them on, several batches at once where the sink allows it.
//!
//! Which bytes are to be read is known by then. One thread reads them and writes what others make of them, in their
//! order; each of the others parses and encodes batches that need nothing of each other.

use std::{
    io::{BufRead, ErrorKind, Read, Seek, SeekFrom},
    mem,
    ops::Range,
    sync::Arc,
};

use super::{
    conversion::{Encode, Sink},
    error::ResultsError,
    filter::FilterSet,
    index::Window,
    lanes::{self, Foreman},
    record::{Host, Record},
    selection::{Selection, Stretch},
    sort::Key,
    survey::HostOf,
    walk::buffered,
    xml::{ExportReader, ItemReader, Step},
};

/// Bytes read at once for an item; most are shorter.
const ITEM_BYTES: usize = 8 << 10;
/// Single items are put together in batches of about so many bytes; in tests of so few that small exports have several.
const BATCH_BYTES: usize = if cfg!(test) { 1 << 10 } else { 128 << 10 };
/// Buffers that are larger than this are given back after the batch that needed it.
const KEPT_BYTES: usize = 1 << 20;

/// The selected items of an export, and what they are read with.
#[derive(Clone, Copy)]
pub(super) struct SecondReading<'s> {
    pub selection: &'s Selection,
    pub hosts: &'s HostOf<'s>,
    pub filters: &'s FilterSet,
}

impl SecondReading<'_> {
    /// Hands the items on, one by one or in batches that so many threads encode; how many there were, and whether the sink
    /// was full.
    pub(super) fn write<R: Read + Seek>(
        self,
        input: &mut R,
        threads: usize,
        sink: &mut impl Sink,
    ) -> Result<(u64, bool), ResultsError> {
        let mut counting = Counting { sink, written: 0 };
        let takes_more = self.write_batches(input, threads, &mut counting)? && self.write_rest(input, &mut counting)?;
        Ok((counting.written, !takes_more))
    }

    /// Hands on all but a last stretch that is too long for a batch; whether the sink takes more.
    fn write_batches<R: Read + Seek>(
        self,
        input: &mut R,
        threads: usize,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        let mut batches = Batches::new(input, self);
        let filters = self.filters;
        if threads > 1
            && self.is_long()
            && let Some(encoders) = (0..threads).map(|_| counting.sink.encoder()).collect::<Option<Vec<_>>>()
        {
            let mut writer = Writer { batches, counting, spare: Vec::new() };
            let workers = encoders.into_iter().map(|mut encoder| {
                let mut parser = Parser::default();
                move |batch| encode(batch, &mut parser, filters, encoder.as_mut())
            });
            lanes::work(&mut writer, workers.collect())?;
            return Ok(true);
        }
        let mut parser = Parser::default();
        let mut batch = Batch::default();
        while batches.next(&mut batch)? {
            if !parser.parse(&batch, filters, |record| counting.record(record))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands on the last stretch, if it was too long for a batch; whether the sink takes more.
    fn write_rest<R: Read + Seek>(
        self,
        input: &mut R,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        let Some(rest) = self.selection.stretches().1 else { return Ok(true) };
        input.seek(SeekFrom::Start(rest.offset)).map_err(ResultsError::Read)?;
        let bytes = buffered(input.by_ref().take(rest.length))?;
        let host = (self.hosts)(rest.host)?;
        let reader = ExportReader::within(Host::clone(&host), bytes, rest.offset);
        parse_stretch(reader, rest.matches, self.filters, &mut |record| counting.record(record))
    }

    /// Whether it is worth while to begin threads.
    fn is_long(self) -> bool {
        match self.selection {
            Selection::Stretches(stretches) => stretches.len() > lanes::AHEAD,
            Selection::Items(keys) => {
                keys.iter().map(|key| u64::from(key.place.length)).sum::<u64>() > (lanes::AHEAD * BATCH_BYTES) as u64
            }
        }
    }
}

/// A sink, and how many items it has taken.
struct Counting<'s, S> {
    sink: &'s mut S,
    written: u64,
}

impl<S: Sink> Counting<'_, S> {
    /// Whether the sink took it; else it is full.
    fn record(&mut self, record: &Record<'_>) -> Result<bool, ResultsError> {
        let is_taken = self.sink.record(record)?;
        self.written += u64::from(is_taken);
        Ok(is_taken)
    }

    fn encoded(&mut self, batch: &Batch) -> Result<(), ResultsError> {
        self.sink.encoded(&batch.encoded)?;
        self.written += batch.count;
        Ok(())
    }
}

/// Reads batches for others to encode, and writes what they have encoded.
struct Writer<'s, 'c, R, S> {
    batches: Batches<'s, R>,
    counting: &'s mut Counting<'c, S>,
    /// Batches that are written, for their buffers.
    spare: Vec<Batch>,
}

impl<R: Read + Seek, S: Sink> Foreman for Writer<'_, '_, R, S> {
    type Work = Batch;
    type Result = Result<Batch, ResultsError>;
    type Error = ResultsError;

    fn next(&mut self) -> Result<Option<Batch>, ResultsError> {
        let mut batch = self.spare.pop().unwrap_or_default();
        Ok(self.batches.next(&mut batch)?.then_some(batch))
    }

    fn take(&mut self, result: Result<Batch, ResultsError>) -> Result<(), ResultsError> {
        let batch = result?;
        self.counting.encoded(&batch)?;
        self.spare.push(batch);
        Ok(())
    }
}

/// Bytes of the export and the items that are wanted of them.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// How many of the bytes are of this batch; those behind them are left from earlier ones.
    filled: usize,
    pieces: Vec<Piece>,
    /// The items as the sink wants them, and how many they are.
    encoded: Vec<u8>,
    count: u64,
}

#[derive(Debug)]
enum Piece {
    /// An item whose bytes stand here in the batch, where it begins in the export, and its host.
    Item(Range<usize>, u64, Arc<Host>),
    /// All bytes of the batch, and the host they begin in.
    Stretch(Stretch, Arc<Host>),
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.truncate(KEPT_BYTES);
        self.bytes.shrink_to(KEPT_BYTES);
        self.filled = 0;
        self.pieces.clear();
        self.encoded.clear();
        self.encoded.shrink_to(KEPT_BYTES);
        self.count = 0;
    }

    /// Room for so many more bytes.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let begin = self.filled;
        self.filled += length;
        if self.bytes.len() < self.filled {
            self.bytes.resize(self.filled, 0);
        }
        &mut self.bytes[begin..self.filled]
    }
}

/// Reads batch after batch.
struct Batches<'s, R> {
    input: &'s mut R,
    window: Window,
    keys: std::slice::Iter<'s, Key>,
    stretches: std::slice::Iter<'s, Stretch>,
    hosts: &'s HostOf<'s>,
    /// The host read last, with its number.
    host: Option<(u32, Arc<Host>)>,
}

impl<'s, R: Read + Seek> Batches<'s, R> {
    fn new(input: &'s mut R, reading: SecondReading<'s>) -> Self {
        let SecondReading { selection, hosts, .. } = reading;
        let keys = if let Selection::Items(keys) = selection { keys.as_slice() } else { &[] };
        let (stretches, _) = selection.stretches();
        let (keys, stretches) = (keys.iter(), stretches.iter());
        Self { input, window: Window::new(ITEM_BYTES), keys, stretches, hosts, host: None }
    }

    fn host(&mut self, number: u32) -> Result<Arc<Host>, ResultsError> {
        if let Some((known, host)) = &self.host
            && *known == number
        {
            return Ok(Arc::clone(host));
        }
        let host = (self.hosts)(number)?;
        self.host = Some((number, Arc::clone(&host)));
        Ok(host)
    }

    /// Reads the next batch; whether there was one.
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ResultsError> {
        batch.clear();
        if let Some(stretch) = self.stretches.next() {
            self.input.seek(SeekFrom::Start(stretch.offset)).map_err(ResultsError::Read)?;
            let length = usize::try_from(stretch.length).map_err(|_| ResultsError::Changed)?;
            self.input.read_exact(batch.room(length)).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => ResultsError::Changed,
                _ => ResultsError::Read(error),
            })?;
            batch.pieces.push(Piece::Stretch(*stretch, self.host(stretch.host)?));
        }
        while batch.filled < BATCH_BYTES
            && let Some(Key { place, .. }) = self.keys.next()
        {
            let host = self.host(place.host)?;
            let bytes = self.window.read(self.input, place.offset, place.length, place.check)?;
            let begin = batch.filled;
            batch.room(bytes.len()).copy_from_slice(bytes);
            batch.pieces.push(Piece::Item(begin..batch.filled, place.offset, host));
        }
        Ok(!batch.pieces.is_empty())
    }
}

/// Finds the items in batches.
#[derive(Debug, Default)]
struct Parser {
    items: ItemReader,
}

impl Parser {
    /// Gives the items of a batch to `take` until it takes no more; whether it took all.
    fn parse(
        &mut self,
        batch: &Batch,
        filters: &FilterSet,
        mut take: impl FnMut(&Record<'_>) -> Result<bool, ResultsError>,
    ) -> Result<bool, ResultsError> {
        for piece in &batch.pieces {
            let goes_on = match piece {
                Piece::Item(range, offset, host) => {
                    let item = self.items.read(&batch.bytes[range.clone()], *offset)?;
                    take(&Record { host, item })?
                }
                Piece::Stretch(stretch, host) => {
                    let bytes = &batch.bytes[..batch.filled];
                    let reader = ExportReader::within(Host::clone(host), bytes, stretch.offset);
                    parse_stretch(reader, stretch.matches, filters, &mut take)?
                }
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parse_stretch<R: BufRead>(
    mut reader: ExportReader<R>,
    matches: u64,
    filters: &FilterSet,
    take: &mut impl FnMut(&Record<'_>) -> Result<bool, ResultsError>,
) -> Result<bool, ResultsError> {
    let mut found = 0;
    while found < matches {
        match reader.next()? {
            Step::HostStart | Step::HostEnd => {}
            Step::End => return Err(ResultsError::Changed),
            Step::Item => {
                let record = Record { host: reader.host(), item: reader.item() };
                if filters.matches(&record) {
                    if !take(&record)? {
                        return Ok(false);
                    }
                    found += 1;
                }
            }
        }
    }
    Ok(true)
}

fn encode(
    mut batch: Batch,
    parser: &mut Parser,
    filters: &FilterSet,
    encoder: &mut dyn Encode,
) -> Result<Batch, ResultsError> {
    let mut bytes = mem::take(&mut batch.encoded);
    let mut count = 0;
    parser.parse(&batch, filters, |record| {
        count += 1;
        encoder.encode(record, &mut bytes).map(|()| true)
    })?;
    Ok(Batch { encoded: bytes, count, ..batch })
}
