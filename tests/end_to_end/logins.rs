//! Scans that log in: what reaches the scanner, what the task says of it, and where nothing of it is found.

use std::time::Duration;

use nessus_mcp_lib::{
    credentials::Login,
    durable,
    ids::TaskId,
    scanner::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin},
    secret::Secret,
    service::SubmitRequest,
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{files_below, holds, until},
    redis::{DURABLE, RedisServer},
    sim::{Authentication, SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::{Map, Value, json};

const KEY: &str = include_str!("../../fixtures/ssh_keys/ed25519_locked");
const PHRASE: &str = "planted-phrase";
/// A key that all processes share.
const SECRET_KEY: (&str, &str) =
    ("NESSUS_MCP_SECRET_KEY", "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4");

fn quick() -> SimConfig {
    SimConfig::new().scan_duration(Duration::from_millis(300))
}

fn by_password(username: &str, password: &str) -> SshCredential {
    SshCredential::new(username, SshLogin::Password(Secret::new(password)))
}

fn inline(login: SshCredential) -> Login {
    Login::Inline(ScanCredential::Ssh(login))
}

/// The three types of scan, with logins that succeed, fail and lack rights.
#[tokio::test]
async fn a_scan_says_how_its_logins_ended_and_what_to_do() {
    let config = quick().account("scan", "right", Authentication::Succeeds).account(
        "guest",
        "right",
        Authentication::LacksPrivilege,
    );
    let site = Site::start(config).await;
    let worker = site.start_worker(&[]);
    let untrusted = site.submit("from outside", "192.0.2.1").await;
    assert_eq!(site.completed(&untrusted, &[&worker]).await.authentication_status.as_deref(), Some("not_applicable"));
    assert!(site.credentials_of(&untrusted).is_empty());
    for (login, verdict, words) in [
        (by_password("scan", "right"), "success", ""),
        (by_password("scan", "wrong"), "failed", "bad_credentials"),
        (by_password("guest", "right"), "partial", "insufficient_privilege"),
    ] {
        let task = site.submit_trusted("inside", "192.0.2.1", &inline(login)).await;
        let view = site.completed(&task, &[&worker]).await;
        let summary = site.client().call("get_scan_summary", &json!({ "task_id": task })).await.unwrap();
        assert_eq!(view.authentication_status.as_deref(), Some(verdict), "{view:?}\n{summary}");
        assert!(summary.contains(words), "{words}: {summary}");
        let advice: Vec<&str> = view.troubleshooting.iter().map(|one| &*one.code).collect();
        assert_eq!(advice.first().copied().unwrap_or_default(), words, "{verdict}: {advice:?}");
        let sent = site.credentials_of(&task);
        assert_eq!((sent.len(), sent[0].kind.as_str(), sent[0].removed), (1, "SSH", true));
    }
    let root = by_password("scan", "right").escalation(Escalation::new(EscalationMethod::Sudo));
    let arguments = SubmitRequest::privileged("root", "192.0.2.1", inline(root));
    let privileged = site.client().submit_scan(&arguments).await.unwrap().task_id;
    let view = site.completed(&privileged, &[&worker]).await;
    assert_eq!((view.scan_type.as_str(), view.authentication_status.as_deref()), ("privileged", Some("success")));
}

/// Field by field what Nessus documents, through the tools.
#[tokio::test]
async fn each_way_to_more_rights_reaches_the_scanner_as_it_is_documented() {
    let site = Site::start(quick()).await;
    let worker = site.start_worker(&[]);
    for (arguments, expected) in [
        (
            json!({ "elevate_privileges_with": "sudo", "escalation_password": "rootpw" }),
            json!({ "escalation_account": "root", "escalation_password": "rootpw", "bin_directory": "" }),
        ),
        (
            json!({ "elevate_privileges_with": "su", "escalation_account": "admin", "escalation_password": "rootpw" }),
            json!({ "escalation_account": "admin", "escalation_password": "rootpw", "bin_directory": "" }),
        ),
        (
            json!({ "elevate_privileges_with": "su+sudo", "su_user": "oper", "escalation_password": "rootpw" }),
            json!({ "su_user": "oper", "escalation_account": "root", "escalation_password": "rootpw", "bin_directory": "" }),
        ),
        (
            json!({ "elevate_privileges_with": "pbrun", "escalation_password": "rootpw", "bin_directory": "/opt/bin" }),
            json!({ "escalation_account": "root", "escalation_password": "rootpw", "bin_directory": "/opt/bin" }),
        ),
        (
            json!({ "elevate_privileges_with": "dzdo" }),
            json!({ "escalation_account": "root", "escalation_password": "", "bin_directory": "" }),
        ),
        (json!({ "elevate_privileges_with": ".k5login" }), json!({ "escalation_account": "root" })),
        (
            json!({ "elevate_privileges_with": "Cisco 'enable'", "escalation_password": "rootpw" }),
            json!({ "escalation_password": "rootpw" }),
        ),
        (
            json!({ "elevate_privileges_with": "Checkpoint Gaia 'expert'", "escalation_password": "rootpw" }),
            json!({ "escalation_password": "rootpw" }),
        ),
    ] {
        let with = |mut base: Value, more: &Value| {
            base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            base
        };
        let login = json!({ "targets": "192.0.2.1", "name": "root", "username": "scan", "password": "userpw" });
        let answer = site.client().call("run_privileged_scan", &with(login, &arguments)).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let task = TaskId::new(answer["task_id"].as_str().unwrap()).unwrap();
        site.completed(&task, &[&worker]).await;
        let documented = json!({
            "auth_method": "password", "username": "scan", "password": "userpw", "custom_password_prompt": "",
            "target_priority_list": "", "elevate_privileges_with": arguments["elevate_privileges_with"],
        });
        let sent = site.credentials_of(&task);
        assert_eq!((sent.len(), sent[0].category.as_str(), sent[0].kind.as_str()), (1, "Host", "SSH"));
        assert_eq!(Value::from(sent[0].fields.clone()), with(documented, &expected));
    }
}

/// What is planted stands sealed beside the task while it is needed, on the scanner, and nowhere else: not in a log at its most
/// talkative, not in a queue, not in an answer.
#[tokio::test]
async fn planted_logins_are_found_nowhere() {
    let redis = RedisServer::with(&DURABLE);
    for queue in [None, Some(redis.url())] {
        let sim = SimulatedNessus::start_with(quick()).await;
        let deployment = Deployment::new(&sim.scanners_yaml()).on_queue(queue.as_deref());
        // Outside of what is searched.
        let secrets = tempfile::tempdir().unwrap();
        let stored = "stored: {username: scan, password: planted-stored, elevate_privileges_with: su, \
                      escalation_password_file: root, targets: '192.0.2.0/24'}\n";
        durable::replace(&secrets.path().join("credentials.yaml"), stored.as_bytes()).unwrap();
        durable::replace(&secrets.path().join("root"), b"planted-root-file\n").unwrap();
        let credentials = secrets.path().join("credentials.yaml");
        // What the MCP library would log of a request must stay off also when it is asked for.
        let loud = ["--log-level", "trace,rmcp=trace", "--credential-config", credentials.to_str().unwrap()];
        let with_key = |program: nessus_mcp_tests::processes::Program| match &queue {
            None => program,
            Some(_) => program.env(SECRET_KEY.0, SECRET_KEY.1),
        };
        let server = with_key(deployment.server(binaries::server()).args(loud));
        let site = Site::start_as(sim, deployment, server).await;

        let escalation = Escalation::new(EscalationMethod::Sudo).password(Secret::new("planted-root"));
        let key = SshLogin::Key { private_key: Secret::new(KEY), passphrase: Some(Secret::new(PHRASE)) };
        let mut tasks = vec![
            site.submit_trusted("by password", "192.0.2.1", &inline(by_password("scan", "planted-password"))).await,
            site.submit_trusted("by key", "192.0.2.1", &inline(SshCredential::new("scan", key))).await,
        ];
        for login in
            [inline(by_password("scan", "planted-user").escalation(escalation)), Login::Stored("stored".to_owned())]
        {
            let submitted = site.client().submit_scan(&SubmitRequest::privileged("root", "192.0.2.1", login)).await;
            tasks.push(submitted.unwrap_or_else(|error| panic!("{error}\n{}", site.server.process.tail())).task_id);
        }
        // What is refused is most likely to be shown.
        let refused = json!({ "targets": "192.0.2.1", "name": "x", "username": "scan", "password": "planted-twice", "private_key": KEY });
        site.client().call("run_trusted_scan", &refused).await.unwrap_err();
        assert!(tasks[..3].iter().all(|task| site.keeps_login(task)) && !site.keeps_login(&tasks[3]));
        search(&site, "before", queue.as_ref().map(|_| &redis)).await;

        let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]).args(loud);
        let mut worker = site.deployment.start(&with_key(worker));
        until("a scan runs", &[&worker], async || (site.sim.stats().total_launches > 0).then_some(())).await;
        search(&site, "during", queue.as_ref().map(|_| &redis)).await;
        for task in &tasks {
            site.completed(task, &[&worker]).await;
            let sent = site.credentials_of(task);
            assert!(sent.len() == 1 && sent[0].removed, "{task}: {sent:?}");
            assert!(!site.keeps_login(task));
        }
        assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
        search(&site, "after", queue.as_ref().map(|_| &redis)).await;
        let reached: String =
            tasks.iter().flat_map(|task| site.credentials_of(task)).map(|sent| json!(sent).to_string()).collect();
        for secret in
            ["planted-password", PHRASE, "planted-user", "planted-root", "planted-stored", "planted-root-file"]
        {
            assert!(reached.contains(secret), "{secret} has not reached the scanner");
        }
    }
}

/// Looks for what was planted in everything but the scanner.
async fn search(site: &Site, when: &str, redis: Option<&RedisServer>) {
    let mut places = Vec::new();
    for tool in ["list_tasks", "list_scanners", "list_pools", "get_queue_status"] {
        let answer = site.client().call(tool, &Map::new()).await.unwrap();
        places.push((format!("the answer of {tool}"), answer.into_bytes()));
    }
    let metrics = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    places.push(("the metrics".to_owned(), metrics.into_bytes()));
    let finished = site.deployment.program(binaries::admin(), &["stats", "--json"]).run();
    places.push(("nessus-admin".to_owned(), (finished.stdout + &finished.stderr).into_bytes()));
    let mut files = [files_below(&site.deployment.data()), files_below(&site.deployment.logs())].concat();
    if let Some(redis) = redis {
        // The append-only file has all that was ever said to it.
        files.extend(files_below(redis.files()));
    }
    let log = site.server.process.log();
    assert!(
        log.contains("the scan was submitted") && log.contains("\"TRACE\""),
        "{when}: the log is not the one expected"
    );
    places.extend(files.into_iter().map(|(path, content)| (path.display().to_string(), content)));
    let key_line = KEY.lines().nth(1).unwrap();
    for (place, content) in &places {
        for secret in ["planted", key_line] {
            assert!(!holds(content, secret), "{when}: {secret:?} stands in {place}");
        }
    }
}

/// Two machines share a data directory and Redis. Without a key no login is taken; with another key none is used.
#[tokio::test]
async fn on_redis_a_login_needs_a_key_that_all_processes_share() {
    let redis = RedisServer::start();
    let login = inline(by_password("scan", "planted-password"));
    let mut site = Site::start_on(&redis.url(), quick()).await;
    let refused =
        site.client().submit_scan(&SubmitRequest::trusted("x", "192.0.2.1", login.clone())).await.unwrap_err();
    let words = format!("{refused} {refused:?}");
    assert!(words.contains("no_secret_key") && words.contains("credential_id"), "{words}");
    assert!(words.contains("NESSUS_MCP_SECRET_KEY_FILE"), "{words}");

    site.server.process.kill();
    let file = site.deployment.path("the.key");
    durable::replace(&file, format!("{}\n", SECRET_KEY.1).as_bytes()).unwrap();
    let with_file = site.deployment.server(binaries::server()).env("NESSUS_MCP_SECRET_KEY_FILE", &file);
    let Site { sim, deployment, .. } = site;
    let site = Site::start_as(sim, deployment, with_file).await;
    let worker = |key: &str| {
        let worker = site.deployment.program(binaries::worker(), &["--poll-interval-seconds", "50ms"]);
        site.deployment.start(&worker.env(SECRET_KEY.0, key))
    };
    let task = site.submit_trusted("wrong key", "192.0.2.1", &login).await;
    let mut other = worker(&"0f".repeat(32));
    let view = site.ended(&task, &[&other]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("wrong_secret_key")), "{view:?}");
    assert!(view.error_message.unwrap().contains("`NESSUS_MCP_SECRET_KEY`"));
    assert_eq!((site.sim.stats().total_creates, site.keeps_login(&task)), (0, false));
    assert_eq!(other.terminate(), Some(0));

    let task = site.submit_trusted("the same key", "192.0.2.1", &login).await;
    let same = worker(SECRET_KEY.1);
    site.completed(&task, &[&same]).await;
    assert_eq!(site.credentials_of(&task)[0].fields["password"], "planted-password");
    assert!(!site.deployment.data().join("secret.key").exists());
}

/// A credential that is taken back between submit and scan is not used, and a file with a mistake changes nothing.
#[tokio::test]
async fn credentials_are_read_again() {
    let sim = SimulatedNessus::start_with(quick()).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    let file = deployment.path("credentials.yaml");
    let write = |text: &str| durable::replace(&file, text.as_bytes()).unwrap();
    let entry = |password: &str, targets: &str| {
        format!("scan: {{username: scan, password: {password}, targets: '{targets}'}}\n")
    };
    write(&entry("one", "192.0.2.0/24"));
    let mut site = Site::start_with(sim, deployment, &[]).await;
    let login = Login::Stored("scan".to_owned());
    let narrowed = site.submit_trusted("narrowed", "192.0.2.200", &login).await;
    let unharmed = site.submit_trusted("unharmed", "192.0.2.1", &login).await;
    write(&entry("two", "192.0.2.0/25"));
    // Started afterwards, it has the new file.
    let worker = site.start_worker(&[]);
    let view = site.ended(&narrowed, &[&worker]).await;
    assert_eq!(view.error_code.as_deref(), Some("credential_not_allowed"), "{view:?}");
    site.completed(&unharmed, &[&worker]).await;
    assert_eq!(site.credentials_of(&unharmed)[0].fields["password"], "two");

    write("scan: {username: scan}\n");
    site.server.process.hang_up();
    site.server.process.wait_for_log("the credentials are refused");
    site.submit_trusted("as before", "192.0.2.1", &login).await;
    write(&entry("three", "10.0.0.0/8"));
    site.server.process.hang_up();
    site.server.process.wait_for_log("credentials read again");
    let metrics = reqwest::get(format!("{}/metrics", site.server.url())).await.unwrap().text().await.unwrap();
    // Twice that of the scanners, and once these.
    for line in ["nessus_config_reloads_total{status=\"error\"} 1", "nessus_config_reloads_total{status=\"success\"} 3"]
    {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let refused = site.client().submit_scan(&SubmitRequest::trusted("x", "192.0.2.1", login)).await.unwrap_err();
    assert!(
        refused.to_string().contains("credential_not_allowed")
            || format!("{refused:?}").contains("credential_not_allowed")
    );
}
