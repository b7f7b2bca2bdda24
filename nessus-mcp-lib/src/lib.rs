//! nessus-mcp-lib

pub mod config;
pub mod durable;
pub mod error;
pub mod ids;
pub mod scanner;
pub mod secret;
pub mod time;

pub use scanner::ScannerInterface;
