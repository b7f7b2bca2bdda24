//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::BoolishValueParser};
use nessus_mcp_lib::config::{
    ConfigError,
    cli::{CircuitArgs, CommonArgs, CredentialArgs, LogArgs, ResultsArgs, ScopeArgs, WorkerArgs},
};

use crate::{
    access::{Choice, List, NOTHING_LEFT, ToolSet},
    tls::Tls,
};

/// The setting of the address that agents use.
pub(crate) const MCP_BIND: &str = "MCP_BIND";
/// The setting of the address that operators use.
pub(crate) const ADMIN_BIND: &str = "ADMIN_BIND";

/// MCP server that lets AI agents use Nessus scanners safely and asynchronously
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
    /// Serve MCP, /health and /metrics over HTTP
    Serve(Serve),
    /// Serve MCP over stdin and stdout, for the one agent that starts this process
    Stdio(Stdio),
    /// Run one scan from submit to findings on mock scanners; needs no configuration
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
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    /// Run a worker in this process
    #[arg(long, env = "WITH_WORKER", value_parser = BoolishValueParser::new())]
    pub(crate) with_worker: bool,
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
pub(crate) struct BindArgs {
    /// The address to listen on; other than loopback only with `clients` in policy.yaml
    #[arg(long, env = "MCP_BIND", default_value_t = format!("127.0.0.1:{DEFAULT_PORT}"), value_name = "ADDRESS")]
    pub(crate) mcp_bind: String,
    /// Serve /health and /metrics at this address instead, for operators
    #[arg(long, env = "ADMIN_BIND", value_name = "ADDRESS")]
    pub(crate) admin_bind: Option<String>,
    /// Further host names, comma separated, that clients may send in `Host`; loopback names are always allowed
    #[arg(long, env = "MCP_ALLOWED_HOSTS", value_name = "HOSTS")]
    pub(crate) mcp_allowed_hosts: Option<String>,
    /// The proxies whose `X-Forwarded-For` is believed: addresses and networks, comma separated
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub(crate) trusted_proxies: Option<String>,
    /// How long a client may take to send a request, stay idle between two, or leave an answer unread (seconds, or with
    /// a unit)
    #[arg(long, env = "MCP_CLIENT_TIMEOUT_SECONDS", default_value_t = CLIENT_TIMEOUT.as_secs().to_string(), value_name = "TIME")]
    pub(crate) mcp_client_timeout_seconds: String,
    /// How many requests of one client are worked on at once; more wait, and those beyond are refused
    #[arg(long, env = "MCP_MAX_REQUESTS_PER_CLIENT", default_value_t = REQUESTS_PER_CLIENT.to_string(), value_name = "N")]
    pub(crate) mcp_max_requests_per_client: String,
}

/// The certificate of the server.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Serve https with this certificate and its chain (PEM); read again on SIGHUP
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// The certificate, if there is one.
    pub(crate) fn load(&self) -> Result<Option<Tls>, ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::load(certificate, key).map(Some),
            _ => Ok(None),
        }
    }
}

/// Which tools are offered at most, whoever comes in.
#[derive(Debug, Args)]
pub(crate) struct ToolArgs {
    /// Offer only the tools of these toolsets, comma separated: submit, status, results, control, scanners [default: all]
    #[arg(long, env = "TOOLSETS", value_name = "NAMES")]
    toolsets: Option<String>,
    /// Offer only these tools, comma separated [default: all]
    #[arg(long, env = "TOOLS", value_name = "NAMES")]
    tools: Option<String>,
    /// Do not offer these tools, comma separated
    #[arg(long, env = "EXCLUDE_TOOLS", value_name = "NAMES")]
    exclude_tools: Option<String>,
    /// Offer only the tools that change nothing, whatever the role of a client
    #[arg(long, env = "READ_ONLY", value_parser = BoolishValueParser::new())]
    read_only: bool,
}

impl ToolArgs {
    /// The tools that these flags leave.
    pub(crate) fn offered(&self) -> Result<ToolSet, ConfigError> {
        let mut choice = Choice::read_only(self.read_only);
        let mut given = "READ_ONLY";
        for (name, list, names) in [
            ("TOOLSETS", List::Toolsets, &self.toolsets),
            ("TOOLS", List::Tools, &self.tools),
            ("EXCLUDE_TOOLS", List::ExcludeTools, &self.exclude_tools),
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
}

/// The default port of the server.
pub(crate) const DEFAULT_PORT: u16 = 8835;

/// How long a client may by default take to send a request, stay idle between two, or leave an answer unread.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests of one client are by default worked on at once.
pub(crate) const REQUESTS_PER_CLIENT: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    /// Run a worker in this process
    #[arg(long, env = "WITH_WORKER", value_parser = BoolishValueParser::new())]
    pub(crate) with_worker: bool,
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
