//! `/mcp` for the router of another program.

use axum::Router;
use nessus_mcp_lib::{ScanService, config::ConfigError};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{self, Choice, List, NOTHING_LEFT},
    http::{self, AllowedHosts, Door, Identities, Routes},
};

/// `/mcp` over a [`ScanService`], and the metadata that tell clients where they get tokens for it, for [`Router::merge`].
///
/// The [crate page](crate) says who is let in, and what is left to the program around these routes.
///
/// ```
/// use axum::{Router, routing::get};
/// use nessus_mcp_lib::ScanService;
/// use nessus_mcp_server::McpRoutes;
///
/// fn router(service: &ScanService) -> Result<Router, Box<dyn std::error::Error>> {
///     let mcp = McpRoutes::new(service)?.allowed_hosts("scans.example")?.toolsets("status, results")?;
///     Ok(Router::new().route("/", get(|| async { "scans" })).merge(mcp.into_router()))
/// }
/// ```
#[derive(Debug)]
pub struct McpRoutes {
    service: ScanService,
    hosts: AllowedHosts,
    choice: Choice,
    /// Ends calls that wait for a change.
    stop: CancellationToken,
}

impl McpRoutes {
    /// All tools of this service, for clients that reach it by a loopback name.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key, when the service's policy names a tool or a toolset that there is not. In a policy
    /// that is read again later, such a name leaves its client no tool.
    pub fn new(service: &ScanService) -> Result<Self, ConfigError> {
        access::check(&service.scope().policy())?;
        Ok(Self {
            service: service.clone(),
            hosts: AllowedHosts::default(),
            choice: Choice::default(),
            stop: CancellationToken::new(),
        })
    }

    /// Answers also requests to these hosts, beside `localhost`, `127.0.0.1` and `::1`. The names are separated by commas; one with a
    /// port holds for that port only.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] when one could stand in no `Host`, such as a URL.
    pub fn allowed_hosts(mut self, names: &str) -> Result<Self, ConfigError> {
        self.hosts = self.hosts.with_names("allowed_hosts", names)?;
        Ok(self)
    }

    /// Offers only the tools of these toolsets, separated by commas: `submit`, `status`, `results`, `control`, `scanners`. Those of
    /// `status, results, scanners` change nothing.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for a name that no toolset has, or when no tool is left.
    pub fn toolsets(self, names: &str) -> Result<Self, ConfigError> {
        self.leaving("toolsets", List::Toolsets, names)
    }

    /// Offers only these tools, separated by commas.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for a name that no tool has, or when no tool is left.
    pub fn tools(self, names: &str) -> Result<Self, ConfigError> {
        self.leaving("tools", List::Tools, names)
    }

    fn leaving(mut self, setting: &str, list: List, names: &str) -> Result<Self, ConfigError> {
        let refused = |message: String| ConfigError::Setting { name: setting.to_owned(), message };
        self.choice.add_all(list, names).map_err(refused)?;
        if self.choice.is_empty() { Err(refused(NOTHING_LEFT.to_owned())) } else { Ok(self) }
    }

    /// Keeps nobody waiting once `signal` has completed: calls that wait for a change are answered with what is known then. Give the
    /// same signal to axum's `with_graceful_shutdown`, which waits for all answers.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn with_graceful_shutdown(self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            signal.await;
            stop.cancel();
        });
        self
    }

    /// The routes `/mcp`, `/.well-known/oauth-protected-resource` and `/.well-known/oauth-protected-resource/{*path}`, for
    /// [`Router::merge`].
    ///
    /// Do not nest them under a path: clients look for the metadata at the root of the host. Nested routes are as well guarded as merged
    /// ones.
    pub fn into_router(self) -> Router {
        let identities = Identities::new(&self.service, false);
        let door = Door::new(Routes::MCP, self.hosts, identities, self.choice.tools());
        http::mounted(&self.service, &door, &self.stop)
    }
}
