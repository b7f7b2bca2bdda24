//! `/mcp` in the axum program of somebody else: who is let in there, and what is left alone.

use std::net::SocketAddr;

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    middleware::{self, Next},
    routing::get,
};
use nessus_mcp_lib::{
    ScanService, Worker,
    audit::{Decision, ProcessRole, Progress, Search, search},
    config::{Settings, WorkerSettings},
    policy::{LOCAL, Principal, Role, new_token},
    task::TaskStatus,
};
use nessus_mcp_server::McpRoutes;
use nessus_mcp_tests::{
    deployment::Deployment,
    identity_provider::{IdentityProvider, SigningKey},
    processes::until,
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{bearer, entry, write},
    fixture::{SCANNERS, request_to, task_id},
};

/// What puts the routes into the router of a program.
type Around = fn(Router) -> Router;

/// Somebody on another machine.
const FAR: [u8; 4] = [192, 0, 2, 9];

/// A program with routes of its own, and `/mcp`.
struct Embedding {
    deployment: Deployment,
    service: ScanService,
    address: SocketAddr,
    http: Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.stop.cancel();
        self.serving.abort();
    }
}

/// The routes for agents beside those of the program.
fn merged(mcp: Router) -> Router {
    Router::new().route("/own", get(|| async { "own" })).fallback(|| async { "nothing here" }).merge(mcp)
}

/// Lets the peer of all requests be at another machine.
fn far(router: Router) -> Router {
    router.layer(Extension(ConnectInfo(SocketAddr::from((FAR, 50_000)))))
}

/// Lets nobody know the peer, as in a program that does not ask for it.
fn unknown(router: Router) -> Router {
    router.layer(middleware::from_fn(async |mut request: Request, next: Next| {
        request.extensions_mut().remove::<ConnectInfo<SocketAddr>>().unwrap();
        next.run(request).await
    }))
}

/// Lets the header `x-user` say who it is, and `x-role` which role they have. Without it the program knows nobody.
fn knowing_users(router: Router) -> Router {
    router.layer(middleware::from_fn(async |mut request: Request, next: Next| {
        let headers = request.headers();
        if let Some(user) = headers.get("x-user").map(|user| user.to_str().unwrap()) {
            let role = headers.get("x-role").map_or(Role::Scan, |role| role.to_str().unwrap().parse().unwrap());
            let principal = Principal::new(format!("app:{user}"), role);
            request.extensions_mut().insert(principal);
        }
        next.run(request).await
    }))
}

impl Embedding {
    /// A program whose router `around` makes, under a policy unless it is empty.
    async fn start(policy: &str, around: impl FnOnce(Router) -> Router) -> Self {
        Self::start_with(policy, |mcp| mcp, around).await
    }

    /// The same with routes that `change` has changed.
    async fn start_with(
        policy: &str,
        change: impl FnOnce(McpRoutes) -> McpRoutes,
        around: impl FnOnce(Router) -> Router,
    ) -> Self {
        let deployment = Deployment::new(SCANNERS);
        let mut settings = Settings::new(deployment.data(), deployment.scanners_yaml());
        if !policy.is_empty() {
            write(deployment.path("policy.yaml"), policy);
            settings = settings.with_policy_config(deployment.path("policy.yaml"));
        }
        let service = ScanService::open(&settings).await.unwrap();
        let service = service.audited(&settings, ProcessRole::Server).await.unwrap();
        let stop = CancellationToken::new();
        let mcp = McpRoutes::new(&service).unwrap().with_graceful_shutdown(stop.clone().cancelled_owned());
        let router = around(change(mcp).into_router());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
        let served = served.with_graceful_shutdown(stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move { served.await.unwrap() });
        Self { deployment, service, address, http: Client::new(), stop, serving }
    }

    /// Lets scans run until the program ends.
    fn work(&self) {
        let settings = WorkerSettings::default().with_poll_interval(std::time::Duration::from_millis(50));
        let worker = Worker::new(&self.service, settings).unwrap();
        tokio::spawn(worker.run(self.stop.clone().cancelled_owned()));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn request(&self, method: &str, params: Value) -> RequestBuilder {
        request_to(&self.http, &self.url("/mcp"), method, params)
    }

    fn submit(&self) -> RequestBuilder {
        let arguments = json!({ "targets": "192.0.2.1", "name": "n", "scanner_pool": "lab" });
        self.request("tools/call", json!({ "name": "run_untrusted_scan", "arguments": arguments }))
    }

    /// The refusals in the audit log: what was refused, with which outcome, and from where.
    async fn refusals(&self) -> Vec<(String, String, String)> {
        self.service.end_audit().await;
        let mut refusals = Vec::new();
        let found =
            search(&self.deployment.data().join("audit"), &Search::default(), &mut Progress::default(), |found| {
                let line = found.line.event;
                if line.decision == Decision::Refused {
                    let address = line.who.from.map(|address| address.to_string());
                    refusals.push((line.what, line.outcome.unwrap_or_default(), address.unwrap_or_default()));
                }
            });
        assert_eq!(found.unwrap(), 0);
        refusals
    }
}

/// The status of an answer, and its body.
async fn answer(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What a tool answered to a request that was let in.
async fn called(request: RequestBuilder) -> Value {
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["result"].clone()
}

/// The names of the tools in a list.
async fn listed(request: RequestBuilder) -> Vec<String> {
    let tools = called(request).await["tools"].clone();
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Without a policy, somebody on this machine may do everything, and a scan runs to its end.
#[tokio::test]
async fn somebody_on_this_machine_is_local() {
    let program = Embedding::start("", merged).await;
    program.work();
    let task = task_id(&called(program.submit()).await["structuredContent"]);
    let wait = json!({ "name": "get_scan_status", "arguments": { "task_id": task, "wait_seconds": 30 } });
    let mut status = Value::Null;
    while status != json!(TaskStatus::Completed) {
        let view = called(program.request("tools/call", wait.clone())).await["structuredContent"].clone();
        assert!(["queued", "running", "completed"].contains(&view["status"].as_str().unwrap()), "{view}");
        status = view["status"].clone();
    }
    let stored = program.deployment.task(&task);
    assert_eq!(stored.submitted_by.as_deref(), Some(LOCAL));
    // An answer has its trace, as with `serve`.
    let traced = program.request("ping", json!({})).header("x-trace-id", "mine").send().await.unwrap();
    assert_eq!(traced.headers()["x-trace-id"], "mine");
}

/// Whoever is, or may be, on another machine needs a token, and there is none.
#[tokio::test]
async fn nobody_else_is_let_in_without_a_token() {
    let refused = (401, "a valid token is needed: `Authorization: Bearer TOKEN`\n".to_owned());
    for around in [|mcp| far(merged(mcp)), |mcp| unknown(merged(mcp))] {
        let program = Embedding::start("", around).await;
        for request in
            [program.submit(), program.submit().bearer_auth("nmcp_nobody"), program.request("ping", json!({}))]
        {
            assert_eq!(answer(request).await, refused);
        }
        assert_eq!(program.deployment.task_directories(), [""; 0]);
        assert_eq!(answer(program.http.get(program.url("/own"))).await, (200, "own".to_owned()));
    }
    // A proxy on this machine that says what it is.
    let program = Embedding::start("", merged).await;
    for header in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
        assert_eq!(answer(program.submit().header(header, "127.0.0.1")).await, refused, "{header}");
    }
    assert_eq!(program.deployment.task_directories(), [""; 0]);
    assert_eq!(answer(program.submit()).await.0, 200);
}

/// A web page gets at the tools neither through a name of its own nor from its own origin; the program's other routes are its own affair.
#[tokio::test]
async fn other_hosts_and_origins_reach_no_tool() {
    let allowed = |mcp: McpRoutes| mcp.allowed_hosts("scans.example, other.example:8443").unwrap();
    let program = Embedding::start_with("", allowed, merged).await;
    for (host, status) in [
        ("evil.example", 403),
        ("scans.example.evil.example", 403),
        ("other.example", 403),
        ("scans.example", 200),
        ("scans.example:1", 200),
        ("other.example:8443", 200),
        ("localhost", 200),
    ] {
        assert_eq!(answer(program.request("ping", json!({})).header("host", host)).await.0, status, "{host}");
    }
    for (origin, status) in [("https://evil.example", 403), ("null", 403), ("http://localhost:5173", 200)] {
        assert_eq!(answer(program.request("ping", json!({})).header("origin", origin)).await.0, status, "{origin}");
    }
    for (path, status, body) in [("/own", 200, "own"), ("/elsewhere", 200, "nothing here")] {
        let request = program.http.get(program.url(path)).header("host", "evil.example");
        assert_eq!(answer(request).await, (status, body.to_owned()));
    }
}

/// Who the program says it is counts, wherever they are and whatever else they send: for their role, and for whose tasks they see.
#[tokio::test]
async fn the_program_may_know_who_it_is() {
    let token = new_token();
    let policy = format!("visibility: own\nclients:\n{}", entry("robot", "admin", &token, ""));
    let program = Embedding::start(&policy, |mcp| far(knowing_users(merged(mcp)))).await;
    program.work();
    let task = task_id(&called(program.submit().header("x-user", "ann")).await["structuredContent"]);
    assert_eq!(program.deployment.task(&task).submitted_by.as_deref(), Some("app:ann"));
    let status = |wait: u32| {
        let arguments = json!({ "task_id": task, "wait_seconds": wait });
        program.request("tools/call", json!({ "name": "get_scan_status", "arguments": arguments }))
    };
    // The robot's token does not make ben an administrator.
    let ben = called(status(0).header("x-user", "ben").header("authorization", bearer(&token))).await;
    assert_eq!(ben["structuredContent"]["error"], "task_not_found", "{ben}");
    assert_ne!(called(status(0).header("authorization", bearer(&token))).await["isError"], true);
    let mut ann = Value::Null;
    // The worker knows no entry of this name, and looks for none.
    while ann["structuredContent"]["status"] != "completed" {
        ann = called(status(30).header("x-user", "ann").header("x-forwarded-for", "192.0.2.1")).await;
        assert!(ann["structuredContent"]["error_code"].is_null(), "{ann}");
    }
    let tools = listed(program.request("tools/list", json!({})).header("x-user", "eve").header("x-role", "read")).await;
    assert!(
        tools.iter().any(|tool| tool == "get_scan_status") && !tools.iter().any(|tool| tool == "run_untrusted_scan")
    );
    let refused = called(program.submit().header("x-user", "eve").header("x-role", "read")).await;
    assert_eq!(refused["structuredContent"]["error"], "not_permitted", "{refused}");
    assert_eq!(answer(program.submit()).await.0, 401, "whom it does not know needs a token");
}

/// Tokens of clients and of an identity provider are taken as with `serve`, and so are scopes, under a path of its own as well.
#[tokio::test]
async fn tokens_are_taken_wherever_the_routes_are() {
    let (key, token) = (SigningKey::rsa("rsa-1"), new_token());
    let provider = IdentityProvider::start([&key]).await;
    let audience = "https://scan.example/mcp";
    let policy = format!(
        "oauth:\n  issuer: {}\n  audience: {audience}\n  roles:\n    - {{scope: \"nessus:read\", role: read}}\n    \
         - {{scope: \"nessus:scan\", role: scan}}\nclients:\n{}",
        provider.issuer(),
        entry("desk", "scan", &token, "")
    );
    let signed = |scope: &str| format!("Bearer {}", key.sign(&provider.claims(audience, "alice", scope)));
    let nested: [(&str, Around); 4] = [
        ("", |mcp| far(merged(mcp))),
        ("/scans", |mcp| far(Router::new().nest("/scans", mcp))),
        ("/scans", |mcp| far(Router::new().nest_service("/scans", mcp))),
        // Not even where everything below is open.
        ("/.well-known/oauth-protected-resource", |mcp| {
            far(Router::new().nest("/.well-known/oauth-protected-resource", mcp))
        }),
    ];
    for (prefix, around) in nested {
        let program = Embedding::start(&policy, around).await;
        let submit = || {
            let arguments = json!({ "targets": "192.0.2.1", "name": "n", "scanner_pool": "lab" });
            let call = json!({ "name": "run_untrusted_scan", "arguments": arguments });
            request_to(&program.http, &program.url(&format!("{prefix}/mcp")), "tools/call", call)
        };
        for authorization in
            [None, Some("Bearer nmcp_nobody".to_owned()), Some(signed("nessus:scan").replace('.', ".e"))]
        {
            let request =
                authorization.into_iter().fold(submit(), |request, value| request.header("authorization", value));
            let answer = request.send().await.unwrap();
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert_eq!(answer.status(), 401, "{prefix}");
            assert!(challenge.contains("https://scan.example/.well-known/oauth-protected-resource/mcp"), "{challenge}");
        }
        let step_up = submit().header("authorization", signed("nessus:read")).send().await.unwrap();
        let challenge = step_up.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(step_up.status() == 403 && challenge.contains("scope=\"nessus:scan\""), "{prefix}: {challenge}");
        assert_eq!(
            answer(submit().header("authorization", bearer(&token)).header("host", "evil.example")).await.0,
            403
        );
        assert_eq!(program.deployment.task_directories(), [""; 0], "{prefix}");
        for (authorization, who) in [(bearer(&token), "desk"), (signed("nessus:scan"), "oauth:alice")] {
            let task = task_id(&called(submit().header("authorization", authorization)).await["structuredContent"]);
            assert_eq!(program.deployment.task(&task).submitted_by.as_deref(), Some(who), "{prefix}");
        }
        let metadata = program.url(&format!("{prefix}/.well-known/oauth-protected-resource/mcp"));
        let metadata: Value = program.http.get(metadata).send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["resource"], audience, "{prefix}");
        let refusals = program.refusals().await;
        assert!(
            refusals.contains(&("login".to_owned(), "http_401".to_owned(), "192.0.2.9".to_owned())),
            "{refusals:?}"
        );
    }
}

/// What a program chooses is all there is; what it cannot mean is refused at once.
#[tokio::test]
async fn only_what_is_chosen_is_offered() {
    let choose =
        |mcp: McpRoutes| mcp.toolsets("status, scanners").unwrap().tools("get_scan_status, list_pools").unwrap();
    let program = Embedding::start_with("", choose, merged).await;
    assert_eq!(listed(program.request("tools/list", json!({}))).await, ["get_scan_status", "list_pools"]);
    let refused = called(program.submit()).await;
    assert_eq!(refused["structuredContent"]["error"], "not_permitted", "{refused}");
    let mcp = || McpRoutes::new(&program.service).unwrap();
    for (refused, words) in [
        (mcp().toolsets("result"), "`toolsets` names `result`, which is no toolset; did you mean `results`?"),
        (mcp().tools(""), "`tools` names nothing"),
        (mcp().toolsets("status").unwrap().tools("cancel_scan"), "`tools` leaves no tool"),
        (mcp().allowed_hosts("https://scans.example"), "`allowed_hosts` must be host names"),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let policy = format!("clients:\n{}", entry("robot", "scan", &new_token(), ", tools: [no_tool]"));
    write(program.deployment.path("policy.yaml"), policy);
    let settings = Settings::new(program.deployment.path("other"), program.deployment.scanners_yaml());
    let service =
        ScanService::open(&settings.with_policy_config(program.deployment.path("policy.yaml"))).await.unwrap();
    let refused = McpRoutes::new(&service).unwrap_err().to_string();
    assert!(refused.contains("policy.yaml") && refused.contains("no_tool"), "{refused}");
}

/// A program that ends is kept waiting by no call, and answers it.
#[tokio::test]
async fn who_waits_is_answered_when_the_program_ends() {
    let program = Embedding::start("", merged).await;
    let task = task_id(&called(program.submit()).await["structuredContent"]);
    let wait = json!({ "name": "get_scan_status", "arguments": { "task_id": task, "wait_seconds": 45 } });
    let waiting = tokio::spawn(answer(program.request("tools/call", wait)));
    let metrics = program.service.metrics();
    until("the call waits", &[], async || metrics.render().unwrap().contains("nessus_http_requests 1\n").then_some(()))
        .await;
    let mut program = program;
    program.stop.cancel();
    (&mut program.serving).await.unwrap();
    let (status, body) = waiting.await.unwrap();
    assert!(status == 200 && body.contains("queued"), "{status}: {body}");
}
