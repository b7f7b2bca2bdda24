//! A hundred tasks on two scanners, one of which is out of reach for a while.
//!
//! ```console
//! cargo run -p nessus-mcp-tests --example outage                         # on the embedded queue
//! OUTAGE_QUEUE=redis OUTAGE_TASKS=100 cargo run -p nessus-mcp-tests --example outage
//! ```
//!
//! It says where the tasks ran and what the circuit did, or panics with what does not hold.
#![expect(clippy::print_stdout, reason = "the outcome is what it is for")]

use std::env;

use nessus_mcp_tests::{outage, redis::RedisServer};

#[tokio::main]
async fn main() {
    let tasks = env::var("OUTAGE_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let redis = (env::var("OUTAGE_QUEUE").as_deref() == Ok("redis")).then(RedisServer::start);
    let url = redis.as_ref().map(RedisServer::url);
    println!("{}", outage::run(tasks, url.as_deref()).await);
}
