//! Ages, such as 90m, 12h or 30d.

use std::time::Duration;

use nessus_mcp_lib::time::{Clock as _, DurationUnit, SystemClock, Timestamp, parse_duration};

/// Parses an age in minutes, hours or days. A number without a unit is refused: a bare 0 would purge everything.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit: m for minutes, h for hours, d for days".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Parses a time, a day in UTC, or how long ago.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let ago = || age(text).ok().map(|age| SystemClock.now().minus(age));
    text.parse()
        .ok()
        .or_else(|| Timestamp::begin_of_utc_day(text).ok())
        .or_else(ago)
        .ok_or_else(|| "write a time such as 2026-11-28T14:00:00Z, a day, or an age such as 90m, 12h or 30d".to_owned())
}

/// Parses an age, as the moment that lies so far back.
pub(super) fn ago(text: &str) -> Result<Timestamp, String> {
    age(text).map(|age| SystemClock.now().minus(age))
}

/// Parses a time to wait: seconds, or a number with a unit.
pub(super) fn short_time(text: &str) -> Result<Duration, String> {
    parse_duration(text, DurationUnit::Seconds).map_err(|error| error.to_string())
}
