//! What the documents tell people to run, and the files that they point to.

use std::{fs, path::PathBuf};

use super::modules::root;

/// The documents for people, from the root of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "fixtures/README.md", "tests/nessus-sim/README.md"]
        .map(PathBuf::from)
        .to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = PathBuf::from("docs").join(entry.unwrap().file_name());
        found.extend(path.extension().is_some_and(|extension| extension == "md").then_some(path));
    }
    found
}

/// The names of the targets of a kind, such as `example`, in the manifest of a package.
fn targets(package: &str, kind: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    let sections = manifest.split("\n[").filter(|section| section.starts_with(&format!("[{kind}]]")));
    let name = |section: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix("name = "));
        line.unwrap().trim_matches('"').to_owned()
    };
    sections.map(name).collect()
}

/// The folder of a package; without one, that of the examples, which `cargo run --example` means at the root.
fn folder_of(package: Option<&str>) -> String {
    match package {
        None => "examples".to_owned(),
        Some("nessus-sim") => super::SIMULATOR.to_owned(),
        Some(package) => package
            .strip_prefix("nessus-mcp-")
            .filter(|name| matches!(*name, "tests" | "examples"))
            .unwrap_or(package)
            .to_owned(),
    }
}

/// What is wrong with the `cargo` commands of a text.
fn wrong_commands(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for command in text.split("cargo ").skip(1) {
        let command = command.split(['`', '\n', '#']).next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        let behind = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).copied()
        };
        let folder = folder_of(behind("-p"));
        if !root().join(&folder).join("Cargo.toml").is_file() {
            wrong.push(format!("`cargo {command}`: there is no package in `{folder}`"));
            continue;
        }
        for kind in ["example", "test", "bench"] {
            if let Some(name) = behind(&format!("--{kind}"))
                && !targets(&folder, kind).iter().any(|target| target == name)
            {
                wrong.push(format!("`cargo {command}`: `{folder}` has no {kind} `{name}`"));
            }
        }
    }
    wrong
}

/// The relative links of a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(char::is_whitespace))
}

#[test]
fn commands_in_documents_name_what_exists() {
    for document in documents() {
        let wrong = wrong_commands(&fs::read_to_string(root().join(&document)).unwrap());
        assert!(wrong.is_empty(), "{}: {}", document.display(), wrong.join("\n"));
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        let folder = root().join(document.parent().unwrap());
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{}: `{link}` leads nowhere", document.display());
        }
    }
}

#[test]
fn an_example_of_another_name_is_found() {
    assert_eq!(wrong_commands("run `cargo run --example nessus-sim -- --port 1` now"), [""; 0]);
    assert_eq!(wrong_commands("cargo run --release -p nessus-mcp-tests --example bad-hour   # x\n"), [""; 0]);
    for text in
        ["`cargo run --example nessus_sim`", "cargo test -p nessus-mcp-tests --test nothing", "cargo run -p nothing"]
    {
        assert_eq!(wrong_commands(text).len(), 1, "{text}");
    }
}
