//! A reader with a budget, because quick-xml buffers an event of any size.

use std::io::{self, BufRead, Read};

/// Passes bytes on until the budget since the last [`Capped::refill`] is used up, then fails.
///
/// It may pass on up to one buffer of the inner reader more than the budget.
#[derive(Debug)]
pub(super) struct Capped<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R> Capped<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: u64::MAX, exceeded: false }
    }

    /// Sets a new budget in bytes.
    pub(super) fn refill(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Whether a read failed because the budget was used up.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded
    }
}

impl<R: BufRead> Read for Capped<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(target.len());
        target[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Capped<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            self.exceeded = true;
            return Err(io::Error::other("over the limit"));
        }
        self.inner.fill_buf()
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u64);
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_after_the_budget() {
        let mut capped = Capped::new(io::BufReader::with_capacity(4, &b"0123456789"[..]));
        capped.refill(6);
        let mut seen = Vec::new();
        let failed = capped.read_to_end(&mut seen).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::Other);
        assert_eq!(seen, b"01234567", "a whole buffer past the budget at most");
        assert!(capped.is_exceeded());
    }
}
