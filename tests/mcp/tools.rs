//! The tool list: the user interface of agents, and a public API.

use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _, model::ProtocolVersion, transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A change here is a change of the public API: agents and their prompts rely on names, arguments and descriptions.
#[tokio::test]
async fn the_tool_list_is_what_was_agreed() {
    let fixture = Fixture::start();
    let answer = fixture.rpc("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let again = fixture.rpc("tools/list", json!({})).await;
    assert_eq!(again["result"], answer["result"], "a list that changes its order spoils every prompt cache");
    insta::assert_json_snapshot!("tool_names", names);
    let mut sorted: Vec<&Value> = tools.iter().collect();
    sorted.sort_by_key(|tool| tool["name"].as_str());
    let shown: Vec<Value> = sorted
        .into_iter()
        .map(|tool| {
            json!({
                "name": tool["name"], "title": tool["title"], "description": tool["description"],
                "annotations": tool["annotations"], "inputSchema": tool["inputSchema"],
            })
        })
        .collect();
    insta::assert_json_snapshot!("tools", shown);
}

/// Agents drop tools whose schemas they cannot read.
#[tokio::test]
async fn every_schema_can_be_read_by_simple_clients() {
    let fixture = Fixture::start();
    let answer = fixture.rpc("tools/list", json!({})).await;
    for tool in answer["result"]["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}: a misspelt argument would be dropped");
        assert!(tool["inputSchema"]["properties"].is_object(), "{name}: OpenAI's function calling wants it");
        assert!(tool.get("outputSchema").is_none(), "{name}: clients that validate throw its refusals away");
        let text = tool["inputSchema"].to_string();
        for form in ["$schema", "$ref", "anyOf", "null"] {
            assert!(!text.contains(&format!("\"{form}\"")), "{name}: {text}");
        }
        for (argument, schema) in tool["inputSchema"]["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}: `{argument}` is not described");
        }
    }
}

/// Older clients shake hands first, newer ones ask what there is and put the rest into each request: both find the same
/// tools, and so does a request on a connection on which nothing was said before.
#[tokio::test]
async fn both_lifecycles_are_served() {
    let fixture = Fixture::start();
    let listed = fixture.rpc("tools/list", json!({})).await;
    // Every conversation of an agent begins with it.
    let length = listed.to_string().chars().count();
    assert!(length < 18_000, "the list of tools has {length} characters");
    let listed = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    let listed: Vec<_> = listed.collect();
    assert!(!listed.is_empty());
    let discover = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for lifecycle in [ClientLifecycleMode::Initialize, discover] {
        let transport = StreamableHttpClientTransport::from_uri(fixture.server.mcp());
        let client = ().serve_with_lifecycle(transport, lifecycle.clone()).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), listed, "{lifecycle:?}");
        client.cancel().await.unwrap();
    }

    let client = json!({ "name": "test", "version": "0" });
    let initialize = json!({ "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client });
    let answer = fixture.rpc("initialize", initialize).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-03-26", "{answer}");
    assert!(answer["result"]["instructions"].as_str().unwrap().contains("untrusted"), "{answer}");
}
