//! The first reading of a long export by several threads.
//!
//! One thread reads the file and cuts it before the start of a host, at places that look like one. The others read the
//! parts, each as if a `Report` had begun right before it. If each part turns out to end between two hosts, what they
//! have found is together what one reading finds: the first part begins where the file's first host does, so each
//! other begins where the one before it has ended. If anything is not so (a comment that holds the start of a host, a
//! second report, a defect) nothing that was found is used, and the export is read from the beginning by one.

use std::{
    io::{Read, Seek, SeekFrom},
    mem,
};

use memchr::memmem;

use super::{
    lanes::{self, Foreman},
    query::Query,
    survey::{Findings, Survey},
    walk::buffered,
    xml::{ExportReader, Mended, Step},
};

/// The parts are about so long; in tests so short that small exports have several.
const PART_BYTES: usize = if cfg!(test) { 2 << 10 } else { 256 << 10 };
/// No part is longer, for several are held at once: an export with a longer host is for one to read.
const MOST_BYTES: usize = 4 * PART_BYTES;
const HOST: &[u8] = b"<ReportHost";

/// What is in an export, whose first byte of UTF-8 is the one at `base`; `None` when it is for one to read.
pub(super) fn survey_in_parts<R: Read + Seek>(
    input: &mut R,
    base: u64,
    query: &Query,
    threads: usize,
) -> Option<Survey<'static>> {
    if threads < 2 || !Findings::can_be_put_together(query) {
        return None;
    }
    let end = input.seek(SeekFrom::End(0)).ok()?;
    input.seek(SeekFrom::Start(base)).ok()?;
    let mut reader = ExportReader::new(buffered(&mut *input).ok()?, base);
    if reader.next().ok()? != Step::HostStart {
        return None;
    }
    let (header, begin) = (reader.header().clone(), reader.host_offset()?);
    let is_short = end.checked_sub(begin)? < (lanes::AHEAD * PART_BYTES) as u64;
    // What was mended in the start of the host would be counted twice.
    if is_short || reader.mended() != Mended::default() {
        return None;
    }
    input.seek(SeekFrom::Start(begin)).ok()?;
    let findings = Findings::new(query);
    let mut cutter = Cutter { input, next: Vec::new(), position: begin, is_over: false, findings, spare: Vec::new() };
    let workers = (0..threads).map(|_| move |part| read(part, query)).collect();
    lanes::work(&mut cutter, workers).ok()?;
    cutter.findings.finish(header, None).ok()
}

/// A part of the export.
struct Part {
    bytes: Vec<u8>,
    /// Where it begins.
    begin: u64,
    is_last: bool,
}

/// That it is for one to read.
struct NotInParts;

/// Cuts the export into parts and puts together what was found in them.
struct Cutter<'q, 'r, R> {
    input: &'r mut R,
    /// What was read of the next part.
    next: Vec<u8>,
    /// Where that begins.
    position: u64,
    is_over: bool,
    findings: Findings<'q>,
    /// Buffers that are not in use.
    spare: Vec<Vec<u8>>,
}

impl<'q, R: Read> Foreman for Cutter<'q, '_, R> {
    type Work = Part;
    type Result = Option<(Vec<u8>, Findings<'q>)>;
    type Error = NotInParts;

    fn next(&mut self) -> Result<Option<Part>, NotInParts> {
        if self.is_over {
            return Ok(None);
        }
        let mut wanted = PART_BYTES.max(self.next.len());
        let cut = loop {
            let missing = wanted - self.next.len();
            let read = self.input.by_ref().take(missing as u64).read_to_end(&mut self.next);
            if read.map_err(|_| NotInParts)? < missing {
                self.is_over = true;
                break self.next.len();
            }
            match last_host(&self.next) {
                Some(cut) => break cut,
                None if wanted < MOST_BYTES => wanted *= 2,
                None => return Err(NotInParts),
            }
        };
        let mut next = self.spare.pop().unwrap_or_default();
        next.clear();
        next.extend_from_slice(&self.next[cut..]);
        let mut bytes = mem::replace(&mut self.next, next);
        bytes.truncate(cut);
        let begin = self.position;
        self.position += cut as u64;
        Ok(Some(Part { bytes, begin, is_last: self.is_over }))
    }

    fn take(&mut self, result: Self::Result) -> Result<(), NotInParts> {
        let (bytes, findings) = result.ok_or(NotInParts)?;
        self.spare.push(bytes);
        if self.findings.append(findings) { Ok(()) } else { Err(NotInParts) }
    }
}

/// Where the last host begins that does not begin with the first byte.
fn last_host(bytes: &[u8]) -> Option<usize> {
    let begins_host = |at: &usize| {
        let next = bytes.get(at + HOST.len());
        next.is_some_and(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
    };
    memmem::rfind_iter(bytes, HOST).find(begins_host).filter(|at| *at > 0)
}

fn read(part: Part, query: &Query) -> Option<(Vec<u8>, Findings<'_>)> {
    let mut findings = Findings::new(query);
    let mut reader = ExportReader::part(&part.bytes, part.begin, part.is_last);
    loop {
        let step = reader.next().ok()?;
        findings.take(step, &reader);
        if step == Step::End {
            break;
        }
    }
    findings.mended(reader.mended());
    let has_only_hosts = reader.has_only_hosts();
    drop(reader);
    has_only_hosts.then_some((part.bytes, findings))
}
