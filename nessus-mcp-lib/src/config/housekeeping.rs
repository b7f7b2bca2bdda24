//! When housekeeping removes what.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::ConfigError;
use crate::{
    ids::PoolName,
    time::{DurationUnit, parse_duration},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How often housekeeping may be done.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 24 * 3600));
/// How long something may be kept that is not kept for ever.
const KEPT: (Duration, Duration) = (HOUR, Duration::from_secs(3650 * 24 * 3600));

/// How long something is kept, which a pool may have its own time for. `None` is for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    other: Option<Duration>,
    pools: BTreeMap<PoolName, Option<Duration>>,
}

impl Retention {
    /// The same time for all pools; for ever with `None`.
    pub const fn of(time: Option<Duration>) -> Self {
        Self { other: time, pools: BTreeMap::new() }
    }

    /// The same, with a time of its own for a pool.
    pub fn with_pool(mut self, pool: PoolName, time: Option<Duration>) -> Self {
        self.pools.insert(pool, time);
        self
    }

    /// How long what belongs to this pool is kept.
    pub fn in_pool(&self, pool: &PoolName) -> Option<Duration> {
        self.pools.get(pool).copied().unwrap_or(self.other)
    }

    /// Reads `7`, or `7,lab=1,audit=0`: a time for all pools, and one for each pool that is named. A time without a unit is in
    /// `unit`, and 0 is for ever.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, unit: DurationUnit) -> Result<Self, String> {
        let time = |text: &str| {
            let time = parse_duration(text, unit).map_err(|error| error.to_string())?;
            Ok::<_, String>(Some(time).filter(|time| !time.is_zero()))
        };
        let mut read: Option<Self> = None;
        for part in text.split(',').map(str::trim) {
            read = Some(match (part.split_once('='), read) {
                (None, None) => Self::of(time(part)?),
                (None, Some(_)) => return Err("has two times for all pools".to_owned()),
                (Some(_), None) => return Err("begins with the time for all pools, such as `7,lab=1`".to_owned()),
                (Some((pool, own)), Some(read)) => {
                    let pool = PoolName::new(pool.trim()).map_err(|error| error.to_string())?;
                    if read.pools.contains_key(&pool) {
                        return Err(format!("has two times for the pool `{pool}`"));
                    }
                    read.with_pool(pool, time(own)?)
                }
            });
        }
        read.ok_or_else(|| "names no time".to_owned())
    }

    fn times(&self) -> impl Iterator<Item = Duration> {
        self.pools.values().copied().chain([self.other]).flatten()
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_in_words(self.other))?;
        self.pools.iter().try_for_each(|(pool, time)| write!(f, ",{pool}={}", time_in_words(*time)))
    }
}

fn time_in_words(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), in_words)
}

/// What housekeeping removes, and when. `docs/housekeeping.md` has the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HousekeepingSettings {
    /// The time between two runs; `None` for none by workers.
    pub(crate) interval: Option<Duration>,
    /// How long a completed task is kept after it was last read.
    pub(crate) completed: Retention,
    /// How long a task is kept that has ended otherwise.
    pub(crate) failed: Retention,
    /// How long the record of a removed task is kept.
    pub(crate) archive: Option<Duration>,
    /// How long a running task may be without a worker before it is given back; `None` for never.
    pub(crate) stale: Option<Duration>,
    /// Whether a scan of a task that has ended, and past its time, is stopped and deleted if it still runs.
    pub(crate) delete_stale_scans: bool,
    /// How old a scan on a scanner is when it may be deleted there; `None` for never.
    pub(crate) scans: Option<Retention>,
}

impl Default for HousekeepingSettings {
    fn default() -> Self {
        Self {
            interval: Some(DAY),
            completed: Retention::of(Some(7 * DAY)),
            failed: Retention::of(Some(30 * DAY)),
            archive: Some(365 * DAY),
            stale: Some(DAY),
            delete_stale_scans: false,
            scans: Some(Retention::of(Some(7 * DAY))),
        }
    }
}

impl HousekeepingSettings {
    /// The same with another time between two runs; with `None` workers do none.
    pub fn with_interval(mut self, interval: Option<Duration>) -> Self {
        self.interval = interval;
        self
    }

    /// The same with other times for completed tasks, and for those that have ended otherwise.
    pub fn with_retention(mut self, completed: Retention, failed: Retention) -> Self {
        (self.completed, self.failed) = (completed, failed);
        self
    }

    /// The same with another time for the records of removed tasks; for ever with `None`.
    pub fn with_archive(mut self, time: Option<Duration>) -> Self {
        self.archive = time;
        self
    }

    /// The same with another time after which running tasks without a worker are given back; never with `None`.
    pub fn with_stale(mut self, time: Option<Duration>) -> Self {
        self.stale = time;
        self
    }

    /// Stops and deletes scans that still run although their task is past its time.
    pub fn deleting_stale_scans(mut self) -> Self {
        self.delete_stale_scans = true;
        self
    }

    /// The same with another age of scans on scanners; with `None` none is deleted.
    pub fn with_scans(mut self, age: Option<Retention>) -> Self {
        self.scans = age;
        self
    }

    /// The pools that have a time of their own, with the setting that says so.
    pub(crate) fn named_pools(&self) -> impl Iterator<Item = (&'static str, &PoolName)> {
        self.retentions().flat_map(|(name, retention)| retention.pools.keys().map(move |pool| (name, pool)))
    }

    fn retentions(&self) -> impl Iterator<Item = (&'static str, &Retention)> {
        let always =
            [("settings.housekeeping.completed", &self.completed), ("settings.housekeeping.failed", &self.failed)];
        always.into_iter().chain(self.scans.iter().map(|age| ("settings.housekeeping.scans", age)))
    }

    /// When what goes, in one line: two that say the same remove the same.
    pub fn in_words(&self) -> String {
        let scans = self.scans.as_ref().map_or_else(|| "never".to_owned(), ToString::to_string);
        let stops = if self.delete_stale_scans { "stopped" } else { "left alone" };
        format!(
            "completed tasks {}; other tasks {}; archive {}; scans {scans}; scans that outlive their task {stops}",
            self.completed,
            self.failed,
            time_in_words(self.archive),
        )
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the setting.
    pub fn check(self) -> Result<Self, ConfigError> {
        let refuse = |name: &str, message: &str| {
            Err(ConfigError::Setting { name: name.to_owned(), message: message.to_owned() })
        };
        if self.interval.is_some_and(|interval| !(INTERVAL.0..=INTERVAL.1).contains(&interval)) {
            return refuse("settings.housekeeping.interval", "must be from 1m to 30d");
        }
        let single = [("settings.housekeeping.archive", self.archive), ("settings.housekeeping.stale", self.stale)];
        let single = single.into_iter().filter_map(|(name, time)| Some((name, time?)));
        let by_pool = self.retentions().flat_map(|(name, retention)| retention.times().map(move |time| (name, time)));
        if let Some((name, _)) = single.chain(by_pool).find(|(_, time)| !(KEPT.0..=KEPT.1).contains(time)) {
            return refuse(name, "must be from 1h to 3650d, or 0 for never");
        }
        Ok(self)
    }
}

/// A duration in the largest unit in which it is a whole number, as settings are written.
pub(super) fn in_words(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (0, millis) => format!("{millis}ms"),
        (seconds, _) if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        (seconds, _) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, _) => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str) -> PoolName {
        PoolName::new(name).unwrap()
    }

    #[test]
    fn a_pool_may_have_a_time_of_its_own() {
        let read = Retention::parse("7, lab=1 ,pci=0,dmz=12h", DurationUnit::Days).unwrap();
        for (name, time) in [("nessus", Some(7 * DAY)), ("lab", Some(DAY)), ("pci", None), ("dmz", Some(12 * HOUR))] {
            assert_eq!(read.in_pool(&pool(name)), time, "{name}");
        }
        assert_eq!(Retention::parse("0", DurationUnit::Days).unwrap(), Retention::of(None));
        for (text, problem) in [
            ("", "is no"),
            ("lab=1", "begins with"),
            ("7,lab=1,lab=2", "two times for the pool `lab`"),
            ("7,8", "two times for all"),
            ("7,,", "two times for all"),
            ("7,lab=", "is no"),
            ("7,l ab=1", "pool name"),
            ("seven", "is no"),
            ("-1", "is no"),
        ] {
            let error = Retention::parse(text, DurationUnit::Days).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn times_are_told_in_words() {
        let lab = Retention::of(Some(7 * DAY)).with_pool(pool("lab"), Some(HOUR)).with_pool(pool("pci"), None);
        let settings = HousekeepingSettings::default().with_retention(lab, Retention::of(None)).deleting_stale_scans();
        assert_eq!(
            settings.in_words(),
            "completed tasks 7d,lab=1h,pci=never; other tasks never; archive 365d; scans 7d; scans that outlive their task \
             stopped"
        );
    }

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        let base = HousekeepingSettings::default;
        assert_eq!(base().check().unwrap(), base());
        assert!(base().with_interval(None).with_archive(None).with_stale(None).with_scans(None).check().is_ok());
        let (tick, age) = (Duration::from_nanos(1), Duration::from_secs(3651 * 86_400));
        for time in [tick, age, Duration::MAX] {
            let (short, days) = (Some(time), Retention::of(Some(DAY)));
            let lab = days.clone().with_pool(pool("lab"), short);
            for (settings, name) in [
                (base().with_interval(short), "settings.housekeeping.interval"),
                (base().with_retention(Retention::of(short), days.clone()), "settings.housekeeping.completed"),
                (base().with_retention(days.clone(), lab.clone()), "settings.housekeeping.failed"),
                (base().with_archive(short), "settings.housekeeping.archive"),
                (base().with_stale(short), "settings.housekeeping.stale"),
                (base().with_scans(Some(lab.clone())), "settings.housekeeping.scans"),
            ] {
                let error = settings.check().unwrap_err().to_string();
                assert!(error.starts_with(&format!("`{name}` must be from")), "{error}");
            }
        }
        let lab = Retention::of(None).with_pool(pool("lab"), Some(DAY));
        let named = base().with_retention(Retention::of(None), lab);
        assert_eq!(named.named_pools().collect::<Vec<_>>(), [("settings.housekeeping.failed", &pool("lab"))]);
    }
}
