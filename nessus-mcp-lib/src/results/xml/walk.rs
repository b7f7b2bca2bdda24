//! Reading a whole export once, for those who count and judge and do not show items.

use std::{
    io::{BufRead, BufReader, Chain, Cursor, Read, Seek, SeekFrom},
    rc::Rc,
};

use super::{
    encoding::{self, Utf8},
    export::{ExportReader, Header, Step},
    repairs::RepairCounts,
};
use crate::results::{
    error::{ParseFailure, ResultsError},
    record::{Blocks, Host, HostEvidence, Machines, Record, RepeatFinder, Repeats},
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
    /// An item of the present host that repeats a finding of another block of the machine.
    Repeated(Record<'v>),
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
            Step::Repeated => Self::Repeated(Record { host: reader.host(), item: reader.item() }),
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

/// Shows `visit` everything an export holds, in file order and in memory that does not grow with it: each block as it is.
///
/// # Errors
/// When it is not a complete .nessus export of version 2.
pub(crate) fn walk<R: Read>(input: R, visit: impl FnMut(Visit<'_>)) -> Result<(), ResultsError> {
    encoding::with_utf8(input, |utf8, base| steps(ExportReader::new(buffered(utf8)?, base), visit).map(drop))
}

/// As [`walk`], of an export that can be read again, from its first byte on: what several blocks of a machine have is an item
/// once. Gives what `begin` has made and `visit` has seen. Where machines have several blocks, the export is read three times,
/// and seen twice: the second time anew.
///
/// # Errors
/// Those of [`walk`].
pub(crate) fn walk_united<R: Read + Seek, V>(
    input: R,
    begin: impl Fn() -> V,
    visit: impl FnMut(&mut V, Visit<'_>),
) -> Result<V, ResultsError> {
    match encoding::open(input, false)? {
        Utf8::Direct(mut input, base) => see(&mut input, base, false, begin, visit),
        Utf8::Copy(mut copy) => see(&mut copy, 0, false, begin, visit),
    }
}

/// As [`walk_united`], with what the policy says about what the scan looks at in the [`Header`].
pub(crate) fn walk_united_with_scope<R: Read + Seek, V>(
    input: R,
    begin: impl Fn() -> V,
    visit: impl FnMut(&mut V, Visit<'_>),
) -> Result<V, ResultsError> {
    match encoding::open(input, false)? {
        Utf8::Direct(mut input, base) => see(&mut input, base, true, begin, visit),
        Utf8::Copy(mut copy) => see(&mut copy, 0, true, begin, visit),
    }
}

fn see<R: Read + Seek, V>(
    input: &mut R,
    base: u64,
    has_scope: bool,
    begin: impl Fn() -> V,
    mut visit: impl FnMut(&mut V, Visit<'_>),
) -> Result<V, ResultsError> {
    let (mut seen, mut items) = (begin(), 0_u64);
    let mut blocks = Blocks::default();
    let repairs = steps(reader(input, base)?.with_scope(has_scope), |step| {
        match step {
            Visit::Item(_) => items += 1,
            Visit::HostEnd(host) => blocks.add(&HostEvidence::of(host)),
            _ => {}
        }
        visit(&mut seen, step);
    })?;
    let Some(repeats) = repeats(input, base, &blocks.machines(), repairs, false)? else { return Ok(seen) };
    let mut seen_again = 0_u64;
    seen = begin();
    let again = steps(reader(input, base)?.with_scope(has_scope).knowing(Some(&repeats)), |step| {
        seen_again += u64::from(matches!(step, Visit::Item(_) | Visit::Repeated(_)));
        visit(&mut seen, step);
    });
    again.map_err(ResultsError::in_sound)?;
    if seen_again == items { Ok(seen) } else { Err(ResultsError::Changed) }
}

/// Reads an export whose first byte is the one at `base`.
pub(crate) fn reader<R: Read + Seek>(input: &mut R, base: u64) -> Result<ExportReader<impl BufRead>, ResultsError> {
    input.seek(SeekFrom::Start(base)).map_err(ResultsError::Read)?;
    Ok(ExportReader::new(buffered(input)?, base))
}

/// Reads an export once more, to find what stands in several blocks of its `machines`; `None` where its blocks are all there
/// is to know, as of nearly all exports. Where it `is_lenient`, a broken export ends where it is broken.
pub(crate) fn repeats<R: Read + Seek>(
    input: &mut R,
    base: u64,
    machines: &Machines,
    repairs: RepairCounts,
    is_lenient: bool,
) -> Result<Option<Rc<Repeats>>, ResultsError> {
    if !machines.has_repeated() && repairs.late_properties == 0 {
        return Ok(None);
    }
    let mut reader = reader(input, base)?;
    let mut finder = RepeatFinder::new(machines);
    let mut late = 0;
    loop {
        match reader.next() {
            Ok(Step::HostStart) => late = reader.repairs().late_properties,
            Ok(Step::Item | Step::Repeated) => finder.item(&Record { host: reader.host(), item: reader.item() }),
            Ok(Step::HostEnd) => finder.end_block(reader.host(), reader.repairs().late_properties > late),
            Ok(Step::End) => break,
            Err(error) if is_lenient && ParseFailure::of(&error).is_some() => break,
            Err(error) => return Err(error.in_sound()),
        }
    }
    Ok(Some(Rc::new(finder.finish())))
}

/// Shows `visit` what a reader reads; gives what was repaired.
pub(crate) fn steps<R: BufRead>(
    mut reader: ExportReader<R>,
    mut visit: impl FnMut(Visit<'_>),
) -> Result<RepairCounts, ResultsError> {
    loop {
        let step = reader.next()?;
        visit(Visit::of(step, &reader));
        if step == Step::End {
            return Ok(reader.repairs());
        }
    }
}
