//! SIGHUP under load: what is configured changes while scans run, and none is lost.

use std::time::Duration;

use nessus_mcp_lib::{circuit_breaker::CircuitState, service::SubmitRequest, task::TaskStatus};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Process, until},
    sim::{Fault, SimConfig, SimulatedNessus},
    site::Site,
};

/// A `scanners.yaml` of these scanners in the pool `nessus`, and these lines behind it.
fn scanners(instances: &[(&str, &SimulatedNessus, u32)], more: &str) -> String {
    let entry = |(id, sim, capacity): &(&str, &SimulatedNessus, u32)| {
        format!(
            "  - {{instance_id: {id}, url: '{}', username: admin, password: planted-password, \
             max_concurrent_scans: {capacity}}}\n",
            sim.url()
        )
    };
    format!("nessus:\n{}{more}", instances.iter().map(entry).collect::<String>())
}

/// Replaces the file and tells all processes; each has read it when `text` stands in its log once more than before.
async fn reload(site: &mut Site, workers: &mut [Process], file: &str, text: &str) {
    site.deployment.configure(file);
    let processes: Vec<_> = workers.iter().chain([&site.server.process]).collect();
    let count = |process: &Process| process.log().matches(text).count();
    let before: Vec<_> = processes.iter().map(|process| count(process)).collect();
    for process in &processes {
        process.hang_up();
    }
    until(&format!("all processes say `{text}`"), &processes, async || {
        let now = processes.iter().map(|process| count(process));
        now.zip(&before).all(|(now, before)| now > *before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn sighup_under_load_loses_nothing() {
    const TASKS: usize = 14;
    let config = |scan| SimConfig::new().login("admin", "planted-password").scan_duration(Duration::from_millis(scan));
    let (kept, removed) =
        (SimulatedNessus::start_with(config(1000)).await, SimulatedNessus::start_with(config(6000)).await);
    let one_each = scanners(&[("kept", &kept, 1), ("removed", &removed, 1)], "");
    let deployment = Deployment::new(&one_each);
    let mut site = Site::start_with(kept, deployment, &[]).await;
    let mut workers = [site.start_worker(&[]), site.start_worker(&[])];
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        tasks.push(site.submit(&format!("task {number}"), "192.0.2.1-192.0.2.3").await);
    }
    until("both scanners run a scan", &workers.iter().collect::<Vec<_>>(), async || {
        (site.sim.stats().running == 1 && removed.stats().running == 1).then_some(())
    })
    .await;
    assert_eq!(site.sim.stats().max_running, 1);

    // A file that cannot be used changes nothing, and says where it is wrong.
    let broken =
        scanners(&[("kept", &site.sim, 3)], "  - {instance_id: third, url: ftp://x, username: a, password: b}\n");
    reload(&mut site, &mut workers, &broken, "the scanner configuration is refused").await;
    for process in workers.iter().chain([&site.server.process]) {
        assert!(process.log().contains("scanners.yaml:3: `nessus[1].url` must begin with"), "{}", process.tail());
    }
    assert_eq!(site.client().list_scanners(None).await.unwrap().total, 2);

    // One scanner gets more slots, the other is taken away while a scan runs on it, and a pool is new.
    let lab = "lab:\n  - {instance_id: play, type: mock, scan_duration: 100ms}\n";
    let changed = scanners(&[("kept", &site.sim, 3)], lab);
    reload(&mut site, &mut workers, &changed, "scanner configuration read again").await;
    assert_eq!(removed.stats().running, 1, "its scan goes on");
    let launched_on_removed = removed.stats().total_launches;
    for process in workers.iter().chain([&site.server.process]) {
        let log = process.log();
        for said in ["\"added\":\"lab:play\"", "\"removed\":\"nessus:removed\"", "nessus:kept (max_concurrent_scans)"] {
            assert!(log.contains(said), "{said}\n{}", process.tail());
        }
        assert!(!log.contains("planted-password"), "{}", process.tail());
    }
    let listed = site.client().list_scanners(None).await.unwrap();
    let shown: Vec<_> = listed.scanners.iter().map(|s| (s.scanner_instance.as_str(), s.max_concurrent_scans)).collect();
    assert_eq!(shown, [("kept", 3), ("play", 2)]);
    let mut arguments = SubmitRequest::untrusted("in the new pool", "192.0.2.1");
    arguments.pool = Some("lab".to_owned());
    let in_lab = site.client().submit_scan(&arguments).await.unwrap().task_id;

    let all: Vec<_> = workers.iter().collect();
    until("the new slots are used", &all, async || {
        let scanners = site.client().list_scanners(None).await.unwrap().scanners;
        (scanners[0].active_scans == 3).then_some(())
    })
    .await;
    for task in tasks.iter().chain([&in_lab]) {
        site.completed(task, &all).await;
    }
    site.queue_is_empty(&all).await;
    let (kept, removed_stats) = (site.sim.stats(), removed.stats());
    assert!(kept.max_running <= 3, "{kept:?}");
    assert_eq!(removed_stats.total_launches, launched_on_removed, "nothing new began on the removed one");
    assert_eq!(
        (kept.total_launches + removed_stats.total_launches, kept.total_creates + removed_stats.total_creates),
        (TASKS as u64, TASKS as u64)
    );
    assert!(kept.launches.values().chain(removed_stats.launches.values()).all(|count| *count == 1), "{kept:?}");
    assert!(kept.logins <= 3, "two workers and the server keep their sessions: {kept:?}");
    until("the session on the removed scanner is ended", &all, async || (removed.stats().sessions == 0).then_some(()))
        .await;
    let dead = site.client().get_queue_status(None).await.unwrap().total_dead;
    assert_eq!(dead, 0);
    let metrics = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    for line in [
        "nessus_config_reloads_total{status=\"error\"} 1",
        "nessus_config_reloads_total{status=\"success\"} 1",
        "nessus_config_scanner_changes_total{change=\"removed\"} 1",
        "nessus_scanner_capacity{scanner_instance=\"nessus:kept\"} 3",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    // What was counted of it stays counted.
    let of_removed: Vec<_> = metrics.lines().filter(|line| line.contains("nessus:removed")).collect();
    assert!(
        of_removed.iter().all(|line| line.split('{').next().is_some_and(|name| name.ends_with("_total"))),
        "{metrics}"
    );
    for worker in &mut workers {
        assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    }
}

/// A password is changed on the scanner and in the file while a scan runs: the scan goes on with the new one, and the
/// circuit under which the old one is refused is not that of the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_scan_goes_on_with_a_changed_password() {
    let config = SimConfig::new().login("admin", "old-password").scan_duration(Duration::from_secs(6));
    let sim = SimulatedNessus::start_with(config).await;
    let old = sim.scanners_yaml();
    let mut site = Site::start_with(sim, Deployment::new(&old), &[]).await;
    let mut workers = [site.start_worker(&[])];
    let runs = site.submit("runs", "192.0.2.1").await;
    site.running(1, &[&workers[0]]).await;
    site.sim.change_password("new-password");
    workers[0].wait_for_log("the scanner is unusable");
    assert_eq!(site.sim.stats().failed_logins, 1);

    let new = old.replace("old-password", "new-password");
    reload(&mut site, &mut workers, &new, "scanner configuration read again").await;
    let after = site.submit("after", "192.0.2.2").await;
    for task in [&runs, &after] {
        site.completed(task, &[&workers[0]]).await;
    }
    site.each_scan_ran_once(2);
    let stats = site.sim.stats();
    assert_eq!((stats.failed_logins, stats.logins), (1, 2), "{stats:#?}");
    assert_eq!(workers[0].log().matches("the scanner is unusable").count(), 1, "{}", workers[0].tail());
    let scanners = site.client().list_scanners(None).await.unwrap().scanners;
    assert_eq!(scanners[0].circuit.state, CircuitState::Closed, "{scanners:?}");
    assert_eq!(workers[0].terminate(), Some(0), "{}", workers[0].tail());
    assert_eq!(site.sim.stats().sessions, 0);
}

/// Another address is another scanner: the scan goes on where it is, and that this is gone one day says nothing of the
/// new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_scan_stays_on_the_scanner_that_moved_away_from_its_name() {
    let start = async |scan| {
        SimulatedNessus::start_with(SimConfig::new().login("admin", "planted-password").scan_duration(scan)).await
    };
    // The old one scans until it is told to stop.
    let (new, old) = (start(Duration::from_millis(300)).await, start(Duration::from_secs(600)).await);
    let deployment = Deployment::new(&scanners(&[("one", &old, 1)], ""));
    let mut site = Site::start_with(new, deployment, &["--circuit-failures", "3"]).await;
    let mut workers = [site.start_worker(&["--circuit-failures", "3"])];
    let runs = site.submit("runs", "192.0.2.1").await;
    until("it runs", &[&workers[0]], async || (old.stats().running == 1).then_some(())).await;
    let moved = scanners(&[("one", &site.sim, 2)], "");
    reload(&mut site, &mut workers, &moved, "scanner configuration read again").await;
    old.inject(Fault::new("reset").count(0));
    workers[0].wait_for_log("one as configured before");
    let after = site.submit("after", "192.0.2.2").await;
    site.completed(&after, &[&workers[0]]).await;
    let scanners = site.client().list_scanners(None).await.unwrap().scanners;
    assert_eq!((scanners[0].circuit.state, scanners[0].circuit.opens), (CircuitState::Closed, 0), "{scanners:?}");
    old.clear_faults();
    let cancel = site.deployment.program(nessus_mcp_tests::binaries::admin(), &["cancel", runs.as_str()]).run();
    assert_eq!(cancel.code, Some(0), "{cancel:?}");
    assert_eq!(site.ended(&runs, &[&workers[0]]).await.status, TaskStatus::Cancelled);
    until("its scan was stopped", &[&workers[0]], async || (old.stats().running == 0).then_some(())).await;
    assert_eq!((old.stats().total_launches, site.sim.stats().total_launches), (1, 1));
}

/// Tasks that wait for a pool that is gone would be seen by nobody who looks at what is configured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_a_removed_pool_wait_and_are_seen() {
    let lab = "lab:\n  - {instance_id: play, type: mock, scan_duration: 100ms}\n";
    let other = "other:\n  - {instance_id: else, type: mock}\n";
    let sim = SimulatedNessus::start().await;
    let mut site = Site::start_with(sim, Deployment::new(lab), &[]).await;
    let task = site.submit("waits", "192.0.2.1").await;
    reload(&mut site, &mut [], other, "scanner configuration read again").await;
    let orphaned = site.client().list_pools().await.unwrap().orphaned;
    assert_eq!((orphaned[0].scanner_pool.as_str(), orphaned[0].tasks), ("lab", 1));
    let stats = site.deployment.program(nessus_mcp_tests::binaries::admin(), &["stats"]).run();
    assert_eq!(stats.code, Some(0), "{stats:?}");
    assert!(stats.stderr.contains("1 unfinished task waits in the pool `lab`"), "{stats:?}");
    let mut workers = [site.start_worker(&[])];
    workers[0].wait_for_log("worker started");
    reload(&mut site, &mut workers, lab, "scanner configuration read again").await;
    site.completed(&task, &[&workers[0]]).await;
}
