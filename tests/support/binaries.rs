//! The binaries of the workspace, for tests that need several.
//!
//! Cargo makes only the binaries of a test's own package before it runs the test. So these are built here, by cargo
//! itself, which knows best whether one is fresh: once a process, and once a run under nextest, where each test is a
//! process of its own.

#![expect(clippy::missing_panics_doc, reason = "a test without its binaries cannot go on")]

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The path of `nessus-mcp-server`.
pub fn server() -> &'static Path {
    path_of("nessus-mcp-server")
}

/// The path of `nessus-worker`.
pub fn worker() -> &'static Path {
    path_of("nessus-worker")
}

/// The path of `nessus-admin`.
pub fn admin() -> &'static Path {
    path_of("nessus-admin")
}

/// The path of `simulated-s3`.
pub fn simulated_s3() -> &'static Path {
    path_of("simulated-s3")
}

/// A directory for what is installed for the tests, below the target directory.
pub fn place_for(name: &str) -> PathBuf {
    let directory = Place::of_this_test().target_directory.join("tmp").join(name);
    let made = std::fs::create_dir_all(&directory);
    made.unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
    directory
}

/// Keeps other processes of the test run out of a directory, until the file is closed.
pub fn lock(directory: &Path) -> File {
    let path = directory.join(".lock");
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    locked.unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()))
}

fn path_of(name: &str) -> &'static Path {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    match BUILT.get_or_init(built_in_this_run).get(name) {
        Some(path) => path,
        None => panic!("cargo built no binary `{name}`"),
    }
}

/// What the first process of a run tells the others.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    run: String,
    binaries: BTreeMap<String, PathBuf>,
}

fn built_in_this_run() -> BTreeMap<String, PathBuf> {
    let place = Place::of_this_test();
    let Ok(run) = env::var("NEXTEST_RUN_ID") else { return place.build() };
    let path = place.profile_directory.join(".binaries-of-this-test-run");
    let shared = |what: &str, error: &std::io::Error| -> ! { panic!("{what} {}: {error}", path.display()) };
    let mut options = File::options();
    let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.unwrap_or_else(|error| shared("cannot open", &error));
    // Held until the file is closed: one builds, the others wait for it.
    file.lock().unwrap_or_else(|error| shared("cannot lock", &error));
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap_or_else(|error| shared("cannot read", &error));
    if let Ok(note) = serde_json::from_str::<Note>(&text)
        && note.run == run
    {
        return note.binaries;
    }
    let note = Note { run, binaries: place.build() };
    let written = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(serde_json::json!(note).to_string().as_bytes()));
    written.unwrap_or_else(|error| shared("cannot write", &error));
    note.binaries
}

/// Where this test was built, which is where the binaries shall be built as well.
#[derive(Debug)]
struct Place {
    target_directory: PathBuf,
    /// The target triple, when one was named.
    triple: Option<String>,
    profile_directory: PathBuf,
}

impl Place {
    /// `{target}/[{triple}/]{profile}/deps/{test}`; cargo marks the target directory with a `CACHEDIR.TAG`.
    fn of_this_test() -> Self {
        let test = env::current_exe().unwrap_or_else(|error| panic!("the test does not know its path: {error}"));
        let mut above = test.ancestors().skip(2).map(Path::to_owned);
        let (Some(profile_directory), Some(parent)) = (above.next(), above.next()) else {
            panic!("{} is not in a target directory", test.display());
        };
        match above.next() {
            Some(grandparent) if !parent.join("CACHEDIR.TAG").exists() => {
                Self { target_directory: grandparent, triple: Some(name_of(&parent)), profile_directory }
            }
            _ => Self { target_directory: parent, triple: None, profile_directory },
        }
    }

    fn build(&self) -> BTreeMap<String, PathBuf> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The workspace with all features, and one test that is built already: with these cargo settles on the same
        // features of every dependency as in a test of the whole workspace, and finds nearly everything built.
        cargo.args(["build", "--workspace", "--all-features", "--bins", "--test", "worker_cli"]);
        cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(&self.target_directory);
        if let Some(triple) = &self.triple {
            cargo.args(["--target", triple]);
        }
        let profile = name_of(&self.profile_directory);
        cargo.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        // What cargo told this test about its own package is not for the build of others.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "NEXTEST"].iter().any(|prefix| name.starts_with(prefix))
            {
                cargo.env_remove(&*name);
            }
        }
        let output = cargo.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
        assert!(output.status.success(), "cargo failed:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect()
    }
}

/// The name and path of a binary, of a message of cargo that announces one.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_binary = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "bin");
    let path = message["executable"].as_str().filter(|_| is_binary)?;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
