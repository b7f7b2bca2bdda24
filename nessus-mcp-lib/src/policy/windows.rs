//! When scans may run.
//!
//! A window is open whenever a clock on the wall of its time zone shows a time inside it. So a window in an hour that is left
//! out in spring does not open on that day, and one in the hour that comes twice in autumn opens twice.

use std::fmt;

use jiff::{civil::DateTime, tz::TimeZone};

use crate::{
    error::nearest,
    ids::PoolName,
    targets::{NameAddresses, TargetSet},
    time::Timestamp,
};

/// The days that a moment is looked for in which windows are open: soon, in this week, and beyond a window that a change of
/// the clocks leaves out, in whatever zones.
const HORIZONS: [i64; 3] = [2, 9, 36];
/// When it is found out whether a window ever opens.
const REFERENCE: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The minutes of a day.
pub(super) const DAY_MINUTES: u16 = 1440;

/// A part of each of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// From Monday on.
    pub(super) days: [bool; 7],
    /// The minute of the day when it begins.
    pub(super) from: u16,
    /// The minute of the day when it ends: of the next day, unless it is after `from`.
    pub(super) to: u16,
}

impl Window {
    fn contains(&self, local: DateTime) -> bool {
        let today = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default() % 7;
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if self.from < self.to {
            return self.days[today] && (self.from..self.to).contains(&minute);
        }
        (self.days[today] && minute >= self.from) || (self.days[(today + 6) % 7] && minute < self.to)
    }
}

/// As it can be written in the file: `mon-fri 22:00-06:00`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut days = Vec::new();
        let mut day = 0;
        while day < 7 {
            let length = self.days[day..].iter().take_while(|is_in| **is_in).count();
            match length {
                0 => {}
                1 | 2 => days.extend(DAYS[day..day + length].iter().map(|name| (*name).to_owned())),
                _ => days.push(format!("{}-{}", DAYS[day], DAYS[day + length - 1])),
            }
            day += length.max(1);
        }
        f.write_str(&days.join(","))?;
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        if (self.from, self.to) == (0, DAY_MINUTES) {
            Ok(())
        } else {
            write!(f, " {}-{}", time(self.from), time(self.to))
        }
    }
}

/// An entry of `windows`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WindowRule {
    /// Where the windows are.
    pub(super) zone: TimeZone,
    /// Scans run in one of these; always when there are none.
    pub(super) allowed: Vec<Window>,
    /// And in none of these.
    pub(super) blackout: Vec<Window>,
    /// Whether a scan that runs is paused until the rule lets it go on.
    pub(super) pauses: bool,
    /// Only scans of these; of all when it is empty.
    pub(super) targets: Option<TargetSet>,
    /// Only scans in these pools; in all when it is empty.
    pub(super) pools: Vec<PoolName>,
}

impl WindowRule {
    /// Why no scan may run at this moment, if so.
    fn closed(&self, at: Timestamp) -> Option<String> {
        let local = self.zone.to_datetime(jiff(at));
        let zone = self.zone.iana_name().unwrap_or("UTC");
        if let Some(blackout) = self.blackout.iter().find(|window| window.contains(local)) {
            return Some(format!("the blackout window {blackout} ({zone}) lasts"));
        }
        let is_allowed = self.allowed.is_empty() || self.allowed.iter().any(|window| window.contains(local));
        (!is_allowed).then(|| format!("the window {} ({zone}) is not open", list(&self.allowed)))
    }

    fn is_open(&self, at: Timestamp) -> bool {
        self.closed(at).is_none()
    }

    /// Whether it is for every scan.
    fn is_for_all(&self) -> bool {
        self.targets.is_none() && self.pools.is_empty()
    }

    /// The moments from `now` on, in the next days, at which it may open or close, in no order.
    fn changes(&self, now: Timestamp, days: i64) -> Vec<Timestamp> {
        let (now, mut found) = (jiff(now), Vec::new());
        let today = self.zone.to_datetime(now).date();
        let end = now.checked_add(jiff::SignedDuration::from_hours(24 * (days + 1))).unwrap_or(now);
        for window in self.allowed.iter().chain(&self.blackout) {
            for (day, minute) in (-1..=days).flat_map(|day| [(day, window.from), (day, window.to)]) {
                let midnight = today.checked_add(jiff::SignedDuration::from_hours(24 * day)).ok();
                let local = midnight.and_then(|date| {
                    date.at(0, 0, 0, 0).checked_add(jiff::SignedDuration::from_mins(minute.into())).ok()
                });
                let Some(ambiguous) = local.map(|local| self.zone.to_ambiguous_timestamp(local)) else { continue };
                // The same unless the clocks are changed.
                found.extend([ambiguous.earlier(), ambiguous.later()].into_iter().flatten());
            }
        }
        let transitions = self.zone.following(now).map(|transition| transition.timestamp());
        found.extend(transitions.take_while(|at| *at <= end));
        found.into_iter().map(|at| Timestamp::from_millis(at.as_millisecond())).collect()
    }
}

/// The windows of a list, as they can be written.
fn list(windows: &[Window]) -> String {
    windows.iter().map(Window::to_string).collect::<Vec<_>>().join("; ")
}

/// `allowed mon-fri 22:00-06:00; blackout sun (Europe/Berlin)`, and for what.
impl fmt::Display for WindowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = [("allowed", &self.allowed), ("blackout", &self.blackout)];
        let windows = windows.into_iter().filter(|(_, windows)| !windows.is_empty());
        let windows: Vec<_> = windows.map(|(word, windows)| format!("{word} {}", list(windows))).collect();
        write!(f, "{} ({})", windows.join(", "), self.zone.iana_name().unwrap_or("UTC"))?;
        if let Some(targets) = &self.targets {
            write!(f, ", targets {}", crate::targets::shortened(&targets.to_string()))?;
        }
        if !self.pools.is_empty() {
            let pools: Vec<_> = self.pools.iter().map(PoolName::as_str).collect();
            write!(f, ", pools {}", pools.join(", "))?;
        }
        write!(f, ", at_end {}", if self.pauses { "pause" } else { "continue" })
    }
}

/// Why a scan may not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The rule, in words.
    pub reason: String,
    /// When it may; `None` when no moment was found.
    pub opens_at: Option<Timestamp>,
    /// Whether a scan that runs is paused until then.
    pub pauses: bool,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.opens_at {
            Some(opens_at) => write!(f, "{}; it may run from {opens_at} on", self.reason),
            None => write!(f, "{}; no time was found when it may run", self.reason),
        }
    }
}

/// An entry of `windows`, as it stands at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowState {
    /// The entry, in words.
    pub rule: String,
    /// Whether scans may run now.
    pub is_open: bool,
    /// When they may, if they may not.
    pub opens_at: Option<Timestamp>,
}

/// The entries of `windows`. All that are for a scan must let it run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Windows(pub(super) Vec<WindowRule>);

impl Windows {
    /// The pools that entries name.
    pub(super) fn pools(&self) -> impl Iterator<Item = &PoolName> {
        self.0.iter().flat_map(|rule| &rule.pools)
    }

    /// The places of entries that never let a scan run: of one alone, or of those that are for every scan together.
    pub(super) fn never_open(&self) -> Option<Vec<usize>> {
        let never = |rules: &[&WindowRule]| opens_at(rules, REFERENCE).is_none();
        if let Some(alone) = self.0.iter().position(|rule| never(&[rule])) {
            return Some(vec![alone]);
        }
        let (places, rules): (Vec<_>, Vec<_>) = self.0.iter().enumerate().filter(|(_, rule)| rule.is_for_all()).unzip();
        never(&rules).then_some(places)
    }

    /// Why a scan in this pool may not run at this moment, if so. `targets` is asked only where an entry names targets.
    pub(super) fn closed(
        &self,
        pool: &PoolName,
        targets: impl FnOnce() -> Option<(TargetSet, NameAddresses)>,
        now: Timestamp,
    ) -> Option<Closed> {
        let in_pool: Vec<_> = self.0.iter().filter(|rule| rule.pools.is_empty() || rule.pools.contains(pool)).collect();
        if in_pool.iter().all(|rule| rule.is_open(now)) {
            return None;
        }
        let targets = if in_pool.iter().any(|rule| rule.targets.is_some()) { targets() } else { None };
        let is_for = |rule: &WindowRule| match (&rule.targets, &targets) {
            (Some(named), Some((targets, addresses))) => {
                named.overlaps(targets) || named.overlaps(&targets.with_addresses(addresses))
            }
            // What cannot be read is in doubt one of them.
            _ => true,
        };
        let rules: Vec<_> = in_pool.into_iter().filter(|rule| is_for(rule)).collect();
        let closed: Vec<_> = rules.iter().filter_map(|rule| Some((rule.pauses, rule.closed(now)?))).collect();
        let (_, reason) = closed.first()?.clone();
        let pauses = closed.iter().any(|(pauses, _)| *pauses);
        Some(Closed { reason, opens_at: opens_at(&rules, now), pauses })
    }

    /// How each entry stands.
    pub(super) fn states(&self, now: Timestamp) -> Vec<WindowState> {
        let state = |rule: &WindowRule| {
            let is_open = rule.is_open(now);
            let opens_at = if is_open { None } else { opens_at(&[rule], now) };
            WindowState { rule: rule.to_string(), is_open, opens_at }
        };
        self.0.iter().map(state).collect()
    }
}

/// Whether one of some windows is open at this moment.
pub(super) fn is_open_at(zone: &TimeZone, windows: &[Window], at: Timestamp) -> bool {
    let local = zone.to_datetime(jiff(at));
    windows.iter().any(|window| window.contains(local))
}

/// The first moment from now on at which all of these are open.
fn opens_at(rules: &[&WindowRule], now: Timestamp) -> Option<Timestamp> {
    let are_open = |at: &Timestamp| rules.iter().all(|rule| rule.is_open(*at));
    if are_open(&now) {
        return Some(now);
    }
    HORIZONS.into_iter().find_map(|days| {
        let mut changes: Vec<_> =
            rules.iter().flat_map(|rule| rule.changes(now, days)).filter(|at| *at > now).collect();
        changes.sort_unstable();
        let found = changes.into_iter().find(are_open)?;
        // In another zone it may be another day, which was not looked at.
        let is_sure = found.since(now).as_secs() <= 86_400 * u64::try_from(days - 1).unwrap_or_default();
        is_sure.then_some(found)
    })
}

fn jiff(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Reads `mon`, `monday` or `mon-fri`; a range may go over the end of the week.
pub(super) fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let known = DAYS.iter().zip(full).position(|(short, full)| name == *short || name == full);
        known.ok_or_else(|| format!("is no day: write {}, or a range such as mon-fri", DAYS.join(", ")))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let mut days = [false; 7];
    for offset in 0..=(last + 7 - first) % 7 {
        days[(first + offset) % 7] = true;
    }
    Ok(days)
}

/// Reads `22:00` as minutes of the day; `24:00` is its end.
pub(super) fn parse_time(text: &str) -> Result<u16, String> {
    let wrong = || "is no time of a day: write it as 22:00, from 00:00 to 24:00".to_owned();
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| {
        let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_plain).ok_or_else(wrong)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time = hours * 60 + minutes;
    if minutes < 60 && time <= DAY_MINUTES { Ok(time) } else { Err(wrong()) }
}

/// Reads the name of a time zone.
pub(super) fn parse_zone(text: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(text)
        && zone.iana_name().is_some()
    {
        return Ok(zone);
    }
    let names: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    let found = names.iter().map(String::as_str).find(city);
    let found = found.or_else(|| nearest(text, names.iter().map(String::as_str)).first().copied());
    Err(format!("is no time zone, did you mean `{}`?", found.unwrap_or("Europe/Berlin")))
}

#[cfg(test)]
mod tests;
