//! The units of systemd, and the Debian package that has them.

use std::{collections::BTreeSet, fs};

use crate::{
    files::{deploy, ending, root, text},
    settings,
};

fn units() -> Vec<String> {
    ending(".service")
}

/// The values of a key of a unit.
fn values(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_variable_is_a_setting() {
    let named = |line: &str| line.split_once('=').map(|(name, _)| name.trim_start_matches('#').to_owned());
    let file = text("systemd/environment");
    let in_file = file.lines().filter(|line| !line.starts_with("# ")).filter_map(named);
    let in_units = units().into_iter().flat_map(|unit| values(&text(&unit), "Environment"));
    settings::assert_known("systemd", in_file.chain(in_units.filter_map(|line| named(&line))));
}

/// What the file for the units suggests in its comments is a configuration that is right, once its files are there.
#[test]
fn the_suggested_environment_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let place = |file: &str| directory.path().join(file).display().to_string();
    for name in ["scanners.yaml", "policy.yaml"] {
        let example = text(&format!("dev1/config/{name}"));
        nessus_mcp_lib::durable::replace(&directory.path().join(name), example.as_bytes()).unwrap();
    }
    crate::running::add_client(&directory.path().join("policy.yaml"), "agent", "scan", 1);
    for (name, content) in [
        ("credentials.yaml", "{}\n".to_owned()),
        ("queue_password", "x\n".to_owned()),
        ("secret_key", "0f".repeat(32)),
        ("tls_cert.pem", String::new()),
        ("tls_key.pem", String::new()),
    ] {
        nessus_mcp_lib::durable::replace(&directory.path().join(name), content.as_bytes()).unwrap();
    }
    let file = text("systemd/environment");
    let lines = file.lines().filter(|line| !line.starts_with("# ")).map(|line| line.trim_start_matches('#'));
    let environment: Vec<_> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace("/etc/nessus-mcp", place("").trim_end_matches('/'))))
        .collect();
    assert!(environment.len() >= 10, "{environment:?}");
    let wrong = settings::wrong_with(&environment);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn units_are_closed_and_stay_down_when_the_configuration_is_wrong() {
    assert_eq!(units().len(), 2);
    for name in units() {
        let unit = text(&name);
        for line in [
            "User=nessus-mcp",
            "RestartPreventExitStatus=78",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "MemoryDenyWriteExecute=yes",
            "SystemCallFilter=@system-service",
            "CapabilityBoundingSet=",
            "StateDirectory=nessus-mcp",
        ] {
            assert!(unit.lines().any(|found| found == line), "{name}: {line}");
        }
        assert!(text("systemd/nessus-mcp.sysusers").contains("u nessus-mcp "));
    }
}

/// What the package installs is there, and is where the units and the scripts look for it.
#[test]
fn the_package_has_what_the_units_start() {
    let manifest = fs::read_to_string(root().join("nessus-mcp-server/Cargo.toml")).unwrap();
    let (_, metadata) = manifest.split_once("[package.metadata.deb]").unwrap();
    let assets: Vec<(String, String)> = metadata
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"")?.strip_suffix("],"))
        .map(|line| {
            let parts: Vec<_> = line.split('"').collect();
            (parts[0].to_owned(), parts[2].to_owned())
        })
        .collect();
    assert!(assets.len() >= 10, "{assets:?}");
    let mut installed = BTreeSet::new();
    for (source, place) in &assets {
        let is_program = source.starts_with("target/release/");
        assert!(is_program || root().join("nessus-mcp-server").join(source).exists(), "{source} is not there");
        let name = source.rsplit('/').next().unwrap();
        installed.insert(if place.ends_with('/') { format!("/{place}{name}") } else { format!("/{place}") });
    }
    for unit in units() {
        let unit_text = text(&unit);
        for program in values(&unit_text, "ExecStart") {
            let program = program.split(' ').next().unwrap();
            assert!(installed.contains(program), "{unit}: {program} is not in the package");
        }
        for file in values(&unit_text, "EnvironmentFile") {
            assert!(installed.contains(&file), "{unit}: {file} is not in the package");
        }
        let name = unit.rsplit('/').next().unwrap();
        assert!(installed.contains(&format!("/usr/lib/systemd/system/{name}")), "{name} is not in the package");
    }
    assert!(deploy().join("debian/postinst").exists());
}
