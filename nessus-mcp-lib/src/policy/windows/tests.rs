use std::path::Path;

use rstest::rstest;

use super::*;
use crate::policy::Policy;

fn windows(rules: &str) -> Windows {
    Policy::parse(&format!("windows: [{rules}]"), Path::new("policy.yaml"), &|_| None).unwrap().windows
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pool() -> PoolName {
    PoolName::new("lab").unwrap()
}

fn closed(windows: &Windows, now: &str) -> Option<Closed> {
    windows.closed(&pool(), || None, at(now))
}

const NIGHTS: &str = r#"{allowed: [{days: [mon-fri], from: "22:00", to: "06:00"}], time_zone: Europe/Berlin}"#;
const SMALL_HOURS: &str = r#"{allowed: [{days: [sun], from: "02:15", to: "02:45"}], time_zone: Europe/Berlin}"#;
const LATE: &str = r#"{allowed: [{days: [sat], from: "23:00", to: "04:00"}], time_zone: Europe/Berlin}"#;
const NO_MONDAY: &str = "{blackout: [{days: [mon]}], time_zone: America/New_York, at_end: pause}";
const TWO: &str = r#"{allowed: [{days: [mon-fri], from: "22:00", to: "24:00"}], time_zone: UTC}, {blackout: [{days: [mon-sun], from: "22:30", to: "23:00"}, {days: [tue]}], time_zone: UTC}"#;
const FAR: &str = r#"{allowed: [{days: [mon], from: "00:00", to: "01:00"}], time_zone: Pacific/Kiritimati}, {blackout: [{days: [sat, sun]}], time_zone: UTC}"#;

/// When it may run, asked at a moment; the same moment when it may at once. The clocks of Berlin show an hour more from 2026-03-29 01:00 UTC
/// on, and an hour less from 2026-10-25 01:00 UTC on.
#[rstest]
#[case::before(NIGHTS, "2026-01-07T20:59:59Z", "2026-01-07T21:00:00Z")]
#[case::its_first_moment(NIGHTS, "2026-01-07T21:00:00Z", "2026-01-07T21:00:00Z")]
#[case::after_midnight(NIGHTS, "2026-01-08T04:59:59Z", "2026-01-08T04:59:59Z")]
#[case::its_end(NIGHTS, "2026-01-08T05:00:00Z", "2026-01-08T21:00:00Z")]
#[case::night_of_the_last_day(NIGHTS, "2026-01-10T04:00:00Z", "2026-01-10T04:00:00Z")]
#[case::over_the_weekend(NIGHTS, "2026-01-10T05:00:00Z", "2026-01-12T21:00:00Z")]
#[case::monday_is_not_of_sunday(NIGHTS, "2026-01-12T01:00:00Z", "2026-01-12T21:00:00Z")]
#[case::in_summer(NIGHTS, "2026-07-01T12:00:00Z", "2026-07-01T20:00:00Z")]
#[case::over_the_change(NIGHTS, "2026-03-28T12:00:00Z", "2026-03-30T20:00:00Z")]
#[case::over_the_other_change(NIGHTS, "2026-10-24T12:00:00Z", "2026-10-26T21:00:00Z")]
#[case::hour_that_does_not_exist(SMALL_HOURS, "2026-03-28T12:00:00Z", "2026-04-05T00:15:00Z")]
#[case::hour_that_comes_twice(SMALL_HOURS, "2026-10-24T12:00:00Z", "2026-10-25T00:15:00Z")]
#[case::between_the_two(SMALL_HOURS, "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z")]
#[case::in_the_second(SMALL_HOURS, "2026-10-25T01:44:00Z", "2026-10-25T01:44:00Z")]
#[case::after_the_second(SMALL_HOURS, "2026-10-25T01:45:00Z", "2026-11-01T01:15:00Z")]
#[case::lasts_an_hour_less(LATE, "2026-03-29T01:59:59Z", "2026-03-29T01:59:59Z")]
#[case::lasts_an_hour_less_and_ends(LATE, "2026-03-29T02:00:00Z", "2026-04-04T21:00:00Z")]
#[case::lasts_an_hour_more(LATE, "2026-10-25T02:59:59Z", "2026-10-25T02:59:59Z")]
#[case::lasts_an_hour_more_and_ends(LATE, "2026-10-25T03:00:00Z", "2026-10-31T22:00:00Z")]
#[case::blackout(NO_MONDAY, "2026-06-01T05:00:00Z", "2026-06-02T04:00:00Z")]
#[case::outside_of_a_blackout(NO_MONDAY, "2026-06-01T03:59:59Z", "2026-06-01T03:59:59Z")]
#[case::two_entries(TWO, "2026-06-01T21:59:00Z", "2026-06-01T22:00:00Z")]
#[case::a_blackout_inside(TWO, "2026-06-01T22:30:00Z", "2026-06-01T23:00:00Z")]
#[case::a_day_between(TWO, "2026-06-02T00:00:00Z", "2026-06-03T22:00:00Z")]
#[case::zones_far_apart(FAR, "2026-06-01T12:00:00Z", "")]
fn scans_may_run_when_clocks_on_the_wall_say_so(#[case] rules: &str, #[case] now: &str, #[case] opens_at: &str) {
    let windows = if opens_at.is_empty() {
        // Monday's first hour there is Sunday here: nothing but the check of the whole file would refuse it.
        let parsed = Policy::parse(&format!("windows: [{rules}]"), Path::new("policy.yaml"), &|_| None);
        assert!(parsed.unwrap_err().to_string().contains("never let a scan run"));
        return;
    } else {
        windows(rules)
    };
    let found = closed(&windows, now).map_or(Some(at(now)), |closed| closed.opens_at);
    assert_eq!(found, Some(at(opens_at)));
    assert_eq!(closed(&windows, opens_at), None);
}

/// Minute by minute through a year in three zones: what is said to open opens then, and not before.
#[test]
fn the_next_opening_is_the_first_one() {
    let rules = [NIGHTS, SMALL_HOURS, LATE, NO_MONDAY, TWO];
    let mut all: Vec<_> = rules.into_iter().map(windows).collect();
    all.push(windows(&format!("{NIGHTS}, {NO_MONDAY}")));
    all.push(windows(r#"{allowed: [{days: [sun], from: "01:30", to: "02:30"}], time_zone: Australia/Lord_Howe}"#));
    for windows in all {
        let mut promised: Option<Timestamp> = None;
        for step in 0..366 * 24 * 12 {
            let now = at("2026-01-01T00:00:00Z").plus(std::time::Duration::from_secs(step * 300));
            let rules: Vec<_> = windows.0.iter().collect();
            let is_open = rules.iter().all(|rule| rule.is_open(now));
            match promised {
                Some(opens_at) => assert_eq!(is_open, now >= opens_at, "{now}: {rules:?}"),
                None if !is_open => promised = opens_at(&rules, now),
                None => {}
            }
            if is_open {
                promised = None;
            }
        }
    }
}

#[test]
fn what_closes_is_said_and_whether_it_pauses() {
    let nights = windows(NIGHTS);
    let by_day = closed(&nights, "2026-01-07T12:00:00Z").unwrap();
    assert_eq!(
        (by_day.reason.as_str(), by_day.pauses),
        ("the window mon-fri 22:00-06:00 (Europe/Berlin) is not open", false)
    );
    let monday = closed(&windows(NO_MONDAY), "2026-06-01T12:00:00Z").unwrap();
    assert_eq!((monday.reason.as_str(), monday.pauses), ("the blackout window mon (America/New_York) lasts", true));
    let states = windows(TWO).states(at("2026-06-01T22:15:00Z"));
    assert_eq!(states[0].rule, "allowed mon-fri 22:00-24:00 (UTC), at_end continue");
    assert_eq!(states[1].rule, "blackout mon-sun 22:30-23:00; tue (UTC), at_end continue");
    assert!(states.iter().all(|state| state.is_open && state.opens_at.is_none()));
}

#[test]
fn an_entry_is_for_its_targets_and_pools() {
    let rules =
        r#"{blackout: [{days: [mon]}], time_zone: UTC, targets: [10.1.0.0/16, "*.prod.example"], pools: [lab, dmz]}"#;
    let (windows, monday) = (windows(rules), at("2026-06-01T12:00:00Z"));
    let is_closed = |pool: &str, targets: &str, address: Option<&str>| {
        let targets: TargetSet = targets.parse().unwrap();
        let names = address.map(|address| (targets.names().next().unwrap().to_owned(), vec![address.parse().unwrap()]));
        let aimed = (targets, names.into_iter().collect());
        windows.closed(&PoolName::new(pool).unwrap(), || Some(aimed), monday).is_some()
    };
    for (pool, targets, address, expected) in [
        ("lab", "10.1.2.3", None, true),
        ("dmz", "10.0.0.0/15", None, true),
        ("office", "10.1.2.3", None, false),
        ("lab", "10.2.0.1", None, false),
        ("lab", "db.prod.example", None, true),
        ("lab", "db.prod.example", Some("192.0.2.1"), true),
        ("lab", "db.test.example", Some("10.1.0.7"), true),
        ("lab", "db.test.example", Some("192.0.2.1"), false),
    ] {
        assert_eq!(is_closed(pool, targets, address), expected, "{pool} {targets} {address:?}");
    }
    assert!(windows.closed(&pool(), || None, monday).is_some(), "what cannot be read is in doubt one of them");
}

#[rstest]
#[case("mon", "mon")]
#[case("Tuesday", "tue")]
#[case("mon-fri", "mon-fri")]
#[case("fri-mon", "mon,fri-sun")]
#[case("sat - sun", "sat,sun")]
#[case("mon-sun", "mon-sun")]
#[case("wed-wed", "wed")]
fn days_are_read_and_written(#[case] text: &str, #[case] shown: &str) {
    let window = Window { days: parse_days(text).unwrap(), from: 0, to: DAY_MINUTES };
    assert_eq!(window.to_string(), shown);
}

#[rstest]
#[case("00:00", Some(0))]
#[case("6:05", Some(365))]
#[case("24:00", Some(DAY_MINUTES))]
#[case("24:01", None)]
#[case("12:60", None)]
#[case("+1:00", None)]
#[case("012:00", None)]
#[case("12:", None)]
#[case("12", None)]
fn times_are_read(#[case] text: &str, #[case] minutes: Option<u16>) {
    assert_eq!(parse_time(text).ok(), minutes);
}
