//! Scanners: the trait [`ScannerInterface`] and what stands behind it.
//!
//! The worker knows only the trait. [`MockScanner`] plays scans without a network, [`NessusScanner`] drives a real
//! Nessus over HTTP and is the only place that does so.
//!
//! [`ScannerRegistry`] holds the pools of a process, which can be replaced while scans run. `health` asks their scanners
//! whether they can scan, and `selection` decides which of them takes the next scan.
//!
//! # A scanner of your own
//! Implement [`ScannerInterface`], hold it against the suite in `testing::scanner_conformance` (feature `testing`),
//! and put it into a pool:
//!
//! ```
//! use std::sync::Arc;
//! use nessus_mcp_lib::{ScannerInterface, ids::{InstanceId, PoolName}};
//! use nessus_mcp_lib::scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool, ScannerRegistry};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mine: Arc<dyn ScannerInterface> = Arc::new(MockScanner::new(MockConfig::new()));
//! let instance = ScannerInstance::new(InstanceId::new("first")?, 2, mine);
//! let scanners = ScannerRegistry::new(vec![ScannerPool::new(PoolName::new("mine")?, "my-type", vec![instance])])?;
//! assert_eq!(scanners.default_pool().map(|pool| pool.capacity()), Some(2));
//! # Ok(()) }
//! # run().unwrap();
//! ```
//!
//! `ScanService::open_with_scanners` and a worker do the rest. The
//! example `custom_scanner` is such a scanner, and `docs/scanners.md` says what is easily got wrong.

mod check;
mod circuits;
mod connection;
mod decorator;
mod error;
mod facts;
mod guarded;
mod health;
mod interface;
mod mock;
#[cfg(feature = "nessus")]
mod nessus;
mod offer;
mod permit;
mod pool;
mod probe;
mod registry;
mod removal;
mod selection;

#[cfg(feature = "testing")]
pub(crate) use self::decorator::scanner_methods;
#[cfg(feature = "testing")]
pub use self::interface::MockScannerInterface;
#[cfg(feature = "nessus")]
pub use self::nessus::{NessusConfig, NessusScanner, TlsTrust};
pub use self::permit::{permit_is_valid, request_not_sent};
pub use self::{
    check::{CheckOutcome, CheckStep, CheckedStep, LoginTry, ScannerCheck},
    circuits::Circuits,
    decorator::ScannerDecorator,
    error::{RequestSent, ScannerError},
    facts::{HealthFailure, ScanHost, ScannerHealth, ScannerProperties},
    guarded::Guarded,
    interface::{
        ExportSink, ExportSummary, MAX_SCAN_NAME_CHARS, MarkedScan, RestartableWrite, ScanRequest, ScanState,
        ScanStatus, ScannerInterface,
    },
    mock::{MockConfig, MockOperation, MockScanner},
    offer::{DEFAULT_TEMPLATE, ScanBasis, ScanOffer, ScanPolicy, ScanTemplate},
    pool::{ChangedScanner, ScannerChanges, ScannerInstance, ScannerPool},
    probe::check_scanner,
    registry::ScannerRegistry,
    removal::remove_scan,
};
pub(crate) use self::{
    health::watch_health,
    permit::act_until,
    pool::{OFFER_KEPT, Offering},
    selection::Selection,
};
pub use crate::login::{
    Escalation, EscalationMethod, LoginError, LoginFields, ScanCredential, SshCredential, SshLogin,
};
