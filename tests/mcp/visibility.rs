//! What a caller may not see does not exist for it, whatever the way to it.

use nessus_mcp_lib::{ids::TaskId, policy::new_token, secret::Secret};
use serde_json::{Value, json};

use crate::{
    access::{bearer, entry, write},
    fixture::{Fixture, task_id},
};

/// A task id that was never given.
const NO_TASK: &str = "mo_lab_20200101_000000_00000000";
/// All that names one task.
const OF_A_TASK: [&str; 8] = [
    "get_scan_status",
    "get_scan_results",
    "get_scan_summary",
    "cancel_scan",
    "pause_scan",
    "resume_scan",
    "retry_scan",
    "compare_scans",
];

/// Two clients of one team, one of another, one of none, and an administrator.
struct Shared {
    fixture: Fixture,
    tokens: Vec<(&'static str, Secret)>,
}

impl Shared {
    fn start(visibility: &str) -> Self {
        let clients = [
            ("ann", "scan", ", team: red"),
            ("ben", "scan", ", team: red"),
            ("cem", "scan", ", team: blue"),
            ("dot", "approve", ""),
            ("eve", "admin", ""),
        ];
        let tokens: Vec<_> = clients.iter().map(|(name, ..)| (*name, new_token())).collect();
        let entries =
            clients.iter().zip(&tokens).map(|((name, role, more), (_, token))| entry(name, role, token, more));
        let policy = format!("visibility: {visibility}\nclients:\n{}", entries.collect::<String>());
        let fixture = Fixture::start_prepared(
            |deployment| write(deployment.path("policy.yaml"), policy),
            |program| program.args(["--policy-config", "policy.yaml"]),
        );
        Self { fixture, tokens }
    }

    fn bearer(&self, who: &str) -> String {
        bearer(&self.tokens.iter().find(|(name, _)| *name == who).unwrap().1)
    }

    /// The whole answer of a tool.
    async fn call(&self, who: &str, tool: &str, arguments: Value) -> Value {
        let bearer = self.bearer(who);
        self.fixture.call_with(tool, arguments, &[("authorization", &bearer)]).await.result
    }

    async fn rpc(&self, who: &str, method: &str, params: Value) -> Value {
        let request = self.fixture.request(method, params).header("authorization", self.bearer(who));
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["id"].take();
        answer
    }

    async fn submit(&self, who: &str, arguments: Value) -> TaskId {
        let answer = self.call(who, "run_untrusted_scan", arguments).await;
        task_id(&answer["structuredContent"])
    }

    async fn completed(&self, who: &str, task: &TaskId) {
        loop {
            let view = self.call(who, "get_scan_status", json!({ "task_id": task, "wait_seconds": 30 })).await;
            match view["structuredContent"]["status"].as_str().unwrap() {
                "completed" => return,
                "queued" | "running" => {}
                other => panic!("{other}: {view}"),
            }
        }
    }

    /// The tasks of a list, and how many there are in all.
    async fn listed(&self, who: &str, arguments: Value) -> (Vec<String>, u64) {
        let list = self.call(who, "list_tasks", arguments).await["structuredContent"].clone();
        let ids = list["tasks"].as_array().unwrap().iter().map(|task| task["task_id"].as_str().unwrap().to_owned());
        (ids.collect(), list["total"].as_u64().unwrap())
    }

    /// Who of all sees this task by its id.
    async fn seen_by(&self, task: &TaskId) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for (who, _) in &self.tokens {
            if self.call(who, "get_scan_status", json!({ "task_id": task })).await["isError"] != true {
                seen.push(*who);
            }
        }
        seen
    }
}

/// An answer with a task's id replaced by another's.
fn renamed(answer: &Value, from: &str, to: &str) -> String {
    answer.to_string().replace(from, to)
}

#[tokio::test]
async fn the_policy_says_who_sees_a_task() {
    let expected = [
        ("all", vec!["ann", "ben", "cem", "dot", "eve"]),
        ("team", vec!["ann", "ben", "eve"]),
        ("own", vec!["ann", "eve"]),
    ];
    for (visibility, who) in expected {
        let shared = Shared::start(visibility);
        let task = shared.submit("ann", json!({ "targets": "192.0.2.1", "name": "one", "scanner_pool": "slow" })).await;
        assert_eq!(shared.seen_by(&task).await, who, "{visibility}");
        let stored = shared.fixture.deployment.task(&task);
        assert_eq!((stored.submitted_by.as_deref(), stored.team.as_deref()), (Some("ann"), Some("red")));
        // Without a team there is nobody else.
        let alone =
            shared.submit("dot", json!({ "targets": "192.0.2.1", "name": "two", "scanner_pool": "slow" })).await;
        let also: Vec<_> = if visibility == "all" { who } else { vec!["dot", "eve"] };
        assert_eq!(shared.seen_by(&alone).await, also, "{visibility}");
    }
}

/// Another's task is answered in the same words as one that never was, by every tool and resource, whatever its state.
#[tokio::test]
async fn anothers_task_is_answered_as_one_that_never_was() {
    let shared = Shared::start("team");
    let lab = |name: &str| json!({ "targets": "192.0.2.0/29", "name": name, "scanner_pool": "lab" });
    let done = shared.submit("ann", lab("done")).await;
    shared.completed("ann", &done).await;
    let running = shared.submit("ann", json!({ "targets": "192.0.2.1", "name": "runs", "scanner_pool": "slow" })).await;
    let waiting =
        shared.submit("ann", json!({ "targets": "192.0.2.2", "name": "waits", "scanner_pool": "slow" })).await;
    let own = shared.submit("cem", lab("own")).await;
    shared.completed("cem", &own).await;
    for task in [&done, &running, &waiting] {
        for tool in OF_A_TASK {
            let orders = if tool == "compare_scans" { 2 } else { 1 };
            for order in 0..orders {
                let arguments = |id: &str| match (tool, order) {
                    ("compare_scans", 0) => json!({ "before_task_id": id, "after_task_id": own }),
                    ("compare_scans", _) => json!({ "before_task_id": own, "after_task_id": id }),
                    _ => json!({ "task_id": id }),
                };
                let (theirs, none) = (
                    shared.call("cem", tool, arguments(task.as_str())).await,
                    shared.call("cem", tool, arguments(NO_TASK)).await,
                );
                assert_eq!(none["structuredContent"]["error"], "task_not_found", "{tool}: {none}");
                assert_eq!(renamed(&theirs, task.as_str(), NO_TASK), none.to_string(), "{tool} {order}");
            }
        }
        for uri in ["nessus://tasks/{id}", "nessus://tasks/{id}/results/brief/1"] {
            let read =
                async |id: &str| shared.rpc("cem", "resources/read", json!({ "uri": uri.replace("{id}", id) })).await;
            let (theirs, none) = (read(task.as_str()).await, read(NO_TASK).await);
            assert!(none["error"].is_object(), "{none}");
            assert_eq!(renamed(&theirs, task.as_str(), NO_TASK), none.to_string(), "{uri}");
        }
        // What changed nothing for its owner.
        assert_eq!(shared.fixture.deployment.task(task).cancel_requested_at, None);
    }
    assert_eq!(shared.fixture.deployment.task(&waiting).pause_request, None);
}

#[tokio::test]
async fn lists_totals_and_completions_have_what_the_caller_may_see() {
    let shared = Shared::start("own");
    let slow = |name: &str| json!({ "targets": "192.0.2.7", "name": name, "scanner_pool": "slow" });
    let mut of_ann = Vec::new();
    for (who, name) in [("ann", "first"), ("cem", "of cem"), ("ann", "second"), ("ben", "of ben"), ("ann", "third")] {
        let task = shared.submit(who, slow(name)).await;
        if who == "ann" {
            of_ann.push(task.to_string());
        }
    }
    let (mut listed, total) = shared.listed("ann", json!({})).await;
    listed.sort();
    let mut expected = of_ann.clone();
    expected.sort();
    assert_eq!((listed, total), (expected.clone(), 3));
    for filter in [json!({ "targets": "192.0.2.0/24" }), json!({ "scanner_pool": "slow" }), json!({ "name": "of" })] {
        let total = shared.listed("ann", filter.clone()).await.1;
        assert_eq!(total, if filter["name"].is_null() { 3 } else { 0 }, "{filter}");
    }
    assert_eq!(shared.listed("eve", json!({})).await.1, 5);
    assert_eq!(shared.listed("dot", json!({})).await, (vec![], 0));
    // Page by page, with a cursor of one's own and with that of another.
    let first = shared.call("ann", "list_tasks", json!({ "limit": 1 })).await["structuredContent"].clone();
    let (mut paged, mut cursor) =
        (vec![first["tasks"][0]["task_id"].as_str().unwrap().to_owned()], first["next_cursor"].clone());
    while cursor.is_string() {
        let next = shared.call("ann", "list_tasks", json!({ "limit": 1, "cursor": cursor })).await["structuredContent"]
            .clone();
        assert_eq!(next["total"], 3);
        paged.push(next["tasks"][0]["task_id"].as_str().unwrap().to_owned());
        cursor = next["next_cursor"].clone();
    }
    paged.sort();
    assert_eq!(paged, expected);
    let foreign = shared.listed("cem", json!({ "limit": 5, "cursor": first["next_cursor"] })).await;
    assert!(foreign.0.len() <= 1 && foreign.1 == 1, "{foreign:?}");

    let complete = async |who: &str, value: &str| {
        let argument = json!({ "name": "task_id", "value": value });
        let params =
            json!({ "ref": { "type": "ref/resource", "uri": "nessus://tasks/{task_id}" }, "argument": argument });
        shared.rpc(who, "completion/complete", params).await["result"]["completion"].clone()
    };
    let all = complete("ann", "").await;
    assert_eq!((all["values"].as_array().unwrap().len(), &all["total"]), (3, &json!(3)));
    let of_another = complete("cem", &of_ann[0]).await;
    assert_eq!((of_another["values"].as_array().unwrap().len(), &of_another["total"]), (0, &json!(0)));

    let resources =
        async |who: &str| shared.rpc(who, "resources/list", json!({})).await["result"]["resources"].to_string();
    for id in &of_ann {
        assert!(resources("ann").await.contains(id) && !resources("cem").await.contains(id));
        for tool in ["get_queue_status", "get_pool_status"] {
            let answer = shared.call("cem", tool, json!({ "scanner_pool": "slow" })).await;
            assert!(answer["isError"] != true && !answer.to_string().contains(id), "{answer}");
        }
    }
    let next = shared.call("eve", "get_queue_status", json!({ "scanner_pool": "slow" })).await;
    assert!(of_ann.iter().any(|id| next.to_string().contains(id)), "{next}");
    let request = json!({ "targets": "192.0.2.7", "name": "again", "scanner_pool": "slow", "dry_run": true });
    let dry_run =
        async |who: &str| shared.call(who, "run_untrusted_scan", request.clone()).await["structuredContent"].clone();
    assert_eq!(dry_run("dot").await["last_overlapping_scan"], Value::Null);
    // Tasks of the same second have no order.
    let last = dry_run("ann").await["last_overlapping_scan"]["name"].clone();
    assert!(["first", "second", "third"].iter().any(|name| last == *name), "{last}");
}

/// A prompt that names a task says what its tool would.
#[tokio::test]
async fn prompts_tell_nothing_of_anothers_task() {
    let shared = Shared::start("own");
    let done =
        shared.submit("ann", json!({ "targets": "192.0.2.0/29", "name": "secret plan", "scanner_pool": "lab" })).await;
    shared.completed("ann", &done).await;
    let prompts = shared.rpc("cem", "prompts/list", json!({})).await["result"]["prompts"].clone();
    let mut asked = 0;
    for prompt in prompts.as_array().unwrap() {
        let arguments = prompt["arguments"].as_array().unwrap();
        let of_tasks = arguments.iter().filter(|argument| argument["name"].as_str().unwrap().contains("task_id"));
        let of_tasks: Vec<_> = of_tasks.map(|argument| argument["name"].as_str().unwrap()).collect();
        if of_tasks.is_empty() {
            continue;
        }
        asked += 1;
        let get = async |id: &str| {
            let arguments: serde_json::Map<_, _> =
                of_tasks.iter().map(|name| ((*name).to_owned(), json!(id))).collect();
            shared.rpc("cem", "prompts/get", json!({ "name": prompt["name"], "arguments": arguments })).await
        };
        let theirs = get(done.as_str()).await;
        assert_eq!(renamed(&theirs, done.as_str(), NO_TASK), get(NO_TASK).await.to_string());
    }
    assert!(asked > 0, "{prompts}");
}

/// The same key of two clients stands for two requests, and nobody learns of the other's.
#[tokio::test]
async fn an_idempotency_key_is_its_callers_own() {
    let shared = Shared::start("own");
    let submit = async |who: &str, targets: &str| {
        let arguments =
            json!({ "targets": targets, "name": "nightly", "scanner_pool": "slow", "idempotency_key": "night-1" });
        shared.call(who, "run_untrusted_scan", arguments).await["structuredContent"].clone()
    };
    let first = submit("ann", "192.0.2.1").await;
    let again = submit("ann", "192.0.2.1").await;
    assert_eq!((&first["task_id"], &again["idempotent"]), (&again["task_id"], &json!(true)));
    for (who, targets) in [("ben", "192.0.2.1"), ("cem", "192.0.2.9")] {
        let theirs = submit(who, targets).await;
        assert_ne!(theirs["task_id"], first["task_id"]);
        assert_eq!(theirs["idempotent"], false, "{theirs}");
    }
    assert_eq!(submit("ann", "192.0.2.2").await["error"], "idempotency_conflict");
    assert_eq!(shared.listed("eve", json!({})).await.1, 3);
}
