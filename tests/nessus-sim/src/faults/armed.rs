//! The faults that are set, and what they do to a request.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::time::Timestamp;
use serde_json::{Value, json};

use super::{
    catalogue,
    entry::{At, Does, Entry, Settings, When},
    error::FaultError,
    fault::Fault,
    state_faults,
};
use crate::{certificates::Certificate, front::Door, reply::Reply, state::State, wire::Incoming};

/// How long a scanner that restarts loads, unless the fault says so.
const LOADING: Duration = Duration::from_secs(2);

/// The faults of a scanner, shared by its ports and its handle.
#[derive(Clone)]
pub(crate) struct Faults {
    armed: Arc<Mutex<Set>>,
    /// What the faults may shut; none behind a server that is not the simulator's own.
    door: Option<Door>,
}

#[derive(Default)]
struct Set {
    armed: Vec<Armed>,
    struck: BTreeMap<String, u64>,
}

/// A fault that is set.
struct Armed {
    entry: &'static Entry,
    fault: Fault,
    settings: Settings,
    /// How many requests it strikes yet; `None` is all.
    left: Option<u64>,
    /// How many fitting requests it lets pass first.
    skip: u64,
    ends: Option<Timestamp>,
    struck: u64,
}

/// What is known of a request before it is answered.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Incoming,
    /// Whether the endpoint needs a login.
    pub(crate) needs_login: bool,
    /// Whether the endpoint is kept for the web interface.
    pub(crate) is_write: bool,
}

/// A fault that strikes a request.
type Hit = (&'static Entry, Settings);

impl Faults {
    /// None, behind a door that they may shut.
    pub(crate) fn new(door: Option<Door>) -> Self {
        Self { armed: Arc::default(), door }
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets all of the faults, or none of them.
    pub(crate) fn inject(&self, state: &mut State, faults: Vec<Fault>) -> Result<(), FaultError> {
        let known = |fault: Fault| match catalogue::find(&fault.name) {
            Some(entry) if self.door.is_none() && entry.needs_own_server(&Settings::of(entry, &fault)) => {
                Err(FaultError::NeedsOwnServer(fault.name))
            }
            Some(entry) => Ok((entry, fault)),
            None => Err(FaultError::Unknown(fault.name)),
        };
        let faults: Vec<_> = faults.into_iter().map(known).collect::<Result<_, _>>()?;
        for (entry, fault) in faults {
            self.arm(state, entry, fault);
        }
        Ok(())
    }

    /// The scanner loads for so long, and says so with this status.
    pub(crate) fn start_loading(&self, state: &mut State, duration: Duration, status: u16) {
        if let Some(loading) = catalogue::find("loading") {
            self.arm(state, loading, Fault::new(loading.name).lasting(duration).status(status));
        }
    }

    fn arm(&self, state: &mut State, entry: &'static Entry, fault: Fault) {
        let settings = Settings::of(entry, &fault);
        match entry.does {
            Does::Refuses => {
                self.shut(settings.lasting);
                self.set().count(entry);
            }
            Does::Restarts => {
                state_faults::restart(state, &settings);
                self.shut(Some(settings.delay));
                self.set().count(entry);
                self.start_loading(state, settings.delay + settings.lasting.unwrap_or(LOADING), 200);
            }
            _ => {
                let count = fault.count.unwrap_or(entry.count);
                let (skip, left) = (fault.skip, (count > 0).then_some(count));
                let ends = settings.lasting.map(|time| state.now().plus(time));
                self.set().armed.push(Armed { entry, fault, settings, left, skip, ends, struck: 0 });
            }
        }
    }

    /// Waits until the scanner refuses connections, or accepts them, as it shall.
    pub(crate) fn settle(&self) {
        if let Some(door) = &self.door {
            door.settle();
        }
    }

    fn shut(&self, lasting: Option<Duration>) {
        if let Some(door) = &self.door {
            door.shut(lasting);
        }
    }

    /// The certificate that a new connection sees, when a fault chooses it.
    pub(crate) fn certificate(&self, state: &State) -> Option<Certificate> {
        // Plain HTTP shows none.
        state.config.certificate?;
        let mut set = self.set();
        let (now, mut shown) = (state.now(), None);
        set.strike_if(now, |armed| match armed.entry.does {
            Does::Shows(certificate) if shown.is_none() => {
                shown = Some(certificate);
                true
            }
            _ => false,
        });
        shown
    }

    /// Forgets all faults, or those of one name; what they have done to scans and sessions stays.
    pub(crate) fn clear(&self, name: Option<&str>) {
        self.set().armed.retain(|armed| name.is_some_and(|name| armed.entry.name != name));
        let is_closing = |entry: &Entry| matches!(entry.does, Does::Refuses | Does::Restarts);
        if let Some(door) = &self.door
            && name.is_none_or(|name| catalogue::find(name).is_some_and(is_closing))
        {
            door.open();
        }
    }

    /// How often each fault has struck.
    pub(crate) fn struck(&self) -> BTreeMap<String, u64> {
        self.set().struck.clone()
    }

    /// The catalogue, and what is set.
    pub(crate) fn shown(&self) -> Value {
        let set = self.set();
        let armed: Vec<Value> = set
            .armed
            .iter()
            .map(|armed| json!({ "fault": armed.fault, "left": armed.left, "struck": armed.struck }))
            .collect();
        let catalogue: Vec<Value> = catalogue::all().map(Entry::shown).collect();
        json!({ "set": armed, "struck": set.struck, "catalogue": catalogue, "usage": USAGE })
    }

    /// Answers a request as `endpoint` does, and as the faults want it.
    pub(crate) fn answer(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        endpoint: impl FnOnce(&mut State) -> Reply,
    ) -> Reply {
        let mut set = self.set();
        // The usual case, and not to be slowed down.
        if set.armed.is_empty() {
            drop(set);
            return endpoint(state);
        }
        let now = state.now();
        let hits = set.hits(state, asked, now);
        let mut reply = reply(state, asked, endpoint, &hits);
        if (200..300).contains(&reply.status) {
            set.follow(state, asked);
        }
        for (entry, settings) in &hits {
            if let Does::Changes(change) = entry.does {
                reply = change(reply, settings);
            }
        }
        if let Some(delivery) = travels(&hits).and_then(|(entry, settings)| entry.delivery(settings)) {
            reply.delivery = delivery;
        }
        reply
    }
}

/// The answer of the endpoint, or of the fault that answers instead.
fn reply(state: &mut State, asked: &Asked<'_>, endpoint: impl FnOnce(&mut State) -> Reply, hits: &[Hit]) -> Reply {
    let answers = hits.iter().find_map(|(entry, settings)| match entry.does {
        Does::Answers(answer) => Some((answer, settings)),
        _ => None,
    });
    let undone = |settings: &Settings| settings.when == When::Before;
    if let Some((answer, settings)) = answers {
        if !undone(settings) {
            endpoint(state);
        }
        return answer(asked.request, settings);
    }
    if travels(hits).is_some_and(|(_, settings)| undone(settings)) { Reply::empty() } else { endpoint(state) }
}

/// The first that makes the answer travel badly.
fn travels(hits: &[Hit]) -> Option<&Hit> {
    hits.iter().find(|(entry, _)| matches!(entry.does, Does::Travels(_)))
}

impl Set {
    fn count(&mut self, entry: &Entry) {
        *self.struck.entry(entry.name.to_owned()).or_default() += 1;
    }

    /// The faults that strike the request; what happens before it has happened then.
    fn hits(&mut self, state: &mut State, asked: &Asked<'_>, now: Timestamp) -> Vec<Hit> {
        self.forget_ended(now);
        let mut hits: Vec<Hit> = Vec::new();
        let precedes = |does: Does| !matches!(does, Does::Follows(_));
        self.strike(asked, precedes, |armed| {
            let strikes = match armed.entry.does {
                Does::Happens(happen) => happen(state, asked.request, &armed.settings),
                Does::Answers(_) => !hits.iter().any(|(entry, _)| matches!(entry.does, Does::Answers(_))),
                Does::Travels(_) => travels(&hits).is_none(),
                Does::Changes(_) => true,
                Does::Follows(_) | Does::Shows(_) | Does::Refuses | Does::Restarts => false,
            };
            if strikes {
                hits.push((armed.entry, armed.settings.clone()));
            }
            strikes
        });
        hits
    }

    /// What happens after a request that has succeeded.
    fn follow(&mut self, state: &mut State, asked: &Asked<'_>) {
        let follows = |does: Does| matches!(does, Does::Follows(_));
        self.strike(asked, follows, |armed| match armed.entry.does {
            Does::Follows(follow) => follow(state, asked.request, &armed.settings),
            _ => false,
        });
    }

    fn forget_ended(&mut self, now: Timestamp) {
        self.armed.retain(|armed| armed.ends.is_none_or(|end| now < end));
    }

    /// Counts the faults of which `strikes` says that they do.
    fn strike_if(&mut self, now: Timestamp, mut strikes: impl FnMut(&Armed) -> bool) {
        self.forget_ended(now);
        let mut all = mem::take(&mut self.armed);
        for armed in &mut all {
            self.strike_one(armed, &mut strikes);
        }
        self.keep(all);
    }

    fn strike_one(&mut self, armed: &mut Armed, strikes: &mut impl FnMut(&Armed) -> bool) -> bool {
        if !strikes(armed) {
            return false;
        }
        armed.struck += 1;
        armed.left = armed.left.map(|left| left - 1);
        self.count(armed.entry);
        true
    }

    fn keep(&mut self, mut all: Vec<Armed>) {
        all.retain(|armed| armed.left != Some(0));
        self.armed = all;
    }

    /// Counts the faults of this kind that fit the request and of which `strikes` says that they do. One that is set twice
    /// strikes two requests.
    fn strike(&mut self, asked: &Asked<'_>, kind: fn(Does) -> bool, mut strikes: impl FnMut(&Armed) -> bool) {
        let mut all = mem::take(&mut self.armed);
        let mut struck = Vec::new();
        for armed in all.iter_mut().filter(|armed| kind(armed.entry.does) && armed.fits(asked)) {
            let name = armed.entry.name;
            if struck.contains(&name) {
                continue;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
            } else if self.strike_one(armed, &mut strikes) {
                struck.push(name);
            }
        }
        self.keep(all);
    }
}

impl Armed {
    fn fits(&self, asked: &Asked<'_>) -> bool {
        if self.entry.on_used_connection && !asked.request.on_used_connection {
            return false;
        }
        let Asked { request, needs_login, is_write } = asked;
        if self.fault.path.is_some() || self.fault.method.is_some() {
            let method = self.fault.method.as_deref().unwrap_or("*");
            return fits(method, self.fault.path.as_deref().unwrap_or("/**"), request);
        }
        match self.entry.at {
            At::Any => true,
            At::LoggedIn => *needs_login,
            At::Writes => *is_write,
            At::Calls(calls) => calls.iter().any(|call| {
                let (method, path) = call.split_once(' ').unwrap_or(("*", call));
                fits(method, path, request)
            }),
            At::Nothing => false,
        }
    }
}

/// Whether a request has this method and a path of this pattern.
fn fits(method: &str, pattern: &str, request: &Incoming) -> bool {
    if method != "*" && !method.eq_ignore_ascii_case(&request.method) {
        return false;
    }
    let mut path = request.path.split('/');
    for part in pattern.split('/') {
        match (part, path.next()) {
            ("**", _) => return true,
            ("*", Some(given)) if !given.is_empty() => {}
            (fixed, Some(given)) if fixed == given => {}
            _ => return false,
        }
    }
    path.next().is_none()
}

const USAGE: &str = "POST /faults takes one fault or a list of them: {\"name\", and of these what shall be other than the \
    catalogue has it: \"count\" (requests, 0: until cleared), \"skip\" (fitting requests let through first), \"method\", \
    \"path\" (* is one part, ** at the end all that follows), \"when\" (before or after the scanner has acted), \"for_ms\", \
    \"delay_ms\", \"bytes\", \"percent\", \"status\", \"text\", \"retry_after\"}. DELETE /faults clears them, DELETE \
    /faults/NAME those of one name.";

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.set().armed.iter().map(|armed| armed.entry.name).collect();
        f.debug_tuple("Faults").field(&names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_parts_and_what_follows() {
        let fits = |pattern, path: &str| {
            fits("GET", pattern, &Incoming::new("GET", path, "", Vec::new(), bytes::Bytes::new()))
        };
        assert!(fits("/scans", "/scans") && fits("/scans/**", "/scans") && fits("/scans/**", "/scans/5/launch"));
        assert!(
            fits("/scans/*", "/scans/5")
                && fits("/**", "/")
                && fits("/scans/*/export/*/status", "/scans/5/export/7/status")
        );
        assert!(!fits("/scans", "/scans/5") && !fits("/scans/*", "/scans") && !fits("/scans/*", "/scans/5/launch"));
        assert!(!fits("/scans/*", "/scans/") && !fits("/scan", "/scans"));
    }
}
