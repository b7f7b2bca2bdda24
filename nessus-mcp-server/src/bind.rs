//! The addresses to listen on.

use std::net::{IpAddr, SocketAddr};

use nessus_mcp_lib::{
    config::{ConfigError, cli::server::address},
    error::{Classified, ErrorKind},
};
use tokio::net::TcpListener;

/// The setting of the address that agents use.
pub(crate) const MCP_BIND: &str = "MCP_BIND";
/// The setting of the address that operators use.
pub(crate) const ADMIN_BIND: &str = "ADMIN_BIND";

/// An address to listen on, as a setting has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bind {
    setting: &'static str,
    address: SocketAddr,
}

impl Bind {
    pub(crate) const fn new(setting: &'static str, address: SocketAddr) -> Self {
        Self { setting, address }
    }

    /// Reads the value of a setting.
    ///
    /// # Errors
    /// When it is no address with a port.
    pub(crate) fn parse(setting: &'static str, text: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(setting, address(setting, text)?))
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Whether other machines can connect.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// Refuses an address at which other machines can connect, unless there are tokens.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn check_exposure(&self, has_tokens: bool) -> Result<(), ConfigError> {
        if self.is_exposed() && !has_tokens {
            return Err(refused(
                self.setting,
                "must be a loopback address: other machines may connect only with tokens, of `clients` or `oauth` in policy.yaml",
            ));
        }
        Ok(())
    }

    /// Listens there.
    ///
    /// # Errors
    /// When the system refuses it, mostly because another process listens there.
    pub(crate) async fn listen(&self) -> Result<TcpListener, BindError> {
        TcpListener::bind(self.address).await.map_err(|source| BindError { bind: *self, source })
    }
}

fn refused(setting: &str, message: &str) -> ConfigError {
    ConfigError::Setting { name: setting.to_owned(), message: message.to_owned() }
}

/// The server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}: {source}", bind.address)]
pub(crate) struct BindError {
    bind: Bind,
    pub(crate) source: std::io::Error,
}

impl Classified for BindError {
    fn code(&self) -> &'static str {
        "cannot_listen"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }

    fn hint(&self) -> Option<String> {
        let flag = self.bind.setting.to_ascii_lowercase().replace('_', "-");
        let other = format!("choose another address with `--{flag}`");
        Some(match self.source.kind() {
            std::io::ErrorKind::AddrInUse => format!("another process listens there; stop it, or {other}"),
            _ => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_may_connect_only_with_tokens() {
        let check = |address: &str, has_tokens| {
            let bind = Bind::new(ADMIN_BIND, address.parse().unwrap());
            bind.check_exposure(has_tokens).map(|()| bind.is_exposed()).ok()
        };
        assert_eq!((check("127.0.0.1:1", false), check("[::1]:1", true)), (Some(false), Some(false)));
        for address in ["0.0.0.0:8835", "[::]:8835", "192.0.2.1:8835", "[::ffff:127.0.0.1]:1"] {
            assert_eq!((check(address, false), check(address, true)), (None, Some(true)), "{address}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for text in ["127.0.0.1:0", "localhost:8835", "[::1]:8835", "0.0.0.0:8835"] {
            assert!(Bind::parse(MCP_BIND, text).is_ok(), "{text}");
        }
        for text in ["192.0.2.1", "8835", ""] {
            assert!(Bind::parse(ADMIN_BIND, text).unwrap_err().to_string().starts_with("`ADMIN_BIND` "), "{text}");
        }
    }
}
