//! Access tokens of an identity provider that other people have written (oidc-provider), and clients of other people that get
//! them by themselves: the TypeScript SDK 1.x and 2.x.
//!
//! Their versions stand in `tests/oauth/package-lock.json`. Without npm the test says so and passes.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use nessus_mcp_lib::{durable, ids::TaskId};
use nessus_mcp_tests::{npm::Npm, processes::until};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A running provider, which ends with its standard input.
struct Provider {
    process: Child,
    /// Kept: it writes what nobody reads.
    _output: BufReader<ChildStdout>,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Provider {
    fn start(npm: &Npm) -> Self {
        let mut script = npm.script("provider.mjs");
        let process = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = process.unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { process, _output: output, issuer: said["issuer"].as_str().unwrap().to_owned() }
    }

    /// What a client gets for itself.
    async fn token(&self, client: &str, resource: Option<&str>) -> String {
        let resource = resource.map(|resource| ("resource", resource));
        let form = [("grant_type", "client_credentials"), ("scope", "nessus:scan")].into_iter().chain(resource);
        let form = form.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A").replace('/', "%2F")));
        let request = reqwest::Client::new().post(format!("{}/token", self.issuer)).basic_auth(client, Some("secret"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.collect::<Vec<_>>().join("&")).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

fn policy(issuer: &str, resource: &str) -> String {
    format!(
        "oauth:\n  issuer: {issuer}\n  audience: {resource}\n  scopes_supported: [\"nessus:read\"]\n  roles:\n    \
         - {{scope: \"nessus:read\", role: read}}\n    - {{scope: \"nessus:scan\", role: scan}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_get_tokens_of_a_real_provider_and_come_in() {
    let Some(npm) = Npm::install("oauth", &["provider.mjs", "typescript_sdk.mjs"]) else {
        eprintln!("SKIPPED: npm is missing, so no real identity provider was tried: install Node.js with npm");
        return;
    };
    let provider = Provider::start(&npm);
    let write = |fixture: &nessus_mcp_tests::deployment::Deployment, resource: &str| {
        let policy = policy(&provider.issuer, resource);
        durable::replace(&fixture.path("policy.yaml"), policy.as_bytes()).unwrap();
    };
    let fixture = Fixture::start_prepared(
        |deployment| write(deployment, "http://127.0.0.1:1/mcp"),
        |program| program.args(["--policy-config", "policy.yaml"]),
    );
    let url = fixture.server.mcp();
    // Only now its port is known.
    write(&fixture.deployment, &url);
    fixture.server.process.hang_up();
    until("the policy is in force", &[&fixture.server.process], async || {
        let metadata = fixture.get("/.well-known/oauth-protected-resource/mcp").send().await.unwrap();
        (metadata.json::<Value>().await.unwrap()["resource"] == url.as_str()).then_some(())
    })
    .await;

    for client in ["ci", "ci-ec"] {
        let status = async |token: &str| {
            let request = fixture.request("tools/list", json!({})).bearer_auth(token);
            request.send().await.unwrap().status().as_u16()
        };
        let token = provider.token(client, Some(&url)).await;
        assert_eq!(status(&token).await, 200, "{client}");
        let other = provider.token(client, Some("https://other.example/mcp")).await;
        let opaque = provider.token(client, None).await;
        assert_eq!((status(&other).await, status(&opaque).await), (401, 401), "{client}");
    }
    for major in ["1", "2"] {
        let seen = tokio::task::block_in_place(|| npm.run("typescript_sdk.mjs", &[major, &url]));
        let asked = [("nessus:read", "read"), ("nessus:scan", "scan")];
        for (number, (scope, what)) in asked.into_iter().enumerate() {
            let asked = &seen["asked"][number];
            assert_eq!(asked["resource"], url.as_str(), "{what} through SDK {major}: {seen}");
            let has_scope = asked["scope"].as_str().is_some_and(|asked| asked.split(' ').any(|one| one == scope));
            assert!(has_scope, "{what} through SDK {major}: {seen}");
        }
        let task: Value = serde_json::from_str(seen["answer"]["content"][0]["text"].as_str().unwrap()).unwrap();
        let task = TaskId::new(task["task_id"].as_str().unwrap()).unwrap();
        assert_eq!(fixture.deployment.task(&task).submitted_by.as_deref(), Some("oauth:alice"), "SDK {major}");
    }
}
