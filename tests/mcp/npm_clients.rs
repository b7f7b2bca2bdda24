//! The server as clients of other people see it: the TypeScript SDK 1.x and 2.x over HTTP and stdio, and the command line of
//! MCP Inspector in both its generations; the newer ones of both also without the handshake of older protocols.
//!
//! Their versions stand in `tests/clients/package-lock.json`. Without npm the test says so and passes.

use std::collections::BTreeMap;

use nessus_mcp_tests::npm::Npm;
use serde_json::Value;

use crate::fixture::Fixture;

const SERVER: &str = env!("CARGO_BIN_EXE_nessus-mcp-server");
/// The command lines of Inspector, below `node_modules`, with their flags.
const INSPECTORS: [(&str, &[&str]); 3] = [
    ("inspector-1/cli/build/index.js", &[]),
    ("inspector-2/clients/cli/build/index.js", &["--protocol-era", "legacy"]),
    ("inspector-2/clients/cli/build/index.js", &["--protocol-era", "modern"]),
];

/// A client that shows an error as "does not match the output schema" leaves its agent without code, message and hint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_from_npm_show_the_errors_of_every_tool() {
    let Some(clients) = Npm::install("clients", &["typescript_sdk.mjs"]) else {
        eprintln!("SKIPPED: npm is missing, so the clients of other people were not tried: install Node.js with npm");
        return;
    };
    let fixture = Fixture::start();
    let url = fixture.server.mcp();
    let tools: Vec<String> =
        fixture.client().await.list_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    let (data, scanners) = (fixture.deployment.path("data of stdio"), fixture.deployment.scanners_yaml());
    let stdio = [SERVER, "stdio", "--data-dir", data.to_str().unwrap(), "--scanner-config", scanners.to_str().unwrap()];
    for version in ["1", "2", "2-modern"] {
        for target in [&[url.as_str()][..], &stdio] {
            let arguments: Vec<_> = [&[version][..], target].concat();
            let seen = tokio::task::block_in_place(|| clients.run("typescript_sdk.mjs", &arguments));
            let seen: BTreeMap<String, Value> = serde_json::from_value(seen).unwrap();
            assert_eq!(
                seen.keys().collect::<Vec<_>>(),
                tools.iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
            );
            for (tool, answer) in &seen {
                shows_a_refusal(answer, &format!("{tool} through SDK {version}"));
            }
        }
    }
    for (inspector, flags) in INSPECTORS {
        for tool in &tools {
            let call = [
                "--transport",
                "http",
                "--method",
                "tools/call",
                "--tool-name",
                tool,
                "--tool-arg",
                "no_such_argument=x",
            ];
            let arguments: Vec<_> = [&[url.as_str()][..], flags, &call].concat();
            let answer = tokio::task::block_in_place(|| clients.run(&format!("node_modules/{inspector}"), &arguments));
            shows_a_refusal(&answer, &format!("{tool} through {inspector} {flags:?}"));
        }
    }
}

#[track_caller]
fn shows_a_refusal(answer: &Value, what: &str) {
    assert_eq!(answer["isError"], true, "{what}: {answer}");
    let refusal: Value =
        serde_json::from_str(answer["content"][0]["text"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!(refusal["error"], "invalid_arguments", "{what}: {answer}");
    for text in ["message", "hint"] {
        assert!(refusal[text].as_str().is_some_and(|text| !text.is_empty()), "{what} has no {text}: {answer}");
    }
}
