//! Build script of the binaries: the version that `--version` prints, with the commit where it is known.
//!
//! The commit comes from `NESSUS_MCP_COMMIT`, from the package that cargo has made, or from git, in this order.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=NESSUS_MCP_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("NESSUS_MCP_COMMIT").ok().or_else(of_package).or_else(of_git);
    let version = match commit.as_deref().and_then(|commit| commit.get(..12)) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo:rustc-env=NESSUS_MCP_VERSION={version}");
}

/// What `cargo package` notes in a package.
fn of_package() -> Option<String> {
    let noted = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = noted.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn of_git() -> Option<String> {
    // A commit or a checkout adds a line there.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    // Not the repository of somebody who has unpacked a package somewhere in it.
    let is_ours = git(&["ls-files", "Cargo.toml"]).is_some_and(|tracked| !tracked.is_empty());
    if is_ours { git(&["rev-parse", "HEAD"]) } else { None }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
