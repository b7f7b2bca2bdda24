//! An operator can stop, look and clear away whatever is wrong with the scanners' configuration.

use nessus_mcp_lib::{durable, task::TaskStatus};
use serde_json::Value;

use crate::{
    admin, data, program,
    tasks::{Waiting, waiting},
};

/// What nobody can scan with: a typo, a password that is not set here, no YAML at all, and no file.
const BROKEN: [Option<&str>; 4] = [
    Some("lab:\n  - {instance_id: mock-1, type: mock, enabeld: true}\n"),
    Some("lab:\n  - {instance_id: mock-1, url: 'https://s', username: u, password: '${NOBODY_HAS_SET_THIS}'}\n"),
    Some("lab: [\n"),
    None,
];

#[tokio::test]
async fn no_fault_of_the_scanner_configuration_locks_an_operator_out() {
    for broken in BROKEN {
        let Waiting { deployment, tasks, .. } = &waiting(false).await;
        match broken {
            Some(text) => deployment.configure(text),
            None => std::fs::remove_file(deployment.scanners_yaml()).unwrap(),
        }
        // Orders on tasks do not even look at it.
        for arguments in [
            &["tasks", "list"][..],
            &["cancel", tasks[0].as_str()],
            &["tasks", "cancel", "--all-matching", "--name", "db", "--yes", "--json"],
            &["retry-dlq", tasks[2].as_str()],
        ] {
            let finished = admin(deployment, arguments);
            assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
            assert!(!finished.stderr.contains("scanners.yaml"), "{arguments:?}: {finished:?}");
        }
        assert_eq!(deployment.task(&tasks[0]).status, TaskStatus::Cancelled);
        // Where its names are wanted, it is a warning, and tasks and queue know their pools.
        for arguments in [
            &["stats"][..],
            &["list-dlq"],
            &["circuits"],
            &["pause", "office", "--reason", "x"],
            &["resume", "office"],
            &["purge-dlq", "--older-than", "1d", "--yes"],
            &["stop-all", "--reason", "x", "--yes"],
        ] {
            let finished = admin(deployment, arguments);
            assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
            let is_warned = finished.stderr.contains("warning: ") && finished.stderr.contains("scanners.yaml");
            assert_eq!(is_warned, broken.is_some(), "{arguments:?}: {finished:?}");
        }
        let stats = admin(deployment, &["stats", "--json", "--all-pools"]).stdout;
        let stats: Value = serde_json::from_str(&stats).unwrap();
        let pools: Vec<_> =
            stats["pools"].as_array().unwrap().iter().map(|row| row["pool"].as_str().unwrap()).collect();
        assert_eq!(pools, ["lab", "office"], "{stats}");
    }
}

/// A scanner that a process has told of, or that an operator has isolated, can be let go on without its entry.
#[tokio::test]
async fn circuits_are_known_without_the_configuration() {
    let Waiting { deployment, .. } = &waiting(false).await;
    data(admin(deployment, &["isolate-scanner", "office", "mock-2", "--reason", "smoke"]));
    std::fs::remove_file(deployment.scanners_yaml()).unwrap();
    let listed = data(admin(deployment, &["circuits", "--json"]));
    let circuit: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&circuit["scanner_instance"], &circuit["state"]), (&"mock-2".into(), &"isolated".into()));
    let unknown = admin(deployment, &["reset-circuit", "office", "mock-3"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("did you mean `office:mock-2`?"), "{unknown:?}");
    assert_eq!(data(admin(deployment, &["reset-circuit", "office", "mock-2"])), "office:mock-2 is closed\n");
}

/// Neither a policy nor a secret key is needed for what does not go by them.
#[tokio::test]
async fn a_policy_that_cannot_be_read_is_not_read() {
    let Waiting { deployment, tasks, .. } = &waiting(false).await;
    durable::replace(&deployment.path("policy.yaml"), b"alow: [\n").unwrap();
    let cancel =
        program(deployment, &["cancel", tasks[0].as_str()]).env("POLICY_CONFIG", deployment.path("policy.yaml"));
    data(cancel.run());
    assert_eq!(deployment.task(&tasks[0]).status, TaskStatus::Cancelled);
}

/// A pool that only a queue knows, because another program puts its tasks there, is a pool all the same.
#[tokio::test]
async fn a_pool_that_only_its_queue_knows_can_be_named() {
    let Waiting { deployment, service, .. } = &waiting(false).await;
    let foreign = nessus_mcp_lib::ids::PoolName::new("foreign").unwrap();
    service.queue().pause_pool(&foreign, "x").await.unwrap();
    assert!(data(admin(deployment, &["stats", "--pool", "foreign"])).contains("foreign"));
    let unknown = admin(deployment, &["stats", "--pool", "labb"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("did you mean `lab`?"), "{unknown:?}");
}
