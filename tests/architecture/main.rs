//! The walls of the house: which module of the library may use which, and who may use which crate.
#![expect(clippy::unwrap_used, reason = "a file of this repository that cannot be read is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The floors from the ground up. A module may use those on its own floor or below it.
const FLOORS: [&[&str]; 9] = [
    &["blocking", "durable", "error", "fail_points", "hex", "ids", "secret", "streams", "targets", "time"],
    &["telemetry"],
    &["config"],
    &["results"],
    &["circuit_breaker", "queue", "retry", "task"],
    &["housekeeping", "scanner"],
    &["service"],
    &["worker"],
    &["client", "testing"],
];

/// Crates that only one room may know, and that room.
const OWNERS: [(&str, &[&str]); 9] = [
    ("quick_xml", &["nessus-mcp-lib/src/results/xml"]),
    ("reqwest", &["nessus-mcp-lib/src/scanner/nessus", "nessus-mcp-lib/src/client"]),
    ("redis", &["nessus-mcp-lib/src/queue/redis"]),
    ("rusqlite", &["nessus-mcp-lib/src/queue/sqlite"]),
    ("rustls", &["nessus-mcp-lib/src/queue/redis", "nessus-mcp-lib/src/scanner/nessus"]),
    ("serde_saphyr", &["nessus-mcp-lib/src/config/yaml.rs"]),
    ("rmcp", &["nessus-mcp-lib/src/client", "nessus-mcp-server/src"]),
    ("prometheus", &["nessus-mcp-lib/src/telemetry"]),
    ("secrecy", &["nessus-mcp-lib/src/secret.rs"]),
];

const MEMBERS: [&str; 4] = ["nessus-mcp-lib", "nessus-mcp-server", "nessus-worker", "nessus-admin"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The sources below a folder without their tests and comments, by path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if name == "tests" || name.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((shown, without_tests(&text)));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found.sort();
    found
}

fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules a source names after `crate::`, one by one or in a list.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(list) => used.extend(first_names(list)),
            None => used.extend(name_at(part)),
        }
    }
    used
}

/// The names at the top level of a list in braces.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut begins, mut names) = (0_i32, true, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if character.is_whitespace() => {}
            _ if begins && depth == 0 => {
                names.extend(name_at(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The module name a text begins with; types and macros of the crate root are none.
fn name_at(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (name.starts_with(|c: char| c.is_ascii_lowercase()) && !rest.starts_with('!')).then(|| name.to_owned())
}

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("`{module}` is on no floor"))
}

/// What each module of the library uses.
fn picture() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources("nessus-mcp-lib/src") {
        let inside = path.strip_prefix("nessus-mcp-lib/src/").unwrap();
        let module = inside.split(['/', '.']).next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let named = used_modules(&code).into_iter().filter(|named| *named != module);
        uses.entry(module.clone()).or_default().extend(named);
    }
    uses
}

/// The picture as it stands in ARCHITECTURE.md.
fn drawn(uses: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut text = String::new();
    for floor in FLOORS.iter().rev() {
        for module in *floor {
            let names: Vec<_> = uses.get(*module).into_iter().flatten().map(String::as_str).collect();
            let names = if names.is_empty() { "-".to_owned() } else { names.join(" ") };
            writeln!(text, "{module:<13} -> {names}").unwrap();
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[test]
fn no_module_uses_a_higher_floor() {
    for (module, used) in picture() {
        for other in used {
            assert!(floor_of(&other) <= floor_of(&module), "`{module}` uses `{other}`, which stands above it");
        }
    }
}

#[test]
fn the_picture_in_the_documentation_is_true() {
    let documented = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let expected = drawn(&picture());
    assert!(documented.contains(&expected), "ARCHITECTURE.md needs this picture of the modules:\n\n{expected}\n");
}

#[test]
fn backend_crates_stay_in_their_rooms() {
    for (path, code) in MEMBERS.iter().flat_map(|member| sources(&format!("{member}/src"))) {
        for (name, rooms) in OWNERS {
            let at_home = rooms.iter().any(|room| path.starts_with(room));
            let known = code.match_indices(&format!("{name}::")).any(|(at, _)| begins_a_path(&code, at))
                || code.contains(&format!("use {name}"));
            assert!(at_home || !known, "{path} knows `{name}`, which belongs to {rooms:?}");
        }
    }
}

/// Whether a name at this place is a crate's: a room of ours may have the same name, but is not the first of a path; and
/// what follows a quote or a comma without a space stands in a text, such as the directives of a log.
fn begins_a_path(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '"' | ','))
}

#[test]
fn entry_points_are_thin_and_rooms_are_small() {
    for (path, code) in MEMBERS.iter().flat_map(|member| sources(&format!("{member}/src"))) {
        let lines = code.lines().count();
        let most = if path.ends_with("src/main.rs") { 80 } else { 800 };
        assert!(lines < most, "{path} has {lines} lines");
    }
}
