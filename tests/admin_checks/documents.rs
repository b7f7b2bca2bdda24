//! What documents and hints tell operators to type.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::alone;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found
}

/// The words behind each `nessus-admin ` of a text that may be a command and its subcommand.
fn commands(text: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let is_word = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
    };
    text.split("nessus-admin ").skip(1).filter_map(move |rest| {
        let rest = rest.split(['`', '"', '\n', '\\', '#', '|']).next().unwrap_or_default();
        let mut words = rest.split(' ');
        let first = words.next().filter(is_word)?.to_owned();
        Some((first, words.next().filter(is_word).map(str::to_owned)))
    })
}

/// Texts in which the name is a part of a sentence, not of a command.
const SENTENCES: [&str; 4] = ["as", "on", "is", "and"];

#[test]
fn every_setting_is_documented() {
    let told: serde_json::Value = serde_json::from_str(&alone(&["config", "check", "--json"]).stdout).unwrap();
    let text = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let names: Vec<_> = told["settings"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.len() > 40, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not have {missing:?}");
}

#[test]
fn every_command_that_is_named_exists() {
    let mut paths = files("docs", "md");
    paths.extend(["README.md", "ARCHITECTURE.md"].map(|name| root().join(name)));
    for sources in ["nessus-mcp-lib/src", "nessus-mcp-server/src", "nessus-worker/src", "nessus-admin/src"] {
        paths.extend(files(sources, "rs"));
    }
    let mut named = BTreeSet::new();
    for path in paths {
        named.extend(commands(&fs::read_to_string(path).unwrap()));
    }
    assert!(named.len() > 20, "{named:?}");
    let groups: BTreeSet<String> = [
        "queue",
        "policy",
        "token",
        "approvals",
        "audit",
        "scanners",
        "config",
        "tasks",
        "housekeeping",
        "log",
        "webhooks",
    ]
    .map(str::to_owned)
    .into();
    for (command, subcommand) in named.into_iter().filter(|(command, _)| !SENTENCES.contains(&command.as_str())) {
        let mut arguments = vec![command.as_str()];
        arguments.extend(subcommand.as_deref().filter(|_| groups.contains(&command)));
        arguments.push("--help");
        let finished = alone(&arguments);
        assert_eq!(finished.code, Some(0), "`nessus-admin {}` is named somewhere: {finished:?}", arguments.join(" "));
    }
}
