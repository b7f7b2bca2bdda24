//! Wrapping a scanner without losing a part of it.

use super::{
    error::ScannerError,
    facts::{ScanHost, ScannerProperties},
    interface::{ExportSink, ExportSummary, MarkedScan, ScanRequest, ScanStatus, ScannerInterface},
    offer::ScanOffer,
};
use crate::{delegate::decorator, ids::ScanId};

/// Gives the methods of a scanner to the macro `$then`, before them what else it is given.
macro_rules! scanner_methods {
    ($then:ident! { $($first:tt)* }) => {
        $then! {
            $($first)*
            ScannerInterface {
                create(request: &ScanRequest) -> Result<ScanId, ScannerError>;
                launch(scan: &ScanId) -> Result<Option<String>, ScannerError>;
                status(scan: &ScanId) -> Result<ScanStatus, ScannerError>;
                export(scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError>;
                stop(scan: &ScanId) -> Result<(), ScannerError>;
                kill(scan: &ScanId) -> Result<(), ScannerError>;
                pause(scan: &ScanId) -> Result<(), ScannerError>;
                resume(scan: &ScanId) -> Result<(), ScannerError>;
                delete(scan: &ScanId) -> Result<(), ScannerError>;
                trash(scan: &ScanId) -> Result<(), ScannerError>;
                forget_credentials(scan: &ScanId) -> Result<(), ScannerError>;
                hosts(scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError>;
                find_by_marker(marker: &str) -> Result<Option<ScanId>, ScannerError>;
                marked_scans() -> Result<Vec<MarkedScan>, ScannerError>;
                offer() -> Result<ScanOffer, ScannerError>;
                properties() -> Result<ScannerProperties, ScannerError>;
                close() -> ();
            }
        }
    };
}

#[cfg(feature = "testing")]
pub(crate) use scanner_methods;

scanner_methods! { decorator! {
    /// A scanner that wraps another one. What it does not change reaches the inner one; it is itself a [`ScannerInterface`].
    ///
    /// The check `testing::decorators::a_scanner_decorator_loses_nothing` (feature `testing`)
    /// tells what does not arrive there.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use nessus_mcp_lib::{ScannerInterface, ids::ScanId, scanner::{ScannerDecorator, ScannerError}};
    ///
    /// /// Lets nobody delete a scan.
    /// #[derive(Debug)]
    /// struct Archive(Arc<dyn ScannerInterface>);
    ///
    /// #[async_trait::async_trait]
    /// impl ScannerDecorator for Archive {
    ///     fn inner(&self) -> &dyn ScannerInterface {
    ///         self.0.as_ref()
    ///     }
    ///
    ///     async fn delete(&self, _scan: &ScanId) -> Result<(), ScannerError> {
    ///         Err(ScannerError::Unsupported("deleting a scan"))
    ///     }
    /// }
    /// ```
    ScannerDecorator of ScannerInterface:
} }
