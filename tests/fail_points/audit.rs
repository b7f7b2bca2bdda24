//! A server that dies between what was asked and its outcome: the audit log tells of it, and what it became.

use nessus_mcp_lib::fail_points::VARIABLE;
use nessus_mcp_tests::{binaries, deployment::Deployment, processes::Finished, sim::SimulatedNessus};

use super::{died_at, submit};

fn policy(deployment: &Deployment) {
    nessus_mcp_lib::durable::replace(&deployment.path("policy.yaml"), b"deny: [192.0.2.66]\n").unwrap();
}

fn verify(deployment: &Deployment) -> Finished {
    deployment.program(binaries::admin(), &["audit", "verify"]).run()
}

/// Whether the task was made or not: verify says what was asked, that nobody knows the outcome, and which task it is.
pub(crate) async fn dies_between_question_and_outcome(point: &'static str) {
    let sim = SimulatedNessus::start().await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    policy(&deployment);
    let server = || deployment.server(binaries::server()).args(["--policy-config", "policy.yaml"]);
    let mut doomed = deployment.serve(&server().env(VARIABLE, point));
    assert!(submit(&doomed).await.is_err());
    died_at(&mut doomed.process, point);
    let told = |tasks: &[String]| {
        let found = verify(&deployment);
        assert_eq!(found.code, Some(0), "{point}: {found:?}");
        let told: Vec<_> = found.stdout.lines().filter(|line| line.contains("asked, without outcome")).collect();
        let [told] = told[..] else { panic!("{point}: {found:?}") };
        assert!(told.contains("run_untrusted_scan by local, trace id "), "{told}");
        match tasks {
            [] => assert!(told.contains("no task has this trace id"), "{told}"),
            [task] => assert!(told.contains(&format!("it became the task {task}")), "{told}"),
            more => panic!("{more:?}"),
        }
    };
    let tasks = deployment.task_directories();
    assert_eq!(tasks.len(), usize::from(point == "audit_before_outcome"), "{point}");
    told(&tasks);
    // The next process goes on in the same chain, and takes nothing of it back.
    let next = deployment.serve(&server());
    let task = submit(&next).await.unwrap();
    assert_eq!(deployment.task_directories(), [task.to_string()], "{point}: one key, one task");
    told(&tasks);
}
