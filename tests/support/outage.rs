//! Two scanners, one of which is out of reach for a while, under a load of tasks.
//!
//! What must hold: the tasks go to the other scanner; those whose scan runs on the one that is out of reach are held, and
//! go on when it is back; its circuit opens, is tried, and closes; nothing ends among the dead letters, and no scan runs
//! twice.
#![expect(clippy::missing_panics_doc, reason = "a promise that was broken ends the run")]

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    circuit_breaker::CircuitState,
    ids::TaskId,
    service::{InstanceView, ScannersView},
    task::TaskStatus,
};
use serde_json::json;

use crate::{
    binaries,
    deployment::Deployment,
    processes::{Process, until},
    proxy::Proxy,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};

/// The scanner that is out of reach for a while, and the other.
const AWAY: &str = "away";
const HERE: &str = "here";
/// What makes circuits open and close fast enough to be watched.
const CIRCUITS: [&str; 6] =
    ["--circuit-failures", "3", "--circuit-open-seconds", "500ms", "--circuit-open-max-seconds", "1s"];

/// What came out of a run in which all promises held.
#[derive(Debug)]
pub struct Outcome {
    /// Tasks that completed on each scanner.
    pub completed: BTreeMap<String, usize>,
    /// Tasks that were held because their scan ran on the scanner that was out of reach.
    pub held: usize,
    /// How often its circuit opened.
    pub opens: u64,
    /// Failed calls that processes told of.
    pub failures: u64,
    /// From the first submit to the last completion.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |name: &str| self.completed.get(name).copied().unwrap_or_default();
        write!(
            f,
            "{} tasks on `{HERE}`, {} on `{AWAY}` ({} of them held through the outage); the circuit opened {} times after {} \
             failed calls; {:.1} s",
            on(HERE),
            on(AWAY),
            self.held,
            self.opens,
            self.failures,
            self.took.as_secs_f64(),
        )
    }
}

/// Runs `tasks` tasks with two workers, on this queue or the embedded one.
pub async fn run(tasks: usize, queue_url: Option<&str>) -> Outcome {
    let start =
        async |scan| SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(scan))).await;
    // Long enough there that scans still run when they are looked for.
    let (away, here) = (start(3000).await, start(600).await);
    let proxy = Proxy::to(away.url().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default());
    let scanners = scanners(&format!("http://127.0.0.1:{}", proxy.port()), &here.url());
    let deployment = Deployment::new(&scanners).on_queue(queue_url);
    let site = Site::start_with(here, deployment, &[]).await;
    let workers = [site.start_worker(&CIRCUITS), site.start_worker(&CIRCUITS)];
    let [first, second] = &workers;
    let watched = [first, second];
    let began = Instant::now();
    let mut ids = Vec::new();
    for number in 0..tasks {
        ids.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{}", number % 250 + 1)).await);
    }

    until("scans run on both scanners", &watched, async || {
        (away.stats().running >= 2 && site.sim.stats().total_launches >= 2).then_some(())
    })
    .await;
    proxy.cut();
    let open = circuit(&site, &watched, CircuitState::Open).await;
    assert!(!open.circuit.reason.is_empty() && open.available_slots == 0, "{open:?}");
    let held = only_held_ones_are_left(&site, &ids, &watched).await;
    let still = scanner(&site).await;
    assert_ne!(still.circuit.state, CircuitState::Closed, "{still:?}");

    proxy.mend();
    let mut completed: BTreeMap<String, usize> = BTreeMap::new();
    for id in &ids {
        let view = site.completed(id, &watched).await;
        let on = view.scanner_instance.map(|instance| instance.to_string()).unwrap_or_default();
        *completed.entry(on).or_default() += 1;
    }
    let took = began.elapsed();
    let closed = circuit(&site, &watched, CircuitState::Closed).await;
    site.queue_is_empty(&watched).await;
    let letters = site.deployment.program(binaries::admin(), &["list-dlq"]).run();
    assert_eq!(letters.stdout, "no dead letters\n", "{letters:?}");
    once(tasks, &[away, site.sim]);
    let logs: String = workers.iter().map(Process::log).collect();
    for change in ["the circuit is open", "the circuit is half-open", "the circuit is closed"] {
        assert!(logs.contains(change), "no worker said `{change}`");
    }
    Outcome { completed, held, opens: closed.circuit.opens, failures: closed.circuit.failures, took }
}

/// Two scanners in a pool, which run three scans each.
fn scanners(away: &str, here: &str) -> String {
    let instance = |name: &str, url: &str| {
        format!(
            "  - instance_id: {name}\n    url: {url}\n    username: admin\n    password: nessus\n    \
             max_concurrent_scans: 3\n"
        )
    };
    format!("nessus:\n{}{}", instance(AWAY, away), instance(HERE, here))
}

/// The scanner that is out of reach for a while, as the server shows it.
async fn scanner(site: &Site) -> InstanceView {
    let text = match site.client().call("list_scanners", &json!({})).await {
        Ok(text) => text,
        Err(error) => panic!("{error}\n{}", site.server.process.tail()),
    };
    let view: ScannersView = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let found = view.scanners.into_iter().find(|scanner| scanner.scanner_instance.as_str() == AWAY);
    found.unwrap_or_else(|| panic!("no `{AWAY}` in {text}"))
}

/// Waits until the server shows this state of the circuit.
async fn circuit(site: &Site, workers: &[&Process], state: CircuitState) -> InstanceView {
    until(&format!("the circuit is {state}"), workers, async || {
        let view = scanner(site).await;
        (view.circuit.state == state).then_some(view)
    })
    .await
}

/// Waits until all tasks have completed but those whose scans run on the scanner that is out of reach; how many these are.
async fn only_held_ones_are_left(site: &Site, ids: &[TaskId], workers: &[&Process]) -> usize {
    // One after the other, with the patience of each: a hundred tasks take their time.
    let mut held = 0;
    for id in ids {
        let is_held = until(&format!("{id} has completed or is held"), workers, async || {
            let task = site.deployment.task(id);
            let on_away = task.scanner_instance_id.as_ref().is_some_and(|instance| instance.as_str() == AWAY);
            match task.status {
                TaskStatus::Completed => Some(false),
                TaskStatus::Running if on_away => Some(true),
                TaskStatus::Queued | TaskStatus::Running => None,
                ended => panic!("{id} is {ended}: {:?}", task.error_message),
            }
        })
        .await;
        held += usize::from(is_held);
    }
    held
}

/// Every task's scan was created and launched exactly once, on one of the scanners.
fn once(tasks: usize, sims: &[SimulatedNessus]) {
    let stats: Vec<_> = sims.iter().map(SimulatedNessus::stats).collect();
    let all = |of: fn(&crate::sim::Stats) -> &BTreeMap<String, u64>| {
        let counts: Vec<u64> = stats.iter().flat_map(|stats| of(stats).values().copied()).collect();
        assert!(counts.len() == tasks && counts.iter().all(|count| *count == 1), "{stats:#?}");
    };
    all(|stats| &stats.creates);
    all(|stats| &stats.launches);
}
