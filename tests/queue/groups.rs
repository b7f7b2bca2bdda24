//! Several servers: a cluster, and a master that sentinels know.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use nessus_mcp_lib::{
    Queue,
    error::{Classified as _, chain},
    ids::{PoolName, WorkerId},
    queue::{EnqueueOutcome, IdempotencyEntry, QueueError, SettleOutcome, Settlement, redis::RedisQueue},
    secret::Secret,
    testing::queue_conformance::{self, QueueHarness},
    time::Timestamp,
};
use nessus_mcp_tests::redis_groups::{GROUP_PATIENCE, RedisCluster, RedisWithSentinel};

use super::faults::{body, open, pool};

const LONG: Duration = Duration::from_secs(3600);

struct ClusterHarness {
    cluster: Arc<RedisCluster>,
    queue: Arc<RedisQueue>,
}

#[async_trait]
impl QueueHarness for ClusterHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue) as Arc<dyn Queue>
    }

    async fn let_pass(&self, time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(2)).await;
    }

    async fn push_raw(&self, pool: &PoolName, text: &str) {
        let key = format!("{{{pool}}}:queue");
        self.cluster.ask(&key, &["LPUSH", &key, text]).number();
    }

    async fn wipe(&self) {
        for node in &self.cluster.nodes {
            assert_eq!(node.ask(&["FLUSHALL"]).text(), "OK");
        }
    }
}

/// A harness whose cluster is empty again.
async fn emptied(cluster: &Arc<RedisCluster>) -> ClusterHarness {
    let queue = Arc::new(open(&cluster.url()).await);
    let harness = ClusterHarness { cluster: Arc::clone(cluster), queue };
    harness.wipe().await;
    harness
}

/// Making a cluster takes seconds, so all checks share one.
#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster_passes_the_conformance_suite() {
    let cluster = Arc::new(RedisCluster::start());
    queue_conformance::run_all(|| emptied(&cluster)).await;
}

/// All keys of a pool lie on one node, so that a step may touch them together; pools and idempotency keys are spread.
#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster_keeps_a_pool_together_and_survives_a_node() {
    let mut cluster = RedisCluster::start();
    let queue = open(&cluster.url()).await;
    assert_eq!(queue.warnings().await.unwrap(), Vec::<String>::new());
    let worker = WorkerId::new("w").unwrap();
    let mut nodes = std::collections::BTreeSet::new();
    for number in 0..12 {
        let pool = PoolName::new(format!("pool{number}")).unwrap();
        queue.enqueue(&pool, &body(number)).await.unwrap();
        let lease = queue.claim(&pool, &worker, LONG, &[]).await.unwrap().unwrap().lease;
        queue.settle(&lease, Settlement::Nack { delay: LONG, started: false }).await.unwrap();
        let entry = IdempotencyEntry::new(lease.task_id, "hash", Timestamp::from_millis(5));
        queue.claim_idempotency_key(&format!("key {number}"), &entry, LONG).await.unwrap();
        let node = cluster.node_of(&format!("{{pool{number}}}:queue"));
        nodes.insert(node);
        let keys = cluster.nodes[node].ask(&["KEYS", &format!("{{pool{number}}}:queue:*")]).texts();
        assert!(keys.len() >= 3, "{keys:?}");
    }
    assert_eq!(nodes.len(), 3, "every node has some of the pools");
    let with_keys = cluster.nodes.iter().filter(|node| !node.ask(&["KEYS", "idemp:*"]).texts().is_empty()).count();
    assert!(with_keys > 1, "idempotency keys lie in slots of their own");

    // A node dies: what lies there is unavailable, and there again when the node is.
    queue.enqueue(&pool(), &body(100)).await.unwrap();
    let node = cluster.node_of("{nessus}:queue");
    cluster.nodes[node].kill();
    let error = tokio::time::timeout(GROUP_PATIENCE, queue.enqueue(&pool(), &body(101))).await.unwrap().unwrap_err();
    assert_eq!(error.code(), "queue_unavailable", "{}", chain(&error));
    cluster.nodes[node].restart();
    cluster.wait_until_whole();
    until_it_works(async || queue.enqueue(&pool(), &body(101)).await).await;
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 2);
}

/// A worker waits where no command can wait for several nodes at once.
#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster_wakes_those_who_wait_for_pools_on_several_nodes() {
    let cluster = RedisCluster::start();
    let (here, there) = (open(&cluster.url()).await, open(&cluster.url()).await);
    let pools: Vec<_> = (0..6).map(|number| PoolName::new(format!("pool{number}")).unwrap()).collect();
    let waits = async { tokio::time::timeout(GROUP_PATIENCE, here.wait_for_work(&pools, LONG)).await.is_ok() };
    let (woken, enqueued) = tokio::join!(waits, async { there.enqueue(&pools[5], &body(1)).await });
    enqueued.unwrap();
    assert!(woken);
}

/// The master dies, the replica takes over, and the queue goes on: with the same data, without being told where.
#[tokio::test(flavor = "multi_thread")]
async fn redis_sentinel_failover_is_followed() {
    let mut group = RedisWithSentinel::start();
    let queue = open(&group.url()).await;
    let worker = WorkerId::new("w").unwrap();
    for number in 1..=3 {
        queue.enqueue(&pool(), &body(number)).await.unwrap();
    }
    let held = queue.claim(&pool(), &worker, LONG, &[]).await.unwrap().unwrap().lease;
    // What the replica has not got yet would be lost, and brought back by the reconciler. `WAIT` waits for the writes of
    // its own connection, and so for all before them.
    let mut master = group.servers[0].connect();
    master.ask(&["SET", "written", "last"]);
    assert_eq!(master.ask(&["WAIT", "1", "0"]).number(), 1);
    group.servers[0].kill();
    until_it_works(async || queue.enqueue(&pool(), &body(4)).await).await;
    assert_eq!(group.master(), 1);
    assert_eq!(queue.settle(&held, Settlement::Ack).await.unwrap(), SettleOutcome::Settled);
    let next = queue.claim(&pool(), &worker, LONG, &[]).await.unwrap().unwrap();
    assert!(next.body == body(2) && next.lease.fence > held.fence, "{next:?}");

    // Back again, while the old master lives on as a replica that refuses to write.
    group.servers[0].restart();
    group.wait_until_whole();
    group.fail_over();
    group.wait_until_replaced(1);
    group.wait_until_whole();
    until_it_works(async || queue.enqueue(&pool(), &body(5)).await).await;
    assert_eq!(group.master(), 0);
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 3);
}

/// A name that no sentinel knows cannot be waited for in vain.
#[tokio::test(flavor = "multi_thread")]
async fn redis_sentinel_without_such_a_master_says_so() {
    let group = RedisWithSentinel::start();
    let url = group.url().replace("mymaster", "another");
    let error = RedisQueue::open(&Secret::new(url)).await.unwrap_err();
    assert!(chain(&error).contains("does not know the master"), "{}", chain(&error));
}

/// Repeats a call that ends with an error while a failover goes on.
async fn until_it_works(call: impl AsyncFn() -> Result<EnqueueOutcome, QueueError>) {
    let began = Instant::now();
    loop {
        match call().await {
            Ok(_) => return,
            Err(error) => {
                assert!(began.elapsed() < GROUP_PATIENCE, "{}", chain(&error));
                assert_eq!(error.code(), "queue_unavailable", "{}", chain(&error));
            }
        }
    }
}
