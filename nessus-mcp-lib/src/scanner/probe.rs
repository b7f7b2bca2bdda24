//! Checks the scanner of an entry of `scanners.yaml`.

#[cfg(feature = "nessus")]
use super::nessus::{NessusConfig, check_nessus};
use super::{
    check::{CheckStep, LoginTry, ScannerCheck, Steps, timed},
    interface::ScannerInterface as _,
    mock::{MockConfig, MockScanner},
};
use crate::config::{InstanceConfig, ScannerType};
#[cfg(feature = "nessus")]
use crate::time::{Clock as _, SystemClock};

/// Checks a scanner step by step, with the client and the TLS settings of scans; disabled ones as well. It logs in once at most,
/// and changes nothing else. It ends within about a minute, whatever the scanner does.
pub async fn check_scanner(instance: &InstanceConfig, login: LoginTry) -> ScannerCheck {
    match instance.scanner_type {
        ScannerType::Mock => check_mock().await,
        #[cfg(feature = "nessus")]
        ScannerType::Nessus => check_nessus(NessusConfig::from_instance(instance), login, SystemClock.now()).await,
        #[cfg(not(feature = "nessus"))]
        ScannerType::Nessus => {
            let _ = login;
            let missing = super::ScannerError::Configuration("this build has no Nessus backend".to_owned());
            ScannerCheck::not_configured(&missing)
        }
    }
}

async fn check_mock() -> ScannerCheck {
    let mut steps = Steps::default();
    steps.ok(CheckStep::Configuration, None, "a mock scanner");
    for step in [CheckStep::Dns, CheckStep::Tcp, CheckStep::Tls, CheckStep::Login] {
        steps.skip(step, "a mock scanner contacts nothing");
    }
    match timed(MockScanner::new(MockConfig::new()).properties()).await {
        (Ok(_), took) => steps.ok(CheckStep::Ready, took, "it can scan"),
        (Err(error), took) => steps.fail(CheckStep::Ready, took, &error),
    }
    steps.end("a mock scanner has none")
}
