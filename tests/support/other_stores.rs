//! Object stores of other people: moto, an S3 server from PyPI, and azurite, a Blob service from npm. Both keep their
//! objects in memory. Where one cannot be had, a line says so, and the test passes.
#![expect(clippy::missing_panics_doc, reason = "a test whose store fails cannot go on")]
#![expect(clippy::print_stderr, reason = "what is not tried is said where a test run says it")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nessus_mcp_lib::durable;
use tempfile::TempDir;

use crate::{
    binaries,
    npm::Npm,
    processes::{Process, Program},
    redis::free_port,
    s3,
};

/// The bucket, or container, of each of them.
pub const BUCKET: &str = "nessus";

/// moto: it looks at no signature, and answers one request after the other (`tests/moto/server.py` says why).
#[derive(Debug)]
pub struct Moto {
    /// The process.
    pub process: Process,
    url: String,
    _directory: TempDir,
}

impl Moto {
    /// A server with an empty [`BUCKET`].
    pub fn start() -> Option<Self> {
        let python = python_with_moto()?;
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto/server.py");
        let server = Program::new(python).arg(script).arg(port.to_string()).current_dir(directory.path());
        let mut process = server.start(&directory.path().join("moto.log"));
        process.wait_for_log("Running on");
        create_bucket(port);
        Some(Self { process, url: format!("http://127.0.0.1:{port}"), _directory: directory })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its clients need in their environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        s3::environment(&self.url, "AKIAOFTHETESTS", "planted-secret-access-key")
    }
}

/// The Python of a virtual environment below the target directory, with moto, which is installed if it is not.
fn python_with_moto() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let skipped = |what: &str| {
        eprintln!("SKIPPED: {what}, so moto, an S3 server of other people, was not tried");
        None
    };
    let find = || {
        let directory = binaries::place_for("moto");
        let _one_installs = binaries::lock(&directory);
        let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto/requirements.txt");
        let wanted = fs::read(wanted).unwrap_or_else(|error| panic!("moto/requirements.txt: {error}"));
        let (environment, installed) = (directory.join("venv"), directory.join("installed.txt"));
        let program = environment.join("bin/python");
        if fs::read(&installed).ok().as_ref() == Some(&wanted) && program.exists() {
            return Some(program);
        }
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment).output();
        if !made.is_ok_and(|made| made.status.success()) {
            return skipped("python3 makes no virtual environment (on Debian: apt-get install python3-venv)");
        }
        let requirements = directory.join("requirements.txt");
        durable::replace(&requirements, &wanted).unwrap_or_else(|error| panic!("{error}"));
        let mut pip = Command::new(environment.join("bin/pip"));
        let pip = pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements).output();
        let pip = pip.unwrap_or_else(|error| panic!("pip: {error}"));
        if !pip.status.success() {
            let said = String::from_utf8_lossy(&pip.stderr).into_owned();
            return skipped(&format!("pip failed ({})", said.lines().last().unwrap_or_default()));
        }
        durable::replace(&installed, &wanted).unwrap_or_else(|error| panic!("{error}"));
        Some(program)
    };
    FOUND.get_or_init(find).clone()
}

fn create_bucket(port: u16) {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let credential = "AWS4-HMAC-SHA256 Credential=AKIAOFTHETESTS/20200101/us-east-1/s3/aws4_request";
        write!(
            stream,
            "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {credential}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask().unwrap_or_else(|error| panic!("moto does not answer: {error}"));
    assert!(answer.split(' ').nth(1) == Some("200"), "moto makes no bucket: {answer}");
}

/// azurite: the Blob service of Azure.
#[derive(Debug)]
pub struct Azurite {
    /// The process.
    pub process: Process,
    url: String,
    _directory: TempDir,
}

impl Azurite {
    /// The account.
    pub const ACCOUNT: &str = "testaccount";
    /// Its key.
    pub const KEY: &str = "cGxhbnRlZC1rZXktb2YtdGhlLWF6dXJpdGUtb2YtdGhlLXRlc3Rz";

    /// A server without a container: making one takes a signature, as everything does.
    pub fn start() -> Option<Self> {
        let Some(npm) = Npm::install("azurite", &[]) else {
            eprintln!(
                "SKIPPED: npm is missing, so azurite, a Blob service of other people, was not tried: install Node.js with npm"
            );
            return None;
        };
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let server = Program::new(npm.node()).arg(npm.path("node_modules/azurite/dist/src/blob/main.js"));
        let server = server.args(["--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry"]);
        // The client may speak a newer version of the protocol.
        let server = server.args(["--skipApiVersionCheck", "--silent"]).current_dir(directory.path());
        let server = server.env("AZURITE_ACCOUNTS", format!("{}:{}", Self::ACCOUNT, Self::KEY));
        let process = server.start(&directory.path().join("azurite.log"));
        let url = process.wait_for_line("the line with its address", |line| {
            line.split_once("successfully listens on ").map(|(_, url)| format!("{}/{}", url.trim(), Self::ACCOUNT))
        });
        Some(Self { process, url, _directory: directory })
    }

    /// Its address, with the account.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its clients need in their environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_STORAGE_ENDPOINT", self.url.clone()),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ("AZURE_STORAGE_ACCOUNT_NAME", Self::ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", Self::KEY.to_owned()),
        ]
    }
}
