//! Lists scanners, pools and queues, how busy they are, and whether everything works.

use rmcp::{
    handler::server::wrapper::Parameters,
    model::CallToolResult,
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::Deserialize;

use super::{ScanTools, answer::structured};

/// Arguments of the tools that show one pool or all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolArgument {
    /// Only this pool; default all
    #[serde(default)]
    scanner_pool: Option<String>,
}

/// Arguments of `get_pool_status`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnePool {
    /// The pool; the default pool if omitted
    #[serde(default)]
    scanner_pool: Option<String>,
}

/// Arguments of tools that take none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoArguments {}

#[tool_router(router = inventory_router, vis = "pub(super)")]
impl ScanTools {
    /// List the scanners with their pool, address, capacity and running scans.
    #[tool]
    async fn list_scanners(&self, Parameters(arguments): Parameters<PoolArgument>) -> CallToolResult {
        structured(self.service.list_scanners(arguments.scanner_pool.as_deref()).await)
    }

    /// List the scanner pools with capacity and load, and the default pool.
    #[tool]
    async fn list_pools(&self, Parameters(NoArguments {}): Parameters<NoArguments>) -> CallToolResult {
        structured(self.service.list_pools().await)
    }

    /// List what scans can be made of, by pool: templates, and policies (the first 200) to be named by name or id.
    #[tool]
    async fn list_policies(&self, Parameters(arguments): Parameters<PoolArgument>) -> CallToolResult {
        structured(self.service.list_policies(arguments.scanner_pool.as_deref()).await)
    }

    /// One pool: capacity, load, queue, scanners, and how long a scan submitted now would wait.
    #[tool]
    async fn get_pool_status(&self, Parameters(arguments): Parameters<OnePool>) -> CallToolResult {
        structured(self.service.pool_status(arguments.scanner_pool.as_deref()).await)
    }

    /// How many scans are queued, delayed, running or failed by pool, and which are next.
    #[tool]
    async fn get_queue_status(&self, Parameters(arguments): Parameters<PoolArgument>) -> CallToolResult {
        structured(self.service.queue_status(arguments.scanner_pool.as_deref()).await)
    }

    /// Whether the server, its queue, its disk and its scanners work, and what is wrong.
    #[tool]
    async fn health_check(&self, Parameters(NoArguments {}): Parameters<NoArguments>) -> CallToolResult {
        structured(Ok(self.service.health().await))
    }
}
