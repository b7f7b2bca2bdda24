//! What keeps a long queue quick: counts that are kept, indexes that every statement uses, claims that pass over.

use proptest::prelude::*;

use super::*;
use crate::{queue::entry::DeadReason, time::ManualClock};

const MINUTE: Duration = Duration::from_secs(60);
const SCANNERS: [&str; 2] = ["a", "b"];

/// A body that names one of the scanners, or none.
fn pinned(number: u32, scanner: Option<&str>) -> TaskBody {
    let task = body(number).task_id().clone();
    let text = serde_json::json!({ "task_id": task, "scanner_instance_id": scanner });
    TaskBody::parse(text.to_string()).unwrap()
}

fn scanners(names: &[&str]) -> Vec<InstanceId> {
    names.iter().map(|name| InstanceId::new(*name).unwrap()).collect()
}

#[derive(Debug, Clone)]
enum Deed {
    Enqueue { task: u32, scanner: Option<&'static str>, started: bool },
    PushRaw(&'static str),
    Claim { passed_over: Vec<InstanceId> },
    Settle { which: usize, how: u8 },
    Remove(u32),
    RetryDead(u32),
    PurgeDead,
    LetPass,
}

fn deed() -> impl Strategy<Value = Deed> {
    let scanner = || prop::option::of(prop::sample::select(&SCANNERS[..]));
    let task = 0_u32..12;
    prop_oneof![
        6 => (task.clone(), scanner(), prop::bool::weighted(0.2))
            .prop_map(|(task, scanner, started)| Deed::Enqueue { task, scanner, started }),
        1 => prop::sample::select(&["nonsense", r#"{"task_id":"ne_ness_20251201_143022_00000003"}"#][..])
            .prop_map(Deed::PushRaw),
        6 => prop::sample::subsequence(&SCANNERS[..], 0..=2)
            .prop_map(|names| Deed::Claim { passed_over: scanners(&names) }),
        5 => (0_usize..4, 0_u8..7).prop_map(|(which, how)| Deed::Settle { which, how }),
        1 => task.clone().prop_map(Deed::Remove),
        1 => task.prop_map(Deed::RetryDead),
        1 => Just(Deed::PurgeDead),
        1 => Just(Deed::LetPass),
    ]
}

struct Rig {
    queue: SqliteQueue,
    clock: ManualClock,
    /// Looks at the rows, and does what other programs do.
    other: Connection,
    leases: Vec<Lease>,
    _directory: TempDir,
}

impl Rig {
    /// The first entry stands before the end of a bucket, so that the others are in two and more.
    fn start() -> Self {
        let directory = directory();
        let path = directory.path().join("queue.db");
        let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_123));
        let queue = SqliteQueue::open_with_clock(&path, Arc::new(clock.clone())).unwrap();
        let other = Connection::open(&path).unwrap();
        other
            .execute("INSERT INTO entries (pool, body, state, place) VALUES ('nessus', '', 'ready', 1022)", [])
            .unwrap();
        Self { queue, clock, other, leases: Vec::new(), _directory: directory }
    }

    async fn act(&mut self, deed: &Deed) {
        let Self { queue, other, .. } = self;
        match deed {
            Deed::Enqueue { task, scanner, started: false } => {
                queue.enqueue(&pool(), &pinned(*task, *scanner)).await.unwrap();
            }
            Deed::Enqueue { task, scanner, started: true } => {
                queue.enqueue_started(&pool(), &pinned(*task, *scanner)).await.unwrap();
            }
            Deed::PushRaw(text) => {
                other
                    .execute(
                        "INSERT INTO entries (pool, body, state, place)
                         SELECT 'nessus', ?1, 'ready', COALESCE(MAX(place), 0) + 1 FROM entries",
                        [text],
                    )
                    .unwrap();
            }
            Deed::Claim { passed_over } => self.claim(passed_over).await,
            Deed::Settle { which, how } => {
                let Some(lease) = self.leases.get(*which) else { return };
                let settlement = match how {
                    0 => Settlement::Ack,
                    1 => Settlement::DeadLetter(DeadReason::new("it failed", "failed", 1)),
                    2 | 3 => Settlement::Nack { delay: MINUTE / 2, started: *how == 3 },
                    4 => Settlement::Release { delay: MINUTE / 2, started: false },
                    _ => Settlement::Release { delay: Duration::ZERO, started: *how == 6 },
                };
                queue.settle(lease, settlement).await.unwrap();
            }
            Deed::Remove(task) => drop(queue.remove(&pool(), body(*task).task_id()).await.unwrap()),
            Deed::RetryDead(task) => drop(queue.retry_dead(&pool(), &body(*task)).await.unwrap()),
            Deed::PurgeDead => drop(queue.purge_dead(&pool(), self.clock.now()).await.unwrap()),
            Deed::LetPass => self.clock.advance(MINUTE / 2),
        }
    }

    /// Claims, and checks against all rows that it got the first that it may.
    async fn claim(&mut self, passed_over: &[InstanceId]) {
        let claim = self.queue.claim(&pool(), &WorkerId::generate(), MINUTE, passed_over).await.unwrap();
        let passed = passed_over.iter().map(|scanner| format!("'{scanner}'")).collect::<Vec<_>>().join(",");
        let may_go = format!("(place < {} OR instance IS NULL OR instance NOT IN ({passed}))", statements::FIRST_PLACE);
        let first: Option<i64> =
            self.one(&format!("SELECT MIN(place) FROM entries WHERE state = 'ready' AND {may_go}"));
        let Some(claim) = claim else { return assert_eq!(first, None) };
        let task = claim.lease.task_id.as_str();
        let got: i64 = self.one(&format!("SELECT place FROM entries WHERE task_id = '{task}' AND {may_go}"));
        assert!(first.is_none_or(|first| got < first), "{got} {first:?}");
        self.leases.insert(0, claim.lease);
    }

    fn one<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.other.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn counted(&self, query: &str) -> Vec<(String, String, i64, i64)> {
        let mut rows = self.other.prepare(query).unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    async fn check(&self) {
        let kept = self.counted("SELECT pool, state, bucket, n FROM counts ORDER BY 1, 2, 3");
        let real = self.counted(
            "SELECT pool, state, IIF(state = 'ready', place >> 10, 0) AS bucket, COUNT(*) FROM entries GROUP BY 1, 2, 3
             UNION ALL SELECT pool, 'dead', 0, COUNT(*) FROM dead GROUP BY 1 ORDER BY 1, 2, 3",
        );
        assert_eq!(kept, real);
        let stats = self.queue.stats(&pool()).await.unwrap();
        for (state, count) in [("ready", stats.ready), ("delayed", stats.delayed), ("leased", stats.leased)] {
            assert_eq!(
                self.one::<i64>(&format!("SELECT COUNT(*) FROM entries WHERE state = '{state}'")),
                count.cast_signed()
            );
        }
        assert_eq!(self.one::<i64>("SELECT COUNT(*) FROM dead"), stats.dead.cast_signed());
        let ready = self.counted(
            "SELECT COALESCE(task_id, ''), '', place, RANK() OVER (ORDER BY place) FROM entries WHERE state = 'ready'",
        );
        for (task, _, _, rank) in ready.iter().filter(|(task, ..)| !task.is_empty()) {
            let position = self.queue.position(&pool(), &TaskId::new(task).unwrap()).await.unwrap();
            assert_eq!(position, Some(rank.cast_unsigned()), "{task}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done, what is counted is what there is, a position is a rank, and a claim takes the first that it may.
    #[test]
    fn counts_positions_and_claims_are_those_of_the_rows(deeds in prop::collection::vec(deed(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut rig = Rig::start();
            for deed in &deeds {
                rig.act(deed).await;
                rig.check().await;
            }
        });
    }
}

/// A step may hold others up only for as long as it takes at any length of the queue.
#[test]
fn no_statement_reads_a_whole_table() {
    // They have as many rows as there are processes, scanners or pools.
    const SMALL: [&str; 3] = ["circuit_states", "slots", "workers"];
    let directory = directory();
    let path = directory.path().join("queue.db");
    drop(SqliteQueue::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let sources = [
        include_str!("../charges.rs"),
        include_str!("../circuits.rs"),
        include_str!("../claims.rs"),
        include_str!("../clock.rs"),
        include_str!("../shared.rs"),
        include_str!("../statements.rs"),
        include_str!("../workers.rs"),
    ];
    let mut statements = 0;
    let texts = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    for text in
        texts.filter(|text| ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| text.starts_with(verb)))
    {
        statements += 1;
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let nothing = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
        for step in steps.map(Result::unwrap) {
            let is_small = SMALL.iter().any(|table| step.starts_with(&format!("SCAN {table}")));
            // A clock that steps back moves what is leased and what is delayed, and nothing else.
            let after_a_step_back = text.starts_with("UPDATE entries SET") && text.contains("_ms - ?1");
            let of_the_statement_itself = step == "SCAN CONSTANT ROW";
            assert!(
                !step.starts_with("SCAN ") || is_small || of_the_statement_itself || after_a_step_back,
                "{step} in: {text}"
            );
            assert!(is_small || !after_a_step_back || step.contains("USING INDEX entries_"), "{step} in: {text}");
            assert!(!step.contains("USE TEMP B-TREE FOR ORDER BY"), "{step} in: {text}");
        }
    }
    assert!(statements > 40, "{statements}");
}

/// A file of version 6 gets its counts and its pins, whatever its bodies are; a process of version 6 that has it open keeps both.
#[tokio::test]
async fn a_file_of_version_6_gets_counts_and_pins() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let older = Connection::open(&path).unwrap();
    older.execute_batch(schema::FIRST_VERSION).unwrap();
    schema::MIGRATIONS[..5].iter().for_each(|migration| older.execute_batch(migration).unwrap());
    older
        .execute_batch(
            "INSERT INTO schema_version (version) VALUES (6);
             INSERT INTO dead (pool, body, error, error_code, attempt, failed_at_ms) VALUES ('nessus', '', '', '', 0, 0);
             INSERT INTO entries (pool, body, state, place) VALUES
                 ('nessus', 'nonsense', 'ready', 1), ('nessus', CAST(x'7bff' AS TEXT), 'ready', 2),
                 ('nessus', '{\"scanner_instance_id\":[\"a\"]}', 'ready', 3), ('nessus', '', 'delayed', 0);
             UPDATE entries SET due_ms = 9000000000000 WHERE state = 'delayed'",
        )
        .unwrap();
    let mut add = older
        .prepare("INSERT INTO entries (pool, task_id, body, state, place) VALUES ('nessus', ?1, ?2, 'ready', ?3)")
        .unwrap();
    let mut enqueue = |number: u32, scanner| {
        let body = pinned(number, scanner);
        add.execute(rusqlite::params![body.task_id().as_str(), body.as_str(), number]).unwrap();
    };
    (4..3000).for_each(|number| enqueue(number, Some("a")));
    enqueue(3000, None);
    let queue = SqliteQueue::open(&path).unwrap();
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(3000, 1, 0, 1));
    assert_eq!(queue.position(&pool(), body(2999).task_id()).await.unwrap(), Some(2999));
    let worker = WorkerId::generate();
    let claim = async || queue.claim(&pool(), &worker, MINUTE, &scanners(&["a"])).await.unwrap();
    assert_eq!(claim().await.unwrap().body, pinned(3000, None));
    assert_eq!(claim().await, None);
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(2996, 1, 1, 4), "nobody can read three of them");

    enqueue(3001, Some("b"));
    enqueue(3002, Some("a"));
    older.execute("DELETE FROM entries WHERE place BETWEEN 4 AND 2000", []).unwrap();
    assert_eq!(queue.stats(&pool()).await.unwrap().ready, 1001);
    assert_eq!(queue.position(&pool(), body(3001).task_id()).await.unwrap(), Some(1000));
    assert_eq!(claim().await.unwrap().body, pinned(3001, Some("b")));
    assert_eq!(claim().await, None);
}

/// However many bodies nobody can read, and however many letters are old: they are taken in parts, and all of them.
#[tokio::test]
async fn what_is_taken_in_parts_is_taken_whole() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let queue = SqliteQueue::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
             INSERT INTO entries (pool, body, state, place) SELECT 'nessus', 'nonsense', 'ready', n FROM numbers",
        )
        .unwrap();
    queue.enqueue(&pool(), &body(1)).await.unwrap();
    let claim = queue.claim(&pool(), &WorkerId::generate(), MINUTE, &[]).await.unwrap().unwrap();
    assert_eq!(claim.body, body(1));
    assert_eq!(queue.stats(&pool()).await.unwrap(), QueueStats::new(0, 0, 1, 2500));
    let later = queue.clock.now().plus(MINUTE);
    assert_eq!(queue.purge_dead(&pool(), later).await.unwrap(), 2500);
    assert_eq!(queue.stats(&pool()).await.unwrap().dead, 0);
}

/// A day with many charges goes away with the charges that come later, a part with each.
#[tokio::test]
async fn an_old_day_is_forgotten_in_parts() {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_123));
    let queue = SqliteQueue::open_with_clock(&path, Arc::new(clock.clone())).unwrap();
    for number in 0..150 {
        queue.restore_charge(&Charge::new(Charge::ALL, format!("{number}"), 1).on("2025-12-01")).await.unwrap();
    }
    clock.advance(96 * 60 * MINUTE);
    let left = async || queue.charged_ids(Charge::ALL, Some("2025-12-01")).await.unwrap().len();
    for (number, rest) in [50, 0].into_iter().enumerate() {
        queue.restore_charge(&Charge::new(Charge::ALL, format!("{number}"), 1).on("2025-12-05")).await.unwrap();
        assert_eq!(left().await, rest);
    }
    assert_eq!(queue.charged(Charge::ALL, Some("2025-12-01")).await.unwrap(), 0);
    assert_eq!(queue.charged(Charge::ALL, Some("2025-12-05")).await.unwrap(), 2);
}

/// What stands where the name of a scanner should, and is none, blocks no claim.
#[tokio::test]
async fn names_that_are_no_text_block_no_claim() {
    let mut rig = Rig::start();
    let task = |number| body(number).task_id().to_string();
    for (number, name) in [(1, "\\ud800".as_bytes()), (2, b"\xff"), (3, b"a b"), (4, b"a\\u0000")] {
        let begin = format!("{{\"task_id\":\"{}\",\"scanner_instance_id\":\"", task(number));
        let text = [begin.as_bytes(), name, b"\"}"];
        rig.other
            .execute(
                "INSERT INTO entries (pool, body, state, place)
                 SELECT 'nessus', CAST(?1 AS TEXT), 'ready', COALESCE(MAX(place), 0) + 1 FROM entries",
                [text.concat()],
            )
            .unwrap();
    }
    rig.queue.enqueue(&pool(), &pinned(5, Some("a"))).await.unwrap();
    for _ in 0..5 {
        rig.claim(&scanners(&["a"])).await;
    }
    let stats = rig.queue.stats(&pool()).await.unwrap();
    assert_eq!((stats.ready, stats.leased + stats.dead), (1, 5), "{stats:?}: only what is pinned waits");
}
