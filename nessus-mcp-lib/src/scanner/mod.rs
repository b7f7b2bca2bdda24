//! Scanners: the trait [`ScannerInterface`] and what stands behind it.
//!
//! The worker knows only the trait. [`MockScanner`] plays scans without a network, [`NessusScanner`] drives a real
//! Nessus over HTTP and is the only place that does so.

mod changes;
mod circuits;
mod credential;
mod error;
mod facts;
mod guarded;
mod health;
mod interface;
mod mock;
#[cfg(feature = "nessus")]
mod nessus;
mod permit;
mod registry;
mod removal;
mod selection;

#[cfg(feature = "testing")]
pub use self::interface::MockScannerInterface;
#[cfg(feature = "nessus")]
pub use self::nessus::{NessusConfig, NessusScanner, TlsTrust};
pub(crate) use self::permit::act_until;
pub use self::permit::may_act;
pub use self::{
    changes::{ChangedScanner, ScannerChanges},
    circuits::Circuits,
    credential::{Escalation, EscalationMethod, ScanCredential, SshCredential, SshLogin},
    error::{RequestSent, ScannerError},
    facts::{HostFinding, ScanHost, ScanHostDetails, ScanRun, ScannerProperties},
    guarded::Guarded,
    health::{HealthFailure, ScannerHealth, watch_health},
    interface::{
        DEFAULT_TEMPLATE, ExportSink, ExportSummary, MAX_SCAN_NAME_CHARS, RestartableWrite, ScanRequest, ScanState,
        ScanStatus, ScannerInterface,
    },
    mock::{MockConfig, MockOperation, MockScanner},
    registry::{ScannerInstance, ScannerPool, ScannerRegistry},
    selection::Selection,
};
