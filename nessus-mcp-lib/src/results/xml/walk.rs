//! Reading a whole export once, for those who count and judge and do not show items.

use std::io::{BufRead, BufReader, Chain, Cursor, Read};

use super::{
    encoding,
    export::{ExportReader, Header, Step},
};
use crate::results::{
    error::ResultsError,
    record::{Host, Record},
};

/// Bytes read at once.
const READ_BYTES: usize = 512 << 10;
/// Where in a page of the file the reads begin.
const READ_OFFSET: u64 = 1 << 10;

/// One step through an export.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Visit<'v> {
    /// A host begins; its properties may not be known yet.
    HostStart,
    /// An item of the present host.
    Item(Record<'v>),
    /// The present host ends.
    HostEnd(&'v Host),
    /// The export ends, in order.
    End(&'v Header),
}

impl<'v> Visit<'v> {
    /// What a reader's step shows.
    pub(crate) fn of<R: BufRead>(step: Step, reader: &'v ExportReader<R>) -> Self {
        match step {
            Step::HostStart => Self::HostStart,
            Step::Item => Self::Item(Record { host: reader.host(), item: reader.item() }),
            Step::HostEnd => Self::HostEnd(reader.host()),
            Step::End => Self::End(reader.header()),
        }
    }
}

/// An input behind a buffer, and behind its first bytes.
type Buffered<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// Buffers an input that is read from its beginning to its end.
///
/// The reads begin in the midst of a page of the file. Large buffers begin a few bytes behind the beginning of a page of
/// memory, and to copy from a page to just behind the same place in another takes some processors three times as long.
pub(crate) fn buffered<R: Read>(mut input: R) -> Result<Buffered<R>, ResultsError> {
    let mut head = Vec::new();
    input.by_ref().take(READ_OFFSET).read_to_end(&mut head).map_err(ResultsError::Read)?;
    Ok(BufReader::with_capacity(READ_BYTES, Cursor::new(head).chain(input)))
}

/// Shows `visit` everything an export holds, in file order and in memory that does not grow with it.
///
/// # Errors
/// When it is not a complete .nessus export of version 2.
pub(crate) fn walk<R: Read>(input: R, visit: impl FnMut(Visit<'_>)) -> Result<(), ResultsError> {
    encoding::with_utf8(input, |utf8, base| steps(ExportReader::new(buffered(utf8)?, base), visit))
}

/// As [`walk`], with what the policy says about what the scan looks at in the [`Header`].
pub(crate) fn walk_with_scope<R: Read>(input: R, visit: impl FnMut(Visit<'_>)) -> Result<(), ResultsError> {
    encoding::with_utf8(input, |utf8, base| steps(ExportReader::new(buffered(utf8)?, base).keeping_scope(), visit))
}

fn steps<R: BufRead>(mut reader: ExportReader<R>, mut visit: impl FnMut(Visit<'_>)) -> Result<(), ResultsError> {
    loop {
        let step = reader.next()?;
        visit(Visit::of(step, &reader));
        if step == Step::End {
            return Ok(());
        }
    }
}
