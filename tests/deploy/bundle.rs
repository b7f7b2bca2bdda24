//! The bundle for clients: its server is started as a client would start it, and `server.json` is what the registry takes.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use nessus_mcp_tests::{
    binaries,
    processes::{Finished, Program},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::files::{root, text};

/// Unpacks an archive with the modes that it has.
const UNPACK: &str = "import sys, os, zipfile
for entry in zipfile.ZipFile(sys.argv[1]).infolist():
    path = zipfile.ZipFile(sys.argv[1]).extract(entry, sys.argv[2])
    os.chmod(path, entry.external_attr >> 16 & 0o7777)";

/// The script, if this machine has Python.
#[expect(clippy::print_stderr, reason = "what is not tried is said where a test run says it")]
fn bundle(directory: &Path, more: &[&str]) -> Option<Finished> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|told| told.status.success()) {
        eprintln!("SKIPPED: python3 is missing, so no bundle was made: install it");
        return None;
    }
    let binaries = binaries::server().parent().unwrap();
    Some(Program::new(root().join("scripts/bundle")).arg(binaries).arg(directory).args(more).run())
}

fn manifest() -> Value {
    serde_json::from_str(&text("mcpb/manifest.json")).unwrap()
}

/// A text of the manifest as a client fills it in.
fn filled_in(text: &str, directory: &Path, chosen: &[(&str, &Path)]) -> String {
    let start = text.replace("${__dirname}", &directory.display().to_string());
    chosen
        .iter()
        .fold(start, |text, (key, path)| text.replace(&format!("${{user_config.{key}}}"), &path.display().to_string()))
}

const NAME: &str = "com.example/nessus-mcp";
const URL: &str = "https://downloads.example/nessus-mcp.mcpb";

/// The server of a bundle runs as a client starts it, and `server.json` tells the registry of that bundle.
#[test]
fn a_bundle_is_what_clients_and_the_registry_take() {
    let place = tempfile::tempdir().unwrap();
    let Some(made) = bundle(&place.path().join("made"), &["--name", NAME, "--url", URL]) else { return };
    assert_eq!(made.code, Some(0), "{made:?}");
    let (bundle, server) = made.stdout.trim().split_once('\n').unwrap();
    assert_registry_takes(&fs::read(server).unwrap(), &fs::read(bundle).unwrap());
    let unpacked = place.path().join("unpacked");
    let unpacking = Program::new("python3").args(["-c", UNPACK]).arg(bundle).arg(&unpacked).run();
    assert_eq!(unpacking.code, Some(0), "{unpacking:?}");
    assert_client_starts(&unpacked, place.path());
}

/// Fills in what a client asks its user for, and starts what the manifest says.
fn assert_client_starts(unpacked: &Path, place: &Path) {
    let inside: Value = serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(inside["compatibility"]["platforms"], json!(["linux"]), "what it was made on");
    let server = &inside["server"];
    let entry_point = unpacked.join(server["entry_point"].as_str().unwrap());
    assert_eq!(fs::metadata(&entry_point).unwrap().permissions().mode() & 0o777, 0o755);
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        assert_eq!(fs::read(unpacked.join(licence)).unwrap(), fs::read(root().join(licence)).unwrap());
    }
    // What the user is asked for is all that the command needs, and nothing else.
    let scanners = place.join("scanners.yaml");
    nessus_mcp_lib::durable::replace(&scanners, b"lab: [{instance_id: mock-1, type: mock}]\n").unwrap();
    let chosen = [("scanner_config", scanners.as_path()), ("data_dir", &place.join("data"))];
    let asked: BTreeSet<_> = inside["user_config"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(asked, chosen.iter().map(|(key, _)| *key).collect());
    let config = &server["mcp_config"];
    let fill = |text: &Value| filled_in(text.as_str().unwrap(), unpacked, &chosen);
    let (command, arguments) = (fill(&config["command"]), config["args"].as_array().unwrap().iter().map(fill));
    assert_eq!(Path::new(&command), entry_point);
    let arguments: Vec<_> = arguments.collect();
    assert!(!arguments.iter().any(|argument| argument.contains("${")), "{arguments:?}");
    let mut process = Program::new(command).args(arguments).with_input().start(&place.join("server.log"));
    process.send(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#,
    );
    let answer = process.wait_for_line("the answer", |line| serde_json::from_str::<Value>(line).ok());
    assert_eq!(answer["result"]["serverInfo"]["version"], inside["version"], "{answer}");
    process.close_input();
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

/// The rules of the registry's schema of 2025-12-11, and of the registry, for what `server.json` has.
fn assert_registry_takes(server: &[u8], bundle: &[u8]) {
    let server: Value = serde_json::from_slice(server).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let sha256 = Sha256::digest(bundle).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(
        server,
        json!({
            "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
            "name": NAME,
            "title": manifest()["display_name"],
            "description": manifest()["description"],
            "version": version,
            "packages": [{
                "registryType": "mcpb",
                "identifier": URL,
                "version": version,
                "fileSha256": sha256,
                "transport": { "type": "stdio" },
            }],
        })
    );
    for (what, most) in [("title", 100), ("description", 100), ("version", 255)] {
        let length = server[what].as_str().unwrap().chars().count();
        assert!((1..=most).contains(&length), "{what} has {length} characters");
    }
}

#[test]
fn what_the_registry_would_refuse_is_refused_at_once() {
    let place = tempfile::tempdir().unwrap();
    for (more, said) in [
        (&["--name", "nessus-mcp", "--url", URL][..], "is not the name of a server"),
        (&["--name", "com.example/nessus/mcp", "--url", URL], "is not the name of a server"),
        (&["--name", NAME, "--url", "file:///nessus-mcp.mcpb"], "is not an address that a client can download from"),
        (&["--name", NAME], "belong together"),
    ] {
        let Some(refused) = bundle(place.path(), more) else { return };
        assert!(refused.code == Some(2) && refused.stderr.contains(said), "{more:?}: {refused:?}");
    }
}

#[test]
fn the_manifest_is_that_of_this_version_and_names_no_address() {
    let manifest = manifest();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    for address in ["repository", "homepage", "documentation", "support", "privacy_policies"] {
        assert!(manifest[address].is_null(), "`{address}` names what must exist");
    }
    assert!(!manifest.to_string().contains("://"), "{manifest}");
}
