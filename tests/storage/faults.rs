//! Real processes on an object store that fails: each fault has a clear word and the next step, and nothing is lost.

use std::{fmt::Write as _, fs, io::Write as _};

use nessus_mcp_lib::{
    credentials::Login,
    scanner::{ScanCredential, SshCredential, SshLogin},
    secret::Secret,
    service::{ResultsRequest, SubmitRequest},
};
use nessus_mcp_tests::{
    deployment::Server,
    processes::{entries, files_below, holds, until},
    s3::{BUCKET, ConditionalWrites, Fault, FaultKind, Operation, S3Config, S3Error},
    small_disk::SmallDisk,
};
use rstest::rstest;

use crate::rig::{Rig, completed, connect, submit};

const UNAVAILABLE: i32 = 69;
const BAD_CONFIGURATION: i32 = 78;

/// `doctor` finds what a start does, and ends as it does.
fn doctor_says(rig: &Rig, code: i32, words: &[&str]) {
    let ended = rig.admin(&["doctor", "--no-scanners"]);
    assert_eq!(ended.code, Some(code), "{words:?}\n{ended:?}");
    assert!(words.iter().all(|word| ended.stdout.contains(word)), "{words:?}\n{}", ended.stdout);
}

/// A worker does not start, by a fault that others need not meet, and doctor says the same.
#[track_caller]
fn worker_and_doctor_refuse(rig: &Rig, words: &[&str]) {
    let ended = rig.worker_program().run();
    assert_eq!(ended.code, Some(BAD_CONFIGURATION), "{ended:?}");
    assert!(words.iter().all(|word| ended.stderr.contains(word)), "{words:?}\n{}", ended.stderr);
    doctor_says(rig, BAD_CONFIGURATION, words);
}

/// None of the programs starts: each says why, and what to do.
fn nothing_starts(rig: &Rig, code: i32, words: &[&str]) {
    let secret = S3Config::default().secret_access_key;
    for program in [rig.server_program(), rig.worker_program()] {
        let ended = program.run();
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(code), "{words:?}\n{shown}");
        assert!(words.iter().all(|word| shown.contains(word)), "{words:?}\n{shown}");
        assert!(!shown.contains(&secret), "{shown}");
    }
    let ended = rig.admin(&["tasks", "list"]);
    let shown = format!("{}{}", ended.stdout, ended.stderr);
    assert_ne!(ended.code, Some(0), "{shown}");
    assert!(words.iter().all(|word| shown.contains(word)), "{words:?}\n{shown}");
    assert!(!shown.contains(&secret), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_named() {
    let mut rig = Rig::start().await;
    rig.url = "s3://missing/prefix".to_owned();
    let words = ["NoSuchBucket", "s3://missing/prefix", "create it, or name the right one"];
    nothing_starts(&rig, BAD_CONFIGURATION, &words);
    doctor_says(&rig, BAD_CONFIGURATION, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_forbids_says_which_rights_are_needed() {
    let rig = Rig::start().await;
    rig.s3.inject(Fault::answer(S3Error::AccessDenied).until_cleared());
    let words = ["AccessDenied", "read, write, list and delete objects"];
    nothing_starts(&rig, BAD_CONFIGURATION, &words);
    doctor_says(&rig, BAD_CONFIGURATION, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_forbids_one_thing_says_which() {
    let rig = Rig::start().await;
    for (operations, asked) in [
        (&[Operation::Get][..], "asked to read"),
        (&[Operation::Put][..], "asked to write"),
        (&[Operation::List][..], "asked to list"),
        (&[Operation::Delete, Operation::DeleteMany][..], "asked to delete"),
    ] {
        for operation in operations {
            rig.s3.inject(Fault::answer(S3Error::AccessDenied).on(*operation).until_cleared());
        }
        let words = [asked, "AccessDenied", "read, write, list and delete objects"];
        worker_and_doctor_refuse(&rig, &words);
        rig.s3.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_shows_what_was_before_is_refused() {
    let rig = Rig::start().await;
    rig.s3.inject(Fault::new(FaultKind::Stale).on(Operation::Get).until_cleared());
    let words = ["it does not show what was just written", "use an object store with"];
    worker_and_doctor_refuse(&rig, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_nothing_but_ask_to_go_slower_is_not_there_for_now() {
    let rig = Rig::start().await;
    rig.s3.inject(Fault::answer(S3Error::SlowDown).until_cleared());
    let words = ["SlowDown", "if it lasts, ask its operator for a higher limit"];
    nothing_starts(&rig, UNAVAILABLE, &words);
    doctor_says(&rig, UNAVAILABLE, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_which_too_little_is_known_is_a_matter_of_configuration() {
    let mut rig = Rig::start().await;
    rig.url = "az://container/prefix".to_owned();
    let words = ["the object store cannot be asked", "what the environment of this process says"];
    nothing_starts(&rig, BAD_CONFIGURATION, &words);
    doctor_says(&rig, BAD_CONFIGURATION, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_credentials_are_to_be_checked() {
    let mut rig = Rig::start().await;
    rig.environment.push(("AWS_ACCESS_KEY_ID", "AKIAOFNOBODY".to_owned()));
    nothing_starts(&rig, BAD_CONFIGURATION, &["InvalidAccessKeyId", "check key, secret and region"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_is_to_be_set() {
    let rig = Rig::start().await;
    rig.s3.shift_clock(3600);
    let words = ["RequestTimeTooSkewed", "the clock of this machine", "NTP"];
    nothing_starts(&rig, BAD_CONFIGURATION, &words);
    doctor_says(&rig, BAD_CONFIGURATION, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_conditional_writes_is_refused() {
    let rig = Rig::start().await;
    for kind in [ConditionalWrites::Ignored, ConditionalWrites::Refused, ConditionalWrites::Nameless] {
        rig.s3.conditional_writes(kind);
        for program in [rig.server_program(), rig.worker_program()] {
            let ended = program.run();
            assert_eq!(ended.code, Some(BAD_CONFIGURATION), "{kind:?} {ended:?}");
            assert!(ended.stderr.contains("use an object store with conditional writes"), "{kind:?} {ended:?}");
        }
        assert_eq!(rig.keys_with(""), Vec::<String>::new(), "{kind:?}: what was tried is removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_queue_beside_a_bucket_is_refused() {
    let mut rig = Rig::start().await;
    rig.environment.push(("QUEUE_URL", "sqlite:queue.db".to_owned()));
    nothing_starts(&rig, BAD_CONFIGURATION, &["the embedded queue is a file of one", "QUEUE_URL"]);
    assert_eq!(rig.s3.requests(), []);
}

/// Lets a task run into a fault; it completes all the same, once.
async fn completes_in_spite_of(faults: impl IntoIterator<Item = Fault>) -> Rig {
    let rig = Rig::start().await;
    let server = rig.serve();
    let client = connect(&server).await;
    let worker = rig.work();
    for fault in faults {
        rig.s3.inject(fault);
    }
    let task = submit(&client, "through the fault").await;
    completed(&client, &task, &[&worker, &server.process]).await;
    let stats = rig.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (1, 1), "{stats:#?}");
    let results = client.get_results(&ResultsRequest::everything(task)).await.unwrap();
    assert!(!results.findings.is_empty());
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_asks_to_go_slower_is_asked_again() {
    let rig = completes_in_spite_of([Fault::answer(S3Error::SlowDown).skip(2).count(3)]).await;
    assert!(rig.s3.requests().iter().any(|request| request.status == Some(503)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_show_the_version_before_change_nothing() {
    let stale = Fault::new(FaultKind::Stale).on(Operation::Get).key("/task.json").skip(3).count(6);
    let rig = completes_in_spite_of([stale]).await;
    let stale = rig.s3.requests().iter().filter(|request| request.fault == Some(FaultKind::Stale)).count();
    assert_eq!(stale, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_whose_answers_are_lost_are_made_once() {
    let lost = Fault::new(FaultKind::ReplyLost).on(Operation::Put).key("/task.json").skip(1).count(4);
    let refused = Fault::answer(S3Error::PreconditionFailed).on(Operation::Put).key("/task.json").skip(1).count(2);
    let rig = completes_in_spite_of([lost, refused]).await;
    assert!(rig.s3.requests().iter().any(|request| request.fault == Some(FaultKind::ReplyLost)));
    let left: Vec<_> = rig.keys_with("").into_iter().filter(|key| key.contains("/uploads/")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_break_off_are_read_again() {
    completes_in_spite_of([Fault::new(FaultKind::CutAfter(50)).on(Operation::Get).count(5)]).await;
}

#[rstest]
#[case(S3Error::ExpiredToken, "renew them; what was begun goes on then")]
#[case(S3Error::AccessDenied, "allow these credentials to read, write, list and delete objects")]
#[case(S3Error::RequestTimeTooSkewed, "set it by NTP")]
#[case(S3Error::SlowDown, "ask its operator for a higher limit")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_in_the_midst_of_an_upload_is_told_of_with_the_next_step_and_nothing_is_lost(
    #[case] error: S3Error,
    #[case] hint: &str,
) {
    let rig = Rig::start().await;
    let server = rig.serve();
    let client = connect(&server).await;
    let worker = rig.work();
    // The parts of the results are the first that fail.
    rig.s3.inject(Fault::answer(error).on(Operation::Put).key("/scan_native.nessus.").until_cleared());
    let task = submit(&client, "refused").await;
    let says = format!("{error:?}: ");
    until(&format!("the worker tells of {error:?}"), &[&worker], async || {
        worker.log().lines().any(|line| line.contains(&says) && line.contains(hint)).then_some(())
    })
    .await;
    rig.s3.clear_faults();
    completed(&client, &task, &[&worker, &server.process]).await;
    let stats = rig.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (1, 1), "{stats:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_ends_with_its_task_though_nothing_can_be_deleted() {
    let mut rig = Rig::start().await;
    rig.environment.push(("NESSUS_MCP_SECRET_KEY", "5ec4e7".repeat(11)[..64].to_owned()));
    let server = rig.serve();
    let client = connect(&server).await;
    let login = SshCredential::new("scan", SshLogin::Password(Secret::new("planted-password")));
    let login = Login::Inline(ScanCredential::Ssh(login));
    let task = client.submit_scan(&SubmitRequest::trusted("logs in", "192.0.2.1", login)).await.unwrap().task_id;
    let is_kept = || {
        let objects = rig.s3.objects(BUCKET);
        let logins = objects.iter().filter(|(key, content)| key.ends_with(".sealed") || holds(content, "sealed_login"));
        logins.count()
    };
    assert_eq!(is_kept(), 1);
    let mut worker = rig.work();
    tokio::task::block_in_place(|| worker.wait_for_log("worker started"));
    for operation in [Operation::Delete, Operation::DeleteMany] {
        rig.s3.inject(Fault::answer(S3Error::AccessDenied).on(operation).until_cleared());
    }
    completed(&client, &task, &[&worker, &server.process]).await;
    assert_eq!(is_kept(), 0);
    assert_eq!(rig.sim.stats().credentials.len(), 1);
}

/// The parts of results that were asked of the store.
fn parts_fetched(rig: &Rig) -> usize {
    let is_part = |key: &str| key.rsplit('/').next().is_some_and(|name| name.len() == 6);
    let requests = rig.s3.requests();
    requests.iter().filter(|request| request.operation == Operation::Get && is_part(&request.key)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_altered_in_the_cache_is_fetched_again() {
    let rig = Rig::start().await;
    let server = rig.serve();
    let client = connect(&server).await;
    let worker = rig.work();
    let task = submit(&client, "cached").await;
    completed(&client, &task, &[&worker, &server.process]).await;
    let request = ResultsRequest::everything(task);
    let first = client.get_results_lines(&request).await.unwrap();
    let fetched = parts_fetched(&rig);
    assert!(fetched > 0);
    drop(server);
    // A server that starts again finds it on its disk.
    let server = rig.serve();
    let client = connect(&server).await;
    assert_eq!(client.get_results_lines(&request).await.unwrap(), first);
    assert_eq!(parts_fetched(&rig), fetched, "the cache survives");
    drop(server);
    let mut altered = 0;
    for (path, mut content) in files_below(&rig.machine("server").join("cache")) {
        // As large as before: only its hash tells.
        if let Some(byte) = content.last_mut() {
            *byte ^= 1;
            fs::File::create(&path).unwrap().write_all(&content).unwrap();
            altered += 1;
        }
    }
    assert!(altered > 0);
    let server = rig.serve();
    let client = connect(&server).await;
    assert_eq!(client.get_results_lines(&request).await.unwrap(), first);
    assert!(parts_fetched(&rig) > fetched, "damaged bytes were fetched again");
    let metrics = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let shown = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
    assert_eq!(shown("nessus_cache_damaged_total"), Some(altered), "{metrics}");
    assert_eq!(shown("nessus_cache_misses_total"), Some(parts_fetched(&rig) - fetched), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_full_or_read_only_costs_no_answer() {
    let rig = Rig::start().await;
    // Where the server keeps its cache.
    let Some(disk) = SmallDisk::mount(&rig.deployment, 4) else { return };
    let program = rig.server_program().env("CACHE_DIR", rig.deployment.data().join("cache"));
    let serve = || Server::of(rig.deployment.start(&disk.on(program.clone())));
    let server = serve();
    let client = connect(&server).await;
    let worker = rig.work();
    let task = submit(&client, "no room").await;
    completed(&client, &task, &[&worker, &server.process]).await;
    let request = ResultsRequest::everything(task);
    disk.fill_up_to(0);
    let first = client.get_results_lines(&request).await.unwrap();
    disk.clear();
    drop(server);
    let server = serve();
    let client = connect(&server).await;
    disk.make_read_only(true);
    assert_eq!(client.get_results_lines(&request).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_logs_in_to_the_store_is_written_nowhere() {
    let mut rig = Rig::start().await;
    rig.environment.push(("AWS_SESSION_TOKEN", "planted-session-token".to_owned()));
    rig.environment.push(("RUST_LOG", "trace".to_owned()));
    rig.environment.push(("LOG_LEVEL", "trace".to_owned()));
    let server = rig.serve();
    let client = connect(&server).await;
    let worker = rig.work();
    rig.s3.inject(Fault::new(FaultKind::ReplyLost).on(Operation::Put).key("/task.json").count(1));
    let task = submit(&client, "secret").await;
    completed(&client, &task, &[&worker, &server.process]).await;
    let mut answers = client.get_results_lines(&ResultsRequest::everything(task)).await.unwrap();
    rig.s3.inject(Fault::answer(S3Error::ExpiredToken).until_cleared());
    let missing = client.get_status(&"ne_ness_20200101_000000_0badcafe".parse().unwrap()).await;
    write!(answers, "{missing:?}").unwrap();
    for command in [&["doctor", "--no-scanners"][..], &["tasks", "list"], &["doctor", "--no-scanners", "--json"]] {
        write!(answers, "{:?}", rig.admin(command)).unwrap();
    }
    rig.s3.clear_faults();
    write!(answers, "{:?}", rig.admin(&["doctor", "--no-scanners"])).unwrap();
    answers += &reqwest::get(format!("{}/health", server.url())).await.unwrap().text().await.unwrap();
    answers += &reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let mut places = vec![("the answers".to_owned(), answers.into_bytes())];
    places.extend(rig.s3.objects(BUCKET).into_iter().map(|(key, content)| (key, content.to_vec())));
    for key in rig.redis.ask(&["KEYS", "*"]).texts() {
        places.push((format!("Redis: {key}"), rig.redis.ask(&["DUMP", &key]).bytes()));
    }
    let files = files_below(rig.deployment.directory());
    places.extend(files.into_iter().map(|(path, content)| (path.display().to_string(), content)));
    assert!(places.len() > 10);
    let secrets = [S3Config::default().secret_access_key, "planted-session-token".to_owned()];
    for (place, content) in places {
        for secret in &secrets {
            assert!(!holds(&content, secret), "{secret} stands in {place}");
        }
    }
}

/// A store that stands still for a while: who asks waits or is told, and what was begun goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stands_still_holds_up_and_loses_nothing() {
    let rig = Rig::start().await;
    let server = rig.serve();
    let client = connect(&server).await;
    let worker = rig.work();
    let before = submit(&client, "before").await;
    rig.s3.inject(Fault::new(FaultKind::Held).until_cleared());
    let other = connect(&server).await;
    let held = tokio::spawn(async move { submit(&other, "while it stands still").await });
    rig.s3
        .wait_for("a held request", |requests| requests.iter().any(|request| request.fault == Some(FaultKind::Held)))
        .await;
    rig.s3.clear_faults();
    for task in [before, held.await.unwrap()] {
        completed(&client, &task, &[&worker, &server.process]).await;
    }
    let stats = rig.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (2, 2), "{stats:#?}");
    until("no part is in the work of anybody", &[&worker], async || {
        entries(&rig.machine("worker").join("cache/unfinished")).is_empty().then_some(())
    })
    .await;
}
