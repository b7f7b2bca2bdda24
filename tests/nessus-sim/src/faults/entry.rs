//! A row of the catalogue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::Fault;
use crate::{
    certificates::Certificate,
    reply::{Delivery, Drip, End, Extent, Parting, Reply},
    state::State,
    wire::Incoming,
};

/// Whether the scanner has done what it was asked when things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It never learns of the request.
    Before,
    /// It has done it; only the answer suffers.
    After,
}

/// A fault of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownFault {
    /// Its name, as [`Fault::new`] takes it.
    pub name: &'static str,
    /// What goes wrong, and where it may be told otherwise: `bytes`, `delay_ms` and so on are methods of [`Fault`].
    pub what: &'static str,
    /// Whether a scanner that is mounted on a server of wiremock lacks it, because it does something to connections.
    pub needs_own_server: bool,
}

/// A fault that can be injected.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// The rows of the fault catalogue that it serves.
    pub(super) rows: &'static [u8],
    pub(super) at: At,
    pub(super) does: Does,
    pub(super) what: &'static str,
    /// How many requests it strikes; 0 is all.
    pub(super) count: u64,
    pub(super) settings: Settings<&'static str>,
    /// The parameters that mean something to it.
    parameters: &'static [&'static str],
    /// Whether only a request on a connection that has carried another one is struck.
    pub(super) on_used_connection: bool,
}

/// Which requests a fault strikes.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// All.
    Any,
    /// Those that need a login.
    LoggedIn,
    /// Those that are kept for the web interface: whatever changes a scan.
    Writes,
    /// Those with one of these methods and paths, as in `POST /scans/*/launch`.
    Calls(&'static [&'static str]),
    /// None: it is about connections, or about the scanner as a whole.
    Nothing,
}

/// What a fault does.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Something happens to the scanner before the request is looked at. Where it cannot (`false`), the fault waits.
    Happens(fn(&mut State, &Incoming, &Settings) -> bool),
    /// Something happens to the scanner after the request has succeeded. Where it cannot (`false`), the fault waits.
    Follows(fn(&mut State, &Incoming, &Settings) -> bool),
    /// The answer is another one.
    Answers(fn(&Incoming, &Settings) -> Reply),
    /// The answer is changed.
    Changes(fn(Reply, &Settings) -> Reply),
    /// The answer travels in another way.
    Travels(fn(&Settings) -> Delivery),
    /// Connections see another certificate.
    Shows(Certificate),
    /// Connections are refused.
    Refuses,
    /// The scanner restarts: it refuses connections, then it loads, and its runs are aborted.
    Restarts,
}

/// The parameters of a fault.
#[derive(Debug, Clone)]
pub(super) struct Settings<Text = String> {
    pub(super) when: When,
    pub(super) lasting: Option<Duration>,
    pub(super) delay: Duration,
    pub(super) bytes: Option<u64>,
    pub(super) percent: u64,
    pub(super) status: u16,
    pub(super) text: Text,
    pub(super) retry_after: Text,
}

impl Settings {
    /// What the fault says, else what the catalogue says.
    pub(super) fn of(entry: &Entry, fault: &Fault) -> Self {
        let base = &entry.settings;
        Self {
            when: fault.when.unwrap_or(base.when),
            lasting: fault.for_ms.map(Duration::from_millis).or(base.lasting),
            delay: fault.delay_ms.map_or(base.delay, Duration::from_millis),
            // A percentage is meant when only that is given.
            bytes: fault.bytes.or(base.bytes.filter(|_| fault.percent.is_none())),
            percent: fault.percent.unwrap_or(base.percent),
            status: fault.status.unwrap_or(base.status),
            text: fault.text.clone().unwrap_or_else(|| base.text.to_owned()),
            retry_after: fault.retry_after.clone().unwrap_or_else(|| base.retry_after.to_owned()),
        }
    }

    /// How much of a body is meant.
    pub(super) fn extent(&self) -> Extent {
        self.bytes.map_or(Extent::Percent(self.percent), Extent::Bytes)
    }

    /// So many bytes, then the delay.
    pub(super) fn drip(&self) -> Drip {
        Drip { bytes: usize::try_from(self.bytes.unwrap_or(1)).unwrap_or(usize::MAX), pause: self.delay }
    }
}

/// A row with the usual settings: once, after the scanner has acted.
pub(super) const fn entry(name: &'static str, rows: &'static [u8], at: At, does: Does, what: &'static str) -> Entry {
    Entry {
        name,
        rows,
        at,
        does,
        what,
        count: 1,
        settings: Settings {
            when: When::After,
            lasting: None,
            delay: Duration::ZERO,
            bytes: None,
            percent: 50,
            status: 0,
            text: "",
            retry_after: "",
        },
        parameters: &[],
        on_used_connection: false,
    }
}

impl Entry {
    /// The scanner has not acted.
    pub(super) const fn undone(mut self) -> Self {
        self.settings.when = When::Before;
        self
    }

    /// It strikes as many requests; 0 is all.
    pub(super) const fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    pub(super) const fn lasting(mut self, time: Duration) -> Self {
        self.settings.lasting = Some(time);
        self
    }

    pub(super) const fn delay(mut self, delay: Duration) -> Self {
        self.settings.delay = delay;
        self
    }

    pub(super) const fn bytes(mut self, bytes: u64) -> Self {
        self.settings.bytes = Some(bytes);
        self
    }

    pub(super) const fn percent(mut self, percent: u64) -> Self {
        self.settings.percent = percent;
        self
    }

    pub(super) const fn status(mut self, status: u16) -> Self {
        self.settings.status = status;
        self
    }

    pub(super) const fn text(mut self, text: &'static str) -> Self {
        self.settings.text = text;
        self
    }

    pub(super) const fn retry_after(mut self, value: &'static str) -> Self {
        self.settings.retry_after = value;
        self
    }

    /// The parameters that mean something to it, beside those of every fault.
    pub(super) const fn takes(mut self, parameters: &'static [&'static str]) -> Self {
        self.parameters = parameters;
        self
    }

    pub(super) const fn on_used_connection(mut self) -> Self {
        self.on_used_connection = true;
        self
    }

    /// How an answer travels that it spoils; none when it does not.
    pub(super) fn delivery(&self, settings: &Settings) -> Option<Delivery> {
        let Does::Travels(travels) = self.does else { return None };
        let mut delivery = travels(settings);
        // What was never done cannot be answered.
        if settings.when == When::Before && delivery.end == End::Whole {
            delivery.end = End::BeforeHead(Parting::Close);
        }
        Some(delivery)
    }

    /// Whether only the simulator's own server can do it.
    pub(super) fn needs_own_server(&self, settings: &Settings) -> bool {
        match self.does {
            Does::Happens(_) | Does::Follows(_) | Does::Changes(_) => false,
            // Whatever the request is, the answer travels in the same way.
            Does::Answers(answer) => !answer(&Incoming::any(), settings).delivery.comes_whole(),
            Does::Travels(_) => self.delivery(settings).is_some_and(|delivery| !delivery.comes_whole()),
            Does::Shows(_) | Does::Refuses | Does::Restarts => true,
        }
    }

    /// The entry for those who want to know which there are.
    pub(super) fn known(&self) -> KnownFault {
        let needs_own_server = self.needs_own_server(&Settings::of(self, &Fault::new(self.name)));
        KnownFault { name: self.name, what: self.what, needs_own_server }
    }

    /// The entry as `GET /faults` shows it.
    pub(super) fn shown(&self) -> Value {
        let kind = match self.does {
            Does::Travels(_) | Does::Shows(_) | Does::Refuses => "wire",
            Does::Answers(_) | Does::Changes(_) => "answer",
            Does::Happens(_) | Does::Follows(_) | Does::Restarts => "state",
        };
        let at = match self.at {
            At::Any => json!("every request"),
            At::LoggedIn => json!("every request that needs a login"),
            At::Writes => json!("every request that needs the X-API-Token"),
            At::Calls(calls) => json!(calls),
            At::Nothing => Value::Null,
        };
        json!({
            "name": self.name, "rows": self.rows, "kind": kind, "what": self.what, "at": at, "count": self.count,
            "parameters": self.parameters, "when": self.settings.when,
        })
    }
}
