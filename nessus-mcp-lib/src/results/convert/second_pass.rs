//! The second reading of an export: the selected items are read again, in their order, and handed to a sink.

use std::{
    io::{BufRead, Read, Seek, SeekFrom},
    rc::Rc,
};

use super::{
    first_pass::HostOf,
    selection::{Selection, Stretch},
    sink::Sink,
    window::Window,
};
use crate::results::{
    error::{Damage, ResultsError},
    query::{FilterSet, Key},
    record::{Host, Record},
    xml::{ExportReader, ItemReader, Step, buffered},
};

/// Bytes read at once for an item; most are shorter.
const ITEM_BYTES: usize = 8 << 10;

/// The selected items of an export, and what they are read with.
#[derive(Clone, Copy)]
pub(crate) struct SecondReading<'s> {
    pub selection: &'s Selection,
    pub hosts: &'s HostOf<'s>,
    pub filters: &'s FilterSet,
}

impl SecondReading<'_> {
    /// Hands the items on until the sink is full; how many it has taken, and whether it was full.
    pub(crate) fn write<R: Read + Seek>(
        self,
        input: &mut R,
        sink: &mut impl Sink,
    ) -> Result<(u64, bool), ResultsError> {
        let mut counting = Counting { sink, written: 0 };
        let takes_more = match self.selection {
            Selection::Stretches(stretches) => self.write_stretches(stretches, input, &mut counting),
            Selection::Items(keys) => self.write_items(keys, input, &mut counting),
        };
        match takes_more {
            Ok(takes_more) => Ok((counting.written, !takes_more)),
            // The items were in order when they were first read.
            Err(error) if Damage::of(&error).is_some() => Err(ResultsError::Changed),
            Err(error) => Err(error),
        }
    }

    /// Whether the sink has taken all.
    fn write_stretches<R: Read + Seek>(
        self,
        stretches: &[Stretch],
        input: &mut R,
        counting: &mut Counting<'_, impl Sink>,
    ) -> Result<bool, ResultsError> {
        for stretch in stretches {
            input.seek(SeekFrom::Start(stretch.offset)).map_err(ResultsError::Read)?;
            let bytes = buffered(input.by_ref().take(stretch.length))?;
            let host = Host::clone(&*(self.hosts)(stretch.host)?);
            let reader = ExportReader::within(host, bytes, stretch.offset);
            if !self.write_matches(reader, stretch.matches, counting)? {
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
                Step::HostStart | Step::HostEnd => {}
                Step::End => return Err(ResultsError::Changed),
                Step::Item => {
                    let record = Record { host: reader.host(), item: reader.item() };
                    if self.filters.matches(&record) {
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
            let item = items.read(bytes, place.offset)?;
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
