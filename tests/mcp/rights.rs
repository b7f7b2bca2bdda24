//! Two clients with different rights, by every way that a client has.

use nessus_mcp_lib::{
    durable,
    policy::{TokenHash, new_token},
    secret::Secret,
};
use serde_json::{Value, json};

use nessus_mcp_tests::processes::until;

use crate::fixture::{Answer, Fixture};

/// A server whose client `narrow` may do little, and `wide` what the policy allows.
struct Guarded {
    fixture: Fixture,
    narrow: Secret,
    wide: Secret,
}

const NARROW: &str =
    ", pools: [slow], targets: [192.0.2.0/29], scan_types: [untrusted], templates: [basic], max_scans_at_once: 1";

const CREDENTIALS: &str = "\
linux-audit: {username: scan, password: planted, targets: 192.0.2.0/24}
";

fn policy(narrow: &Secret, keys: &str, wide: &Secret) -> String {
    let hash = |token: &Secret| TokenHash::of(token.expose());
    format!(
        "deny: [192.0.2.3]\nclients:\n  - {{name: narrow, role: scan, token_sha256: {}{keys}}}\n  \
         - {{name: wide, role: scan, token_sha256: {}}}\n",
        hash(narrow),
        hash(wide)
    )
}

impl Guarded {
    fn start(keys: &str) -> Self {
        let (narrow, wide) = (new_token(), new_token());
        let text = policy(&narrow, keys, &wide);
        let fixture = Fixture::start_prepared(
            |deployment| {
                durable::replace(&deployment.path("policy.yaml"), text.as_bytes()).unwrap();
                durable::replace(&deployment.path("credentials.yaml"), CREDENTIALS.as_bytes()).unwrap();
            },
            |program| program.args(["--policy-config", "policy.yaml", "--credential-config", "credentials.yaml"]),
        );
        Self { fixture, narrow, wide }
    }

    async fn call(&self, token: &Secret, tool: &str, arguments: Value) -> Answer {
        let bearer = format!("Bearer {}", token.expose());
        self.fixture.call_with(tool, arguments, &[("authorization", &bearer)]).await
    }

    async fn rpc(&self, token: &Secret, method: &str, params: Value) -> Value {
        let request =
            self.fixture.request(method, params).header("authorization", format!("Bearer {}", token.expose()));
        request.send().await.unwrap().json().await.unwrap()
    }
}

fn scan(targets: &str, more: Value) -> Value {
    let mut arguments = json!({ "targets": targets, "name": "of a client" });
    let Value::Object(more) = more else { panic!("arguments are an object") };
    arguments.as_object_mut().unwrap().extend(more);
    arguments
}

#[tokio::test]
async fn what_a_client_may_not_use_it_neither_sees_nor_gets() {
    let guarded = Guarded::start(NARROW);
    let lists = async |token: &Secret| {
        let pools = guarded.call(token, "list_pools", json!({})).await.ok().clone();
        let scanners = guarded.call(token, "list_scanners", json!({})).await.ok().clone();
        let queues = guarded.call(token, "get_queue_status", json!({})).await.ok().clone();
        let policies = guarded.call(token, "list_policies", json!({})).await.ok().clone();
        let health = guarded.call(token, "health_check", json!({})).await.text().to_owned();
        let asked = json!({ "ref": { "type": "ref/prompt", "name": "scan" },
            "argument": { "name": "scanner_pool", "value": "" } });
        let completed = guarded.rpc(token, "completion/complete", asked).await;
        (json!([pools, scanners, queues, policies, completed]).to_string(), health)
    };
    let (of_narrow, of_wide) = (lists(&guarded.narrow).await, lists(&guarded.wide).await);
    for hidden in ["\"lab\"", "mock-1"] {
        assert!(!of_narrow.0.contains(hidden) && of_wide.0.contains(hidden), "{hidden}: {of_narrow:?}");
        assert!(!of_narrow.1.contains(hidden), "{of_narrow:?}");
    }

    // A pool that is there is refused as one that is not, by every tool that takes one.
    for (tool, arguments) in [
        ("get_pool_status", json!({})),
        ("list_scanners", json!({})),
        ("list_policies", json!({})),
        ("get_queue_status", json!({})),
        ("list_tasks", json!({})),
        ("run_untrusted_scan", scan("192.0.2.1", json!({}))),
        ("run_untrusted_scan", scan("192.0.2.1", json!({ "dry_run": true }))),
    ] {
        let mut answers = Vec::new();
        for pool in ["lab", "lob"] {
            let mut arguments = arguments.clone();
            arguments["scanner_pool"] = json!(pool);
            let answer = guarded.call(&guarded.narrow, tool, arguments).await;
            let (code, message, hint) = answer.refusal();
            answers.push((code.to_owned(), message.replace(pool, "?"), hint.map(|hint| hint.replace(pool, "?"))));
        }
        assert_eq!(answers[0], answers[1], "{tool}");
        assert_eq!(answers[0].0, "unknown_pool", "{tool}");
    }
}

#[tokio::test]
async fn a_client_is_refused_what_its_keys_do_not_allow() {
    let guarded = Guarded::start(NARROW);
    for dry_run in [true, false] {
        for (tool, arguments, code, part) in [
            ("run_untrusted_scan", scan("192.0.2.7-192.0.2.8", json!({})), "out_of_scope", "`targets` of `narrow`"),
            ("run_untrusted_scan", scan("::ffff:10.0.0.1", json!({})), "out_of_scope", "`10.0.0.1` is out of scope"),
            ("run_untrusted_scan", scan("192.0.2.3", json!({})), "out_of_scope", "`deny` has `192.0.2.3`"),
            (
                "run_untrusted_scan",
                scan("192.0.2.1", json!({ "template": "advanced" })),
                "not_permitted",
                "the template `advanced`",
            ),
            (
                "run_trusted_scan",
                scan("192.0.2.1", json!({ "credential_id": "linux-audit" })),
                "not_permitted",
                "`run_trusted_scan`",
            ),
        ] {
            let mut arguments = arguments;
            arguments["dry_run"] = json!(dry_run);
            let answer = guarded.call(&guarded.narrow, tool, arguments).await;
            let (found, message, hint) = answer.refusal();
            assert_eq!(found, code, "{message}");
            assert!(message.contains(part) && hint.is_some(), "{message}");
        }
    }
    assert_eq!(guarded.fixture.deployment.task_directories(), Vec::<String>::new());
    let allowed = scan("192.0.2.1", json!({ "dry_run": true }));
    let view = guarded.call(&guarded.narrow, "run_untrusted_scan", allowed).await.ok().clone();
    assert_eq!(view["scope"]["rules"], json!(["`targets` of `narrow` has `192.0.2.0/29`"]));

    // The other client may.
    let wide = scan("192.0.2.100", json!({ "credential_id": "linux-audit" }));
    guarded.call(&guarded.wide, "run_trusted_scan", wide).await.ok();

    // One at a time: its pool is the default for it, and scans there take an hour.
    let first = guarded.call(&guarded.narrow, "run_untrusted_scan", scan("192.0.2.1", json!({}))).await.ok().clone();
    assert_eq!(first["scanner_pool"], "slow");
    let again = guarded.call(&guarded.narrow, "run_untrusted_scan", scan("192.0.2.2", json!({}))).await;
    let (code, message, hint) = again.refusal();
    assert_eq!(
        (code, message),
        ("client_limit", "`narrow` has 1 scan that has not ended, and may have 1 at once (`max_scans_at_once`)",)
    );
    assert!(hint.unwrap().contains("when one of them has ended"), "{hint:?}");
    let others = scan("192.0.2.2", json!({ "scanner_pool": "slow" }));
    guarded.call(&guarded.wide, "run_untrusted_scan", others).await.ok();
}

/// A file with a mistake changes nothing, and one without counts for the next call.
#[tokio::test]
async fn rights_are_those_of_the_policy_in_force() {
    let mut guarded = Guarded::start(", max_scans_per_day: 1");
    let tried = scan("192.0.2.100", json!({ "dry_run": true }));
    let set_rights = |guarded: &Guarded, keys: &str| {
        let text = policy(&guarded.narrow, keys, &guarded.wide);
        durable::replace(&guarded.fixture.deployment.path("policy.yaml"), text.as_bytes()).unwrap();
        guarded.fixture.server.process.hang_up();
    };
    set_rights(&guarded, ", pools: [lab], tagets: [192.0.2.0/29]");
    guarded.fixture.server.process.wait_for_log("policy.yaml:3: unknown key `tagets`, did you mean `targets`?");
    guarded.call(&guarded.narrow, "run_untrusted_scan", tried.clone()).await.ok();

    set_rights(&guarded, ", targets: [192.0.2.0/29]");
    let refused = until("the targets are refused", &[&guarded.fixture.server.process], async || {
        let answer = guarded.call(&guarded.narrow, "run_untrusted_scan", tried.clone()).await;
        (answer.result["isError"] == true).then_some(answer)
    })
    .await;
    assert_eq!(refused.refusal().0, "out_of_scope");

    set_rights(&guarded, ", targets: []");
    guarded.fixture.server.process.wait_for_log("`clients[0].targets` is empty");
    let answer = guarded.call(&guarded.narrow, "run_untrusted_scan", tried).await;
    assert_eq!(answer.refusal().0, "out_of_scope");
}
