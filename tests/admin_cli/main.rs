//! `nessus-admin` on queues and tasks as a process, on a queue made through the library.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod independence;
mod shapes;
mod stop_all;
mod tasks;
mod workers;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, pipe},
    path::Path,
    time::Duration,
};

use nessus_mcp_lib::{
    circuit_breaker::{CircuitCommand, CircuitState},
    durable,
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{self, CircuitNotice, CircuitReport, DeadReason, Settlement, TaskBody},
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Finished, Program, entries, full_pipe, until},
};
use serde_json::{Value, json};

const SCANNERS: &str = "lab:\n  - {instance_id: mock-1, type: mock}\noffice:\n  - {instance_id: mock-2, type: mock}\n";

fn admin(deployment: &Deployment, arguments: &[&str]) -> Finished {
    program(deployment, arguments).run()
}

fn program(deployment: &Deployment, arguments: &[&str]) -> Program {
    deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-admin")), arguments)
}

/// Stdout of a run that must succeed and say nothing beside its data.
#[track_caller]
fn data(finished: Finished) -> String {
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
    finished.stdout
}

fn task(number: u32) -> TaskId {
    TaskId::new(format!("mo_lab_20261120_1825{number:02}_0000000{number}")).unwrap()
}

/// What a task is about, with more targets than anybody reads.
fn payload() -> Value {
    let targets: Vec<String> = (0..9_999).map(|number| format!("host-{number:05}.example")).collect();
    json!({ "name": "x", "targets": targets.join(",") })
}

/// Pool `lab`: two ready, one leased, one delayed, two dead. Pool `office`: one ready.
async fn filled() -> Deployment {
    let deployment = Deployment::new(SCANNERS);
    let url = format!("sqlite:{}", deployment.data().join("queue.db").display());
    let queue = queue::open(&url.parse().unwrap()).await.unwrap();
    let (lab, office) = (PoolName::new("lab").unwrap(), PoolName::new("office").unwrap());
    let (worker, lease) = (WorkerId::generate(), Duration::from_secs(600));
    let body = |number| TaskBody::parse(json!({ "task_id": task(number), "payload": payload() }).to_string()).unwrap();
    for number in 1..=6 {
        queue.enqueue(&lab, &body(number)).await.unwrap();
    }
    queue.enqueue(&office, &body(7)).await.unwrap();
    for how in [
        Settlement::DeadLetter(DeadReason::new("the scanner refused\nthe login", "scanner_login_refused", 1)),
        Settlement::DeadLetter(DeadReason::new("the scan took too long", "scan_timeout", 2)),
        Settlement::Nack { delay: lease, started: false },
    ] {
        let claim = queue.claim(&lab, &worker, lease, &[]).await.unwrap().unwrap();
        queue.settle(&claim.lease, how).await.unwrap();
        // Dead letters are listed by time, which is kept in milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    queue.claim(&lab, &worker, lease, &[]).await.unwrap().unwrap();
    deployment
}

/// What an operator looks at first when scans do not come back.
#[tokio::test]
async fn stats_counts_what_waits_runs_and_failed() {
    let deployment = filled().await;
    let expected = "\
pool    queued  delayed  leased  dead
lab          2        1       1     2
office       1        0       0     0
total        3        1       1     2
";
    assert_eq!(data(admin(&deployment, &["stats"])), expected);
    let json: Value = serde_json::from_str(&data(admin(&deployment, &["stats", "--json"]))).unwrap();
    let lab = json!({ "pool": "lab", "queued": 2, "delayed": 1, "leased": 1, "dead": 2, "paused": null });
    assert_eq!((json["pools"].as_array().unwrap().len(), &json["pools"][0]), (2, &lab));
    let only: Value = serde_json::from_str(&data(admin(&deployment, &["stats", "--json", "--pool", "lab"]))).unwrap();
    assert_eq!(only, json!({ "pools": [lab], "warnings": [] }));
}

/// Each dead letter is one line, whatever its message holds, and names what an operator needs to go on.
#[tokio::test]
async fn list_dlq_shows_the_newest_first_one_a_line() {
    let deployment = filled().await;
    let text = data(admin(&deployment, &["list-dlq"]));
    let lines: Vec<_> = text.lines().skip(1).map(|line| line.split_once("  ").unwrap()).collect();
    assert_eq!(
        lines.iter().map(|(_, rest)| *rest).collect::<Vec<_>>(),
        [
            format!("{}  lab         2  scan_timeout           the scan took too long", task(2)),
            format!("{}  lab         1  scanner_login_refused  the scanner refused\\nthe login", task(1)),
        ]
    );
    assert!(lines.iter().all(|(at, _)| at.parse::<nessus_mcp_lib::time::Timestamp>().is_ok()), "{text}");

    let cut = admin(&deployment, &["list-dlq", "--json", "--pool", "lab", "--limit", "1"]);
    assert_eq!((cut.code, &*cut.stderr), (Some(0), "1 of 2 dead letters; `--limit` lists more\n"));
    let json = cut.stdout;
    let letters: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((&letter["task_id"], &letter["error_code"]), (&json!(task(2)), &json!("scan_timeout")));
    assert_eq!((&letter["attempt"], &letter["payload"]["name"]), (&json!(2), &json!("x")));
    let targets = letter["payload"]["targets"].as_str().unwrap();
    assert!(targets.starts_with("host-00000.example,") && targets.ends_with(" … and 9973 more"), "{targets}");
    assert_eq!(data(admin(&deployment, &["list-dlq", "--pool", "office"])), "no dead letters\n");
    assert_eq!(data(admin(&deployment, &["list-dlq", "--pool", "office", "--json"])), "", "no line is no letter");
}

/// An empty new queue made in the wrong place would look like one that has nothing to do.
#[test]
fn where_no_queue_is_none_is_made() {
    let deployment = Deployment::new(SCANNERS);
    for command in [
        &["stats"][..],
        &["list-dlq"],
        &["retry-dlq", "x"],
        &["cancel", "x"],
        &["resume-pool", "lab"],
        &["list-circuits"],
        &["isolate-scanner", "lab", "mock-1", "--reason", "x"],
        &["purge-dlq", "--older-than", "1d"],
    ] {
        let finished = admin(&deployment, command);
        assert_eq!((finished.code, &*finished.stdout), (Some(69), ""), "{finished:?}");
        let queue = deployment.data().join("queue.db");
        assert!(finished.stderr.starts_with(&format!("error: there is no queue at `{}`\n\nhint: ", queue.display())));
        assert!(finished.stderr.contains("DATA_DIR"), "{}", finished.stderr);
        assert!(!deployment.data().exists());
    }
}

/// An order that is refused makes nothing in a directory that is nobody's data.
#[test]
fn an_unknown_pool_makes_nothing_in_an_empty_directory() {
    let deployment = Deployment::new(SCANNERS).with_queue("redis://127.0.0.1:9");
    durable::create_directory(&deployment.data()).unwrap();
    for (command, code) in [
        (&["pause-pool", "nowhere", "--reason", "x"][..], 69),
        (&["resume-pool", "nowhere"], 69),
        (&["purge-dlq", "--older-than", "1d", "--pool", "nowhere"], 69),
        (&["resume-pool", "lab"], 69),
        (&["queue", "rebind"], 69),
        (&["cancel", "x"], 69),
    ] {
        assert_eq!(admin(&deployment, command).code, Some(code), "{command:?}");
        assert_eq!(entries(&deployment.data()), [""; 0], "{command:?}");
    }
}

/// A file that is no queue is not taken for an empty one, and a URL's password is not shown.
#[test]
fn a_queue_that_cannot_be_read_is_said() {
    let deployment = Deployment::new(SCANNERS);
    let url = format!("sqlite:{}", deployment.scanners_yaml().display());
    let finished = program(&deployment, &["stats"]).env("QUEUE_URL", url).run();
    assert!(matches!(finished.code, Some(69 | 78)), "{finished:?}");
    assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains("scanners.yaml"), "{finished:?}");
    let finished = program(&deployment, &["stats"]).env("QUEUE_URL", "amqp://me:hunter2@host").run();
    assert_eq!((finished.code, finished.stderr.contains("hunter2")), (Some(78), false), "{finished:?}");
}

/// Workers on other machines would have the tasks and no queue.
#[test]
fn tasks_in_an_object_store_are_refused_beside_the_embedded_queue() {
    for command in [&["stats"][..], &["tasks", "list"], &["pause-pool", "lab", "--reason", "r"], &["queue", "rebind"]] {
        let deployment = Deployment::new(SCANNERS);
        let finished = program(&deployment, command).env("DATA_URL", "s3://scans/production").run();
        assert_eq!(finished.code, Some(78), "{command:?}: {finished:?}");
        assert_eq!(
            finished.stderr,
            "error: tasks in an object store need a queue that other machines reach, and the embedded queue is a file of one\n\n\
             hint: name a Redis with `QUEUE_URL`, or keep the tasks in the data directory\n"
        );
        let finished = program(&deployment, command).env("DATA_URL", "s3://key:planted@scans").run();
        assert_eq!(
            (finished.code, finished.stderr.contains("planted")),
            (Some(78), false),
            "{command:?}: {finished:?}"
        );
        assert!(finished.stderr.contains("`DATA_URL` must have no credentials"), "{command:?}: {finished:?}");
        assert!(!deployment.data().exists(), "{command:?}");
    }
}

/// What an operator stops stays stopped until it is let go on, and everybody sees why.
#[tokio::test]
async fn pools_are_paused_and_resumed() {
    let deployment = filled().await;
    let text = data(admin(&deployment, &["pause-pool", "lab", "--reason", "maintenance"]));
    assert_eq!(text, "pool lab is paused: maintenance\n");
    assert!(data(admin(&deployment, &["stats"])).contains("  maintenance\n"));
    assert_eq!(admin(&deployment, &["pause-pool", "lab"]).code, Some(2), "a reason is asked for");
    let finished = admin(&deployment, &["pause-pool", "labb", "--reason", "x"]);
    assert!(finished.code == Some(1) && finished.stderr.contains("the pools are: lab, office"), "{finished:?}");
    assert_eq!(data(admin(&deployment, &["resume-pool", "lab"])), "pool lab takes tasks\n");
    assert!(!data(admin(&deployment, &["stats"])).contains("maintenance"));
}

/// Nothing is cleared away without an age, and what is stands in the archive.
#[tokio::test]
async fn old_dead_letters_are_purged_into_the_archive() {
    let deployment = filled().await;
    for age in ["0", "", "d", "-1d", "1w", "99999999999999999999d"] {
        assert_eq!(admin(&deployment, &["purge-dlq", "--older-than", age]).code, Some(2), "{age}");
    }
    let text = data(admin(&deployment, &["purge-dlq", "--older-than", "1h", "--yes"]));
    assert_eq!(text, "pool lab: 0 dead letters archived, 0 removed\npool office: 0 dead letters archived, 0 removed\n");
    let asked = admin(&deployment, &["purge-dlq", "--older-than", "0m"]);
    assert!(asked.code == Some(2) && asked.stderr.contains("remove 2 dead letters that are older than"), "{asked:?}");
    let text = data(admin(&deployment, &["purge-dlq", "--older-than", "0m", "--pool", "lab", "--confirm"]));
    assert_eq!(text, "pool lab: 2 dead letters archived, 2 removed\n");
    assert_eq!(data(admin(&deployment, &["list-dlq"])), "no dead letters\n");
    let mut codes: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(deployment.data().join("archive")).unwrap() {
        let archived: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        assert_eq!(archived["dead_letter"]["payload"], payload());
        codes.push(archived["dead_letter"]["error_code"].as_str().unwrap().to_owned());
    }
    codes.sort();
    assert_eq!(codes, ["scan_timeout", "scanner_login_refused"]);
}

/// Whoever pages through the output holds it up, and nothing else.
#[tokio::test]
async fn a_reader_that_stops_does_not_hold_up_the_command() {
    let deployment = filled().await;
    let (output, full) = full_pipe();
    let purge = ["purge-dlq", "--older-than", "0m", "--pool", "office", "--pool", "lab", "-y"];
    let mut process = deployment.start(&program(&deployment, &purge).stdout_to(full));
    until("both pools are purged", &[&process], async || {
        // The list and the count beside it may be of before and after a purge.
        admin(&deployment, &["list-dlq"]).stdout.starts_with("no dead letters").then_some(())
    })
    .await;
    let lines: Vec<_> = BufReader::new(output).lines().map_while(Result::ok).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("pool lab: 2 dead letters archived"), "{lines:?}");
    assert_eq!(process.wait().code(), Some(0), "{}", process.tail());
}

/// A disk that is full loses the data, which must not look like success; a reader that has had enough does.
#[tokio::test]
async fn data_that_cannot_be_written_is_a_failure() {
    let deployment = filled().await;
    let full_disk = File::options().write(true).open("/dev/full").unwrap();
    let finished = program(&deployment, &["stats"]).stdout_to(full_disk).run();
    assert_eq!((finished.code, finished.stderr.contains("No space left")), (Some(1), true), "{finished:?}");
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    let finished = program(&deployment, &["stats"]).stdout_to(closed).run();
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
}

/// A task without a file cannot be tried again or cancelled, and the others are not kept from it.
#[tokio::test]
async fn tasks_that_are_not_there_are_said() {
    let deployment = filled().await;
    let finished = admin(&deployment, &["retry-dlq", task(1).as_str(), "no-task"]);
    assert_eq!((finished.code, &*finished.stdout), (Some(1), ""), "{finished:?}");
    assert!(finished.stderr.contains(task(1).as_str()) && finished.stderr.contains("no-task"), "{}", finished.stderr);
    let finished = admin(&deployment, &["cancel", task(1).as_str()]);
    assert!(finished.code == Some(1) && finished.stderr.contains("there is no task"), "{finished:?}");
}

/// What an operator orders stands in the queue for every process, and is shown with its reason.
#[tokio::test]
async fn circuits_are_listed_isolated_closed_and_reset() {
    let deployment = filled().await;
    let listed = data(admin(&deployment, &["list-circuits"]));
    let rows: Vec<_> = listed.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>()).collect();
    assert_eq!(rows, [["pool", "scanner", "process"], ["lab", "mock-1", "closed"], ["office", "mock-2", "closed"]]);
    let text = data(admin(&deployment, &["isolate-scanner", "lab", "mock-1", "--reason", "a new\nfirewall"]));
    assert_eq!(text, "lab:mock-1 is isolated: a new\\nfirewall\n");
    let listed = data(admin(&deployment, &["circuits"]));
    assert!(listed.contains("lab     mock-1            isolated  20"), "{listed}");
    assert!(listed.contains("  a new\\nfirewall\n"), "{listed}");

    let queue = queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap();
    let (lab, scanner) = (PoolName::new("lab").unwrap(), InstanceId::new("mock-1").unwrap());
    let refused = CircuitNotice::login_refused("the login was refused", "a worker");
    let standing = queue.post_circuit_notice(&lab, &scanner, &refused).await.unwrap();
    assert!(standing.isolates(), "an isolation stands: {standing:?}");

    assert_eq!(data(admin(&deployment, &["close-circuit", "lab", "mock-1"])), "lab:mock-1 is closed\n");
    let closed = queue.circuit_notices(&lab, std::slice::from_ref(&scanner)).await.unwrap().pop().unwrap().unwrap();
    let who = nessus_mcp_lib::config::cli::user_at_host();
    assert_eq!(closed.notice, CircuitNotice::command(CircuitCommand::Close, "closed by an operator", who));

    let minute = Duration::from_secs(60);
    let report = |state, reason| [CircuitReport::new(lab.clone(), scanner.clone(), state, reason)];
    let refused = report(CircuitState::Unusable, "the login was refused");
    queue.publish_circuit_states("a worker", &refused, minute).await.unwrap();
    queue.publish_circuit_states("another", &report(CircuitState::Closed, ""), minute).await.unwrap();
    let table = data(admin(&deployment, &["list-circuits"]));
    let rows: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(
        (&rows[1][..3], &rows[1][6..]),
        (&["lab", "mock-1", "unusable"][..], &["a", "worker", "the", "login", "was", "refused"][..]),
        "{table}"
    );
    assert_eq!((&rows[2][..3], rows[2].last()), (&["a", "worker", "unusable"][..], Some(&"refused")), "{table}");
    assert_eq!(
        (&rows[3][..2], &rows[4][..3]),
        (&["another", "closed"][..], &["office", "mock-2", "closed"][..]),
        "{table}"
    );
    let json = data(admin(&deployment, &["list-circuits", "--pool", "lab", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["scanner_pool"], &json["scanner_instance"]), (&json!("lab"), &json!("mock-1")));
    assert_eq!((&json["state"], &json["reason"]), (&json!("unusable"), &json!("the login was refused")));
    assert_eq!(
        (&json["processes"][0]["process"], &json["processes"][0]["state"]),
        (&json!("a worker"), &json!("unusable"))
    );
    assert_eq!(json["processes"][1], json!({ "process": "another", "state": "closed" }));
    let finished = admin(&deployment, &["close-circuit", "lab", "mock-1"]);
    assert!(finished.code == Some(1) && finished.stderr.contains("refused the login"), "{finished:?}");
    assert!(finished.stderr.contains("hint: "), "{finished:?}");
    assert_eq!(data(admin(&deployment, &["reset-circuit", "lab", "mock-1"])), "lab:mock-1 is closed\n");
    queue.publish_circuit_states("a worker", &[], minute).await.unwrap();
    assert!(data(admin(&deployment, &["circuits"])).contains("lab     mock-1            closed  20"));

    let unknown = admin(&deployment, &["reset-circuit", "lab", "mock-9"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("mock-1"), "{unknown:?}");
    assert_eq!(admin(&deployment, &["isolate-scanner", "lab", "mock-1"]).code, Some(2), "a reason is asked for");
}

/// What it prints is what the server takes; the token is nowhere else.
#[test]
fn a_token_is_made_for_a_client_and_listed_without_it() {
    let deployment = Deployment::new(SCANNERS);
    let admin = |arguments: &[&str]| Program::new(env!("CARGO_BIN_EXE_nessus-admin")).args(arguments).run();
    let made = admin(&["token", "new", "desk@example", "--role", "scan", "--expires-in", "90d"]);
    let token = made.stdout.clone();
    assert!(token.starts_with("nmcp_") && token.trim_end().len() == 69, "{token}");
    let (note, policy) = made.stderr.split_once('\n').unwrap();
    assert!(note.contains("shown only now") && !made.stderr.contains(token.trim_end()), "{made:?}");
    let path = deployment.path("policy.yaml");
    durable::replace(&path, policy.as_bytes()).unwrap();
    let listed = admin(&["token", "list", "--policy-config", path.to_str().unwrap()]);
    assert!(listed.stdout.starts_with("desk@example  scan  until 20") && listed.stderr == "1 client\n", "{listed:?}");
    for wrong in [&["token", "new", "a b"][..], &["token", "new", "a", "--role", "root"], &["token", "new"]] {
        assert_eq!(admin(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_policy_is_checked_and_says_what_it_decides() {
    let deployment = Deployment::new(SCANNERS);
    let path = deployment.path("policy.yaml");
    let check = |policy: &str, more: &[&str]| {
        durable::replace(&path, policy.as_bytes()).unwrap();
        let arguments = [&["policy", "check", "--policy-config", path.to_str().unwrap()], more].concat();
        Program::new(env!("CARGO_BIN_EXE_nessus-admin")).args(arguments).run()
    };
    let policy = "allow: [10.0.0.0/8]\ndeny: [10.0.0.8/29]\n";
    assert!(data(check(policy, &[])).ends_with("policy.yaml: mode enforce\n"));
    let daily = data(check(&format!("{policy}max_hosts_per_day: 2000\n"), &[]));
    assert!(daily.ends_with("policy.yaml: mode enforce, 2000 hosts per day\n"), "{daily}");
    let accepted = data(check(policy, &["--targets", "10.0.0.0-10.0.0.3"]));
    assert!(accepted.ends_with("\naccepted: 4 hosts: 10.0.0.0/30\n"), "{accepted}");
    let refused = check(policy, &["--targets", "10.0.0.0/24"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("`10.0.0.0/24` is out of scope: `deny` has `10.0.0.8/29`"), "{refused:?}");
    let told = data(check(&format!("mode: dry_run\n{policy}"), &["--targets", "192.0.2.1"]));
    assert!(
        told.ends_with(
            "\n`enforce` would refuse: `192.0.2.1` is out of scope: it is not wholly inside what `allow` has\n"
        ),
        "{told}"
    );
    let of_client = format!(
        "{policy}clients: [{{name: lab, role: scan, token_sha256: {:064x}, targets: [10.2.0.0/16], templates: [basic], \
         max_scans_at_once: 3}}]\n",
        7
    );
    let told = data(check(&of_client, &["--client", "lab", "--targets", "10.2.0.1"]));
    let (_, told) = told.split_once('\n').unwrap();
    let expected = "`lab`: targets: 10.2.0.0/16\n`lab`: templates: basic\n`lab`: policies: none\n\
                    `lab`: max_scans_at_once: 3\naccepted: 1 host: 10.2.0.1\n";
    assert_eq!(told, expected);
    let refused = check(&of_client, &["--client", "lab", "--targets", "10.3.0.1"]);
    assert!(refused.stderr.contains("not wholly inside what `targets` of `lab` has"), "{refused:?}");
    let unknown = check(&of_client, &["--client", "lob"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("no client `lob`; its clients are: lab"), "{unknown:?}");
    let window = |days: &str| format!("windows: [{{allowed: [{{days: [{days}]}}], time_zone: UTC, at_end: pause}}]\n");
    let open = data(check(&window("mon-sun"), &[]));
    assert!(open.ends_with("\nopen: allowed mon-sun (UTC), at_end pause\n"), "{open}");
    // Of two days that are not beside each other, one is another day than today.
    let days = ["mon", "wed"].map(|day| data(check(&window(day), &[])));
    assert!(
        days.iter().any(|told| told.contains("\nclosed, opens at 20") && told.contains("T00:00:00.000Z: ")),
        "{days:?}"
    );
    let wrong = check("alow: [10.0.0.0/8]\n", &[]);
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.stderr.contains("policy.yaml:1: unknown key `alow`, did you mean `allow`?"), "{wrong:?}");
}

/// What an operator changes has a line before it and one after it; what cannot be written down is not done.
#[tokio::test]
async fn what_operators_change_is_in_the_audit_log() {
    let deployment = filled().await;
    let audit = deployment.data().join("audit");
    assert_eq!(admin(&deployment, &["audit", "verify"]).code, Some(1), "there is none yet");
    data(admin(&deployment, &["pause-pool", "lab", "--reason", "unseen"]));
    assert!(!audit.exists(), "without a server with a policy there is none");
    std::fs::create_dir(&audit).unwrap();
    data(admin(&deployment, &["pause-pool", "lab", "--reason", "freeze"]));
    data(admin(&deployment, &["isolate-scanner", "lab", "mock-1", "--reason", "broken"]));
    data(admin(&deployment, &["reset-circuit", "lab", "mock-1"]));
    data(admin(&deployment, &["queue", "rebind"]));
    data(admin(&deployment, &["resume-pool", "lab"]));
    let unknown = task(9).to_string();
    assert_eq!(admin(&deployment, &["retry-dlq", &unknown]).code, Some(1));
    let verified = data(admin(&deployment, &["audit", "verify"]));
    assert!(verified.starts_with("admin@") && verified.contains(": whole: 12 lines on 1 day, keys none"), "{verified}");
    let found = |arguments: &[&str]| {
        let lines = admin(&deployment, &[&["audit", "search", "--json"], arguments].concat());
        assert_eq!(lines.code, Some(0), "{lines:?}");
        lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let [asked, done] = &found(&["--tool", "pause-pool"])[..] else { panic!("not two lines") };
    assert!(
        asked["kind"] == "asked" && asked["entry"] == "os_user" && asked["who"].as_str().unwrap().starts_with("user:")
    );
    assert!(done["asked"] == asked["seq"] && done["outcome"] == "ok" && done["trace_id"] == asked["trace_id"]);
    let who = asked["who"].as_str().unwrap();
    assert_eq!(found(&["--who", who]).len(), 12);
    assert_eq!(found(&["--who", "nobody"]).len() + found(&["--until", "1h"]).len(), 0);
    assert_eq!((found(&["--since", "1h"]).len(), found(&["--decision", "refused"]).len()), (12, 0));
    let retried = found(&["--task", &unknown]);
    assert_eq!((retried.len(), &retried[1]["outcome"]), (2, &json!("task_not_found")));
    assert_eq!(found(&["--trace-id", asked["trace_id"].as_str().unwrap()]).len(), 2);
    let last = data(admin(&deployment, &["audit", "tail", "-n", "1"]));
    assert!(last.contains("  done  what=retry-dlq") && last.lines().count() == 1, "{last}");

    // A line that is altered is named.
    let chain = std::fs::read_dir(&audit).unwrap().next().unwrap().unwrap().path();
    let day = std::fs::read_dir(&chain).unwrap().map(|entry| entry.unwrap().path());
    let day = day.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).min().unwrap();
    let text = std::fs::read_to_string(&day).unwrap();
    durable::replace(&day, text.replacen("isolate-scanner", "isolate-scannes", 1).as_bytes()).unwrap();
    let broken = admin(&deployment, &["audit", "verify"]);
    assert!(broken.code == Some(1) && broken.stdout.contains(" line 3 (sequence 3): altered"), "{broken:?}");
    let as_json: Value = serde_json::from_str(&admin(&deployment, &["audit", "verify", "--json"]).stdout).unwrap();
    assert_eq!((&as_json["broken"]["line"], &as_json["lines"]), (&json!(3), &json!(2)));
    durable::replace(&day, text.as_bytes()).unwrap();

    // A full disk in the place of a later day.
    std::os::unix::fs::symlink("/dev/full", chain.join("2999-01-01.jsonl")).unwrap();
    let refused = admin(&deployment, &["pause-pool", "lab", "--reason", "too late"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("the audit log cannot be used"), "{refused:?}");
    assert!(!data(admin(&deployment, &["stats"])).contains("too late"));
}

/// Only the entry changes, and only in a file that can be read before and after.
#[test]
fn a_token_is_revoked_in_the_file() {
    let deployment = Deployment::new(SCANNERS);
    let path = deployment.path("policy.yaml");
    let hash = "0f".repeat(32);
    let before = format!("# ours\nclients:\n  - name: desk\n    role: scan # for now\n    token_sha256: {hash}\n");
    durable::replace(&path, before.as_bytes()).unwrap();
    let revoke = |name: &str| admin(&deployment, &["token", "revoke", name, "--policy-config", "policy.yaml"]);
    let unknown = revoke("dask");
    assert!(unknown.code == Some(1) && unknown.stderr.contains("did you mean `desk`?"), "{unknown:?}");
    assert!(data(revoke("desk")).contains("SIGHUP"));
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(after, before.replace("- name: desk\n", "- name: desk\n    revoked: true\n"));
    let listed =
        Program::new(env!("CARGO_BIN_EXE_nessus-admin")).args(["token", "list", "--policy-config"]).arg(&path).run();
    assert!(listed.stdout.contains("desk  scan  revoked"), "{listed:?}");
    assert!(revoke("desk").stderr.contains("revoked already"));
    let found = admin(&deployment, &["audit", "search", "--tool", "token revoke", "--json"]);
    assert_eq!(found.stdout.lines().count(), 6, "{found:?}");
    assert!(admin(&deployment, &["token", "revoke", "desk"]).stderr.contains("no policy is set"));
}
