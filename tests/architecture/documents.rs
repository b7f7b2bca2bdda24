//! What the documents tell people to run, and the files that they point to.

use std::{fs, path::PathBuf};

use super::modules::root;

/// The documents for people, from the root of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "examples/README.md",
        "fixtures/README.md",
        "tests/nessus-sim/README.md",
    ]
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

/// The links of a text within the repository: files, and headings of this document or of another.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The names by which the headings of a document are linked to.
fn anchors(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text).filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
        let name: String = kept.map(|one| if one == ' ' { '-' } else { one }).collect();
        // The second of a name has a number.
        let before = found.iter().filter(|(known, _)| *known == name).count();
        let anchor = if before == 0 { name.clone() } else { format!("{name}-{before}") };
        found.push((name, anchor));
    }
    found.into_iter().map(|(_, anchor)| anchor).collect()
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
        for link in prose(&text).flat_map(links) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let there = if file.is_empty() { root().join(&document) } else { folder.join(file) };
            assert!(there.exists(), "{}: `{link}` leads nowhere", document.display());
            if let Some(anchor) = anchor {
                let headings = anchors(&fs::read_to_string(there).unwrap());
                assert!(
                    headings.iter().any(|known| known == anchor),
                    "{}: `{link}`: {headings:#?}",
                    document.display()
                );
            }
        }
    }
}

/// `docs/SUMMARY.md`, the contents of the book that mdBook makes of `docs/`.
#[test]
fn the_book_has_each_page_once_under_its_name() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut chapters: Vec<_> = summary.lines().filter_map(|line| line.strip_prefix("- [")?.strip_suffix(')')).collect();
    chapters.sort_unstable_by_key(|chapter| chapter.rsplit('(').next());
    let mut expected = Vec::new();
    for path in documents().iter().filter(|path| path.starts_with("docs") && !path.ends_with("SUMMARY.md")) {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let title = title.unwrap_or_else(|| panic!("{} does not begin with its title", path.display()));
        expected.push(format!("{}]({}", title.replace('`', ""), path.file_name().unwrap().display()));
    }
    expected.sort_unstable_by(|one, other| one.rsplit('(').next().cmp(&other.rsplit('(').next()));
    assert_eq!(chapters, expected);
}

#[test]
fn a_heading_is_linked_to_by_its_words() {
    let text = "# The `/health` page, or: what?\n```console\n# no heading\n```\n## Twice\n## Twice\n";
    assert_eq!(anchors(text), ["the-health-page-or-what", "twice", "twice-1"]);
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
