//! Scans that are paused and resumed, by callers and by the windows of a policy, while processes are killed.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use nessus_mcp_lib::{
    durable,
    ids::TaskId,
    service::TaskView,
    task::{Pause, PauseState, PausedBy, TaskStatus},
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Process, until},
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::json;

/// Leases that end soon after their holder is dead.
const SHORT_LEASE: [&str; 2] = ["--lease-seconds", "1s"];

/// Long enough to be paused on the way, and short enough to be waited for.
fn config() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_secs(4))
}

async fn control(site: &Site, tool: &str, task: &TaskId) {
    if let Err(error) = site.client().call(tool, &json!({ "task_id": task })).await {
        panic!("{tool}: {error}\n{}", site.server.process.tail());
    }
}

async fn shows(site: &Site, task: &TaskId, workers: &[&Process], is_so: impl Fn(&TaskView) -> bool) -> TaskView {
    until(&format!("{task} stands otherwise"), workers, async || {
        let view = site.view(task).await;
        assert!(!view.status.is_terminal(), "{view:?}");
        is_so(&view).then_some(view)
    })
    .await
}

async fn paused(site: &Site, task: &TaskId, by: PausedBy, workers: &[&Process]) -> Pause {
    let is_held = |pause: &Pause| (pause.by, pause.state) == (by, PauseState::Paused);
    let view = shows(site, task, workers, |view| view.pause.as_ref().is_some_and(is_held)).await;
    assert_eq!(view.status, TaskStatus::Running);
    view.pause.unwrap()
}

/// The wish outlives the server that has taken it and the worker that has not seen it, and the pause the worker that made it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_pause_outlives_the_processes_on_either_queue() {
    let redis = RedisServer::start();
    for queue in [None, Some(redis.url())] {
        let mut site = match &queue {
            None => Site::start(config()).await,
            Some(url) => Site::start_on(url, config()).await,
        };
        let task = site.submit("paused", "192.0.2.1").await;
        let mut first = site.start_worker(&SHORT_LEASE);
        site.running(1, &[&first]).await;
        first.kill();
        control(&site, "pause_scan", &task).await;
        site.server.process.kill();
        let mut second = site.start_worker(&SHORT_LEASE);
        site.restart_server().await;
        paused(&site, &task, PausedBy::Request, &[&first, &second]).await;
        second.kill();
        control(&site, "resume_scan", &task).await;
        let mut third = site.start_worker(&SHORT_LEASE);
        site.completed(&task, &[&second, &third]).await;
        site.each_scan_ran_once(1);
        site.queue_is_empty(&[&third]).await;
        assert_eq!(third.terminate(), Some(0), "{}", third.tail());
    }
}

/// What waits is held back by its wish, also from the next worker, and cancelled like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_waits_is_held_back_until_it_is_resumed() {
    let site = Site::start(config()).await;
    let [held, dropped] = [site.submit("held", "192.0.2.1").await, site.submit("dropped", "192.0.2.2").await];
    control(&site, "pause_scan", &held).await;
    control(&site, "pause_scan", &dropped).await;
    let mut first = site.start_worker(&SHORT_LEASE);
    first.wait_for_log("the task is held back");
    let free = site.submit("free", "192.0.2.3").await;
    site.completed(&free, &[&first]).await;
    let view = site.view(&held).await;
    assert!(view.status == TaskStatus::Queued && view.waiting_for.unwrap().contains("it is paused since"));
    first.kill();
    control(&site, "cancel_scan", &dropped).await;
    let second = site.start_worker(&SHORT_LEASE);
    control(&site, "resume_scan", &held).await;
    site.completed(&held, &[&first, &second]).await;
    assert_eq!(site.view(&dropped).await.status, TaskStatus::Cancelled);
    site.each_scan_ran_once(2);
}

/// A policy that keeps scans back today and tomorrow, or on another day only.
fn policy(is_open: bool) -> String {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // 1970 began on a Thursday.
    let other = days[usize::try_from(seconds / 86_400 + 3 + 3).unwrap() % 7];
    let closed = days.into_iter().filter(|day| (*day == other) == is_open).collect::<Vec<_>>().join(", ");
    format!("windows: [{{blackout: [{{days: [{closed}]}}], time_zone: UTC, at_end: pause}}]\n")
}

fn write(path: &Path, is_open: bool) {
    durable::replace(path, policy(is_open).as_bytes()).unwrap();
}

async fn read_again(processes: &[&Process]) {
    let count = |process: &Process| process.log().matches("scope policy read").count();
    let before: Vec<_> = processes.iter().map(|process| count(process)).collect();
    for process in processes {
        process.hang_up();
    }
    until("all have read the policy", processes, async || {
        processes.iter().zip(&before).all(|(process, before)| count(process) > *before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_window_holds_scans_back_and_pauses_them() {
    let sim = SimulatedNessus::start_with(config()).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let path = deployment.path("policy.yaml");
    write(&path, false);
    let argument = ["--policy-config", path.to_str().unwrap()];
    let site = Site::start_with(sim, deployment, &argument).await;
    let worker_arguments = [SHORT_LEASE, argument].concat();
    let task = site.submit("nightly", "192.0.2.1").await;
    let mut first = site.start_worker(&worker_arguments);
    first.wait_for_log("the task is held back");
    let view = site.view(&task).await;
    let waiting_for = view.waiting_for.unwrap();
    assert!(waiting_for.starts_with("window: the blackout window") && waiting_for.contains("it may run from 20"));
    assert_eq!((view.status, site.sim.stats().total_creates), (TaskStatus::Queued, 0));

    // Opened by an operator, it does not wait for the next look.
    write(&path, true);
    read_again(&[&site.server.process, &first]).await;
    site.running(1, &[&first]).await;

    // Closed while it runs, it is paused, also by a worker that comes later.
    write(&path, false);
    read_again(&[&site.server.process]).await;
    first.kill();
    let mut second = site.start_worker(&worker_arguments);
    let pause = paused(&site, &task, PausedBy::Window, &[&first, &second]).await;
    assert!(pause.until.is_some() && pause.reason.unwrap().contains("the blackout window"));
    assert!(site.view(&task).await.outside_of_window.unwrap().contains("it is paused until then"));
    second.kill();
    write(&path, true);
    read_again(&[&site.server.process]).await;
    let third = site.start_worker(&worker_arguments);
    site.completed(&task, &[&second, &third]).await;
    site.each_scan_ran_once(1);
}
