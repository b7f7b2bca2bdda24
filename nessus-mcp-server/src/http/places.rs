//! How many requests are worked on at once, of all clients and of one. The others wait in a queue, which is bounded as well.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use nessus_mcp_lib::{
    config::cli::server::MOST_REQUESTS,
    policy::{LOCAL, Principal},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{open::ConnectionHandle, refusals::Refusals};
use crate::client_address::ClientAddress;

/// The most that wait for one of these places.
const MOST_WAITING: usize = 512;
/// The most of one client that wait, for each place that it may have.
const WAITING_PER_PLACE: usize = 2;
/// When to retry a request that was refused.
const RETRY_AFTER_SECONDS: &str = "2";

/// The places. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_client: usize,
    patience: Duration,
    refusals: Refusals,
    present: Arc<Mutex<Present>>,
}

/// Whose requests are here, worked on or waiting.
#[derive(Debug, Default)]
struct Present {
    requests: usize,
    clients: HashMap<Client, Share>,
}

/// What one client has.
#[derive(Debug)]
struct Share {
    requests: usize,
    places: Arc<Semaphore>,
}

/// Who shares places: one principal, wherever it is, or who is at an address without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Named(Arc<str>),
    At(IpAddr),
    Unknown,
}

impl Places {
    /// `of_client` places for each client; a request waits for one no longer than `patience`.
    pub(super) fn new(of_client: usize, patience: Duration, refusals: &Refusals) -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST_REQUESTS)),
            of_client,
            patience,
            refusals: refusals.clone(),
            present: Arc::default(),
        }
    }

    /// Waits for a place; none where too many wait, or for too long.
    async fn take(&self, client: Client) -> Option<Place> {
        let (request, of_client) = self.enter(client)?;
        let places = async {
            // The client's own first: whoever has many waits for itself and keeps nobody else waiting.
            let of_client = of_client.acquire_owned().await.ok()?;
            Some((of_client, Arc::clone(&self.all).acquire_owned().await.ok()?))
        };
        let (of_client, of_all) = tokio::time::timeout(self.patience, places).await.ok()??;
        Some(Place { _of_client: of_client, _of_all: of_all, _request: request })
    }

    /// Lets a request in to wait for a place, if not too many are here.
    fn enter(&self, client: Client) -> Option<(PresentRequest, Arc<Semaphore>)> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = present.clients.get(&client).map_or(0, |share| share.requests);
        if present.requests >= MOST_REQUESTS + MOST_WAITING || of_client >= self.of_client * (1 + WAITING_PER_PLACE) {
            return None;
        }
        present.requests += 1;
        let fresh = || Share { requests: 0, places: Arc::new(Semaphore::new(self.of_client)) };
        let share = present.clients.entry(client.clone()).or_insert_with(fresh);
        share.requests += 1;
        let places = Arc::clone(&share.places);
        self.refusals.metrics().process().add_http_requests(1);
        Some((PresentRequest { client, places: self.clone() }, places))
    }
}

/// A request that waits or is worked on.
#[derive(Debug)]
struct PresentRequest {
    client: Client,
    places: Places,
}

impl Drop for PresentRequest {
    fn drop(&mut self) {
        self.places.refusals.metrics().process().add_http_requests(-1);
        let mut present = self.places.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.requests -= 1;
        if let Some(share) = present.clients.get_mut(&self.client) {
            share.requests -= 1;
            if share.requests == 0 {
                present.clients.remove(&self.client);
            }
        }
    }
}

/// A place in which a request is worked on.
#[derive(Debug)]
struct Place {
    _of_client: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
    _request: PresentRequest,
}

/// Works on a request, which was read whole, as soon as there is a place for it; 503 where there is none.
pub(super) async fn in_place<F: Future<Output = Response>>(
    places: &Places,
    request: Request,
    answered: impl FnOnce(Request) -> F,
) -> Response {
    // That the process runs is said also when it has much to do.
    if request.uri().path() == "/health/live" {
        return answered(request).await;
    }
    let connection = request.extensions().get::<ConnectionHandle>();
    let working = connection.map(ConnectionHandle::works);
    let address = request.extensions().get::<ClientAddress>().copied();
    let name = request.extensions().get::<Principal>().map(|principal| &principal.name);
    let client = match (name.filter(|name| &***name != LOCAL), address) {
        (Some(name), _) => Client::Named(Arc::clone(name)),
        (None, Some(address)) => Client::At(address.network()),
        (None, None) => Client::Unknown,
    };
    let Some(place) = places.take(client).await else {
        places.refusals.count("places", address.map(|ClientAddress(address)| address));
        let message = "too many requests are being worked on; try again soon\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], message)
            .into_response();
    };
    let answer = answered(request).await;
    if answer.body().size_hint().exact().is_some() {
        return answer;
    }
    // The tool works on while its answer is streamed.
    let held = (place, working);
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &held;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use nessus_mcp_lib::{audit::Audit, telemetry::Metrics};

    use super::*;

    fn places(of_client: usize) -> Places {
        let refusals = Refusals::new(&Arc::new(Metrics::new().unwrap()), &Audit::off());
        Places::new(of_client, Duration::from_secs(3600), &refusals)
    }

    fn named(name: &str) -> Client {
        Client::Named(name.into())
    }

    #[tokio::test]
    async fn a_client_that_fills_its_share_keeps_nobody_else_waiting() {
        let places = places(2);
        let held = [places.take(named("a")).await.unwrap(), places.take(named("a")).await.unwrap()];
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move { places.take(named("a")).await })
            })
            .collect();
        while places.present.lock().unwrap().requests < 6 {
            tokio::task::yield_now().await;
        }
        assert!(places.take(named("a")).await.is_none(), "the queue of `a` is full");
        for client in [named("b"), Client::At([192, 0, 2, 1].into()), Client::Unknown] {
            assert!(places.take(client).await.is_some());
        }
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(held);
        for task in waiting {
            assert!(task.await.unwrap().is_some());
        }
        let present = places.present.lock().unwrap();
        assert_eq!((present.requests, present.clients.len()), (0, 0), "nothing is kept of clients that are gone");
    }

    #[tokio::test]
    async fn all_together_have_a_bound() {
        let places = places(MOST_REQUESTS);
        let mut held = Vec::new();
        for n in 0..MOST_REQUESTS {
            held.push(places.take(named(&n.to_string())).await.unwrap());
        }
        let entered: Vec<_> = (0..MOST_WAITING).map(|n| places.enter(named(&n.to_string())).unwrap()).collect();
        assert!(places.take(named("late")).await.is_none());
        drop(entered);
        held.pop();
        assert!(places.take(named("late")).await.is_some());
    }
}
