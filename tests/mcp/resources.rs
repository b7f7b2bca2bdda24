//! Resources, prompts and completions, for clients of both lifecycles.

use nessus_mcp_lib::ids::TaskId;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _, RoleClient, ServiceError,
    model::{
        CompletionContext, ErrorData, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
        ResourceContents,
    },
    service::RunningService,
    transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};

use crate::fixture::Fixture;

type Client = RunningService<RoleClient, ()>;

/// A client of the older and one of the newer lifecycle.
async fn clients(fixture: &Fixture) -> [Client; 2] {
    let connect = async |lifecycle| {
        let transport = StreamableHttpClientTransport::from_uri(fixture.server.mcp());
        ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
    };
    let discover = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    [connect(ClientLifecycleMode::Initialize).await, connect(discover).await]
}

async fn close(clients: [Client; 2]) {
    for client in clients {
        client.cancel().await.unwrap();
    }
}

async fn scanned(fixture: &Fixture, name: &str) -> TaskId {
    let task = fixture.submit(json!({ "targets": "192.0.2.0/29", "name": name, "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    task
}

/// The type and the text of a resource.
async fn read(client: &Client, uri: &str) -> Result<(String, String), ErrorData> {
    match client.read_resource(ReadResourceRequestParams::new(uri)).await {
        Ok(result) => match &result.contents[..] {
            [ResourceContents::TextResourceContents { uri: read, mime_type, text, .. }] => {
                assert_eq!(read, uri);
                Ok((mime_type.clone().unwrap(), text.clone()))
            }
            other => panic!("{uri}: {other:?}"),
        },
        Err(ServiceError::McpError(error)) => Err(error),
        Err(other) => panic!("{uri}: {other:?}"),
    }
}

async fn prompt(client: &Client, name: &str, arguments: Value) -> Result<String, ErrorData> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    match client.get_prompt(GetPromptRequestParams::new(name).with_arguments(arguments)).await {
        Ok(result) => match &result.messages[..] {
            [message] => Ok(message.content.as_text().unwrap().text.clone()),
            other => panic!("{name}: {other:?}"),
        },
        Err(ServiceError::McpError(error)) => Err(error),
        Err(other) => panic!("{name}: {other:?}"),
    }
}

/// What clients are told there is, is a public API; and it is there.
#[tokio::test]
async fn what_there_is_beside_tools_is_what_was_agreed() {
    let fixture = Fixture::start();
    let clients = clients(&fixture).await;
    for client in &clients {
        let capabilities = &client.peer_info().unwrap().capabilities;
        assert!(capabilities.resources.is_some() && capabilities.prompts.is_some(), "{capabilities:?}");
        assert!(capabilities.completions.is_some() && capabilities.logging.is_none(), "{capabilities:?}");
        assert_ne!(capabilities.resources.as_ref().unwrap().subscribe, Some(true), "nothing is pushed");
        insta::assert_json_snapshot!("resources", client.list_all_resources().await.unwrap());
        insta::assert_json_snapshot!("resource_templates", client.list_all_resource_templates().await.unwrap());
        insta::assert_json_snapshot!("prompts", client.list_all_prompts().await.unwrap());
    }
    close(clients).await;
    for list in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        let answer = fixture.rpc(list, json!({ "cursor": "x" })).await;
        assert_eq!(answer["error"]["code"], -32602, "{list}: {answer}");
    }
}

#[tokio::test]
async fn resources_are_what_tools_answer() {
    let fixture = Fixture::start();
    let task = scanned(&fixture, "office").await;
    let status = fixture.call("get_scan_status", json!({ "task_id": task })).await;
    let page = json!({ "task_id": task, "schema_profile": "minimal", "page": 2 });
    let page = fixture.call("get_scan_results", page).await;
    let clients = clients(&fixture).await;
    for client in &clients {
        let listed = client.list_all_resources().await.unwrap();
        let of_task = listed.iter().find(|resource| resource.uri.ends_with(task.as_str())).unwrap();
        assert_eq!(of_task.title.as_deref(), Some("office"));
        let (mime_type, text) = read(client, &of_task.uri).await.unwrap();
        assert_eq!(
            (mime_type.as_str(), serde_json::from_str(&text).as_ref().ok()),
            ("application/json", Some(status.ok()))
        );
        let uri = format!("{}/results?profile=minimal&page=2", of_task.uri);
        let (mime_type, text) = read(client, &uri).await.unwrap();
        assert_eq!((mime_type.as_str(), text.as_str()), ("application/x-ndjson", page.text()));
        let (_, text) = read(client, &format!("{}/results", of_task.uri)).await.unwrap();
        assert!(text.contains("\"profile\":\"brief\""), "{text}");

        let (mime_type, fields) = read(client, "nessus://schema/fields").await.unwrap();
        assert_eq!(mime_type, "application/json");
        let fields: Vec<Value> = serde_json::from_str(&fields).unwrap();
        for field in &fields {
            let texts =
                ["name", "type", "meaning", "operators"].map(|member| field[member].as_str().unwrap_or_default());
            assert!(texts.iter().all(|text| !text.is_empty()), "{field}");
        }
        assert!(fields.iter().any(|field| field["name"] == "cvss_score"), "{fields:?}");
        let (mime_type, guide) = read(client, "nessus://guide/filters").await.unwrap();
        assert!(mime_type == "text/markdown" && guide.contains(">=High"), "{guide}");
    }
    close(clients).await;
}

/// Older revisions have a code of their own for a resource that is not there, the newest has not.
#[tokio::test]
async fn what_is_not_there_is_said_as_the_revision_has_it() {
    let fixture = Fixture::start();
    let running = fixture.submit(json!({ "targets": "192.0.2.1", "name": "n", "scanner_pool": "slow" })).await;
    let clients = clients(&fixture).await;
    for (client, code) in clients.iter().zip([-32002, -32602]) {
        for (uri, why) in [
            ("nessus://tasks/ne_ness_20261128_143022_a1b2c3d4".to_owned(), "task_not_found"),
            ("nessus://tasks/ne_ness_20261128_143022_a1b2c3d4/results".to_owned(), "task_not_found"),
            (format!("nessus://tasks/{running}/results"), "results_not_ready"),
            (format!("nessus://tasks/{running}/task.json"), "resource_not_found"),
            ("nessus://tasks/../queue.db".to_owned(), "resource_not_found"),
            ("file:///etc/passwd".to_owned(), "resource_not_found"),
        ] {
            let error = read(client, &uri).await.unwrap_err();
            assert_eq!(error.code.0, code, "{uri}: {error:?}");
            let data = error.data.unwrap();
            assert_eq!((&data["error"], &data["uri"]), (&json!(why), &json!(uri)));
        }
        for query in ["page=two", "page=-1", "profile=huge", "pages=1", "page=1&page=1"] {
            let error = read(client, &format!("nessus://tasks/{running}/results?{query}")).await.unwrap_err();
            assert_eq!(error.code.0, -32602, "{query}: {error:?}");
        }
    }
    close(clients).await;
}

#[tokio::test]
async fn prompts_name_tools_that_there_are_in_their_order() {
    let fixture = Fixture::start();
    let (before, after) = (scanned(&fixture, "before").await, scanned(&fixture, "after").await);
    let tools = fixture.rpc("tools/list", json!({})).await;
    let tools: Vec<&str> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let clients = clients(&fixture).await;
    for client in &clients {
        for (name, arguments, order) in [
            (
                "triage",
                json!({ "task_id": before, "focus": "the database servers" }),
                &["the database servers", "get_scan_status", "get_scan_summary", "get_scan_results"][..],
            ),
            (
                "remediation_plan",
                json!({ "task_id": before }),
                &["get_scan_status", "get_scan_summary", "get_scan_results", "compare_scans"],
            ),
            (
                "compare",
                json!({ "before_task_id": before, "after_task_id": after }),
                &["get_scan_status", "compare_scans", "get_scan_results"],
            ),
            (
                "scan",
                json!({ "targets": "192.0.2.1", "scanner_pool": "lab" }),
                &[
                    "health_check",
                    "run_untrusted_scan",
                    "\"lab\"",
                    "get_scan_status",
                    "get_scan_summary",
                    "get_scan_results",
                ],
            ),
        ] {
            let text = prompt(client, name, arguments.clone()).await.unwrap();
            let mut rest = text.as_str();
            for word in order {
                rest = rest.split_once(word).unwrap_or_else(|| panic!("{name}: {word} is not in its place: {text}")).1;
            }
            for argument in arguments.as_object().unwrap().values() {
                assert!(text.contains(argument.as_str().unwrap()), "{name}: {text}");
            }
            for word in text.split(|c: char| c != '_' && !c.is_alphanumeric()) {
                let is_a_call = ["get_scan_", "run_", "list_", "compare_scans", "health_check"]
                    .iter()
                    .any(|start| word.starts_with(start));
                assert!(!is_a_call || tools.contains(&word), "{name}: there is no tool {word}");
            }
        }
        for (name, arguments, said) in [
            ("triage", json!({}), "`task_id` is missing"),
            ("triage", json!({ "task_id": " " }), "`task_id` is missing"),
            ("triage", json!({ "task_id": 7 }), "`task_id` must be a text"),
            ("triage", json!({ "task_id": "x" }), "`task_id` is refused"),
            ("triage", json!({ "task_id": "ne_ness_20261128_143022_a1b2c3d4" }), "no task"),
            ("triage", json!({ "task_id": before, "focos": "x" }), "there are: focus"),
            ("compare", json!({ "before_task_id": before }), "`after_task_id` is missing"),
            ("scan", json!({ "targets": "x".repeat(2001) }), "2,000"),
            ("tirage", json!({}), "there are: triage"),
        ] {
            let error = prompt(client, name, arguments.clone()).await.unwrap_err();
            assert_eq!(error.code.0, -32602, "{name} {arguments}: {error:?}");
            assert!(error.message.contains(said), "{name} {arguments}: {error:?}");
        }
    }
    close(clients).await;
}

#[tokio::test]
async fn arguments_and_variables_are_completed() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "n", "scanner_pool": "slow" })).await;
    let (template, results) = ("nessus://tasks/{task_id}", "nessus://tasks/{task_id}/results{?profile,page}");
    let clients = clients(&fixture).await;
    for client in &clients {
        for (name, argument, begin, expected) in [
            ("triage", "task_id", "mo_slow", vec![task.as_str()]),
            ("triage", "task_id", "", vec![task.as_str()]),
            ("triage", "task_id", "zz", vec![]),
            ("triage", "focus", "", vec![]),
            ("compare", "after_task_id", "MO_", vec![task.as_str()]),
            ("scan", "scanner_pool", "", vec!["lab", "slow"]),
            ("scan", "scanner_pool", "s", vec!["slow"]),
            ("scan", "policy", "", vec![]),
            ("scan", "schema_profile", "", vec!["minimal", "summary", "brief", "triage", "full"]),
            ("scan", "targets", "1", vec![]),
        ] {
            let found = client.complete_prompt_argument(name, argument, begin, None).await.unwrap();
            assert_eq!(found.values, expected, "{name} {argument} {begin}");
            assert!(!found.has_more_results(), "{found:?}");
            assert!(expected.is_empty() || found.total == Some(u32::try_from(expected.len()).unwrap()), "{found:?}");
        }
        for (uri, variable, begin, expected) in [
            (template, "task_id", "mo_", vec![task.as_str()]),
            (results, "task_id", "", vec![task.as_str()]),
            (results, "profile", "t", vec!["triage"]),
            (results, "page", "", vec![]),
        ] {
            let found = client.complete_resource_argument(uri, variable, begin, None).await.unwrap();
            assert_eq!(found.values, expected, "{uri} {variable} {begin}");
        }
        let context = CompletionContext::with_arguments([("scanner_pool".to_owned(), "nowhere".to_owned())].into());
        let unknown = [
            client.complete_prompt_argument("scan", "policy", "", Some(context)).await,
            client.complete_prompt_argument("nothing", "task_id", "", None).await,
            client.complete_prompt_argument("triage", "nothing", "", None).await,
            client.complete_resource_argument("nessus://nothing/{x}", "x", "", None).await,
            client.complete_resource_argument(template, "profile", "", None).await,
        ];
        for answer in unknown {
            let Err(ServiceError::McpError(error)) = answer else { panic!("{answer:?}") };
            assert_eq!(error.code.0, -32602, "{error:?}");
        }
    }
    close(clients).await;
    // More than one answer may have.
    for number in 0..101 {
        fixture.submit(json!({ "targets": "192.0.2.1", "name": format!("n{number}"), "scanner_pool": "slow" })).await;
    }
    let asked =
        json!({ "ref": { "type": "ref/prompt", "name": "triage" }, "argument": { "name": "task_id", "value": "mo_" } });
    let answer = fixture.rpc("completion/complete", asked).await;
    let found = &answer["result"]["completion"];
    assert_eq!(found["values"].as_array().unwrap().len(), 100);
    assert_eq!((&found["total"], &found["hasMore"]), (&json!(102), &json!(true)));
    let listed = fixture.rpc("resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"].as_array().unwrap().len(), 52);
}
