//! What has happened to a task, in the order in which it was written down.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How many events a task keeps. What comes after that takes the place of one from the middle.
pub(super) const MOST_EVENTS: usize = 200;
/// How many of the first are always kept: how it began is worth as much as how it stands.
pub(super) const FIRST_EVENTS: usize = 100;
/// The most characters of a detail or a hint.
const TEXT_CHARS: usize = 300;
/// How far back a repetition is looked for.
const LOOK_BACK: usize = 8;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum EventKind {
    /// It was accepted.
    Submitted,
    /// It waits for a worker.
    Queued,
    /// A person is asked whether its scan may begin.
    ApprovalAsked,
    /// A person has agreed.
    Approved,
    /// A person has not agreed.
    Denied,
    /// A worker has begun with it.
    Claimed,
    /// Another worker goes on with the scan it has.
    Adopted,
    /// A worker that ends gives it back; its scan goes on.
    HandedOver,
    /// Its scan was created on a scanner.
    Created,
    /// Its scan was found on a scanner, where an earlier worker has created it.
    Found,
    /// Its scan was launched.
    Launched,
    /// The scanner has accepted the scan and has not begun.
    Pending,
    /// The scanner scans.
    Scanning,
    /// Somebody wants it to be held.
    PauseRequested,
    /// The scan is held.
    Paused,
    /// Somebody wants it to go on.
    ResumeRequested,
    /// The scan goes on.
    Resumed,
    /// Somebody wants it to be stopped.
    CancelRequested,
    /// The scan is being stopped on the scanner.
    Stopping,
    /// The scan has ended on the scanner.
    ScanEnded,
    /// A step has failed and is tried again.
    Retrying,
    /// The results were fetched from the scanner.
    Exported,
    /// The results were checked: what is in them, and whether the login has worked.
    Checked,
    /// It has ended, with results.
    Completed,
    /// It has ended in error.
    Failed,
    /// It took longer than it may.
    Timeout,
    /// It was stopped.
    Cancelled,
    /// Somebody lets it run once more.
    RetryRequested,
    /// Its results were read for the first time.
    Delivered,
    /// A webhook was told of something.
    WebhookTold,
    /// It was given up to tell a webhook.
    WebhookGivenUp,
    /// A word of a later version.
    #[serde(untagged)]
    Other(String),
}

impl EventKind {
    /// The word in `task.json`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Submitted => "submitted",
            Self::Queued => "queued",
            Self::ApprovalAsked => "approval_asked",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Claimed => "claimed",
            Self::Adopted => "adopted",
            Self::HandedOver => "handed_over",
            Self::Created => "created",
            Self::Found => "found",
            Self::Launched => "launched",
            Self::Pending => "pending",
            Self::Scanning => "scanning",
            Self::PauseRequested => "pause_requested",
            Self::Paused => "paused",
            Self::ResumeRequested => "resume_requested",
            Self::Resumed => "resumed",
            Self::CancelRequested => "cancel_requested",
            Self::Stopping => "stopping",
            Self::ScanEnded => "scan_ended",
            Self::Retrying => "retrying",
            Self::Exported => "exported",
            Self::Checked => "checked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::RetryRequested => "retry_requested",
            Self::Delivered => "delivered",
            Self::WebhookTold => "webhook_told",
            Self::WebhookGivenUp => "webhook_given_up",
            Self::Other(word) => word,
        }
    }

    /// Whether it comes again with each try of a task that gets nowhere.
    const fn repeats(&self) -> bool {
        matches!(self, Self::Claimed | Self::Adopted | Self::Retrying)
    }
}

/// Something that has happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskEvent {
    /// When; of what was repeated, the first time.
    pub at: Timestamp,
    /// The attempt it belongs to, from 1.
    pub attempt: u32,
    /// What.
    pub event: EventKind,
    /// Who did it: a client, `user@host`, or a worker as `HOST pid NUMBER (ID)`. Absent where nobody in particular did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// More about it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What went wrong, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How often it has happened in a row; absent for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// When it happened last, of what was repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

impl TaskEvent {
    /// That this has happened.
    pub(crate) const fn new(event: EventKind, attempt: u32, at: Timestamp) -> Self {
        Self { at, attempt, event, by: None, detail: None, code: None, hint: None, count: None, last_at: None }
    }

    /// The same, done by somebody.
    pub(crate) fn by(mut self, by: Option<&str>) -> Self {
        self.by = by.map(short);
        self
    }

    /// The same with more about it.
    pub(crate) fn saying(mut self, detail: Option<impl AsRef<str>>) -> Self {
        self.detail = detail.map(|detail| short(detail.as_ref())).filter(|detail| !detail.is_empty());
        self
    }

    /// The same with what went wrong, and what to do about it.
    pub(crate) fn because(mut self, code: Option<&str>, hint: Option<&str>) -> Self {
        (self.code, self.hint) = (code.map(short), hint.map(short));
        self
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.attempt, &self.event, &self.by, &self.code) == (other.attempt, &other.event, &other.by, &other.code)
    }
}

/// One line of bounded length.
fn short(text: &str) -> String {
    let line = || text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut kept: String = line().take(TEXT_CHARS).collect();
    if line().nth(TEXT_CHARS).is_some() {
        kept.push('…');
    }
    kept
}

/// Writes an event down behind those that are there. One that repeats an earlier try is counted there; where there are too many, one from
/// the middle is left out. Returns how many more are left out now.
pub(super) fn append(events: &mut Vec<TaskEvent>, event: TaskEvent) -> u64 {
    if event.event.repeats() {
        let tries = events.iter_mut().rev().take(LOOK_BACK).take_while(|earlier| earlier.event.repeats());
        for earlier in tries {
            if earlier.is_like(&event) {
                earlier.count = Some(earlier.count.unwrap_or(1).saturating_add(1));
                earlier.last_at = Some(event.at);
                (earlier.detail, earlier.hint) = (event.detail, event.hint);
                return 0;
            }
        }
    }
    events.push(event);
    if events.len() <= MOST_EVENTS {
        return 0;
    }
    let more = events.len() - MOST_EVENTS;
    events.drain(FIRST_EVENTS..FIRST_EVENTS + more);
    more as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, by: &str, at: i64) -> TaskEvent {
        TaskEvent::new(kind, 1, Timestamp::from_millis(at)).by(Some(by))
    }

    #[test]
    fn each_word_is_read_as_it_is_written_and_words_of_later_versions_survive() {
        for kind in [EventKind::Submitted, EventKind::HandedOver, EventKind::ScanEnded, EventKind::Timeout] {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{}\"", kind.as_str()));
            assert_eq!(serde_json::from_str::<EventKind>(&text).unwrap(), kind);
        }
        let later = r#"{"at":"2025-12-01T14:30:22.123Z","attempt":1,"event":"teleported","by":"x"}"#;
        let read: TaskEvent = serde_json::from_str(later).unwrap();
        assert_eq!(read.event, EventKind::Other("teleported".to_owned()));
        assert_eq!(serde_json::to_string(&read).unwrap(), later);
    }

    #[test]
    fn the_first_and_the_last_are_kept() {
        let (mut events, mut left_out) = (Vec::new(), 0);
        for at in 0..1000 {
            left_out += append(&mut events, event(EventKind::Paused, "x", at));
        }
        assert_eq!((events.len(), left_out), (MOST_EVENTS, 800));
        let at = |number: usize| events[number].at.as_millis();
        assert_eq!((at(0), at(99), at(100), at(199)), (0, 99, 900, 999));
    }

    #[test]
    fn tries_that_get_nowhere_are_counted() {
        let mut events = vec![event(EventKind::Queued, "x", 0)];
        for round in 1..=50 {
            for (worker, at) in [("one", 2 * round), ("other", 2 * round + 1)] {
                append(&mut events, event(EventKind::Claimed, worker, at));
                let failed = event(EventKind::Retrying, worker, at).because(Some("scanner_unreachable"), Some("look"));
                append(&mut events, failed.saying(Some(format!("try {at}"))));
            }
        }
        assert_eq!(events.len(), 5, "{events:#?}");
        assert!(events[1..].iter().all(|event| event.count == Some(50)));
        assert_eq!(
            (events[4].last_at, events[4].detail.as_deref()),
            (Some(Timestamp::from_millis(101)), Some("try 101"))
        );
        // What comes after something else is new.
        append(&mut events, event(EventKind::Scanning, "one", 200));
        append(&mut events, event(EventKind::Retrying, "one", 201).because(Some("scanner_unreachable"), None));
        assert_eq!(events.last().unwrap().count, None);
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        let long = event(EventKind::Failed, "x", 0).saying(Some(format!("a\nb{}", "y".repeat(1000))));
        let detail = long.detail.unwrap();
        assert!(detail.starts_with("a by") && detail.ends_with('…') && detail.chars().count() == TEXT_CHARS + 1);
    }
}
