//! The compose files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    files::{deploy, members, text, texts, yaml},
    settings,
};

/// A compose file, with the values of its `.env.example`.
pub(crate) struct Compose {
    pub(crate) folder: &'static str,
    pub(crate) document: Value,
}

/// A service that runs one of the programs.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) document: Value,
}

impl Compose {
    pub(crate) fn read(folder: &'static str) -> Self {
        let document = yaml(&text(&format!("{folder}/docker-compose.yml"))).remove(0);
        let values = variables(&text(&format!("{folder}/.env.example")));
        Self { folder, document: interpolated(&document, &values) }
    }

    /// The services that run a program of this project.
    pub(crate) fn services(&self) -> Vec<Service> {
        let ours = |service: &Value| service["image"].as_str().is_some_and(|image| image.starts_with("nessus-mcp:"));
        let services = members(&self.document["services"]).filter(|(_, service)| ours(service));
        let service = |(name, service): (&str, &Value)| Service {
            name: name.to_owned(),
            command: texts(&service["command"]),
            environment: members(&service["environment"])
                .map(|(name, value)| (name.to_owned(), value.as_str().unwrap().to_owned()))
                .collect(),
            document: service.clone(),
        };
        services.map(service).collect()
    }
}

/// The variables of an environment file.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// With `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced as compose does it.
fn interpolated(value: &Value, variables: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(interpolated_text(text, variables)),
        Value::Array(list) => list.iter().map(|one| interpolated(one, variables)).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, one)| (name.clone(), interpolated(one, variables))).collect()
        }
        other => other.clone(),
    }
}

fn interpolated_text(text: &str, variables: &BTreeMap<String, String>) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    let (name, default) = match inside.split_once(':') {
        Some((name, default)) => (name, default.strip_prefix('-')),
        None => (inside, None),
    };
    let known = variables.get(name).filter(|value| !value.is_empty()).cloned();
    let value = known.or_else(|| default.map(str::to_owned));
    let value = value.unwrap_or_else(|| panic!("`{name}` is missing in .env.example"));
    format!("{before}{value}{}", interpolated_text(after, variables))
}

fn both() -> [Compose; 2] {
    [Compose::read("dev1"), Compose::read("prod")]
}

#[test]
fn every_variable_is_a_setting() {
    for compose in both() {
        for service in compose.services() {
            let place = format!("{} {}", compose.folder, service.name);
            settings::assert_known(&place, service.environment.into_iter().map(|(name, _)| name));
        }
    }
}

/// The example of an object store names settings, and what stores read; it can be used as it is.
#[test]
fn the_example_of_a_store_can_be_used() {
    let store = variables(&text("prod/store.env.example"));
    settings::assert_known("store.env.example", store.keys().cloned());
    let service = Compose::read("prod").services().remove(0);
    let all: Vec<_> = service.environment.into_iter().chain(store).collect();
    let wrong = settings::wrong_with(&all);
    let of_places = |fault: &&Value| {
        let fault = fault.to_string();
        ["DATA_URL", "CACHE_", "object store"].iter().any(|word| fault.contains(word))
    };
    assert_eq!(wrong.iter().find(of_places), None, "{wrong:?}");
    let ours = Compose::read("prod").services();
    assert!(ours.iter().all(|service| service.document["env_file"][0]["path"] == "store.env"));
}

#[test]
fn every_container_is_closed() {
    for compose in both() {
        for (name, service) in members(&compose.document["services"]) {
            let place = format!("{} {name}", compose.folder);
            assert_eq!(service["read_only"], true, "{place}");
            assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{place}");
            assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{place}");
            assert!(service["user"].as_str().is_some_and(|user| user != "0:0"), "{place}");
            assert!(service["healthcheck"]["test"].is_array(), "{place} has no health check");
            for limit in ["cpus", "memory", "pids"] {
                assert!(!service["deploy"]["resources"]["limits"][limit].is_null(), "{place} has no limit of {limit}");
            }
        }
    }
}

#[test]
fn every_volume_secret_network_and_file_is_there() {
    for compose in both() {
        for (name, service) in members(&compose.document["services"]) {
            let place = format!("{} {name}", compose.folder);
            for volume in texts(&service["volumes"]) {
                let source = volume.split(':').next().unwrap();
                let is_there = match source.strip_prefix("./") {
                    Some(path) => deploy().join(compose.folder).join(path).exists(),
                    None => compose.document["volumes"].get(source).is_some(),
                };
                assert!(is_there, "{place}: `{source}`");
            }
            for (kind, names) in [("secrets", &service["secrets"]), ("networks", &service["networks"])] {
                for name in texts(names) {
                    assert!(compose.document[kind].get(&name).is_some(), "{place}: `{name}` is none of `{kind}`");
                }
            }
        }
        let used: BTreeSet<_> =
            members(&compose.document["services"]).flat_map(|(_, one)| texts(&one["secrets"])).collect();
        for (name, secret) in members(&compose.document["secrets"]) {
            assert!(used.contains(name), "{}: nobody uses the secret `{name}`", compose.folder);
            assert_eq!(secret["file"], format!("./secrets/{name}"));
            assert!(text("prod/make-secrets").contains(name), "make-secrets does not make `{name}`");
        }
    }
}

/// What a health check asks, listens there; what is published, too.
#[test]
fn ports_are_those_of_the_programs() {
    for compose in both() {
        for service in compose.services() {
            let place = format!("{} {}", compose.folder, service.name);
            let setting =
                |name: &str| service.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            let is_server = service.command[0] == "nessus-mcp-server";
            let bind = setting(if is_server { "MCP_BIND" } else { "METRICS_BIND" }).unwrap();
            let port = bind.strip_prefix("0.0.0.0:").unwrap();
            let scheme = if is_server && setting("TLS_CERT").is_some() { "https" } else { "http" };
            let asked = format!("{scheme}://127.0.0.1:{port}");
            let check = texts(&service.document["healthcheck"]["test"]);
            assert_eq!(check, ["CMD", "nessus-admin", "health", &asked], "{place}");
            let published = texts(&service.document["ports"]);
            assert!(published.iter().all(|one| one.ends_with(&format!(":{port}"))), "{place}: {published:?}");
            if is_server {
                let expected = if compose.folder == "dev1" { "8835" } else { "8836" };
                assert_eq!(port, expected, "{place}");
            } else {
                assert!(published.iter().all(|one| one.starts_with("127.0.0.1:")), "{place}: {published:?}");
            }
        }
    }
}

/// A worker for each pool, and no worker for a pool that is not there. dev1 has the pools of prod.
#[test]
fn every_pool_has_a_worker() {
    let pools = |folder: &str| {
        let scanners = yaml(&text(&format!("{folder}/config/scanners.yaml"))).remove(0);
        members(&scanners).map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>()
    };
    let workers = Compose::read("prod").services().into_iter();
    let served = workers.flat_map(|service| service.environment).filter(|(name, _)| name == "WORKER_POOLS");
    let served: BTreeSet<_> = served.map(|(_, pool)| pool).collect();
    assert_eq!(served, pools("prod"));
    assert_eq!(pools("dev1"), pools("prod"));
}

/// What is tried in dev1 is what runs in prod: the settings that differ are these.
#[test]
fn dev1_and_prod_differ_where_they_must() {
    let [dev, prod] = both();
    let all = |compose: &Compose| -> BTreeSet<(String, String)> {
        compose.services().into_iter().flat_map(|service| service.environment).collect()
    };
    let (dev_settings, prod_settings) = (all(&dev), all(&prod));
    let differing: BTreeSet<_> =
        dev_settings.symmetric_difference(&prod_settings).map(|(name, _)| name.as_str()).collect();
    let expected = [
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MCP_ALLOWED_HOSTS",
        "MCP_BIND",
        "NESSUS_MCP_SECRET_KEY_FILE",
        "QUEUE_URL",
        "TLS_CERT",
        "TLS_KEY",
        "WORKER_POOLS",
    ];
    assert_eq!(differing, BTreeSet::from(expected));
    assert_eq!(text("dev1/config/policy.yaml"), text("prod/config/policy.yaml"));
    let image = |compose: &Compose| compose.services()[0].document["image"].clone();
    assert_eq!(image(&dev), image(&prod));
}

/// Redis keeps what it has confirmed, and never throws anything away.
#[test]
fn redis_keeps_everything() {
    for compose in both() {
        let command = texts(&compose.document["services"]["redis"]["command"]).join(" ");
        for option in ["--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory 256mb"] {
            assert!(command.contains(option), "{}: {command}", compose.folder);
        }
        assert_eq!(compose.document["networks"]["queue"]["internal"], true, "{}", compose.folder);
        assert_eq!(texts(&compose.document["services"]["redis"]["networks"]), ["queue"], "{}", compose.folder);
    }
}

#[test]
fn values_are_interpolated_as_compose_does_it() {
    let values = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
    assert_eq!(interpolated_text("x${A}y${B:-2}z${A:?set it}${E:-3}", &values), "x1y2z13");
}
