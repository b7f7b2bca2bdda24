//! The order of the code: which module may use which, which crate belongs to which module, and how large a file may be.
#![expect(clippy::unwrap_used, reason = "a file of this repository that cannot be read is a failed test")]

mod counts;
mod documents;
mod modules;
mod order;
mod tokens;
mod words;

use std::{collections::BTreeMap, fmt::Write as _, fs};

use self::{
    modules::{Names, Package, root},
    order::{Level, levels, on_circles},
};

/// The layers of the library from the lowest up. A module may use those in its own layer or below it.
const LAYERS: [&[&str]; 9] = [
    &[
        "blocking",
        "delegate",
        "durable",
        "error",
        "fail_points",
        "hex",
        "ids",
        "known",
        "login",
        "parts",
        "secret",
        "source",
        "streams",
        "targets",
        "time",
    ],
    &["telemetry"],
    &["config"],
    &["audit", "policy", "results"],
    &["circuit_breaker", "queue", "retry", "task"],
    &["credentials", "housekeeping", "scanner"],
    &["service"],
    &["delivery", "worker"],
    &["client", "testing"],
];

/// The layers of `results`, in the same way: what a finding goes through.
const RESULTS_LAYERS: [&[&str]; 10] = [
    &["texts"],
    &["record"],
    &["error"],
    &["query", "xml"],
    &["judge"],
    &["convert"],
    &["index"],
    &["write"],
    &["read"],
    &["diff", "export", "summary"],
];

/// Crates that only some modules may know, and those modules.
const OWNERS: [(&str, &[&str]); 16] = [
    ("governor", &["nessus-mcp-server/src/tools/limits.rs"]),
    ("maud", &["nessus-mcp-server/src/ui"]),
    // The others name it as the provider of rustls.
    (
        "aws_lc_rs",
        &[
            "nessus-mcp-lib/src/policy/approval_key.rs",
            "nessus-mcp-lib/src/queue/redis",
            "nessus-mcp-lib/src/scanner/nessus",
            "nessus-mcp-server/src/tls.rs",
        ],
    ),
    ("quick_xml", &["nessus-mcp-lib/src/results/xml"]),
    (
        "reqwest",
        &[
            "nessus-mcp-lib/src/scanner/nessus",
            "nessus-mcp-lib/src/client",
            "nessus-mcp-lib/src/delivery/webhook.rs",
            "nessus-mcp-server/src/http/oauth/source.rs",
            "nessus-admin/src/commands/health.rs",
        ],
    ),
    ("jsonwebtoken", &["nessus-mcp-server/src/http/oauth"]),
    ("object_store", &["nessus-mcp-lib/src/task/store/bucket.rs", "nessus-mcp-lib/src/task/store/failure.rs"]),
    ("redis", &["nessus-mcp-lib/src/queue/redis"]),
    ("rusqlite", &["nessus-mcp-lib/src/queue/sqlite"]),
    (
        "rustls",
        &["nessus-mcp-lib/src/queue/redis", "nessus-mcp-lib/src/scanner/nessus", "nessus-mcp-server/src/tls.rs"],
    ),
    ("serde_saphyr", &["nessus-mcp-lib/src/config/yaml.rs"]),
    ("rmcp", &["nessus-mcp-lib/src/client", "nessus-mcp-server/src"]),
    ("prometheus", &["nessus-mcp-lib/src/telemetry"]),
    ("secrecy", &["nessus-mcp-lib/src/secret.rs"]),
    ("chacha20poly1305", &["nessus-mcp-lib/src/credentials"]),
    ("hmac", &["nessus-mcp-lib/src/audit", "nessus-mcp-lib/src/credentials", "nessus-mcp-lib/src/delivery/webhook.rs"]),
];

const LIBRARY: &str = "nessus-mcp-lib";
const MEMBERS: [&str; 4] = [LIBRARY, "nessus-mcp-server", "nessus-worker", "nessus-admin"];

/// The simulated Nessus: apart from everything else, so that others can test any client of theirs with it.
const SIMULATOR: &str = "tests/nessus-sim";

/// The most lines of code in a file, and in a `main.rs`.
const MOST_LINES: usize = 600;
const MOST_LINES_OF_MAIN: usize = 80;

fn library_levels() -> BTreeMap<Names, Level> {
    levels(&Package::read(LIBRARY))
}

fn layer_of(layers: &[&[&str]], module: &str) -> usize {
    layers.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("`{module}` is in no layer"))
}

/// The picture as it stands in ARCHITECTURE.md.
fn drawn(level: &Level) -> String {
    let mut text = String::new();
    for layer in LAYERS.iter().rev() {
        for module in *layer {
            let used: Vec<&str> = level.keys().filter(|(from, _)| from == module).map(|(_, to)| to.as_str()).collect();
            let used = if used.is_empty() { "-".to_owned() } else { used.join(" ") };
            writeln!(text, "{module:<13} -> {used}").unwrap();
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[test]
fn no_module_uses_a_higher_layer() {
    let levels = library_levels();
    for (inside, layers) in [(Names::new(), &LAYERS[..]), (vec!["results".to_owned()], &RESULTS_LAYERS[..])] {
        for ((from, to), shown) in &levels[&inside] {
            let is_below = layer_of(layers, to) <= layer_of(layers, from);
            assert!(is_below, "`{from}` uses `{to}`, which is above it: {shown:#?}");
        }
    }
}

#[test]
fn modules_side_by_side_form_no_circle() {
    let mut found = String::new();
    for (inside, level) in MEMBERS.iter().flat_map(|member| levels(&Package::read(member))) {
        let inside = inside.join("/");
        for ((from, to), files) in on_circles(&level) {
            writeln!(found, "in `{inside}`: {from} -> {to}: {}", files.join(", ")).unwrap();
        }
    }
    assert!(found.is_empty(), "circles; a type belongs into the lowest file that needs it:\n{found}");
}

#[test]
fn the_picture_in_the_documentation_is_true() {
    let documented = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let expected = drawn(&library_levels()[&Names::new()]);
    assert!(documented.contains(&expected), "ARCHITECTURE.md needs this picture of the modules:\n\n{expected}\n");
}

#[test]
fn backend_crates_stay_in_their_modules() {
    for package in MEMBERS.map(Package::read) {
        for module in package.modules.values() {
            for (name, owners) in OWNERS {
                let is_owner = owners.iter().any(|owner| module.file.starts_with(owner));
                assert!(
                    is_owner || !module.names_crate(name),
                    "{} knows `{name}`, which belongs to {owners:?}",
                    module.file
                );
            }
        }
    }
}

#[test]
fn the_simulator_knows_no_other_crate_of_this_repository() {
    let manifest = fs::read_to_string(root().join(SIMULATOR).join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("nessus-mcp"), "{SIMULATOR} must depend on nothing of this repository");
}

#[test]
fn entry_points_are_thin_and_files_are_small() {
    for package in MEMBERS.into_iter().chain([SIMULATOR]).map(Package::read) {
        for module in package.modules.values() {
            let most = if module.file.ends_with("src/main.rs") { MOST_LINES_OF_MAIN } else { MOST_LINES };
            assert!(module.lines <= most, "{} has {} lines", module.file, module.lines);
        }
    }
}
