//! The connections that are open. Where there is no room for another, the one that has waited longest for a request gives way.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::refusals::Refusals;

/// How long a connection has waited for a whole request before it may have to give way: far longer than a client that means
/// to send one needs.
const GRACE: Duration = Duration::from_secs(1);

/// All of them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct OpenConnections {
    most: usize,
    refusals: Refusals,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    made: u64,
    open: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Whose it is; `None` where many clients share an address.
    client: Option<IpAddr>,
    /// Since when it waits for a whole request; `None` while one is worked on.
    waits_since: Option<Instant>,
    gives_way: CancellationToken,
}

impl OpenConnections {
    /// At most `most`, and half of them for one client.
    pub(super) fn new(most: usize, refusals: &Refusals) -> Self {
        Self { most, refusals: refusals.clone(), entries: Arc::default() }
    }

    /// Takes in a connection.
    ///
    /// # Errors
    /// What there is no room for, as a word of the metrics.
    pub(super) fn admit(&self, client: Option<IpAddr>) -> Result<OpenConnection, &'static str> {
        let (handle, gives_way) = self.admit_at(client, Instant::now())?;
        self.refusals.metrics().process().add_http_connections(1);
        Ok(OpenConnection { handle, gives_way })
    }

    fn admit_at(
        &self,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<(ConnectionHandle, CancellationToken), &'static str> {
        let mut entries = self.entries();
        let is_his = |entry: &Entry| client.is_some() && entry.client == client;
        if entries.open.values().filter(|entry| is_his(entry)).count() >= self.most.div_ceil(2)
            && !self.make_room(&mut entries, is_his, now)
        {
            return Err("connections_of_client");
        }
        if entries.open.len() >= self.most && !self.make_room(&mut entries, |_| true, now) {
            return Err("connections");
        }
        let gives_way = CancellationToken::new();
        entries.made += 1;
        let id = entries.made;
        let entry = Entry { client, waits_since: Some(now), gives_way: gives_way.clone() };
        entries.open.insert(id, entry);
        drop(entries);
        Ok((ConnectionHandle { all: self.clone(), id }, gives_way))
    }

    /// Closes the one of these that has waited longest, if it has waited for long.
    fn make_room(&self, entries: &mut Entries, is_one: impl Fn(&Entry) -> bool, now: Instant) -> bool {
        let since = |(id, entry): (&u64, &Entry)| entry.waits_since.map(|since| (since, *id));
        let oldest = entries.open.iter().filter(|(_, entry)| is_one(entry)).filter_map(since).min();
        let Some((_, id)) = oldest.filter(|(since, _)| now.saturating_duration_since(*since) >= GRACE) else {
            return false;
        };
        let Some(entry) = entries.open.remove(&id) else { return false };
        entry.gives_way.cancel();
        self.refusals.count("waiting_connections", entry.client);
        true
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection; it is closed when this is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection {
    handle: ConnectionHandle,
    gives_way: CancellationToken,
}

impl OpenConnection {
    /// What its requests know of it.
    pub(super) fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

    /// Completes when it has to give way.
    pub(super) async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.handle.all.entries().open.remove(&self.handle.id);
        self.handle.all.refusals.metrics().process().add_http_connections(-1);
    }
}

/// An extension of each request: the connection on which it came. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ConnectionHandle {
    all: OpenConnections,
    id: u64,
}

impl ConnectionHandle {
    /// While a request is worked on, its connection does not give way.
    pub(super) fn works(&self) -> Working {
        self.wait_since(None);
        Working(self.clone())
    }

    fn wait_since(&self, since: Option<Instant>) {
        if let Some(entry) = self.all.entries().open.get_mut(&self.id) {
            entry.waits_since = since;
        }
    }
}

/// That a request is worked on.
#[derive(Debug)]
pub(super) struct Working(ConnectionHandle);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.wait_since(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use nessus_mcp_lib::{audit::Audit, telemetry::Metrics};

    use super::*;

    fn admit(
        all: &OpenConnections,
        last: u8,
        at: Instant,
    ) -> Result<(ConnectionHandle, CancellationToken), &'static str> {
        all.admit_at(Some(Ipv4Addr::new(192, 0, 2, last).into()), at)
    }

    fn room_for(most: usize) -> OpenConnections {
        OpenConnections::new(most, &Refusals::new(&Arc::new(Metrics::new().unwrap()), &Audit::off()))
    }

    #[test]
    fn the_one_that_waited_longest_gives_way() {
        let (all, began) = (room_for(4), Instant::now());
        let first: Vec<_> = (0..2).map(|n| admit(&all, 1, began + GRACE * n / 4).unwrap()).collect();
        assert_eq!(admit(&all, 1, began + GRACE / 2).unwrap_err(), "connections_of_client");
        let others: Vec<_> = (2..4).map(|n| admit(&all, n, began + GRACE / 2).unwrap()).collect();
        assert_eq!(admit(&all, 9, began + GRACE / 2).unwrap_err(), "connections");
        // A client takes its own place, and else the place of whoever is first.
        admit(&all, 1, began + GRACE).unwrap();
        assert!(first[0].1.is_cancelled() && !first[1].1.is_cancelled());
        admit(&all, 9, began + GRACE * 5 / 4).unwrap();
        assert!(first[1].1.is_cancelled() && !others[0].1.is_cancelled() && !others[1].1.is_cancelled());
        assert_eq!(all.entries().open.len(), 4);
    }

    #[test]
    fn whoever_is_answered_does_not_give_way() {
        let (all, began) = (room_for(2), Instant::now());
        let (busy, idle) = (admit(&all, 1, began).unwrap(), admit(&all, 2, began).unwrap());
        let working = busy.0.works();
        let late = began + 2 * GRACE;
        admit(&all, 3, late).unwrap();
        assert!(idle.1.is_cancelled());
        assert_eq!(admit(&all, 1, late).unwrap_err(), "connections_of_client");
        assert_eq!(admit(&all, 4, late).unwrap_err(), "connections");
        drop(working);
        admit(&all, 1, Instant::now() + 2 * GRACE).unwrap();
        assert!(busy.1.is_cancelled());
    }

    #[test]
    fn a_shared_address_has_no_share() {
        let (all, now) = (room_for(4), Instant::now());
        let held: Vec<_> = (0..4).map(|_| all.admit_at(None, now).unwrap()).collect();
        assert_eq!((held.len(), all.admit_at(None, now).unwrap_err()), (4, "connections"));
    }
}
