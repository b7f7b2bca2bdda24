//! The second pass over an export: reads the selected items again, in their order, and hands them to a sink.

use std::{
    io::{BufRead, Read, Seek, SeekFrom},
    rc::Rc,
};

use super::{
    first_pass::HostOf,
    selection::{ByteRange, Selection},
    sink::Sink,
    window::Window,
};
use crate::results::{
    error::ResultsError,
    query::{Key, Query},
    record::{Host, Record, Repeats},
    xml::{ExportReader, ItemReader, Step, buffered},
};

/// Bytes read at once for an item; most are shorter.
const ITEM_BYTES: usize = 8 << 10;

/// The selected items of an export, and what they are read with.
#[derive(Clone, Copy)]
pub(crate) struct SecondPass<'s> {
    pub selection: &'s Selection,
    pub hosts: &'s HostOf<'s>,
    pub repeats: Option<&'s Rc<Repeats>>,
    pub query: &'s Query,
}

impl SecondPass<'_> {
    /// Hands the items to the sink until it is full. Returns how many it has taken, and whether it was full.
    pub(crate) fn write<R: Read + Seek>(
        self,
        input: &mut R,
        sink: &mut impl Sink,
    ) -> Result<(u64, bool), ResultsError> {
        let mut counting = Counting { sink, written: 0 };
        let takes_more = match self.selection {
            Selection::Ranges(ranges) => self.write_ranges(ranges, input, &mut counting),
            Selection::Items(keys) => self.write_items(keys, input, &mut counting),
        };
        // The first pass has read these items without an error.
        let takes_more = takes_more.map_err(ResultsError::in_sound)?;
        Ok((counting.written, !takes_more))
    }

    /// Whether the sink has taken all.
    fn write_ranges<R: Read + Seek>(
        self,
        ranges: &[ByteRange],
        input: &mut R,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        for range in ranges {
            input.seek(SeekFrom::Start(range.offset)).map_err(ResultsError::Read)?;
            let bytes = buffered(input.by_ref().take(range.length))?;
            let host = Host::clone(&*(self.hosts)(range.host)?);
            let reader = ExportReader::within(host, bytes, range.offset).knowing(self.repeats);
            if !self.write_matches(reader, range.matches, counting)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the sink has taken so many matching items.
    fn write_matches<R: BufRead>(
        self,
        mut reader: ExportReader<R>,
        matches: u64,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        let mut found = 0;
        while found < matches {
            match reader.next()? {
                Step::HostStart | Step::HostEnd | Step::Repeated => {}
                Step::End => return Err(ResultsError::Changed),
                Step::Item => {
                    let record = Record { host: reader.host(), item: reader.item() };
                    if self.query.matches(&record) {
                        if !counting.record(&record)? {
                            return Ok(false);
                        }
                        found += 1;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Whether the sink has taken all.
    fn write_items<R: Read + Seek>(
        self,
        keys: &[Key],
        input: &mut R,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        let (mut window, mut items) = (Window::new(ITEM_BYTES), ItemReader::default());
        let mut last: Option<(u32, Rc<Host>)> = None;
        for Key { place, .. } in keys {
            let host = match last.take().filter(|(number, _)| *number == place.host) {
                Some((_, host)) => host,
                None => (self.hosts)(place.host)?,
            };
            let bytes = window.read(input, place.offset, place.length, place.check)?;
            let item = items.read(bytes, place.offset, &host.namespaces)?;
            if !counting.record(&Record { host: &host, item })? {
                return Ok(false);
            }
            last = Some((place.host, host));
        }
        Ok(true)
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
}
