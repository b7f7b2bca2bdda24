//! The addresses to listen on.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::{ConfigError, cli::server::address};
use crate::error::{Classified, ErrorKind};

/// An address to listen on, as a setting has it.
#[derive(Debug, Clone, Copy)]
pub struct Bind {
    setting: &'static str,
    address: SocketAddr,
}

impl Bind {
    /// This address, given by this setting.
    pub const fn new(setting: &'static str, address: SocketAddr) -> Self {
        Self { setting, address }
    }

    /// Reads the value of a setting.
    ///
    /// # Errors
    /// When it is no address with a port.
    pub fn parse(setting: &'static str, text: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(setting, address(setting, text)?))
    }

    /// The address without its port.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Whether other machines can connect.
    pub fn is_exposed(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// Refuses an address at which other machines can connect, unless there are tokens.
    ///
    /// # Errors
    /// When there are none.
    pub fn check_exposure(&self, has_tokens: bool) -> Result<(), ConfigError> {
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
    pub async fn listen(&self) -> Result<TcpListener, BindError> {
        TcpListener::bind(self.address).await.map_err(|source| BindError { bind: *self, source })
    }
}

fn refused(setting: &str, message: &str) -> ConfigError {
    ConfigError::Setting { name: setting.to_owned(), message: message.to_owned() }
}

/// The server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}: {source}", bind.address)]
pub struct BindError {
    bind: Bind,
    /// What the system says.
    pub source: std::io::Error,
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

    const ADMIN_BIND: &str = "ADMIN_BIND";

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
            assert!(Bind::parse("MCP_BIND", text).is_ok(), "{text}");
        }
        for text in ["192.0.2.1", "8835", ""] {
            assert!(Bind::parse(ADMIN_BIND, text).unwrap_err().to_string().starts_with("`ADMIN_BIND` "), "{text}");
        }
    }
}
