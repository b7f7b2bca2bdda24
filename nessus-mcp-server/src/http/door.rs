//! Who may come in at an address, for how long, and what for.

use std::time::Duration;

use nessus_mcp_lib::config::cli::server::{CLIENT_TIMEOUT, REQUESTS_PER_CLIENT};

use super::{host::AllowedHosts, identity::Identities, routes::Routes};
use crate::{access::ToolSet, client_address::TrustedProxies, tls::Tls};

/// What an address offers and to whom. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) routes: Routes,
    pub(crate) hosts: AllowedHosts,
    pub(crate) identities: Identities,
    /// How long a client may take to send a request, stay idle between two, or leave an answer unread.
    pub(crate) client_timeout: Duration,
    /// How many requests of one client are worked on at once.
    pub(crate) requests_per_client: usize,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxies: TrustedProxies,
    /// The tools that are offered, whoever comes in.
    pub(crate) offered: ToolSet,
}

impl Door {
    /// A door with the default limits, without TLS and proxies.
    pub(crate) fn new(routes: Routes, hosts: AllowedHosts, identities: Identities, offered: ToolSet) -> Self {
        Self {
            routes,
            hosts,
            identities,
            client_timeout: CLIENT_TIMEOUT,
            requests_per_client: REQUESTS_PER_CLIENT,
            tls: None,
            proxies: TrustedProxies::default(),
            offered,
        }
    }
}
