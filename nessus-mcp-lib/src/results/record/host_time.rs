//! When a host was scanned, out of the two ways an export says it.
//!
//! Since Nessus 8 a host has `HOST_START_TIMESTAMP`, seconds since 1970; all have `HOST_START`, such as
//! `Fri Nov  7 13:25:52 2025` in the scanner's local time without its zone, or ISO 8601 in scans of web applications.

use crate::time::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Puts a time in its place, unless a better one stands there: one that says its time zone.
///
/// Seconds become RFC 3339; a local time becomes `2025-11-07T13:25:52`, without the zone nobody knows; anything else
/// stays as it is, so that it is counted as a value that does not fit.
pub(crate) fn keep(place: &mut Option<Box<str>>, value: &str) {
    let value = value.trim();
    let (time, exact) = match instant(value) {
        Some(instant) => (instant, true),
        None => (local(value).unwrap_or_else(|| value.to_owned()), false),
    };
    if exact || place.is_none() {
        *place = Some(time.into_boxed_str());
    }
}

/// Seconds since 1970, or RFC 3339.
fn instant(value: &str) -> Option<String> {
    if let Ok(seconds) = value.parse::<i64>() {
        let text = Timestamp::from_millis(seconds.checked_mul(1000)?).to_string();
        return Some(text.replace(".000Z", "Z"));
    }
    value.parse::<Timestamp>().ok().map(|instant| instant.to_string().replace(".000Z", "Z"))
}

/// `Fri Nov  7 13:25:52 2025`, as C's `ctime` writes it.
fn local(value: &str) -> Option<String> {
    let mut words = value.split_ascii_whitespace().skip(1);
    let (month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year): (u8, u16) = (day.parse().ok()?, year.parse().ok()?);
    let is_clock = clock.len() == 8 && clock.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    (is_clock && words.next().is_none()).then(|| format!("{year:04}-{month:02}-{day:02}T{clock}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: &str) {
        let mut place = None;
        for value in values {
            keep(&mut place, value);
        }
        assert_eq!(place.as_deref(), Some(expected), "{values:?}");
    }

    #[test]
    fn the_exact_time_wins_in_either_order() {
        check(&["1795200612", "Fri Nov 20 19:30:12 2026"], "2026-11-20T18:50:12Z");
        check(&["Fri Nov 20 19:30:12 2026", "1795200612"], "2026-11-20T18:50:12Z");
    }

    #[test]
    fn a_time_without_zone_gets_none() {
        check(&["Fri Nov  7 13:25:52 2025"], "2025-11-07T13:25:52");
        check(&["2026-11-20T18:00:00+02:00"], "2026-11-20T16:00:00Z");
    }

    #[test]
    fn what_is_no_time_stays_as_it_is() {
        for value in ["yesterday", "Fri Nov 7", "Fri Foo  7 13:25:52 2025", "Fri Nov  7 13.25.52 2025"] {
            check(&[value], value);
        }
        check(&["99999999999999999999"], "99999999999999999999");
    }
}
