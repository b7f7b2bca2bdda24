//! Time as this library writes it, and the clock that tests can set.
//!
//! A [`Timestamp`] is an instant in UTC with millisecond precision; its text form is RFC 3339 with `Z`, as it stands
//! in `task.json`. A [`Clock`] is injected wherever time decides something, so that tests do not sleep.

use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    ops::Add,
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tokio::time::Instant;

/// An instant in UTC, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last millisecond of the year 9999, the latest instant RFC 3339 can write.
const LATEST_MILLIS: i64 = 253_402_207_199_999;

impl Timestamp {
    /// From milliseconds since 1970; values outside the years 0000 to 9999 are moved to the nearest end.
    pub const fn from_millis(millis: i64) -> Self {
        let earliest = -62_167_132_800_000;
        if millis > LATEST_MILLIS {
            Self(LATEST_MILLIS)
        } else if millis < earliest {
            Self(earliest)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant moved later by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This long before.
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to this instant; zero when it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `YYYYMMDD_HHMMSS` in UTC, as it stands in task ids.
    pub fn compact(self) -> String {
        self.zoned().strftime("%Y%m%d_%H%M%S").to_string()
    }

    /// Its day in UTC, as `YYYY-MM-DD`.
    pub fn utc_day(self) -> String {
        self.zoned().strftime("%Y-%m-%d").to_string()
    }

    /// When a day in UTC begins, which stands there as [`utc_day`](Self::utc_day) writes it.
    ///
    /// # Errors
    /// When it is no day of this form.
    pub fn begin_of_utc_day(day: &str) -> Result<Self, TimestampError> {
        format!("{day}T00:00:00Z").parse()
    }

    /// When its day in UTC ends and the next begins.
    pub fn end_of_utc_day(self) -> Self {
        const DAY: i64 = 86_400_000;
        Self::from_millis((self.0.div_euclid(DAY) + 1).saturating_mul(DAY))
    }

    fn zoned(self) -> jiff::Zoned {
        jiff::Timestamp::from_millisecond(self.0)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.zoned().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

/// A text that is not an RFC 3339 instant.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time such as 2026-11-20T18:25:00Z")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|parsed| Self::from_millis(parsed.as_millisecond()))
            .map_err(|_| TimestampError(crate::error::excerpt(text).to_string()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A random number from 0 to below 1, for jitter: what was started together shall not be retried together.
pub(crate) fn random_fraction() -> f64 {
    // Any source of chance will do; the keys of a new hasher differ each time.
    let chance = RandomState::new().build_hasher().finish() % 1_000_000;
    f64::from(u32::try_from(chance).unwrap_or_default()) / 1_000_000.0
}

/// A duration randomly up to a quarter shorter or longer.
pub(crate) fn with_jitter(duration: Duration) -> Duration {
    duration.mul_f64(0.75 + random_fraction() / 2.0)
}

/// Tells what time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_millis())))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves the clock back, as somebody who sets it does.
    #[cfg(test)]
    pub(crate) fn step_back(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A moment on a clock that goes on while the machine is suspended: what was confirmed before is as old as it is.
///
/// It is tokio's [`Instant`], whose clock does not run meanwhile, moved later by the time that the machine has slept. Where
/// that cannot be told (off Linux) it is no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BootInstant(Instant);

impl BootInstant {
    /// Now.
    pub(crate) fn now() -> Self {
        // Read first: whatever happens between the two makes the moment earlier, which is what a deadline is counted from.
        let slept = slept();
        Self(Instant::now() + slept)
    }

    /// How long it has been since then; zero when it is still to come.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }

    /// How long it is until then; zero when it is over.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Self::now().0)
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

/// How long the machine has slept since this process began to ask.
fn slept() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let measured = {
        static SLEEP: Sleep = Sleep::new();
        let read = |clock| Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default();
        // In this order: who is stopped between the two must not seem to have slept.
        let boot = read(rustix::time::ClockId::Boottime);
        SLEEP.measured(boot, read(rustix::time::ClockId::Monotonic))
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let measured = Duration::ZERO;
    #[cfg(test)]
    let measured = measured + SUSPENDED.get();
    measured
}

/// What two clocks say of a machine's sleep: one that goes on meanwhile, and one that does not.
#[derive(Debug)]
struct Sleep {
    /// How far apart they were at first and are now, in milliseconds.
    first: OnceLock<u64>,
    last: AtomicU64,
}

impl Sleep {
    /// Less than this is not the sleep of a machine: the clocks are not read at the same moment.
    const LEAST_MILLIS: u64 = 100;

    const fn new() -> Self {
        Self { first: OnceLock::new(), last: AtomicU64::new(0) }
    }

    /// Takes a reading of both in; returns the sleep since the first one. It never falls.
    fn measured(&self, boot: Duration, monotonic: Duration) -> Duration {
        let apart = u64::try_from(boot.saturating_sub(monotonic).as_millis()).unwrap_or(u64::MAX);
        let first = *self.first.get_or_init(|| apart);
        let slept = apart.saturating_sub(first);
        let known = self.last.load(Ordering::Relaxed);
        if slept >= known + Self::LEAST_MILLIS {
            self.last.fetch_max(slept, Ordering::Relaxed);
        }
        Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
thread_local! {
    static SUSPENDED: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// The machine is suspended for so long, as far as this thread can tell.
#[cfg(test)]
pub(crate) fn suspend(by: Duration) {
    SUSPENDED.set(SUSPENDED.get() + by);
}

/// The unit of a duration that was written as a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationUnit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days.
    Days,
}

/// The longest duration that is read: ten years of 365 days. A longer one is a mistake, and no sum of it with a moment of
/// this century overflows.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);

/// A text that is not a duration.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is not a duration: write a number with a unit, such as 500ms, 30s, 5m, 24h or 7d, and at most 3650d")]
pub struct DurationError(String);

/// Reads `500ms`, `2s`, `5m`, `24h`, `7d`, or a bare number in `unit`.
///
/// # Errors
/// When the text is empty, negative, not a number, has another unit, or is longer than ten years.
///
/// ```
/// use std::time::Duration;
/// use nessus_mcp_lib::time::{DurationUnit, parse_duration};
/// assert_eq!(parse_duration("500ms", DurationUnit::Hours)?, Duration::from_millis(500));
/// assert_eq!(parse_duration("24", DurationUnit::Hours)?, Duration::from_secs(24 * 3600));
/// assert_eq!(parse_duration("1.5s", DurationUnit::Hours)?, Duration::from_millis(1500));
/// # Ok::<(), nessus_mcp_lib::time::DurationError>(())
/// ```
pub fn parse_duration(text: &str, unit: DurationUnit) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, suffix) = trimmed.split_at(digits);
    let seconds = match (suffix.trim(), unit) {
        ("ms", _) => 0.001,
        ("s", _) | ("", DurationUnit::Seconds) => 1.0,
        ("m", _) | ("", DurationUnit::Minutes) => 60.0,
        ("h", _) | ("", DurationUnit::Hours) => 3_600.0,
        ("d", _) | ("", DurationUnit::Days) => 86_400.0,
        _ => return Err(DurationError(crate::error::excerpt(text).to_string())),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|value| Duration::try_from_secs_f64(value * seconds).ok())
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| DurationError(crate::error::excerpt(text).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_differ_and_stay_in_their_range() {
        let lots: Vec<f64> = std::iter::repeat_with(random_fraction).take(100).collect();
        assert!(lots.iter().all(|lot| (0.0..1.0).contains(lot)), "{lots:?}");
        assert!(lots.iter().any(|lot| *lot < 0.5) && lots.iter().any(|lot| *lot >= 0.5), "{lots:?}");
    }

    #[test]
    fn a_machine_that_sleeps_is_told_from_clocks_that_are_read_apart() {
        let (sleep, second) = (Sleep::new(), Duration::from_secs(1));
        let at = |boot, monotonic| sleep.measured(Duration::from_millis(boot), Duration::from_millis(monotonic));
        assert_eq!(at(500_000, 100_000), Duration::ZERO, "what was before does not count");
        assert_eq!(at(501_000, 101_000), Duration::ZERO);
        assert_eq!(at(502_003, 102_000), Duration::ZERO, "the second clock was read late");
        assert_eq!(at(502_000, 162_000), Duration::ZERO, "the process was stopped between the two");
        assert_eq!(at(623_000, 163_000), 60 * second);
        assert_eq!(at(623_990, 164_000), 60 * second, "it never falls");
        assert_eq!(at(634_000, 164_000), 70 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_counts_as_time() {
        let (before, ordinary) = (BootInstant::now(), Instant::now());
        let then = before + Duration::from_secs(60);
        assert_eq!(then.left(), Duration::from_secs(60));
        suspend(Duration::from_secs(50));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((then.left(), ordinary.elapsed()), (Duration::from_secs(5), Duration::from_secs(5)));
        suspend(Duration::from_secs(3600));
        assert!(then.left().is_zero() && then < BootInstant::now());
        assert_eq!(before.elapsed(), Duration::from_secs(3655));
    }

    #[test]
    fn a_timestamp_is_written_with_z_and_read_again() {
        let at = Timestamp::from_millis(1_764_599_422_123);
        assert_eq!(at.to_string(), "2025-12-01T14:30:22.123Z");
        assert_eq!(at.compact(), "20251201_143022");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert_eq!("2025-12-01T15:30:22.123+01:00".parse::<Timestamp>().unwrap(), at);
    }

    #[test]
    fn extreme_instants_are_written_and_read_again() {
        for millis in [i64::MIN, 0, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at, "{at}");
        }
    }

    #[test]
    fn words_are_not_durations() {
        for text in ["", "fast", "-1s", "5 parsecs", "1.2.3s", "s", "3651d", "99999999999999d", "1e9s"] {
            assert!(parse_duration(text, DurationUnit::Seconds).is_err(), "{text}");
        }
    }
}
