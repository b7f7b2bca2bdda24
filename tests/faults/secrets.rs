//! Row 56: a scanner that shows in its errors what it was sent. Nothing secret stands anywhere but on the scanner.

use std::time::Duration;

use nessus_mcp_lib::{
    config::ApiKeys,
    scanner::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin},
    secret::Secret,
    service::ResultsRequest,
    task::{ScanType, TaskQuery},
};
use nessus_mcp_tests::{
    processes::{files_below, holds},
    sim::Fault,
};
use rstest::rstest;

use crate::rig::{PASSWORD, Setup, pool, struck};

const SSH_PASSWORD: &str = "planted-ssh-password";
const ROOT_PASSWORD: &str = "planted-root-password";
const PRIVATE_KEY: &str = include_str!("../../fixtures/ssh_keys/ed25519_locked");
/// The second line of it.
const KEY_MATERIAL: &str = "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAWXpN4vK";
const PASSPHRASE: &str = "planted-phrase";
const ACCESS_KEY: &str = "plantedaccess5d3e0a9c41b7";
const SECRET_KEY: &str = "plantedsecret7c1a9e02d4f6";

/// A login by password that becomes root.
pub(crate) fn by_password() -> ScanCredential {
    let root = Escalation::new(EscalationMethod::Sudo).password(Secret::new(ROOT_PASSWORD));
    ScanCredential::Ssh(SshCredential::new("audit", SshLogin::Password(Secret::new(SSH_PASSWORD))).escalation(root))
}

/// A login by a key that is locked.
fn by_key() -> ScanCredential {
    let (private_key, passphrase) = (Secret::new(PRIVATE_KEY), Some(Secret::new(PASSPHRASE)));
    ScanCredential::Ssh(SshCredential::new("audit", SshLogin::Key { private_key, passphrase }))
}

#[rstest]
#[case::password(ScanType::Privileged, by_password(), false)]
#[case::key(ScanType::Trusted, by_key(), false)]
#[case::password_and_api_keys(ScanType::Privileged, by_password(), true)]
#[tokio::test(start_paused = true)]
async fn row_56_secrets_in_errors(
    #[case] scan_type: ScanType,
    #[case] credential: ScanCredential,
    #[case] has_keys: bool,
) {
    let setup = Setup::new()
        .sim(|sim| sim.api_keys(ACCESS_KEY, SECRET_KEY))
        .client(move |_, config| {
            let keys = ApiKeys::new(Secret::new(ACCESS_KEY), Secret::new(SECRET_KEY));
            if has_keys { config.api_keys(keys) } else { config }
        })
        .circuits(|circuits| circuits.with_open_time(Duration::from_secs(10), Duration::from_secs(10)))
        .log("trace");
    let mut rig = setup.start().await;
    let calls = [
        ("POST", "/session", 1),
        ("GET", "/scans", 1),
        ("POST", "/file/upload", 1),
        ("POST", "/scans", 2),
        ("POST", "/scans/*/launch", 1),
        ("GET", "/scans/*", 2),
        ("POST", "/scans/*/export", 1),
        ("GET", "/scans/*/export/*/download", 1),
        ("PUT", "/scans/*", 1),
    ];
    for (method, path, count) in calls {
        rig.sim.inject(Fault::new("echo_request").method(method).path(path).count(count));
    }
    let task = rig.submit_with(scan_type, credential.clone()).await;
    rig.completed(&task).await;
    let echoes = struck(&rig.sim.stats(), "echo_request");
    assert!(echoes >= 9, "{echoes}");
    // One whose failure is written down.
    rig.sim.inject(Fault::new("echo_request").method("POST").path("/scans").status(400).count(0));
    let refused = rig.submit_with(scan_type, credential.clone()).await;
    let message = rig.failed(&refused, "scanner_rejected").await;
    assert!(message.contains("Cannot process the request"), "{message}");
    let scan = rig.view(&task).await.nessus_scan_id.unwrap();
    let sent = rig.sim.credentials(scan.as_str().parse().unwrap());
    let arrived = serde_json::to_string(&sent[0].fields).unwrap();
    assert!(arrived.contains("planted") && sent.iter().all(|credential| credential.removed), "{sent:?}");

    let mut places =
        vec![("the log".to_owned(), rig.log.text().into_bytes()), ("the error".to_owned(), message.into_bytes())];
    let mut answer = |text: String| places.push(("an answer".to_owned(), text.into_bytes()));
    for id in [&task, &refused] {
        answer(serde_json::to_string(&rig.view(id).await).unwrap());
    }
    answer(rig.service.results(ResultsRequest::new(task.clone())).await.unwrap());
    answer(serde_json::to_string(&rig.service.list_tasks(TaskQuery::default()).await.unwrap()).unwrap());
    answer(serde_json::to_string(&rig.service.list_scanners(None).await.unwrap()).unwrap());
    answer(format!("{:?}", rig.service.queue().dead_letters(&pool(), 0, 10).await.unwrap()));
    answer(rig.service.render_metrics().await.unwrap());
    rig.stop_worker().await;
    let files = files_below(rig.data());
    let has = |name: &str| files.iter().any(|(path, _)| path.ends_with(name));
    assert!(has("task.json") && has("queue.db") && rig.log.text().contains("TRACE"), "{files:?}");
    places.extend(files.into_iter().map(|(path, content)| (path.display().to_string(), content)));

    let known = [PASSWORD, SSH_PASSWORD, ROOT_PASSWORD, KEY_MATERIAL, PASSPHRASE, ACCESS_KEY, SECRET_KEY];
    let mut secrets: Vec<String> = known.map(str::to_owned).to_vec();
    secrets.push(rig.sim.api_token());
    secrets.extend(rig.sim.session_tokens());
    for (place, content) in &places {
        for secret in &secrets {
            assert!(!holds(content, secret), "{secret:?} stands in {place}");
        }
    }
}
