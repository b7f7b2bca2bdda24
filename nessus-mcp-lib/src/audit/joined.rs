//! Refusals that repeat themselves, joined: a flood of them fills no disk.
//!
//! The first one is a line at once. Further ones of the same kind, by the same caller from the same address and for the same
//! reason, are counted, and become one line after
//! [`WINDOW`]. Of more than [`MOST`] kinds at a time, the rest is counted together.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::line::{Decision, Entry, Event, Who};

/// How long what repeats itself is counted before it is a line.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// How many kinds of refusals are told apart at a time.
const MOST: usize = 32;

type Key = (Who, String, Option<String>, Option<String>);

/// What was refused in this window.
#[derive(Debug, Default)]
pub(super) struct Joined {
    since: Option<Instant>,
    seen: HashMap<Key, (u64, Event)>,
    others: u64,
}

impl Joined {
    /// Takes a refusal; returns it if it is to be a line at once.
    pub(super) fn take(&mut self, event: Event, now: Instant) -> Option<Event> {
        self.since.get_or_insert(now);
        let key = (event.who.clone(), event.what.clone(), event.outcome.clone(), event.rule.clone());
        let has_room = self.seen.len() < MOST;
        match self.seen.get_mut(&key) {
            Some((further, last)) => {
                (*further, *last) = (*further + event.count.unwrap_or(1), event);
                None
            }
            None if has_room => {
                self.seen.insert(key, (0, event.clone()));
                Some(event)
            }
            None => {
                self.others += event.count.unwrap_or(1);
                None
            }
        }
    }

    /// Counts refusals that nobody had time for.
    pub(super) fn add(&mut self, count: u64, now: Instant) {
        if count > 0 {
            self.since.get_or_insert(now);
            self.others += count;
        }
    }

    /// When the window ends, if anything was refused in it.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WINDOW)
    }

    /// The lines of a window that has ended.
    pub(super) fn end(&mut self) -> Vec<Event> {
        self.since = None;
        let further = self.seen.drain().filter(|(_, (further, _))| *further > 0);
        let mut events: Vec<_> = further.map(|(_, (further, event))| Event { count: Some(further), ..event }).collect();
        if self.others > 0 {
            let who = Who { entry: Entry::Unknown, ..Who::default() };
            let event = Event::new("refusals", who).decided(Decision::Refused, "too many different ones to tell apart");
            events.push(Event { count: Some(std::mem::take(&mut self.others)), ..event });
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(from: u32, outcome: &str) -> Event {
        let who = Who::default().with_address(Some(std::net::Ipv4Addr::from(from).into()));
        Event::new("login", who).decided(Decision::Refused, "x").with_outcome(outcome)
    }

    #[test]
    fn a_flood_becomes_a_few_lines_and_every_refusal_is_counted() {
        let (mut joined, now) = (Joined::default(), Instant::now());
        let mut lines = Vec::new();
        for round in 0..1000 {
            for from in 0..100 {
                lines.extend(joined.take(refusal(from, if round % 2 == 0 { "a" } else { "b" }), now));
            }
        }
        joined.add(7, now);
        assert_eq!((lines.len(), joined.due()), (MOST, Some(now + WINDOW)));
        lines.extend(joined.end());
        assert!(lines.len() <= 2 * MOST + 1, "{}", lines.len());
        assert_eq!(lines.iter().map(|line| line.count.unwrap_or(1)).sum::<u64>(), 100_007);
        assert_eq!((joined.due(), joined.end()), (None, Vec::new()));
        assert!(joined.take(refusal(1, "a"), now).is_some(), "a new window begins with a line");
    }
}
