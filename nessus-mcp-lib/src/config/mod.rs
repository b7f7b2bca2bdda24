//! Configuration, read and refused before anything is bound.
//!
//! - [`ScannersConfig`]: `scanners.yaml`, the pools and their scanners.
//! - [`CredentialsConfig`]: `credentials.yaml`, the logins that scans may use.
//! - [`Settings`]: what the environment and the flags say; `cli::CommonArgs` (feature `cli`) reads it for the binaries.
//!
//! Every [`ConfigError`] names the file, line and key, or the variable, that must be fixed; none shows a value that
//! may be secret. The binaries end with exit code 78 on it.

#[cfg(feature = "cli")]
mod bind;
mod circuit;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod credentials;
mod data;
mod error;
#[cfg(feature = "cli")]
mod example;
mod expand;
mod housekeeping;
mod nessus;
mod reader;
mod scanner_names;
mod scanners;
mod secret_key;
mod settings;
mod user;
mod yaml;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use self::bind::{Bind, BindError};
#[cfg(feature = "cli")]
pub use self::example::EXAMPLE_SCANNERS;
pub use self::{
    circuit::CircuitSettings,
    credentials::{CredentialsConfig, StoredCredential},
    data::{BucketKind, BucketUrl, DataUrl},
    error::ConfigError,
    housekeeping::{HousekeepingSettings, Retention},
    nessus::ApiKeys,
    scanner_names::ScannerNames,
    scanners::{ExaminedScanners, InstanceConfig, PoolConfig, ScannerType, ScannersConfig},
    secret_key::SecretKey,
    settings::{Settings, WorkerSettings},
};
pub(crate) use self::{
    nessus::certificates_in,
    reader::{Reader, not_empty, password_in},
    user::{host_name, process_name, user_name},
    yaml::{OneOrMore, Scalar, is_blank as is_blank_yaml, parse as parse_yaml},
};
