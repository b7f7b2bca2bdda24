//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use nessus_mcp_lib::config::{
    ConfigError,
    cli::{
        CircuitArgs, CommonArgs, CredentialArgs, LogArgs, ResultsArgs, ScopeArgs, WorkerArgs,
        server::{BindArgs, TlsArgs, ToolArgs, WithWorkerArgs},
    },
};

use crate::{
    access::{Choice, List, NOTHING_LEFT, ToolSet},
    install::Install,
    tls::Tls,
};

/// The setting of the address that agents use.
pub(crate) const MCP_BIND: &str = "MCP_BIND";
/// The setting of the address that operators use.
pub(crate) const ADMIN_BIND: &str = "ADMIN_BIND";
/// The setting of the address of the pages.
pub(crate) const UI_BIND: &str = "UI_BIND";

/// MCP server that lets AI agents use Nessus scanners safely and asynchronously
///
/// Exit codes: 0 done, 1 failed, 2 usage, 69 scanner or queue unavailable or port in use, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(version = env!("NESSUS_MCP_VERSION"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP, /health and /metrics over HTTP
    Serve(Box<Serve>),
    /// Serve MCP over stdin and stdout, for the one agent that starts this process
    Stdio(Box<Stdio>),
    /// Run one scan from submit to findings on mock scanners; needs no configuration
    Demo(Demo),
    /// Tell a client, such as Claude Desktop or Cursor, of this server; shows what it changes, and asks
    Install(Install),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) bind: BindArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    #[command(flatten)]
    pub(crate) worker_here: WithWorkerArgs,
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    #[command(flatten)]
    pub(crate) circuits: CircuitArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    #[command(flatten)]
    pub(crate) worker_here: WithWorkerArgs,
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    #[command(flatten)]
    pub(crate) circuits: CircuitArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Exit after the scan instead of serving until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
    /// The address to listen on [default: 127.0.0.1:8835, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mcp_bind: Option<SocketAddr>,
    /// Keep the data in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The targets of the scan (nothing is contacted)
    #[arg(long, default_value = "192.0.2.10-192.0.2.14", value_name = "TARGETS")]
    pub(crate) targets: String,
    /// Which log lines are written to stderr: error, warn, info, debug, trace, or directives
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

/// The certificate of the server, if there is one.
pub(crate) fn certificate(args: &TlsArgs) -> Result<Option<Tls>, ConfigError> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Tls::load(certificate, key).map(Some),
        _ => Ok(None),
    }
}

/// The tools that these flags leave.
pub(crate) fn offered(args: &ToolArgs) -> Result<ToolSet, ConfigError> {
    let mut choice = Choice::read_only(args.read_only);
    let mut given = "READ_ONLY";
    for (name, list, names) in [
        ("TOOLSETS", List::Toolsets, &args.toolsets),
        ("TOOLS", List::Tools, &args.tools),
        ("EXCLUDE_TOOLS", List::ExcludeTools, &args.exclude_tools),
    ] {
        let Some(names) = names else { continue };
        given = name;
        choice.add_all(list, names).map_err(|message| ConfigError::Setting { name: name.to_owned(), message })?;
    }
    if choice.is_empty() {
        return Err(ConfigError::Setting { name: given.to_owned(), message: NOTHING_LEFT.to_owned() });
    }
    Ok(choice.tools())
}
