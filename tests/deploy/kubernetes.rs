//! The manifests for Kubernetes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    compose::Compose,
    files::{elements, ending, members, text, texts, yaml},
    settings,
};

/// All objects, by file.
fn objects() -> Vec<Value> {
    let files = ending(".yaml").into_iter().filter(|name| name.starts_with("kubernetes/"));
    files.filter(|name| !name.ends_with("kustomization.yaml")).flat_map(|name| yaml(&text(&name))).collect()
}

/// The pods, each with its name.
fn pods() -> Vec<(String, Value)> {
    let sets = objects().into_iter().filter(|object| object["kind"] == "StatefulSet");
    sets.map(|set| (set["metadata"]["name"].as_str().unwrap().to_owned(), set["spec"]["template"].clone())).collect()
}

fn container(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]
}

fn environment(pod: &Value) -> Vec<(String, String)> {
    let variables = elements(&container(pod)["env"]);
    variables.map(|one| (one["name"].as_str().unwrap().to_owned(), one["value"].as_str().unwrap().to_owned())).collect()
}

fn is_ours(pod: &Value) -> bool {
    container(pod)["image"].as_str().is_some_and(|image| image.starts_with("nessus-mcp:"))
}

#[test]
fn every_file_is_applied() {
    let listed = texts(&yaml(&text("kubernetes/kustomization.yaml"))[0]["resources"]);
    let files = ending(".yaml").into_iter().filter_map(|name| name.strip_prefix("kubernetes/").map(str::to_owned));
    let files: BTreeSet<_> = files.filter(|name| name != "kustomization.yaml").collect();
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), files);
}

#[test]
fn every_pod_is_closed() {
    for (name, pod) in pods() {
        let (spec, container) = (&pod["spec"], container(&pod));
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(spec["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch", "{name}");
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(texts(&context["capabilities"]["drop"]), ["ALL"], "{name}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        assert!(container["livenessProbe"].is_object() && container["readinessProbe"].is_object(), "{name}");
    }
}

/// The settings are those of the compose file of prod, but for where the data are and who reaches the server.
#[test]
fn settings_are_those_of_prod() {
    let compose = Compose::read("prod").services();
    for (name, pod) in pods().into_iter().filter(|(_, pod)| is_ours(pod)) {
        let environment = environment(&pod);
        settings::assert_known(&name, environment.iter().map(|(name, _)| name.clone()));
        let command = texts(&container(&pod)["args"]);
        let same = compose.iter().filter(|service| service.command == command);
        let pool = |variables: &[(String, String)]| variables.iter().find(|(name, _)| name == "WORKER_POOLS").cloned();
        let mut same = same.filter(|service| pool(&service.environment) == pool(&environment));
        let service = same.next().unwrap_or_else(|| panic!("{name} is no service of prod"));
        let own = |variables: &[(String, String)]| -> BTreeSet<_> {
            variables.iter().filter(|(name, _)| !matches!(&**name, "DATA_DIR" | "MCP_ALLOWED_HOSTS")).cloned().collect()
        };
        assert_eq!(own(&environment), own(&service.environment), "{name}");
    }
}

/// No volume is shared: what all processes need is in the object store that one object names for all pods, and what a pod keeps for itself
/// has a volume of its own.
#[test]
fn pods_share_the_object_store_and_no_volume() {
    let objects = objects();
    let named = |kind: &str, name: &Value| {
        objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == *name).cloned()
    };
    for object in objects.iter().filter(|object| object["kind"] == "StatefulSet") {
        let (name, spec) = (&object["metadata"]["name"], &object["spec"]);
        for claim in elements(&spec["volumeClaimTemplates"]) {
            assert_eq!(texts(&claim["spec"]["accessModes"]), ["ReadWriteOnce"], "{name}");
        }
        let pod = &spec["template"];
        let own = elements(&spec["volumeClaimTemplates"]).map(|claim| &claim["metadata"]["name"]);
        let volumes: Vec<_> = own.chain(elements(&pod["spec"]["volumes"]).map(|volume| &volume["name"])).collect();
        for mount in elements(&container(pod)["volumeMounts"]) {
            assert!(volumes.contains(&&mount["name"]), "{name}: {mount}");
        }
        assert!(elements(&pod["spec"]["volumes"]).all(|volume| volume["persistentVolumeClaim"].is_null()), "{name}");
        if !is_ours(pod) {
            continue;
        }
        assert!(named("ServiceAccount", &pod["spec"]["serviceAccountName"]).is_some(), "{name}");
        let from = elements(&container(pod)["envFrom"]).find(|from| from["configMapRef"].is_object()).unwrap();
        let store = named("ConfigMap", &from["configMapRef"]["name"]).unwrap();
        let store: Vec<_> = members(&store["data"])
            .map(|(name, value)| (name.to_owned(), value.as_str().unwrap().to_owned()))
            .collect();
        settings::assert_known("storage.yaml", store.iter().map(|(name, _)| name.clone()));
        let environment: Vec<_> = environment(pod).into_iter().chain(store).collect();
        let wrong = settings::wrong_with(&environment);
        let of_places = wrong.iter().filter(|fault| {
            let fault = fault.to_string();
            ["DATA_URL", "CACHE_", "object store"].iter().any(|word| fault.contains(word))
        });
        assert_eq!(of_places.count(), 0, "{name}: {wrong:?}");
        let value = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
        let mounts: Vec<_> =
            elements(&container(pod)["volumeMounts"]).map(|one| one["mountPath"].as_str().unwrap()).collect();
        for place in [value("DATA_DIR"), value("CACHE_DIR")] {
            assert!(mounts.iter().any(|mount| place.starts_with(&format!("{mount}/"))), "{name}: {place}");
        }
    }
}

/// Probes ask where the program listens, over the protocol that it speaks there.
#[test]
fn probes_ask_what_there_is() {
    for (name, pod) in pods().into_iter().filter(|(_, pod)| is_ours(pod)) {
        let environment = environment(&pod);
        let bind = environment.iter().find(|(name, _)| name.ends_with("_BIND")).unwrap();
        let port = &container(&pod)["ports"][0];
        assert_eq!(bind.1, format!("0.0.0.0:{}", port["containerPort"]), "{name}");
        let is_tls = environment.iter().any(|(name, _)| name == "TLS_CERT");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let probed = &container(&pod)[probe]["httpGet"];
            if probed.is_null() {
                assert_eq!(probe, "startupProbe", "{name} has no {probe}");
                continue;
            }
            let path = if probe == "readinessProbe" { "/health/ready" } else { "/health/live" };
            assert_eq!((&probed["path"], &probed["port"]), (&Value::from(path), &port["name"]), "{name} {probe}");
            assert_eq!(probed["scheme"] == "HTTPS", is_tls, "{name} {probe}");
            // A server refuses names that are not its own.
            assert_eq!(probed["httpHeaders"][0]["value"] == "localhost", bind.0 == "MCP_BIND", "{name} {probe}");
        }
    }
}

/// Secrets are named, and never written down; each file that a setting names is mounted.
#[test]
fn secrets_are_references() {
    assert!(objects().iter().all(|object| object["kind"] != "Secret"));
    let made = text("prod/make-secrets");
    for (name, pod) in pods() {
        let volumes = elements(&pod["spec"]["volumes"]).find(|volume| volume["name"] == "secrets").unwrap();
        let mounted: BTreeSet<_> =
            elements(&volumes["secret"]["items"]).map(|one| one["path"].as_str().unwrap().to_owned()).collect();
        for key in &mounted {
            assert!(made.contains(key.as_str()), "{name}: make-secrets does not make `{key}`");
        }
        let named = environment_of(&pod).into_iter().chain(texts(&container(&pod)["args"]));
        for value in named {
            let file =
                value.split("/run/secrets/").nth(1).map(|file| file.trim_start_matches("nessus-mcp/").to_owned());
            assert!(file.as_ref().is_none_or(|file| mounted.contains(file)), "{name}: {file:?} is not mounted");
        }
    }
}

fn environment_of(pod: &Value) -> Vec<String> {
    elements(&container(pod)["env"]).filter_map(|one| one["value"].as_str().map(str::to_owned)).collect()
}

/// Every selector of a service or a network policy selects a pod, and the ports are those of the pods.
#[test]
fn selectors_and_ports_fit() {
    let pods = pods();
    let selected = |selector: &Value| -> Vec<&(String, Value)> {
        pods.iter()
            .filter(|(_, pod)| members(selector).all(|(label, value)| pod["metadata"]["labels"][label] == *value))
            .collect()
    };
    let mut closed = BTreeSet::new();
    for object in objects() {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match object["kind"].as_str().unwrap() {
            "Service" => {
                let found = selected(&object["spec"]["selector"]);
                assert!(!found.is_empty(), "{name} selects nothing");
                let port = &object["spec"]["ports"][0]["port"];
                assert!(found.iter().all(|(_, pod)| container(pod)["ports"][0]["containerPort"] == *port), "{name}");
            }
            "NetworkPolicy" if name != "nothing-by-default" => {
                let found = selected(&object["spec"]["podSelector"]["matchLabels"]);
                assert!(!found.is_empty(), "{name} selects nothing");
                for (pod_name, pod) in found {
                    let port = &container(pod)["ports"][0]["containerPort"];
                    let lets_in = elements(&object["spec"]["ingress"]).all(|rule| rule["ports"][0]["port"] == *port);
                    assert!(lets_in, "{name} lets nobody in to {pod_name}");
                    closed.insert(pod_name.clone());
                }
            }
            "StatefulSet" => {
                let service = object["spec"]["serviceName"].as_str().unwrap();
                let is_there =
                    objects().iter().any(|one| one["kind"] == "Service" && one["metadata"]["name"] == service);
                assert!(is_there, "{name}: there is no service `{service}`");
            }
            _ => {}
        }
    }
    assert_eq!(closed.len(), pods.len(), "a pod has no network policy of its own: {closed:?}");
}
