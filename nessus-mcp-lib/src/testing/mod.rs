//! For implementors of this library's traits, and for their tests (feature `testing`).
//!
//! [`queue_conformance`] checks a backend of [`Queue`](crate::queue::Queue), [`scanner_conformance`] a
//! [`ScannerInterface`](crate::scanner::ScannerInterface). Mocks of the traits stand beside them.

pub mod queue_conformance;
pub mod scanner_conformance;
