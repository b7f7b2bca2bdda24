//! The compose files, run: the same commands and variables as processes of this machine, with simulated scanners. What stands in
//! their containers at `/data`, `/etc/nessus-mcp` and `/run/secrets` stands in a directory here, and ports are free ones.

use std::{collections::BTreeSet, fs, path::Path};

use nessus_mcp_lib::{
    client::{Endpoint, NessusMcpClient},
    durable,
    secret::Secret,
    service::SubmitRequest,
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    processes::{Process, Program, holds, until},
    redis::{Connection, RedisServer, free_port},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    compose::{Compose, Service},
    files::{deploy, text, texts},
    monitoring,
};

/// A machine on which a compose file runs.
struct Machine {
    compose: Compose,
    directory: TempDir,
    redis: RedisServer,
    /// What may be asked for with which token: of the agent, and of Prometheus.
    tokens: [String; 2],
}

/// A service that runs.
struct Running {
    name: String,
    process: Process,
    /// Where it is reached over HTTP.
    url: String,
}

impl Machine {
    /// What docs/deploy.md says, up to `docker compose up`.
    fn prepared(folder: &'static str) -> Self {
        let compose = Compose::read(folder);
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        for path in ["config", "data"] {
            durable::create_directory(&directory.path().join(path)).unwrap();
        }
        // The scanners of dev1 have the pools of prod.
        let scanners = text("dev1/config/scanners.yaml").replace("20s", "100ms").replace("30s", "100ms");
        durable::replace(&config.join("scanners.yaml"), scanners.as_bytes()).unwrap();
        let policy = config.join("policy.yaml");
        durable::replace(&policy, text(&format!("{folder}/config/policy.yaml")).as_bytes()).unwrap();
        let agent = add_client(&policy, "agent", "scan", 1);
        let prometheus = add_client(&policy, "prometheus", "read", 2);
        if !compose.document["secrets"].is_null() {
            let made = Program::new(deploy().join(folder).join("make-secrets")).arg("localhost");
            let made = made.current_dir(directory.path()).run();
            assert_eq!(made.code, Some(0), "{made:?}");
            // Somebody who can be asked what was refused to the gateway.
            let acl = directory.path().join("secrets/redis_acl");
            if acl.exists() {
                let acl_text = fs::read_to_string(&acl).unwrap() + "user inspector reset on nopass +acl\n";
                durable::replace(&acl, acl_text.as_bytes()).unwrap();
            }
        }
        let redis = start_redis(&compose, directory.path());
        Self { compose, directory, redis, tokens: [agent, prometheus] }
    }

    /// A value as it is on this machine.
    fn here(&self, value: &str) -> String {
        let value = in_directory(value, self.directory.path());
        let value = value.replace("@redis:6379", &format!("@127.0.0.1:{}", self.redis.port()));
        value.replace("//redis:6379", &format!("//127.0.0.1:{}", self.redis.port()))
    }

    fn program(&self, service: &Service, binary: &Path) -> Program {
        let program = Program::new(binary).current_dir(self.directory.path());
        let settings = service.environment.iter().filter(|(name, _)| !name.ends_with("_BIND"));
        settings.fold(program, |program, (name, value)| program.env(name, self.here(value)))
    }

    fn start(&self, service: &Service) -> Running {
        let log = self.directory.path().join(format!("{}.log", service.name));
        let is_server = service.command[0] == "nessus-mcp-server";
        let binary = if is_server { binaries::server() } else { binaries::worker() };
        let program = self.program(service, binary).args(service.command[1..].to_vec());
        if is_server {
            let process = program.env("MCP_BIND", "127.0.0.1:0").start(&log);
            let url = process.wait_for_line("the line with its address", |line| {
                line.strip_prefix("listening on ")?.strip_suffix("/mcp").map(str::to_owned)
            });
            return Running { name: service.name.clone(), process, url };
        }
        let address = format!("127.0.0.1:{}", free_port());
        let mut process = program.env("METRICS_BIND", &address).start(&log);
        process.wait_for_log("metrics and health are served");
        Running { name: service.name.clone(), process, url: format!("http://{address}") }
    }

    fn certificate(&self) -> Option<String> {
        fs::read_to_string(self.directory.path().join("secrets/tls_cert")).ok()
    }

    async fn client(&self, server: &Running) -> NessusMcpClient {
        // The certificate is for this name.
        let url = server.url.replace("127.0.0.1", "localhost");
        let endpoint = Endpoint::new(format!("{url}/mcp")).with_token(Secret::new(&*self.tokens[0]));
        let endpoint = self.certificate().into_iter().fold(endpoint, Endpoint::with_ca);
        let client = NessusMcpClient::connect(endpoint).await;
        client.unwrap_or_else(|error| panic!("{error}\n{}", server.process.tail()))
    }

    async fn metrics(&self, running: &Running) -> String {
        let client = reqwest::Client::builder().no_proxy();
        let client = self.certificate().into_iter().fold(client, |client, pem| {
            client.tls_certs_merge([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()])
        });
        let url = format!("{}/metrics", running.url.replace("127.0.0.1", "localhost"));
        let answer = client.build().unwrap().get(url).bearer_auth(&self.tokens[1]).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    /// What must not be seen anywhere.
    fn secrets(&self) -> Vec<String> {
        let files = ["queue_password", "secret_key"].map(|name| self.directory.path().join("secrets").join(name));
        let files = files.iter().filter_map(|path| Some(fs::read_to_string(path).ok()?.trim().to_owned()));
        files.chain(self.tokens.clone()).collect()
    }
}

/// Paths of the containers, in this directory.
fn in_directory(value: &str, directory: &Path) -> String {
    let place = |path: &str| directory.join(path).display().to_string();
    let value = if value == "/data" { place("data") } else { value.to_owned() };
    value.replace("/etc/nessus-mcp", &place("config")).replace("/run/secrets", &place("secrets"))
}

/// What docs/deploy.md does: the lines that `token new` says go to the end of the policy, without what is there already.
pub(crate) fn add_client(policy: &Path, name: &str, role: &str, skipped: usize) -> String {
    let made = Program::new(binaries::admin()).args(["token", "new", name, "--role", role]).run();
    assert_eq!(made.code, Some(0), "{made:?}");
    let lines: String = made.stderr.lines().skip(skipped).flat_map(|line| [line, "\n"]).collect();
    durable::replace(policy, (fs::read_to_string(policy).unwrap() + &lines).as_bytes()).unwrap();
    made.stdout.trim().to_owned()
}

fn start_redis(compose: &Compose, directory: &Path) -> RedisServer {
    let command = texts(&compose.document["services"]["redis"]["command"]);
    let options: Vec<_> = command[1..].iter().map(|option| in_directory(option, directory)).collect();
    RedisServer::of(&command[0], &options.iter().map(String::as_str).collect::<Vec<_>>())
}

/// An agent's scan in each pool comes to its end. Whatever looks at the deployment finds it well, and every metric that is watched is there.
#[tokio::test(flavor = "multi_thread")]
async fn compose_files_run() {
    for folder in ["dev1", "prod"] {
        let machine = Machine::prepared(folder);
        let services = machine.compose.services();
        // Both programs of a name of their own, and one after the other, as any order will do.
        let running: Vec<_> = services.iter().map(|service| machine.start(service)).collect();
        let server = running.iter().find(|one| one.name == "server").unwrap();
        let processes: Vec<_> = running.iter().map(|one| &one.process).collect();

        let client = machine.client(server).await;
        for (pool, targets) in [("office", "10.1.2.0/30"), ("datacentre", "10.2.0.1")] {
            let mut request = SubmitRequest::untrusted("a look", targets);
            request.pool = Some(pool.to_owned());
            let task = client.submit_scan(&request).await.unwrap_or_else(|error| panic!("{error}")).task_id;
            let ended = until(&format!("the scan in `{pool}` has ended"), &processes, async || {
                client.get_status(&task).await.ok().filter(|view| view.status.is_terminal())
            })
            .await;
            assert_eq!(ended.status, TaskStatus::Completed, "{ended:?}");
            assert!(ended.scanner_instance.as_ref().is_some_and(|name| name.as_str().starts_with(pool)), "{ended:?}");
        }
        let out_of_scope = client.submit_scan(&SubmitRequest::untrusted("their own", "10.0.0.1")).await;
        assert!(out_of_scope.is_err_and(|error| error.to_string().contains("10.0.0.0/24")));

        for one in &running {
            let asked = Program::new(binaries::admin()).args(["health", "--ready", &one.url]).run();
            assert_eq!((asked.code, &*asked.stdout), (Some(0), "ready\n"), "{}: {asked:?}", one.name);
        }
        doctor_finds_nothing(&machine, &services);
        let mut shown = BTreeSet::new();
        for one in &running {
            shown.extend(monitoring::shown(&machine.metrics(one).await));
        }
        monitoring::assert_watched_is_shown(&shown);
        nothing_is_seen(&machine, &services, &running);
        nothing_was_refused(&machine);
    }
}

/// `doctor` with the variables of the server, as an operator runs it in its container.
fn doctor_finds_nothing(machine: &Machine, services: &[Service]) {
    let server = services.iter().find(|service| service.name == "server").unwrap();
    let doctor = machine.program(server, binaries::admin()).args(["doctor", "--json"]).run();
    let told: Value = serde_json::from_str(&doctor.stdout).unwrap_or_else(|error| panic!("{error}: {doctor:?}"));
    let findings = told["findings"].as_array().unwrap().iter();
    // How full the disk of this machine is, is no fault of the deployment.
    let wrong: Vec<_> = findings
        .filter(|one| !matches!(one["severity"].as_str(), Some("ok" | "skipped")) && one["check"] != "disk")
        .collect();
    assert!(wrong.is_empty(), "{}: {wrong:#?}", machine.compose.folder);
}

/// No secret stands in a variable or a log.
fn nothing_is_seen(machine: &Machine, services: &[Service], running: &[Running]) {
    for secret in machine.secrets() {
        for service in services {
            assert!(service.environment.iter().all(|(_, value)| !holds(value.as_bytes(), &secret)), "{}", service.name);
        }
        for one in running {
            assert!(!holds(one.process.log().as_bytes(), &secret), "{} has a secret in its log", one.name);
        }
    }
}

/// The rights of the gateway in Redis are enough.
fn nothing_was_refused(machine: &Machine) {
    if !machine.directory.path().join("secrets/redis_acl").exists() {
        return;
    }
    let mut connection = Connection::open(machine.redis.port()).unwrap();
    connection.ask(&["AUTH", "inspector", "any"]);
    let refused = String::from_utf8_lossy(&connection.ask(&["ACL", "LOG"]).bytes()).into_owned();
    assert!(refused.is_empty(), "refused to the gateway: {refused}");
    let mut stranger = Connection::open(machine.redis.port()).unwrap();
    assert!(matches!(stranger.ask(&["GET", "x"]), nessus_mcp_tests::redis::Reply::Error(_)), "anybody may read");
}

/// The examples of prod are taken as they are; only the certificate and the scanner's password are not there yet.
#[test]
fn the_configuration_of_prod_is_right() {
    let compose = Compose::read("prod");
    let directory = tempfile::tempdir().unwrap();
    let made = Program::new(deploy().join("prod/make-secrets")).arg("scan.corp.example").current_dir(directory.path());
    let first = made.run();
    assert!(first.code == Some(0) && first.stderr.contains("nessus_password is empty"), "{first:?}");
    durable::replace(&directory.path().join("secrets/nessus_password"), b"secret of a test\n").unwrap();
    let before = fs::read(directory.path().join("secrets/queue_password")).unwrap();
    assert_eq!(made.run().code, Some(0));
    assert_eq!(fs::read(directory.path().join("secrets/queue_password")).unwrap(), before, "a secret was made anew");
    let config = directory.path().join("config");
    durable::create_directory(&config).unwrap();
    for name in ["scanners.yaml", "policy.yaml"] {
        let example = text(&format!("prod/config/{name}"));
        let example = in_directory(&example, directory.path());
        durable::replace(&config.join(name), example.as_bytes()).unwrap();
    }
    add_client(&config.join("policy.yaml"), "agent", "scan", 1);
    for service in compose.services() {
        let environment: Vec<_> = service
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), in_directory(value, directory.path())))
            .collect();
        let wrong = crate::settings::wrong_with(&environment);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", service.name);
    }
}
