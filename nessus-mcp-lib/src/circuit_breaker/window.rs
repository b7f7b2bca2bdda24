//! How many of the last calls failed.

use std::time::Duration;

use tokio::time::Instant;

/// In how many parts the window moves on.
const PARTS: usize = 10;

/// Calls and failures of the last while, in [`PARTS`] parts that are forgotten one by one: its size does not depend on
/// how many calls are made, and what is old counts no more, however long nobody has called.
#[derive(Debug, Clone)]
pub(super) struct Window {
    begin: Instant,
    part: Duration,
    parts: [Part; PARTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Which part of time it holds, counted from the beginning.
    number: u64,
    calls: u32,
    failures: u32,
}

impl Window {
    pub(super) fn new(begin: Instant, length: Duration) -> Self {
        let part = (length / u32::try_from(PARTS).unwrap_or(u32::MAX)).max(Duration::from_millis(1));
        Self { begin, part, parts: [Part::default(); PARTS] }
    }

    /// The part of time that `now` lies in.
    fn number(&self, now: Instant) -> u64 {
        let parts = now.saturating_duration_since(self.begin).as_nanos() / self.part.as_nanos().max(1);
        u64::try_from(parts).unwrap_or(u64::MAX)
    }

    /// Counts a call.
    pub(super) fn add(&mut self, now: Instant, failed: bool) {
        let number = self.number(now);
        let part = &mut self.parts[usize::try_from(number).unwrap_or_default() % PARTS];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part.calls = part.calls.saturating_add(1);
        part.failures = part.failures.saturating_add(u32::from(failed));
    }

    /// Calls and failures that count now.
    pub(super) fn counts(&self, now: Instant) -> (u64, u64) {
        let number = self.number(now);
        let counting = self.parts.iter().filter(|part| part.number + PARTS as u64 > number);
        counting.fold((0, 0), |(calls, failures), part| {
            (calls + u64::from(part.calls), failures + u64::from(part.failures))
        })
    }
}
