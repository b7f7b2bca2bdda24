//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, builder::BoolishValueParser};
use nessus_mcp_lib::config::cli::{CircuitArgs, CommonArgs, LogArgs, ResultsArgs, WorkerArgs};

use crate::serve::CLIENT_TIMEOUT;

/// Safe, asynchronous use of Nessus scanners by AI agents, over the Model Context Protocol
///
/// Exit codes: 0 done, 1 failed, 2 usage, 69 scanner or queue unavailable or port in use, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP over HTTP, with /health and /metrics
    Serve(Serve),
    /// Serve MCP over stdin and stdout, for one agent
    Stdio(Stdio),
    /// Show one scan from submit to findings, on mock scanners, without any configuration
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) bind: BindArgs,
    /// Run the worker engine in this process
    #[arg(long, env = "WITH_WORKER", value_parser = BoolishValueParser::new())]
    pub(crate) with_worker: bool,
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    #[command(flatten)]
    pub(crate) circuits: CircuitArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "flags have the names of the variables")]
pub(crate) struct BindArgs {
    /// The address to listen on; only loopback is allowed, because this version has no tokens
    #[arg(long, env = "MCP_BIND", default_value_t = format!("127.0.0.1:{DEFAULT_PORT}"), value_name = "ADDRESS")]
    pub(crate) mcp_bind: String,
    /// Host names a client may use in `Host`, comma separated, besides loopback
    #[arg(long, env = "MCP_ALLOWED_HOSTS", value_name = "HOSTS")]
    pub(crate) mcp_allowed_hosts: Option<String>,
    /// How long a client may take to send a request, to send the next one, or to read its answer (seconds, or with a
    /// unit)
    #[arg(long, env = "MCP_CLIENT_TIMEOUT_SECONDS", default_value_t = CLIENT_TIMEOUT.as_secs().to_string(), value_name = "TIME")]
    pub(crate) mcp_client_timeout_seconds: String,
}

/// The port the server listens on unless it is told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 8835;

#[derive(Debug, Args)]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Run the worker engine in this process
    #[arg(long, env = "WITH_WORKER", value_parser = BoolishValueParser::new())]
    pub(crate) with_worker: bool,
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    #[command(flatten)]
    pub(crate) circuits: CircuitArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the scan instead of serving until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
    /// The address to listen on [default: 127.0.0.1:8835, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mcp_bind: Option<SocketAddr>,
    /// Keep the data here instead of in a temporary directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What to scan (nothing is contacted)
    #[arg(long, default_value = "192.0.2.10-192.0.2.14", value_name = "TARGETS")]
    pub(crate) targets: String,
    /// Which log lines are written to stderr
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,
}
