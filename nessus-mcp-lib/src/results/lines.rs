//! Lines on their way out, within their budget.

use std::{io::Write, mem};

use serde::Serialize;

use super::{error::ResultsError, profile::Projection, record::Record, render};

/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;
/// Characters kept for the line that ends a page.
const LAST_LINE: u64 = 320;

/// A buffer before the output that counts characters.
pub(super) struct Lines<W> {
    output: W,
    buffer: Vec<u8>,
    /// The characters left, when there is a limit.
    left: Option<u64>,
    has_records: bool,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(output: W, max_chars: Option<u64>) -> Self {
        let left = max_chars.map(|most| most.saturating_sub(LAST_LINE));
        Self { output, buffer: Vec::with_capacity(WRITE_BYTES * 2), left, has_records: false }
    }

    /// Writes a line that is not a record.
    pub(super) fn line(&mut self, line: &impl Serialize) -> Result<(), ResultsError> {
        let begin = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, line).map_err(|error| ResultsError::Write(error.into()))?;
        self.buffer.push(b'\n');
        self.pay(begin);
        self.write_if_full()
    }

    /// Writes a record, unless it is over the budget; whether it was written. The first is shortened to fit.
    pub(super) fn record(&mut self, record: &Record<'_>, projection: &Projection) -> Result<bool, ResultsError> {
        let begin = self.buffer.len();
        render::write_record(&mut self.buffer, record, projection).map_err(ResultsError::Write)?;
        if let Some(left) = self.left
            && render::characters(&self.buffer[begin..]) > left
        {
            self.buffer.truncate(begin);
            if self.has_records {
                return Ok(false);
            }
            let room = left.max(render::SHORTEST);
            render::write_shortened(&mut self.buffer, record, projection, room).map_err(ResultsError::Write)?;
        }
        self.has_records = true;
        self.pay(begin);
        self.write_if_full()?;
        Ok(true)
    }

    /// Writes records that were rendered elsewhere. Only without a limit: they are not counted.
    pub(super) fn append(&mut self, records: &[u8]) -> Result<(), ResultsError> {
        self.output.write_all(&self.buffer).map_err(ResultsError::Write)?;
        self.buffer.clear();
        self.output.write_all(records).map_err(ResultsError::Write)
    }

    /// Takes what was appended since `begin` from the budget.
    fn pay(&mut self, begin: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(render::characters(&self.buffer[begin..]));
        }
    }

    fn write_if_full(&mut self) -> Result<(), ResultsError> {
        if self.buffer.len() < WRITE_BYTES {
            return Ok(());
        }
        self.output.write_all(&self.buffer).map_err(ResultsError::Write)?;
        self.buffer.clear();
        // One huge finding must not keep its memory until the end.
        self.buffer.shrink_to(WRITE_BYTES * 2);
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), ResultsError> {
        let buffer = mem::take(&mut self.buffer);
        self.output.write_all(&buffer).and_then(|()| self.output.flush()).map_err(ResultsError::Write)
    }
}
