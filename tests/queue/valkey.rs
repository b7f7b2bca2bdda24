//! Valkey, where its package is installed.

use nessus_mcp_lib::testing::queue_conformance;
use nessus_mcp_tests::redis::{FORGETFUL, RedisServer, is_installed};

use super::redis::RedisHarness;

#[tokio::test(flavor = "multi_thread")]
async fn valkey_passes_the_redis_conformance_suite() {
    if !is_installed("valkey-server") {
        eprintln!("skipped: valkey-server is not installed");
        return;
    }
    queue_conformance::run_all(|| RedisHarness::on(RedisServer::of("valkey-server", &FORGETFUL))).await;
}
