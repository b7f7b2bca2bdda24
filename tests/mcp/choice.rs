//! Which tools there are for whom, and how many calls: by the settings, the policy and the headers of a request.

use nessus_mcp_lib::{policy::new_token, secret::Secret};
use nessus_mcp_tests::{deployment::Deployment, processes::until};
use serde_json::{Value, json};

use crate::{
    access::{bearer, entry, write},
    fixture::{Answer, Fixture, SCANNERS},
};

const POLICY: &str = "policy.yaml";

fn start(policy: &str, arguments: &[&str]) -> Fixture {
    Fixture::start_prepared(
        |deployment| write(deployment.path(POLICY), policy),
        |program| program.args(["--policy-config", POLICY]).args(arguments),
    )
}

impl Fixture {
    /// The JSON-RPC answer to a request with these headers.
    async fn ask(&self, method: &str, params: Value, headers: &[(&str, &str)]) -> Value {
        let request = self.request(method, params);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn listed(&self, headers: &[(&str, &str)]) -> Vec<String> {
        let answer = self.ask("tools/list", json!({}), headers).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn call_as(&self, token: &Secret, tool: &str, arguments: Value) -> Answer {
        self.call_with(tool, arguments, &[("authorization", &bearer(token))]).await
    }
}

/// What is left out of the tools is left out of everything that leads to the same.
#[tokio::test]
async fn a_server_offers_what_its_settings_leave() {
    let fixture = Fixture::start_with(|program| {
        program.args(["--toolsets", "status,results", "--exclude-tools", "get_scan_results"])
    });
    assert_eq!(fixture.listed(&[]).await, ["compare_scans", "get_scan_status", "get_scan_summary", "list_tasks"]);
    for tool in ["get_scan_results", "run_untrusted_scan", "run_authenticated_scan", "health_check"] {
        let answer = fixture.call(tool, json!({ "scan_type": "trusted" })).await;
        let (code, message, _) = answer.refusal();
        assert_eq!(code, "not_permitted");
        assert!(message.contains("is not among the tools that this server offers"), "{message}");
    }
    let uri = "nessus://tasks/ne_ness_20261128_143022_a1b2c3d4/results";
    let refused = fixture.rpc("resources/read", json!({ "uri": uri })).await;
    assert_eq!(refused["error"]["data"]["error"], "not_permitted", "{refused}");
    let templates = fixture.rpc("resources/templates/list", json!({})).await;
    let templates = templates["result"]["resourceTemplates"].as_array().unwrap().len();
    let prompts = fixture.rpc("prompts/list", json!({})).await;
    assert_eq!((templates, &prompts["result"]["prompts"]), (1, &json!([])));
    let unlisted = json!({
        "ref": { "type": "ref/resource", "uri": "nessus://tasks/{task_id}" }, "argument": { "name": "task_id", "value": "" }
    });
    assert!(fixture.rpc("completion/complete", unlisted.clone()).await["result"].is_object());
    let hidden = fixture.ask("completion/complete", unlisted, &[("x-mcp-exclude-tools", "list_tasks")]).await;
    assert_eq!(hidden["error"]["data"]["error"], "not_permitted", "{hidden}");
    let client = json!({ "name": "test", "version": "0" });
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let told = fixture.rpc("initialize", hello).await["result"]["instructions"].as_str().unwrap().to_owned();
    assert!(
        told.contains("get_scan_summary") && !told.contains("run_") && !told.contains("get_scan_results"),
        "{told}"
    );
}

#[tokio::test]
async fn headers_can_only_leave_tools_out() {
    let (reader, scanner) = (new_token(), new_token());
    let clients = [entry("reader", "read", &reader, ""), entry("scanner", "scan", &scanner, "")].concat();
    let fixture = start(&format!("clients:\n{clients}"), &["--exclude-tools", "retry_scan"]);
    let (reader, scanner) = (bearer(&reader), bearer(&scanner));
    let with = |token: &str, headers: &[(&'static str, &'static str)]| {
        [
            &[("authorization", token.to_owned())][..],
            &headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>(),
        ]
        .concat()
    };
    let listed = async |headers: Vec<(&'static str, String)>| {
        fixture.listed(&headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>()).await
    };
    assert_eq!(
        listed(with(&scanner, &[("X-MCP-Toolsets", "control")])).await,
        ["cancel_scan", "pause_scan", "resume_scan"]
    );
    assert_eq!(listed(with(&scanner, &[("X-MCP-Tools", "retry_scan, list_tasks")])).await, ["list_tasks"]);
    assert_eq!(listed(with(&reader, &[("X-MCP-Tools", "cancel_scan")])).await, [""; 0]);
    assert_eq!(listed(with(&reader, &[("X-MCP-Readonly", "false")])).await, listed(with(&reader, &[])).await);
    assert_eq!(listed(with(&scanner, &[("X-MCP-Readonly", "true")])).await, listed(with(&reader, &[])).await);
    let call = [("authorization", scanner.as_str()), ("x-mcp-exclude-tools", "cancel_scan")];
    let answer = fixture.call_with("cancel_scan", json!({ "task_id": "x" }), &call).await;
    assert_eq!(answer.refusal().0, "not_permitted");
    assert!(answer.refusal().1.contains("headers"), "{answer:?}");

    let client = json!({ "name": "test", "version": "0" });
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    for (method, params) in [
        ("initialize", hello),
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("tools/call", json!({ "name": "list_tasks", "arguments": {} })),
    ] {
        for (name, value, said) in [
            (
                "x-mcp-tools",
                "list_task",
                "`X-MCP-Tools` names `list_task`, which is no tool; did you mean `list_tasks`?",
            ),
            (
                "x-mcp-toolsets",
                "results,scaners",
                "`X-MCP-Toolsets` names `scaners`, which is no toolset; did you mean `scanners`?",
            ),
            ("x-mcp-exclude-tools", "cancel", "`X-MCP-Exclude-Tools` names `cancel`, which is no tool"),
            ("x-mcp-readonly", "perhaps", "`X-MCP-Readonly` must be `true` or `false`"),
            ("x-mcp-tools", "", "`X-MCP-Tools` names nothing"),
        ] {
            let answer = fixture.ask(method, params.clone(), &[("authorization", &scanner), (name, value)]).await;
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(answer["error"]["code"] == -32602 && message.contains(said), "{method}: {answer}");
        }
    }
}

/// A name in the policy that is no tool refuses the file, at the start and when it is read again.
#[tokio::test]
async fn the_policy_chooses_the_tools_of_a_client() {
    let token = new_token();
    let policy = |keys: &str| format!("clients:\n{}", entry("desk", "scan", &token, keys));
    let fixture_policy = policy(", toolsets: [status, submit], exclude_tools: [list_tasks], scan_types: [untrusted]");
    let mut fixture = start(&fixture_policy, &[]);
    let sent = bearer(&token);
    let headers = [("authorization", sent.as_str())];
    assert_eq!(fixture.listed(&headers).await, ["get_scan_status", "run_untrusted_scan"]);
    let answer = fixture.call_as(&token, "list_tasks", json!({})).await;
    assert_eq!(answer.refusal().0, "not_permitted");
    assert!(answer.refusal().1.contains("policy.yaml gives you"), "{answer:?}");

    let file = fixture.deployment.path(POLICY);
    for (keys, said) in [
        (
            ", tools: [list_tasks, run_scan]",
            "policy.yaml:2: `clients[0].tools[1]` names `run_scan`, which is no tool; did you mean `",
        ),
        (", toolsets: [scans]", "policy.yaml:2: `clients[0].toolsets[0]` names `scans`, which is no toolset"),
        (
            ", tools: [list_tasks], exclude_tools: [list_tasks]",
            "policy.yaml:2: `clients[0].exclude_tools[0]` leaves no tool",
        ),
    ] {
        write(&file, policy(keys));
        fixture.server.process.hang_up();
        fixture.server.process.wait_for_log(said);
        assert_eq!(fixture.listed(&headers).await.len(), 2);
        let deployment = Deployment::new(SCANNERS);
        write(deployment.path(POLICY), policy(keys));
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
        let ended = deployment.server(binary).args(["--policy-config", POLICY]).run();
        assert!(ended.code == Some(78) && ended.stderr.contains(said), "{ended:?}");
    }
    write(&file, policy(", tools: [list_tasks]"));
    fixture.server.process.hang_up();
    until("the policy was read again", &[&fixture.server.process], async || {
        (fixture.listed(&headers).await == ["list_tasks"]).then_some(())
    })
    .await;
}

/// Who calls too often is refused, whatever way it calls in; nobody else is, nor are its calls of another class.
#[tokio::test]
async fn calls_are_limited_by_client_and_class() {
    let (busy, other) = (new_token(), new_token());
    let policy = |of_busy: &str, of_other: &str| {
        let clients = [entry("busy", "scan", &busy, of_busy), entry("other", "scan", &other, of_other)].concat();
        format!("calls_per_minute: {{read: 600, change: 100}}\nclients:\n{clients}")
    };
    let limit = ", calls_per_minute: {read: 20}";
    let fixture = start(&policy(limit, ""), &[]);
    let mut refused = 0;
    for at in 0..1_000 {
        let answer = fixture.call_as(&busy, "list_tasks", json!({})).await;
        if answer.result["isError"] == true {
            let (code, message, hint) = answer.refusal();
            assert_eq!(code, "rate_limited");
            assert!(
                message.contains("20 calls of the class `read`") && hint.unwrap().contains("call again in"),
                "{message}"
            );
            assert!(answer.result["structuredContent"]["retry_after_seconds"].as_u64().unwrap() > 0);
            refused += 1;
        } else {
            assert_eq!(answer.ok()["tasks"], json!([]));
        }
        if at % 10 == 0 {
            fixture.call_as(&other, "list_tasks", json!({})).await.ok();
        }
    }
    assert!(refused > 0, "all calls were served");
    let unknown = json!({ "task_id": "ne_ness_20261128_143022_a1b2c3d4" });
    assert_eq!(fixture.call_as(&busy, "cancel_scan", unknown.clone()).await.refusal().0, "task_not_found");
    assert_eq!(fixture.call_as(&busy, "get_scan_summary", unknown).await.refusal().0, "task_not_found");

    let token = bearer(&busy);
    let headers = [("authorization", token.as_str())];
    let uri = "nessus://tasks/ne_ness_20261128_143022_a1b2c3d4";
    let (mut resources, mut task) = (Value::Null, Value::Null);
    for _ in 0..20 {
        resources = fixture.ask("resources/list", json!({}), &headers).await;
        task = fixture.ask("resources/read", json!({ "uri": uri }), &headers).await;
    }
    for answer in [resources, task] {
        assert_eq!(answer["error"]["data"]["error"], "rate_limited", "{answer}");
    }
    let metrics = fixture.get("/metrics").header("authorization", &token).send().await.unwrap().text().await.unwrap();
    let counted = metrics.lines().find_map(|line| line.strip_prefix("nessus_rate_limited_total{class=\"read\"} "));
    assert!(counted.unwrap().parse::<u64>().unwrap() > refused, "{counted:?}");
    assert!(!metrics.contains("nessus_rate_limited_total{class=\"change\"}"), "{metrics}");

    // What is used up stays so when the policy is read again with the same limit.
    write(fixture.deployment.path(POLICY), policy(limit, ", tools: [list_tasks]"));
    fixture.server.process.hang_up();
    let of_other = bearer(&other);
    until("the policy was read again", &[&fixture.server.process], async || {
        (fixture.listed(&[("authorization", &of_other)]).await.len() == 1).then_some(())
    })
    .await;
    let mut served = 0;
    for _ in 0..20 {
        served += usize::from(fixture.call_as(&busy, "list_tasks", json!({})).await.result["isError"] != true);
    }
    assert!(served < 20, "a limit began anew");
    write(fixture.deployment.path(POLICY), policy(", calls_per_minute: {read: 100000}", ""));
    fixture.server.process.hang_up();
    until("the limit is another", &[&fixture.server.process], async || {
        (fixture.call_as(&busy, "list_tasks", json!({})).await.result["isError"] != true).then_some(())
    })
    .await;
}
