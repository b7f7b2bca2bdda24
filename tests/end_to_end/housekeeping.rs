//! Workers and an operator who keep house, as processes of their own.

use std::collections::BTreeSet;

use nessus_mcp_lib::{
    durable,
    time::{Clock as _, SystemClock},
};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    planted::{Kind, Planted},
    processes::until,
    redis::RedisServer,
};
use serde_json::{Value, json};

const SCANNERS: &str = "nessus: [{instance_id: scanner1, type: mock}]\n";
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The first worker says what would go. A day later two workers start, and one of them removes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_say_first_what_they_remove_a_day_later() {
    let redis = RedisServer::start();
    for queue in [None, Some(redis.url())] {
        let deployment = Deployment::new(SCANNERS).on_queue(queue.as_deref());
        let (data, outside) = (deployment.data(), deployment.path("outside"));
        let planted = Planted::plant(&data, &outside, 200);
        let worker = deployment.program(binaries::worker(), &["--housekeeping-interval-hours", "24"]);
        let mut first = deployment.start(&worker);
        first.wait_for_log("housekeeping has removed nothing yet");
        first.wait_for_log("housekeeping has kept what it does not know or must not remove");
        until("the record is written", &[&first], async || data.join("housekeeping.json").exists().then_some(())).await;
        assert_eq!(first.terminate(), Some(0), "{}", first.tail());
        let left =
            |kind: Kind| planted.tasks[&kind].iter().filter(|id| data.join("tasks").join(id.as_str()).exists()).count();
        assert_eq!(left(Kind::Old), planted.tasks[&Kind::Old].len());

        let now = SystemClock.now();
        let record = json!({ "rules": 1, "ended_at": now.minus(DAY), "next_at": now });
        durable::replace(&data.join("housekeeping.json"), record.to_string().as_bytes()).unwrap();
        let workers = [deployment.start(&worker), deployment.start(&worker)];
        until("it is done", &workers.each_ref(), async || {
            let record: Value = serde_json::from_slice(&std::fs::read(data.join("housekeeping.json")).ok()?).ok()?;
            (record["ended_at"].as_str()? >= now.to_string().as_str()).then_some(())
        })
        .await;
        assert_eq!(planted.faults(&data), [""; 0]);
        until("one says so", &workers.each_ref(), async || {
            let done = workers.iter().filter(|worker| worker.log().contains("housekeeping is done")).count();
            assert!(done < 2, "both have done it");
            (done == 1).then_some(())
        })
        .await;
    }
}

/// What programs read is what the documentation says, before and after the question.
#[test]
fn an_operator_sees_what_goes_before_it_does() {
    let deployment = Deployment::new(SCANNERS);
    let (data, outside) = (deployment.data(), deployment.path("outside"));
    let planted = Planted::plant(&data, &outside, 200);
    let admin = |arguments: &[&str]| deployment.program(binaries::admin(), arguments).run();
    assert_eq!(admin(&["housekeeping", "run", "--yes"]).code, Some(69), "there is no queue yet");
    let mut worker = deployment.start(&deployment.program(binaries::worker(), &["--housekeeping-enabled", "false"]));
    worker.wait_for_log("pools served");
    assert_eq!(worker.terminate(), Some(0));

    let asked = admin(&["housekeeping", "run"]);
    assert_eq!(asked.code, Some(2), "nobody can answer: {asked:?}");
    assert!(asked.stderr.contains("Remove ") && asked.stderr.contains("--yes"), "{asked:?}");
    let report = |arguments: &[&str]| {
        let finished = admin(&[&["housekeeping", "run", "--json"], arguments].concat());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        serde_json::from_str::<Value>(&finished.stdout).unwrap()
    };
    let foretold = report(&["--dry-run"]);
    let keys: BTreeSet<_> = foretold.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = include_str!("../../docs/housekeeping.md");
    for key in keys {
        assert!(documented.contains(&format!("`{key}`")), "docs/housekeeping.md lacks `{key}`");
    }
    assert_eq!(foretold["tasks"].as_array().unwrap().len(), planted.going());
    let rehearsal = report(&["--yes"]);
    assert_eq!((&rehearsal["dry_run"], &rehearsal["tasks"]), (&json!(true), &foretold["tasks"]), "{rehearsal}");
    let removed = report(&["--yes"]);
    assert_eq!((&removed["dry_run"], &removed["tasks"]), (&json!(false), &foretold["tasks"]));
    assert_eq!(planted.faults(&data), [""; 0]);
    let shown = admin(&["housekeeping", "run", "--dry-run"]);
    assert!(shown.stdout.contains("To be removed: nothing.") && shown.stdout.contains("lost+found"), "{shown:?}");
    for (arguments, code, text) in [
        (&["--completed-ttl-days", "lab=1"][..], 78, "COMPLETED_TTL_DAYS"),
        (&["--failed-ttl-days", "-1"][..], 2, ""),
        (&["--yes", "--dry-run"][..], 2, ""),
    ] {
        let refused = admin(&[&["housekeeping", "run"], arguments].concat());
        assert!(refused.code == Some(code) && refused.stderr.contains(text), "{refused:?}");
    }
}
