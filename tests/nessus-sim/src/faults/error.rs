//! Why a fault cannot be injected.

use super::catalogue;

/// A fault that cannot be injected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultError {
    /// There is none with this name.
    Unknown(String),
    /// It does something to connections, on which wiremock has no hold: only a scanner that was started has it.
    NeedsOwnServer(String),
}

impl std::fmt::Display for FaultError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<&str> = catalogue::all().map(|entry| entry.name).collect();
                write!(f, "there is no fault `{name}`; there are: {}", names.join(", "))
            }
            Self::NeedsOwnServer(name) => write!(
                f,
                "the fault `{name}` breaks connections, which a server of wiremock cannot do: start the scanner with \
                 `SimulatedNessus::start` instead of mounting it"
            ),
        }
    }
}

impl std::error::Error for FaultError {}
