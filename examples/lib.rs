//! The examples are the files beside this one; run one with `cargo run --example NAME`. Here is what those that use the client share:
//! a server to talk to.

use std::{env, error::Error, ops::Deref, path::Path, process::Command};

use nessus_mcp_lib::{
    client::{Endpoint, NessusMcpClient},
    secret::Secret,
};
use tempfile::TempDir;

/// A pool with a mock scanner, whose findings are always the same.
const SCANNERS: &str = "lab:\n  - {instance_id: mock-1, type: mock, scan_duration: 500ms}\n";

/// A client, and the data of its server where that was started for it.
#[derive(Debug)]
pub struct Session {
    client: NessusMcpClient,
    data: Option<TempDir>,
}

impl Deref for Session {
    type Target = NessusMcpClient;

    fn deref(&self) -> &NessusMcpClient {
        &self.client
    }
}

impl Session {
    /// Connects to the server whose URL is the first argument or stands in `NESSUS_MCP_URL`, with the token in `NESSUS_MCP_TOKEN` if
    /// there is one. Without a URL, starts a server with a mock scanner as a child.
    ///
    /// # Errors
    /// When the server cannot be started or reached.
    pub async fn open() -> Result<Self, Box<dyn Error>> {
        if let Some(url) = env::args().nth(1).or_else(|| env::var("NESSUS_MCP_URL").ok()) {
            let mut endpoint = Endpoint::new(url);
            if let Ok(token) = env::var("NESSUS_MCP_TOKEN") {
                endpoint = endpoint.with_token(Secret::new(token));
            }
            return Ok(Self { client: NessusMcpClient::connect(endpoint).await?, data: None });
        }
        let data = TempDir::new()?;
        let scanners = data.path().join("scanners.yaml");
        nessus_mcp_lib::durable::replace(&scanners, SCANNERS.as_bytes())?;
        let mut command = server()?;
        command.args(["stdio", "--with-worker", "--poll-interval-seconds", "100ms", "--log-level", "error"]);
        command.arg("--data-dir").arg(data.path().join("data")).arg("--scanner-config").arg(scanners);
        Ok(Self { client: NessusMcpClient::spawn(command).await?, data: Some(data) })
    }

    /// Ends the connection, and the server where it was started.
    ///
    /// # Errors
    /// When its data cannot be removed.
    pub async fn close(self) -> Result<(), Box<dyn Error>> {
        self.client.close().await;
        Ok(self.data.map_or(Ok(()), TempDir::close)?)
    }
}

/// The server: the program that `NESSUS_MCP_SERVER` names, or that of this workspace, which is built if it must be.
fn server() -> Result<Command, Box<dyn Error>> {
    if let Some(program) = env::var_os("NESSUS_MCP_SERVER") {
        return Ok(Command::new(program));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let of_server = |subcommand: &str| {
        let mut command = Command::new(&cargo);
        command.args([subcommand, "--quiet", "--package", "nessus-mcp-server", "--manifest-path"]).arg(&manifest);
        command
    };
    if !of_server("build").status()?.success() {
        return Err("nessus-mcp-server cannot be built".into());
    }
    let mut run = of_server("run");
    run.arg("--");
    Ok(run)
}
