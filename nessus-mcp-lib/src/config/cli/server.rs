//! The flags of the server alone. They stand here so that whoever checks a deployment knows them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, builder::BoolishValueParser};

use super::{duration, setting};
use crate::{config::ConfigError, time::DurationUnit};

/// The default port of the server.
pub const DEFAULT_PORT: u16 = 8835;

/// How long a client may by default take to send a request, stay idle between two, or leave an answer unread.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests of one client are by default worked on at once.
pub const REQUESTS_PER_CLIENT: usize = 64;

/// How many requests are worked on at once, of all clients.
pub const MOST_REQUESTS: usize = 256;

/// Where the server listens, and whom it lets wait.
#[derive(Debug, Clone, Args)]
pub struct BindArgs {
    /// The address to listen on; other than loopback only with `clients` in policy.yaml
    #[arg(long, env = "MCP_BIND", default_value_t = format!("127.0.0.1:{DEFAULT_PORT}"), value_name = "ADDRESS")]
    pub mcp_bind: String,
    /// Serve /health and /metrics at this address instead, for operators
    #[arg(long, env = "ADMIN_BIND", value_name = "ADDRESS")]
    pub admin_bind: Option<String>,
    /// Serve the pages for people at this address instead; other than loopback only with TLS
    #[arg(long, env = "UI_BIND", value_name = "ADDRESS")]
    pub ui_bind: Option<String>,
    /// Further host names, comma separated, that clients may send in `Host`; loopback names are always allowed
    #[arg(long, env = "MCP_ALLOWED_HOSTS", value_name = "HOSTS")]
    pub mcp_allowed_hosts: Option<String>,
    /// The proxies whose `X-Forwarded-For` is believed: addresses and networks, comma separated
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub trusted_proxies: Option<String>,
    /// How long a client may take to send a request, stay idle between two, or leave an answer unread (seconds, or with
    /// a unit)
    #[arg(long, env = "MCP_CLIENT_TIMEOUT_SECONDS", default_value_t = CLIENT_TIMEOUT.as_secs().to_string(), value_name = "TIME")]
    mcp_client_timeout_seconds: String,
    /// How many requests of one client are worked on at once; more wait, and those beyond are refused
    #[arg(long, env = "MCP_MAX_REQUESTS_PER_CLIENT", default_value_t = REQUESTS_PER_CLIENT.to_string(), value_name = "N")]
    mcp_max_requests_per_client: String,
}

impl BindArgs {
    /// The addresses, each with the name of its variable.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn addresses(&self) -> Result<Vec<(&'static str, SocketAddr)>, ConfigError> {
        let given = [
            ("MCP_BIND", Some(&self.mcp_bind)),
            ("ADMIN_BIND", self.admin_bind.as_ref()),
            ("UI_BIND", self.ui_bind.as_ref()),
        ];
        given.into_iter().filter_map(|(name, text)| Some(address(name, text?).map(|address| (name, address)))).collect()
    }

    /// Refuses an address for the pages at which nobody could see them, because others could read the token that a browser sends.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn check_pages(&self, tls: &TlsArgs) -> Result<(), ConfigError> {
        let Some(text) = &self.ui_bind else { return Ok(()) };
        if address("UI_BIND", text)?.ip().is_loopback() || tls.tls_cert.is_some() {
            return Ok(());
        }
        let message = "must be a loopback address where TLS_CERT and TLS_KEY are not set: over plain text others could read \
                       the tokens of those who look at the pages";
        Err(setting("UI_BIND", message.to_owned()))
    }

    /// How long a client may take.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn client_timeout(&self) -> Result<Duration, ConfigError> {
        let name = "MCP_CLIENT_TIMEOUT_SECONDS";
        let timeout = duration(name, &self.mcp_client_timeout_seconds, DurationUnit::Seconds)?;
        if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&timeout) {
            return Err(setting(name, "must be from 100ms to 1h".to_owned()));
        }
        Ok(timeout)
    }

    /// How many requests of one client are worked on at once.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the variable.
    pub fn requests_per_client(&self) -> Result<usize, ConfigError> {
        let requests = self.mcp_max_requests_per_client.parse().ok().filter(|most| (1..=MOST_REQUESTS).contains(most));
        requests.ok_or_else(|| setting("MCP_MAX_REQUESTS_PER_CLIENT", format!("must be from 1 to {MOST_REQUESTS}")))
    }
}

/// An address to listen on, as a setting has it.
///
/// # Errors
/// [`ConfigError::Setting`] when it is no address with a port.
pub fn address(name: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let bad = |_| setting(name, "must be an address and a port, such as 127.0.0.1:8835".to_owned());
    text.replace("localhost:", "127.0.0.1:").parse().map_err(bad)
}

/// The certificate of the server.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// Serve https with this certificate and its chain (PEM); read again on SIGHUP
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// Which tools are offered at most, whoever comes in.
#[derive(Debug, Clone, Args)]
pub struct ToolArgs {
    /// Offer only the tools of these toolsets, comma separated: submit, status, results, control, scanners [default: all]
    #[arg(long, env = "TOOLSETS", value_name = "NAMES")]
    pub toolsets: Option<String>,
    /// Offer only these tools, comma separated [default: all]
    #[arg(long, env = "TOOLS", value_name = "NAMES")]
    pub tools: Option<String>,
    /// Do not offer these tools, comma separated
    #[arg(long, env = "EXCLUDE_TOOLS", value_name = "NAMES")]
    pub exclude_tools: Option<String>,
    /// Offer only the tools that change nothing, whatever the role of a client
    #[arg(long, env = "READ_ONLY", value_parser = BoolishValueParser::new())]
    pub read_only: bool,
}

/// Whether the server works as well.
#[derive(Debug, Clone, Args)]
pub struct WithWorkerArgs {
    /// Run a worker in this process
    #[arg(long, env = "WITH_WORKER", value_parser = BoolishValueParser::new())]
    pub with_worker: bool,
}
