//! nessus-mcp-lib

pub mod config;
pub mod durable;
pub mod error;
pub mod ids;
pub mod queue;
pub mod results;
pub mod scanner;
pub mod secret;
pub mod task;
pub mod telemetry;
pub mod targets;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;

pub use queue::Queue;
pub use results::JsonNlConverter;
pub use scanner::ScannerInterface;
pub use task::TaskManager;
