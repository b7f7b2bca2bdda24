//! For implementors of this library's traits, and for their tests (feature `testing`).
//!
//! [`queue_conformance`] checks a backend of [`Queue`](crate::queue::Queue), [`scanner_conformance`] a
//! [`ScannerInterface`](crate::scanner::ScannerInterface), [`decorators`] who wraps one of them, and [`store_conformance`] a place of
//! tasks. `MockQueue` and `MockScannerInterface`
//! stand beside the traits.
//!
//! Semver does not cover this module and the mocks: a check may be added in any version, and the mocks are made by `mockall`,
//! which is before its 1.0.

pub mod decorators;
pub mod queue_conformance;
pub mod scanner_conformance;
pub mod store_conformance;
