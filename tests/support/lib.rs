//! Shared support of the integration tests.
