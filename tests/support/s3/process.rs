//! The simulated S3 as a process of its own, and how it is told what goes wrong.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use serde_json::{Value, json};

use super::{Fault, S3Config};
use crate::{
    binaries,
    processes::{PATIENCE, Process, Program},
};

/// A running `simulated-s3`, with an empty [`BUCKET`](super::BUCKET).
#[derive(Debug)]
pub struct S3Process {
    /// The process, to be frozen.
    pub process: Process,
    port: u16,
}

impl S3Process {
    /// Starts it on a free port; its standard error goes to the new file `log`.
    pub fn start(log: &Path) -> Self {
        let process = Program::new(binaries::simulated_s3()).start(log);
        let port = process.wait_for_line("the line with its address", |line| {
            line.strip_prefix("listening on http://127.0.0.1:")?.parse().ok()
        });
        Self { process, port }
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What its clients need in their environment, when they reach it on this port.
    pub fn environment(port: u16) -> Vec<(&'static str, String)> {
        let config = S3Config::default();
        super::environment(&format!("http://127.0.0.1:{port}"), &config.access_key_id, &config.secret_access_key)
    }

    /// Sets a fault; it comes after those that are already set.
    pub fn inject(&self, fault: &Fault) {
        self.tell("POST", "faults", &json!(fault));
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.tell("DELETE", "faults", &Value::Null);
    }

    /// Lets all objects have been written so many seconds earlier.
    pub fn age(&self, seconds: i64) {
        self.tell("POST", "age", &json!(seconds));
    }

    /// The objects of a bucket, with what stands in those that are JSON.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Option<Value>> {
        let answer = self.tell("GET", &format!("objects/{bucket}"), &Value::Null);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("no objects: {error}"))
    }

    fn tell(&self, method: &str, path: &str, body: &Value) -> String {
        let answer = self.ask(method, path, &body.to_string());
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.process.tail()));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}\n{body}");
        body.to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} /-/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
