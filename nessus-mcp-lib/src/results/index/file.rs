//! The bytes of an index: a head, rows of items, hosts and where each stands, a description, and a tail that holds all
//! together.
//!
//! ```text
//! head   32  magic "nmcp-idx", version, hash of the table of fields
//! rows       64 bytes an item
//! hosts      JSON of each host
//! places     20 bytes a host: where its JSON begins, how long it is, its place in the order of hosts, its machine
//! about      JSON
//! tail   64  bytes of rows, hosts, places and about, checksum over all before it
//! ```
//! Hosts, places and about are filled up with spaces to a multiple of 32. The rows are written as the items are read, and
//! the hosts wait in a temporary file, so that memory holds only 16 bytes and the name of each host.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

use super::{
    error::IndexError,
    row::{Columns, ROW_BYTES},
};
use crate::{
    results::{
        convert::{BLOCK, Checksum},
        error::ResultsError,
        query::{NameKey, ranks},
        record::{FIELDS, Host, Machines},
    },
    source::Source,
};

/// Grows with every change of the layout or of what the columns mean.
const VERSION: u32 = 6;
const MAGIC: &[u8] = b"nmcp-idx";
const HEAD_BYTES: usize = 32;
const PLACE_BYTES: usize = 20;
const TAIL_BYTES: usize = 64;
/// Bytes of hosts that wait in memory rather than in a temporary file; in tests so few that small exports need it.
const SPOOL_BYTES: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };
/// Bytes read at once; a multiple of [`ROW_BYTES`] and [`BLOCK`].
const READ_BYTES: usize = if cfg!(test) { 8 << 10 } else { 256 << 10 };

fn head() -> [u8; HEAD_BYTES] {
    let mut fields = Sha256::new();
    for field in FIELDS {
        fields.update(format!("{} {} {:?} {:?};", field.name, field.xml, field.kind, field.origin));
    }
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..].copy_from_slice(&fields.finalize()[..16]);
    head
}

/// An index being written.
pub(super) struct Output<W: Write> {
    inner: BufWriter<W>,
    checksum: Checksum,
    /// Bytes written.
    written: u64,
    hosts: BufWriter<SpooledTempFile>,
    /// Where each host stands among the hosts, how long it is, and which block of the export it is.
    places: Vec<(u64, u32, u32)>,
    names: Vec<NameKey>,
    hosts_end: u64,
}

impl<W: Write> Output<W> {
    pub(super) fn begin(output: W) -> io::Result<Self> {
        let mut this = Self {
            inner: BufWriter::with_capacity(64 << 10, output),
            checksum: Checksum::new(),
            written: 0,
            hosts: BufWriter::with_capacity(64 << 10, SpooledTempFile::new(SPOOL_BYTES)),
            places: Vec::new(),
            names: Vec::new(),
            hosts_end: 0,
        };
        this.append(&head())?;
        Ok(this)
    }

    /// Writes the row of an item.
    pub(super) fn row(&mut self, row: &[u8; ROW_BYTES]) -> io::Result<()> {
        self.append(row)
    }

    /// Writes a host, which is this block of the export or a part of it; its number is how many there were before.
    pub(super) fn host(&mut self, host: &Host, block: u32) -> io::Result<()> {
        let bytes = serde_json::to_vec(host)?;
        self.hosts.write_all(&bytes)?;
        self.places.push((self.hosts_end, u32::try_from(bytes.len()).map_err(io::Error::other)?, block));
        self.names.push(NameKey::of(&host.name));
        self.hosts_end += bytes.len() as u64;
        Ok(())
    }

    /// How many hosts were written.
    pub(super) fn host_count(&self) -> usize {
        self.places.len()
    }

    /// `bytes` are a multiple of [`BLOCK`] in length, or the checksum would depend on how they are cut.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.written += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    /// Writes the last bytes of a section that has begun at `begin`, filled up; how many bytes it has.
    fn end_section(&mut self, begin: u64, mut last: Vec<u8>) -> io::Result<u64> {
        last.resize(last.len().next_multiple_of(BLOCK), b' ');
        self.append(&last)?;
        Ok(self.written - begin)
    }

    /// `machines` says which machine each block is of.
    pub(super) fn finish(mut self, about: &[u8], machines: &Machines) -> io::Result<()> {
        let rows = self.written - HEAD_BYTES as u64;
        let mut hosts = std::mem::replace(&mut self.hosts, BufWriter::new(SpooledTempFile::new(0)));
        hosts.rewind()?;
        let mut hosts = hosts.into_inner().map_err(io::IntoInnerError::into_error)?;
        let begin = self.written;
        let mut bytes = Vec::with_capacity(READ_BYTES);
        while Read::take(&mut hosts, READ_BYTES as u64).read_to_end(&mut bytes)? == READ_BYTES {
            self.append(&bytes)?;
            bytes.clear();
        }
        let hosts = self.end_section(begin, bytes)?;
        let begin = self.written;
        let ranks = ranks(&std::mem::take(&mut self.names));
        let mut bytes = Vec::with_capacity(ranks.len() * PLACE_BYTES);
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        for ((place, length, block), rank) in std::mem::take(&mut self.places).into_iter().zip(ranks) {
            // Those without items are not here, and have no number.
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let machine = *numbers.entry(machines.of(block as usize)).or_insert(next);
            bytes.extend(place.to_le_bytes());
            bytes.extend([length, rank, machine].iter().flat_map(|number| number.to_le_bytes()));
        }
        let places = self.end_section(begin, bytes)?;
        let about = self.end_section(self.written, about.to_vec())?;
        let mut tail = [0; TAIL_BYTES];
        for (bytes, length) in tail.chunks_exact_mut(8).zip([rows, hosts, places, about]) {
            bytes.copy_from_slice(&length.to_le_bytes());
        }
        self.checksum.update(&tail[..BLOCK]);
        tail[BLOCK..].copy_from_slice(&self.checksum.finish());
        self.inner.write_all(&tail)?;
        self.inner.flush()
    }
}

/// An index that was written.
#[derive(Debug)]
pub(super) struct Stored {
    source: Source,
    rows: Range<u64>,
    hosts: Range<u64>,
    /// [`PLACE_BYTES`] for each host, and what fills up.
    places: Vec<u8>,
}

impl Stored {
    /// Checks an index from its first byte to its last; gives the description too.
    pub(super) fn open(index: &Source) -> Result<(Self, Vec<u8>), IndexError> {
        let size = index.size().map_err(IndexError::Read)?;
        let mut head_found = [0; HEAD_BYTES];
        read_at(index, 0, &mut head_found)?;
        if head_found != head() {
            let is_index = head_found.starts_with(MAGIC);
            return Err(if is_index { IndexError::Version } else { IndexError::Damaged });
        }
        let tail_at = size.checked_sub(TAIL_BYTES as u64).ok_or(IndexError::Damaged)?;
        let mut tail = [0; TAIL_BYTES];
        read_at(index, tail_at, &mut tail)?;
        if tail[BLOCK..] != checksum(index, tail_at, &tail[..BLOCK])? {
            return Err(IndexError::Damaged);
        }
        let mut end = HEAD_BYTES as u64;
        let mut section = |number: usize| {
            let length = tail[number * 8..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            let begin = end;
            end = length.and_then(|length| begin.checked_add(length)).filter(|end| *end <= tail_at)?;
            Some(begin..end)
        };
        let sections = (section(0), section(1), section(2), section(3));
        let (Some(rows), Some(hosts), Some(places), Some(about)) = sections else { return Err(IndexError::Damaged) };
        if about.end != tail_at || !(rows.end - rows.start).is_multiple_of(ROW_BYTES as u64) {
            return Err(IndexError::Damaged);
        }
        let read = |range: Range<u64>| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| IndexError::Damaged)?];
            read_at(index, range.start, &mut bytes).map(|()| bytes)
        };
        let (places, about) = (read(places)?, read(about)?);
        Ok((Self { source: index.clone(), rows, hosts, places }, about))
    }

    /// How many rows there are.
    pub(super) fn row_count(&self) -> u64 {
        (self.rows.end - self.rows.start) / ROW_BYTES as u64
    }

    /// How many hosts there are.
    pub(super) fn host_count(&self) -> u64 {
        (self.places.len() / PLACE_BYTES) as u64
    }

    /// The bytes that are kept in memory.
    pub(super) fn bytes_kept(&self) -> usize {
        self.places.len()
    }

    /// Shows `take` all rows, in file order.
    pub(super) fn rows(&self, mut take: impl FnMut(Columns) -> Result<(), ResultsError>) -> Result<(), ResultsError> {
        let mut at = self.rows.start;
        let mut bytes = Vec::new();
        while at < self.rows.end {
            let length = usize::try_from(self.rows.end - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            bytes.resize(length, 0);
            self.read(at, &mut bytes)?;
            bytes.chunks_exact(ROW_BYTES).map(Columns::decode).try_for_each(&mut take)?;
            at += length as u64;
        }
        Ok(())
    }

    /// The host of a number.
    pub(super) fn host(&self, number: u32) -> Result<Host, ResultsError> {
        let (place, length, ..) = self.place(number).ok_or(ResultsError::Changed)?;
        let at = self.hosts.start.checked_add(place).ok_or(ResultsError::Changed)?;
        if at.checked_add(length.into()).is_none_or(|end| end > self.hosts.end) {
            return Err(ResultsError::Changed);
        }
        let mut bytes = vec![0; length as usize];
        self.read(at, &mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|_| ResultsError::Changed)
    }

    /// The place of a host in the order of hosts.
    pub(super) fn rank(&self, number: u32) -> u32 {
        self.place(number).map_or(0, |(_, _, rank, _)| rank)
    }

    /// The number of the machine that a host is.
    pub(super) fn machine(&self, number: u32) -> u32 {
        // There are not more machines than hosts, whatever an index says.
        let most = u32::try_from(self.places.len() / PLACE_BYTES).unwrap_or(u32::MAX);
        self.place(number).map_or(0, |(.., machine)| machine.min(most))
    }

    fn place(&self, number: u32) -> Option<(u64, u32, u32, u32)> {
        let begin = (number as usize).checked_mul(PLACE_BYTES)?;
        let (place, rest) = self.places.get(begin..)?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (rank, rest) = rest.split_first_chunk()?;
        let machine = rest.first_chunk()?;
        let [length, rank, machine] = [length, rank, machine].map(|bytes| u32::from_le_bytes(*bytes));
        Some((u64::from_le_bytes(*place), length, rank, machine))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), ResultsError> {
        read_at(&self.source, at, bytes).map_err(|error| match error {
            IndexError::Read(error) => ResultsError::Read(error),
            _ => ResultsError::Changed,
        })
    }
}

/// The numbers of rows and hosts that an index has by its tail; `None` when it is of another version or has no rows.
pub(super) fn extent(index: &Source) -> Option<(u64, u64)> {
    let mut head_found = [0; HEAD_BYTES];
    read_at(index, 0, &mut head_found).ok()?;
    let mut lengths = [0; BLOCK];
    read_at(index, index.size().ok()?.checked_sub(TAIL_BYTES as u64)?, &mut lengths).ok()?;
    let length = |at: usize| lengths[at * 8..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let (rows, places) = (length(0)? / ROW_BYTES as u64, length(2)? / PLACE_BYTES as u64);
    (head_found == head() && rows > 0).then_some((rows, places))
}

/// The checksum of the first `length` bytes and what follows them.
fn checksum(index: &Source, length: u64, rest: &[u8]) -> Result<[u8; 32], IndexError> {
    let mut checksum = Checksum::new();
    let mut input = index.clone();
    input.rewind().map_err(IndexError::Read)?;
    let mut input = input.take(length);
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let mut filled = 0;
        while filled < bytes.len() {
            match input.read(&mut bytes[filled..]).map_err(IndexError::Read)? {
                0 => break,
                read => filled += read,
            }
        }
        checksum.update(&bytes[..filled]);
        if filled < bytes.len() {
            checksum.update(rest);
            return Ok(checksum.finish());
        }
    }
}

/// Reads exactly these bytes; an index that ends before is damaged.
fn read_at(index: &Source, at: u64, bytes: &mut [u8]) -> Result<(), IndexError> {
    let mut index = index.clone();
    let read = index.seek(SeekFrom::Start(at)).and_then(|_| index.read_exact(bytes));
    read.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IndexError::Damaged,
        _ => IndexError::Read(error),
    })
}
