//! `nessus-worker` as a process: what it refuses to start with, and how it ends.

use std::path::Path;

use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Program, entries},
    redis::RedisServer,
    s3::{ConditionalWrites, Fault, S3Error, SimulatedS3},
};

const SCANNERS: &str = "lab:\n  - {instance_id: mock-1, type: mock}\noffice:\n  - {instance_id: mock-2, type: mock}\n";

fn worker(deployment: &Deployment) -> Program {
    deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-worker")), &[])
}

/// A start that fails, for whatever reason, leaves nothing behind.
#[test]
fn a_start_that_fails_makes_nothing() {
    let no_password = "lab:\n  - {instance_id: a, url: 'https://s', username: u, password_file: nowhere}\n";
    for (scanners, (name, value), open_files, code, said) in [
        ("lab: []\n", ("LOG_LEVEL", "info"), 1024, 78, "scanners.yaml:1"),
        (no_password, ("LOG_LEVEL", "info"), 1024, 78, "`lab[0].password_file`"),
        (SCANNERS, ("WORKER_POOLS", "nowhere"), 1024, 78, "the pool `nowhere`, which is not configured"),
        (SCANNERS, ("CIRCUIT_OPEN_SECONDS", "soon"), 1024, 78, "`CIRCUIT_OPEN_SECONDS`"),
        (SCANNERS, ("QUEUE_URL", "redis://127.0.0.1/database"), 1024, 78, "redis://"),
        (SCANNERS, ("DATA_URL", "https://bucket.example"), 1024, 78, "`DATA_URL` must be `file:`"),
        (SCANNERS, ("DATA_URL", "s3://scans"), 1024, 78, "hint: name a Redis with `QUEUE_URL`"),
        (SCANNERS, ("CACHE_MAX_GB", "0"), 1024, 78, "`CACHE_MAX_GB`"),
        (SCANNERS, ("QUEUE_URL", "redis://127.0.0.1:9"), 1024, 69, "is not available"),
        (SCANNERS, ("LOG_LEVEL", "info"), 8, 1, "Too many open files"),
        (SCANNERS, ("LOG_LEVEL", "info"), 34, 1, "Too many open files"),
    ] {
        let deployment = Deployment::new(scanners);
        let finished = worker(&deployment).env(name, value).with_open_files(open_files).run();
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains(said), "{finished:?}");
        assert_eq!(entries(deployment.directory()), ["logs", "scanners.yaml"], "{finished:?}");
    }
}

/// What has to be looked at ends a worker with 78, what may mend itself with 69; each with what the store said and what to do.
#[tokio::test]
async fn an_object_store_that_cannot_be_used_is_said_at_the_start() {
    let (redis, s3) = (RedisServer::start(), SimulatedS3::start().await);
    let deployment = Deployment::new(SCANNERS).with_queue(redis.url());
    let refused = |code: i32, said: &str, hint: &str, settings: &[(&str, &str)]| {
        let environment = s3.environment().into_iter().chain([("DATA_URL", "s3://nessus/production".to_owned())]);
        let program = environment.fold(worker(&deployment), |program, (name, value)| program.env(name, value));
        let program = settings.iter().fold(program, |program, (name, value)| program.env(*name, *value));
        let finished = program.run();
        assert_eq!(finished.code, Some(code), "{said}: {finished:?}");
        assert!(finished.stderr.contains("error: cannot ") && finished.stderr.contains(said), "{said}: {finished:?}");
        assert!(finished.stderr.split("\n\nhint: ").nth(1).is_some_and(|it| it.contains(hint)), "{hint}: {finished:?}");
    };
    refused(78, "NoSuchBucket", "create it", &[("DATA_URL", "s3://nowhere")]);
    refused(78, "InvalidAccessKeyId", "check key, secret", &[("AWS_ACCESS_KEY_ID", "another")]);
    refused(69, "Connection refused", "can be reached", &[("AWS_ENDPOINT", "http://127.0.0.1:9")]);
    let nowhere = deployment.scanners_yaml().join("cache");
    refused(78, "scanners.yaml/cache", "another directory for the cache", &[("CACHE_DIR", nowhere.to_str().unwrap())]);
    s3.conditional_writes(ConditionalWrites::Ignored);
    refused(78, "does not keep to the conditions of a write", "with conditional writes", &[]);
    s3.conditional_writes(ConditionalWrites::Atomic);
    s3.shift_clock(3600);
    refused(78, "RequestTimeTooSkewed", "NTP", &[]);
    s3.shift_clock(0);
    s3.inject(Fault::answer(S3Error::ExpiredToken));
    refused(78, "ExpiredToken", "renew", &[]);
}

/// A worker that serves a pool nobody has would wait for ever for work that never comes.
#[test]
fn an_unknown_pool_ends_with_78_and_the_pools_there_are() {
    let deployment = Deployment::new(SCANNERS);
    let finished = worker(&deployment).env("WORKER_POOLS", "lab,nowhere").run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert_eq!(
        finished.stderr,
        "error: `WORKER_POOLS` names the pool `nowhere`, which is not configured\n\nhint: the pools are: lab, office\n"
    );
}

/// A typing mistake in a duration must not become another duration.
#[test]
fn a_bad_setting_ends_with_78_and_its_name() {
    for (name, value) in [
        ("POLL_INTERVAL_SECONDS", "often"),
        ("POLL_INTERVAL_SECONDS", "0"),
        ("LEASE_SECONDS", "10ms"),
        ("LEASE_SECONDS", "-5"),
        ("LEASE_SECONDS", "5 parsecs"),
        ("LEASE_SECONDS", "99999999999999d"),
        ("LEASE_SECONDS", "2h"),
        ("SCAN_TIMEOUT_HOURS", "0"),
        ("SCAN_TIMEOUT_HOURS", "1e400"),
        ("WORKER_POOLS", "lab,not a pool"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "yaml"),
    ] {
        let deployment = Deployment::new(SCANNERS);
        let finished = worker(&deployment).env(name, value).run();
        assert_eq!(finished.code, Some(78), "{name}={value}: {finished:?}");
        let first = finished.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("error: `{name}` ")), "{name}={value}: {}", finished.stderr);
        assert!(!deployment.data().exists(), "something was made for {name}={value}");
    }
}

/// Compose files and service units write `NAME=` for a variable that has no value. A flag is written on purpose.
#[test]
fn an_empty_variable_counts_as_unset_and_an_empty_flag_does_not() {
    let deployment = Deployment::new(SCANNERS);
    let program = worker(&deployment).env("POLL_INTERVAL_SECONDS", "").env("LOG_LEVEL", "").env("WORKER_POOLS", "");
    let finished = program.env("QUEUE_URL", "").env("REDIS_URL", "amqp://queue.example").run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("`amqp://queue.example` is not a queue URL"), "{finished:?}");
    assert!(!deployment.data().exists());

    let finished = worker(&deployment).args(["--poll-interval-seconds", ""]).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.starts_with("error: `POLL_INTERVAL_SECONDS` "), "{finished:?}");
}

/// Every supervisor stops a worker with SIGTERM; another code than 0 would be a failure to it.
#[test]
fn sigterm_while_idle_ends_with_0() {
    let deployment = Deployment::new(SCANNERS);
    let mut process = deployment.start(&worker(&deployment).env("WORKER_POOLS", " lab , office "));
    process.wait_for_log("worker started");
    assert_eq!(process.terminate(), Some(0), "{}", process.tail());
    assert_eq!(process.stdout(), "", "a worker has no data to write");
}

/// The same file as the server writes, and never a silent fall-back to scanners that only play.
#[test]
fn without_a_scanner_configuration_an_example_is_written_and_it_ends_with_78() {
    let deployment = Deployment::new(SCANNERS);
    let missing = deployment.path("nowhere.yaml");
    let program = Program::new(Path::new(env!("CARGO_BIN_EXE_nessus-worker")));
    let program = program.arg("--data-dir").arg(deployment.data()).arg("--scanner-config").arg(&missing);
    let finished = program.run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("an example was written there"), "{}", finished.stderr);
    assert!(missing.is_file() && !deployment.data().exists());
}
