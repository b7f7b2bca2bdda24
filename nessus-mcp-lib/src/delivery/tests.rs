//! Webhooks that answer, refuse, hang and redirect, on real sockets, with a clock that the test moves.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

use super::{Deliveries, webhook::signature};
use crate::{
    ScanService,
    ids::{InstanceId, PoolName, TaskId, TraceId, WorkerId},
    policy::{Policy, Resolver, Scope, TableResolver},
    queue::{self, EntryState},
    scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool, ScannerRegistry},
    secret::Secret,
    service::ServiceParts,
    task::{Delivery, ScanPayload, ScanType, Task, TaskManager, TaskStatus, Writer},
    time::{Clock, ManualClock, Timestamp},
};

const KEY: &str = "planted-key-0123456789";
const HOUR: Duration = Duration::from_secs(3600);
/// How long a webhook may take here.
const WAIT: Duration = Duration::from_millis(500);

struct Fixture {
    _directory: tempfile::TempDir,
    clock: ManualClock,
    service: ScanService,
    resolver: Arc<TableResolver>,
}

fn scope(webhooks: &str) -> Scope {
    let text = format!("mode: \"off\"\nwebhooks:\n{webhooks}");
    let lookup = |name: &str| (name == "KEY").then(|| KEY.to_owned());
    Scope::new(Policy::parse(&text, Path::new("policy.yaml"), &lookup).unwrap())
}

fn fixture(webhooks: &str) -> Fixture {
    let resolver = Arc::new(TableResolver::default());
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let tasks = TaskManager::open_with_clock(directory.path(), Arc::clone(&shared)).unwrap();
    let path = directory.path().join("queue.db");
    let queue = queue::sqlite::SqliteQueue::open_with_clock(&path, Arc::clone(&shared)).unwrap();
    let scanner = Arc::new(MockScanner::new(MockConfig::new()));
    let instance = ScannerInstance::new(InstanceId::new("one").unwrap(), 1, scanner);
    let pool = ScannerPool::new(PoolName::new("lab").unwrap(), "mock", vec![instance]);
    let scanners = ScannerRegistry::new(vec![pool]).unwrap();
    let scope = scope(webhooks).with_resolver(Arc::clone(&resolver) as Arc<dyn Resolver>);
    let parts = ServiceParts::new(directory.path(), tasks, Arc::new(queue), scanners);
    let service = ScanService::new(parts.with_clock(shared).with_scope(scope)).unwrap();
    Fixture { _directory: directory, clock, service, resolver }
}

/// An entry for a receiver on this machine, with more keys.
fn hook(name: &str, url: &str, more: &str) -> String {
    format!("  - {{name: {name}, url: \"{url}\", secret_env: KEY, allow_private: true{more}}}\n")
}

async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(status)).await;
    server
}

async fn answers(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(any()).respond_with(answer).mount(server).await;
}

async fn received(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn id_of(request: &Request) -> String {
    request.headers["X-Nessus-Mcp-Delivery"].to_str().unwrap().to_owned()
}

impl Fixture {
    fn deliveries(&self) -> Deliveries {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        Deliveries::new(&self.service, WorkerId::generate(), clock, HOUR, CancellationToken::new()).with_wait(WAIT)
    }

    /// A task that has ended in error.
    async fn failed(&self) -> TaskId {
        self.service.index().ensure().await.unwrap();
        let (id, pool) = (TaskId::generate("mock", "lab", self.clock.now()), PoolName::new("lab").unwrap());
        let payload = ScanPayload::new("office", "192.0.2.1");
        let mut task =
            Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, self.clock.now());
        task.submitted_by = Some("ci".to_owned());
        self.service.tasks().create(task).await.unwrap();
        let end = |task: &mut Task| {
            task.status = TaskStatus::Failed;
            task.error_code = Some("scan_aborted".to_owned());
            task.error_message = Some("planted by a scanned host".to_owned());
        };
        self.service.tasks().update(&id, Writer::Api, end).await.unwrap();
        id
    }

    async fn delivery(&self, id: &TaskId) -> Delivery {
        let task = self.service.tasks().get(id).await.unwrap();
        assert_eq!(task.deliveries.len(), 1, "{:?}", task.deliveries);
        task.deliveries[0].clone()
    }

    async fn state(&self, id: &TaskId) -> Option<EntryState> {
        self.service.queue().state_of(&PoolName::deliveries(), id).await.unwrap()
    }

    /// Lets time pass in small steps, and delivers what is due, until nothing is pending; returns how long that took.
    async fn until_settled(&self, deliveries: &Deliveries, id: &TaskId) -> Duration {
        let begun = self.clock.now();
        for _ in 0..20_000 {
            while deliveries.once().await {}
            if !self.service.tasks().get(id).await.unwrap().has_deliveries() {
                return self.clock.now().since(begun);
            }
            self.clock.advance(Duration::from_secs(30));
        }
        panic!("it is never settled: {:?}", self.delivery(id).await);
    }
}

#[tokio::test]
async fn a_receiver_can_verify_what_it_is_told_and_learns_no_secret() {
    let server = receiver(204).await;
    let f = fixture(&hook("tickets", &format!("{}/hooks/x?token=1", server.uri()), ""));
    let id = f.failed().await;
    assert!(f.deliveries().once().await);
    let [request] = &received(&server).await[..] else { panic!("not one request") };
    assert_eq!(
        (request.method.as_str(), request.url.path(), request.url.query()),
        ("POST", "/hooks/x", Some("token=1"))
    );
    let header = |name: &str| request.headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("x-nessus-mcp-event")), ("application/json", "failed"));
    assert_eq!(header("x-nessus-mcp-timestamp"), "1764599422");
    let text = std::str::from_utf8(&request.body).unwrap();
    assert_eq!(header("x-nessus-mcp-signature"), signature(&Secret::new(KEY), "1764599422", text));
    let body: Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "version": 1, "id": id_of(request), "event": "failed", "time": "2025-12-01T14:30:22.000Z", "webhook": "tickets",
            "task": {
                "id": id, "name": "office", "status": "failed", "attempt": 1, "scan_type": "untrusted", "pool": "lab",
                "targets": "192.0.2.1", "submitted_by": "ci", "created_at": "2025-12-01T14:30:22.000Z",
                "completed_at": "2025-12-01T14:30:22.000Z",
            },
            "error": { "code": "scan_aborted", "hint": crate::service::advice_on("scan_aborted") },
        })
    );
    assert!(!format!("{request:?}").contains("planted"), "{request:?}");
    let delivery = f.delivery(&id).await;
    assert_eq!((delivery.delivered_at.is_some(), delivery.tries, delivery.last_error), (true, 1, None));
    assert_eq!(f.state(&id).await, None);
    let metrics = f.service.metrics().render().unwrap();
    assert!(
        metrics.contains("nessus_webhook_deliveries_total{outcome=\"delivered\",webhook=\"tickets\"} 1"),
        "{metrics}"
    );
    assert!(!f.deliveries().once().await, "nothing is left");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = receiver(204).await;
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(307).insert_header("Location", format!("{}/x", elsewhere.uri()).as_str()))
        .await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let id = f.failed().await;
    f.deliveries().once().await;
    let delivery = f.delivery(&id).await;
    assert!(delivery.last_error.unwrap().contains("HTTP 307, a redirect, which is not followed"));
    assert!(delivery.delivered_at.is_none() && received(&elsewhere).await.is_empty());
}

/// What stands in the policy says nothing about where a name leads.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_or_its_network_is_refused() {
    let server = receiver(204).await;
    let port = server.address().port();
    for (addresses, kind) in [
        (vec!["127.0.0.1"], "a loopback address"),
        (vec!["::ffff:127.0.0.1"], "a loopback address"),
        (vec!["::1"], "a loopback address"),
        (vec!["169.254.169.254"], "a link-local address"),
        (vec!["10.0.0.1"], "a private address"),
        (vec!["0.0.0.0"], "a wildcard address"),
        (vec!["224.0.0.1"], "a multicast address"),
        (vec!["8.8.8.8", "127.0.0.1"], "a loopback address"),
    ] {
        let entry =
            format!("  - {{name: tickets, url: \"http://hook.test:{port}/\", secret_env: KEY, allow_http: true}}\n");
        let f = fixture(&entry);
        f.resolver.set("hook.test", addresses.iter().map(|address| address.parse().unwrap()));
        let id = f.failed().await;
        f.deliveries().once().await;
        let said = f.delivery(&id).await.last_error.unwrap();
        assert!(said.starts_with("the name `hook.test` stands for ") && said.contains(kind), "{addresses:?}: {said}");
    }
    assert!(received(&server).await.is_empty());
    let f = fixture(&hook("tickets", &format!("http://hook.test:{port}/"), ""));
    f.resolver.set("hook.test", ["::ffff:127.0.0.1".parse().unwrap(), IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let id = f.failed().await;
    f.deliveries().once().await;
    assert!(f.delivery(&id).await.delivered_at.is_some(), "{:?}", f.delivery(&id).await);
}

/// Answers well once, and then with an address that nobody may have.
#[derive(Debug, Default)]
struct Rebinding(AtomicUsize);

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(vec![if asked == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }.into()])
    }
}

#[tokio::test]
async fn the_connection_is_made_to_the_address_that_was_checked() {
    let server = receiver(204).await;
    let resolver = Arc::new(Rebinding::default());
    let entry = hook("tickets", &format!("http://hook.test:{}/", server.address().port()), "");
    let scope = scope(&entry).with_resolver(Arc::clone(&resolver) as Arc<dyn Resolver>);
    let policy = scope.policy();
    let first = super::ping(&policy.webhooks()[0], &scope).await.unwrap();
    assert_eq!((first.status, resolver.0.load(Ordering::SeqCst)), (204, 1), "it is looked up once");
    let second = super::ping(&policy.webhooks()[0], &scope).await.unwrap_err().to_string();
    assert!(second.contains("0.0.0.0, a wildcard address, which no webhook may have"), "{second}");
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn what_fails_is_told_later_under_the_same_id() {
    let server = receiver(500).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let (deliveries, id) = (f.deliveries(), f.failed().await);
    assert!(deliveries.once().await);
    let first = id_of(&received(&server).await[0]);
    let delivery = f.delivery(&id).await;
    assert!(delivery.last_error.as_ref().unwrap().ends_with("answers with HTTP 500"), "{delivery:?}");
    assert_eq!(f.state(&id).await, Some(EntryState::Delayed));
    answers(&server, ResponseTemplate::new(200)).await;
    assert!(!deliveries.once().await, "not before its pause is over");
    let took = f.until_settled(&deliveries, &id).await;
    assert!(took <= Duration::from_secs(60), "{took:?}");
    let [request] = &received(&server).await[..] else { panic!("not one request") };
    assert_eq!(id_of(request), first);
    let delivery = f.delivery(&id).await;
    assert_eq!((delivery.delivered_at.is_some(), delivery.tries, delivery.last_error), (true, 2, None));
}

/// A day of HTTP 500: a few dozen tries, then a dead letter, which can be tried again.
#[tokio::test]
async fn what_fails_for_a_day_is_a_dead_letter() {
    let server = receiver(500).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let (deliveries, id) = (f.deliveries(), f.failed().await);
    let took = f.until_settled(&deliveries, &id).await;
    assert!((24 * HOUR..=25 * HOUR).contains(&took), "{took:?}");
    let tries = received(&server).await.len();
    assert!((25..60).contains(&tries), "{tries}");
    assert_eq!(f.state(&id).await, Some(EntryState::Dead));
    let letters = f.service.queue().dead_letters(&PoolName::deliveries(), 0, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.reason.error_code, "webhook_failed");
    assert!(
        letter.reason.error.starts_with("the webhook `tickets` was not told that the scan is `failed`: "),
        "{letter:?}"
    );
    assert!(!f.service.tasks().get(&id).await.unwrap().has_deliveries());
    // Nobody forgets it, and nobody tries it, until somebody wants it tried again.
    assert_eq!(f.service.index().reconcile().await.unwrap(), 0);
    answers(&server, ResponseTemplate::new(200)).await;
    assert_eq!(f.service.retry_deliveries(&id).await.unwrap(), 1);
    f.until_settled(&deliveries, &id).await;
    assert!(f.delivery(&id).await.delivered_at.is_some());
    assert!(f.service.queue().dead_letters(&PoolName::deliveries(), 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_refused_is_tried_less_and_what_is_gone_not_again() {
    for (status, longest, most) in [(404, HOUR, 12), (401, HOUR, 12), (410, Duration::ZERO, 1)] {
        let server = receiver(status).await;
        let f = fixture(&hook("tickets", &server.uri(), ""));
        let (deliveries, id) = (f.deliveries(), f.failed().await);
        let took = f.until_settled(&deliveries, &id).await;
        assert!(took <= longest + Duration::from_secs(60), "{status}: {took:?}");
        assert!(f.delivery(&id).await.given_up_at.is_some() && received(&server).await.len() <= most, "{status}");
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(429).insert_header("Retry-After", "1800")).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let (deliveries, id) = (f.deliveries(), f.failed().await);
    deliveries.once().await;
    let next = f.delivery(&id).await.next_try_at.unwrap();
    assert_eq!(next.since(f.clock.now()), Duration::from_secs(1800));
}

/// One that hangs costs a few requests, and the other is told at once.
#[tokio::test]
async fn a_webhook_that_hangs_keeps_no_other_waiting() {
    let hanging = MockServer::start().await;
    answers(&hanging, ResponseTemplate::new(200).set_delay(Duration::from_secs(600))).await;
    let server = receiver(200).await;
    let f = fixture(&(hook("hanging", &hanging.uri(), "") + &hook("tickets", &server.uri(), "")));
    for _ in 0..6 {
        f.failed().await;
    }
    let deliveries = f.deliveries();
    while deliveries.once().await {}
    assert_eq!((received(&server).await.len(), received(&hanging).await.len()), (6, 1));
    let tasks = f.service.tasks().list(crate::task::TaskQuery::default()).await.unwrap().tasks;
    let said: Vec<_> = tasks.iter().filter_map(|task| task.deliveries[0].last_error.clone()).collect();
    assert!(matches!(&said[..], [one] if one.contains("does not answer within 0.5 s")), "{said:?}");
}

#[tokio::test]
async fn two_workers_tell_each_event_once() {
    let server = receiver(200).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    for _ in 0..20 {
        f.failed().await;
    }
    let work = async |deliveries: Deliveries| while deliveries.once().await {};
    tokio::join!(work(f.deliveries()), work(f.deliveries()));
    let mut ids: Vec<_> = received(&server).await.iter().map(id_of).collect();
    assert_eq!(ids.len(), 20);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20, "each event has an id of its own");
}

#[tokio::test]
async fn what_a_command_without_policy_has_done_is_told_too() {
    let server = receiver(200).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let id = f.failed().await;
    f.service.tasks().update(&id, Writer::Api, |task| task.deliveries[0].webhook = None).await.unwrap();
    f.deliveries().once().await;
    let delivery = f.delivery(&id).await;
    assert_eq!((delivery.webhook.as_deref(), delivery.delivered_at.is_some()), (Some("tickets"), true));
    assert_eq!(received(&server).await.len(), 1);
}

/// A worker with an older policy must not throw away what another has written down.
#[tokio::test]
async fn a_webhook_that_a_worker_does_not_know_is_kept() {
    let server = receiver(200).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let id = f.failed().await;
    let policy = f.service.scope().policy();
    f.service.scope().replace(Policy::default());
    let deliveries = f.deliveries();
    deliveries.once().await;
    assert_eq!(f.delivery(&id).await.last_error.unwrap(), "the policy of this worker has no webhook `tickets`");
    f.service.scope().replace(policy.as_ref().clone());
    f.until_settled(&deliveries, &id).await;
    assert_eq!(received(&server).await.len(), 1);
}

/// A worker that stops gives back what it cannot finish, for the next to take at once.
#[tokio::test]
async fn a_worker_that_stops_hands_its_deliveries_back() {
    let server = MockServer::start().await;
    answers(&server, ResponseTemplate::new(200).set_delay(Duration::from_secs(600))).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let id = f.failed().await;
    let (clock, stop): (Arc<dyn Clock>, _) = (Arc::new(f.clock.clone()), CancellationToken::new());
    let patient = Duration::from_secs(600);
    let deliveries = Deliveries::new(&f.service, WorkerId::generate(), clock, HOUR, stop.clone()).with_wait(patient);
    let running = tokio::spawn(deliveries.run());
    for _ in 0..2000 {
        if !received(&server).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(f.state(&id).await, Some(EntryState::Leased));
    stop.cancel();
    running.await.unwrap();
    assert_eq!((f.state(&id).await, f.delivery(&id).await.tries), (Some(EntryState::Ready), 0));
}

/// A lock that cannot be had stands for a disk that does not take what is written.
#[tokio::test]
async fn what_was_told_and_could_not_be_written_down_is_not_told_again() {
    let server = receiver(200).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let (deliveries, id) = (f.deliveries(), f.failed().await);
    let lock = f.service.tasks().artifact_path(&id, "task.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let longest = Duration::from_secs(13);
    assert!(deliveries.once().await);
    f.clock.advance(longest);
    assert!(deliveries.once().await);
    f.clock.advance(longest);
    assert!(!deliveries.once().await, "the second pause is twice as long");
    f.clock.advance(longest);
    assert!(deliveries.once().await);
    assert_eq!(f.delivery(&id).await.delivered_at, None);
    std::fs::remove_dir(&lock).unwrap();
    f.until_settled(&deliveries, &id).await;
    let delivery = f.delivery(&id).await;
    assert_eq!((delivery.delivered_at.is_some(), delivery.tries), (true, 1));
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn what_comes_during_a_claim_does_not_wait_for_a_webhook_that_fails() {
    let (failing, slow, server) = (receiver(500).await, receiver(200).await, receiver(200).await);
    let hooks = [("failing", &failing, ""), ("slow", &slow, ""), ("tickets", &server, ", events: [completed]")];
    let f = fixture(&hooks.map(|(name, server, more)| hook(name, &server.uri(), more)).concat());
    let deliveries = f.deliveries().with_wait(Duration::from_secs(60));
    f.failed().await;
    assert!(deliveries.once().await, "`failing` rests from now on");
    answers(&slow, ResponseTemplate::new(200).set_delay(Duration::from_secs(2))).await;
    let id = f.failed().await;
    let claimed = deliveries.clone();
    let running = tokio::spawn(async move { claimed.once().await });
    for _ in 0..2000 {
        if !received(&slow).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let one_more = |task: &mut Task| {
        let (webhook, tried) = (Some("tickets".to_owned()), task.deliveries[0].clone());
        task.deliveries.push(Delivery { webhook, ..tried });
    };
    f.service.tasks().update(&id, Writer::Api, one_more).await.unwrap();
    assert!(running.await.unwrap());
    assert!(deliveries.once().await, "it is looked at at once");
    assert_eq!(received(&server).await.len(), 1);
}

/// What nobody could tell for days is no reason to ask a webhook that fails for each of it.
#[tokio::test]
async fn what_is_old_and_untried_rests_as_well() {
    let server = receiver(500).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    for _ in 0..3 {
        f.failed().await;
    }
    f.clock.advance(25 * HOUR);
    let deliveries = f.deliveries();
    while deliveries.once().await {}
    assert_eq!(received(&server).await.len(), 1);
}

/// Also a retry that died before it had told the queue.
#[tokio::test]
async fn a_second_retry_finishes_the_first() {
    let server = receiver(410).await;
    let f = fixture(&hook("tickets", &server.uri(), ""));
    let (deliveries, id) = (f.deliveries(), f.failed().await);
    assert!(deliveries.once().await);
    assert_eq!(f.state(&id).await, Some(EntryState::Dead));
    let (_, revived) = f.service.tasks().revive_deliveries(&id).await.unwrap();
    assert_eq!((revived, f.state(&id).await), (1, Some(EntryState::Dead)));
    assert_eq!(f.service.retry_deliveries(&id).await.unwrap(), 1);
    assert_eq!(f.state(&id).await, Some(EntryState::Ready));
    assert!(f.service.retry_deliveries(&id).await.is_err(), "there is nothing more to retry");
    answers(&server, ResponseTemplate::new(200)).await;
    f.until_settled(&deliveries, &id).await;
    assert!(f.delivery(&id).await.delivered_at.is_some());
}
