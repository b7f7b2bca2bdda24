//! How long a task waits before it is tried again.

use std::time::Duration;

use super::outcome::StepError;
use crate::time::with_jitter;

/// The pause before the second try; it doubles with each further one.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause before a further try.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(300);
/// The pause after a create or launch whose outcome is unclear: longer than a request may take, so that its effect can
/// be seen when it is looked for.
pub(super) const UNCLEAR_PAUSE: Duration = Duration::from_secs(30);
/// The pause before another scanner is tried.
pub(super) const NEXT_SCANNER_PAUSE: Duration = Duration::from_millis(100);
/// The pause before a scan that exists is looked at again after an error; it doubles with each further one where only its
/// results are missing.
pub(super) const WATCH_AGAIN_PAUSE: Duration = Duration::from_secs(10);
/// How long a task waits when this machine or the queue is at fault: shorter than a lease, so that a scan keeps its slot.
pub(super) const LOCAL_PAUSE: Duration = Duration::from_secs(10);

/// Doubles with each delivery, and varies by a quarter, so that what failed together does not come back together.
pub(super) fn retry_pause(deliveries: u32) -> Duration {
    with_jitter(doubled(RETRY_PAUSE, deliveries.saturating_sub(1)))
}

/// A pause that doubles with each failure before it.
pub(super) fn doubled(first: Duration, failures: u32) -> Duration {
    (first * 2_u32.saturating_pow(failures.min(16))).min(MAX_RETRY_PAUSE)
}

/// How long the scanner asks not to be called (`Retry-After`).
pub(super) fn retry_after(error: &StepError) -> Duration {
    match error {
        StepError::Scanner(failure) => failure.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}
