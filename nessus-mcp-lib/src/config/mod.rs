//! Configuration, read and refused before anything is bound.
//!
//! - [`ScannersConfig`]: `scanners.yaml`, the pools and their scanners.
//! - [`Settings`]: what the environment and the flags say; `cli::CommonArgs` (feature `cli`) reads it for the binaries.
//!
//! Every [`ConfigError`] names the file, line and key, or the variable, that must be fixed; none shows a value that
//! may be secret. The binaries end with exit code 78 on it.

mod circuit;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod error;
#[cfg(feature = "cli")]
mod example;
mod expand;
mod nessus;
mod scanners;
mod settings;
mod yaml;

#[cfg(feature = "cli")]
pub use self::example::EXAMPLE_SCANNERS;
pub use self::{
    circuit::CircuitSettings,
    error::ConfigError,
    nessus::ApiKeys,
    scanners::{InstanceConfig, PoolConfig, ScannerType, ScannersConfig},
    settings::{Settings, WorkerSettings},
};
pub(crate) use self::{
    expand::expand,
    yaml::{Scalar, parse as parse_yaml},
};
