//! Access tokens of an identity provider: whose are taken, and what is told of all others.

use std::path::Path;

use nessus_mcp_lib::{
    durable,
    policy::{TokenHash, new_token},
};
use nessus_mcp_tests::{
    deployment::Deployment,
    identity_provider::{Fault, IdentityProvider, SigningKey, now, signed_with_secret, unsigned},
    processes::{Program, until},
};
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture, SCANNERS, task_id};

const AUDIENCE: &str = "https://scan.example/mcp";
const METADATA_URL: &str = "https://scan.example/.well-known/oauth-protected-resource/mcp";
const ROLES: &str = "  roles:\n    - {scope: \"nessus:read\", role: read}\n    - {scope: \"nessus:scan\", role: scan}\n    \
                     - {claim: groups, value: sec, role: admin, team: sec}\n";
const UNAUTHORIZED: &str = "a valid token is needed: `Authorization: Bearer TOKEN`\n";

/// A server that takes the tokens of a provider.
struct Guarded {
    fixture: Fixture,
    provider: IdentityProvider,
    rsa: SigningKey,
    ec: SigningKey,
}

/// How a request was answered.
#[derive(Debug)]
struct Answered {
    status: u16,
    challenge: String,
    body: String,
}

fn policy(provider: &IdentityProvider, keys: &str) -> String {
    format!("oauth:\n  issuer: {}\n  audience: {AUDIENCE}\n{ROLES}{keys}", provider.issuer())
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The claims with some of them changed, or taken out where they are null.
fn with(claims: &Value, changed: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changed.as_object().unwrap() {
        let claims = claims.as_object_mut().unwrap();
        if value.is_null() { drop(claims.remove(name)) } else { drop(claims.insert(name.clone(), value.clone())) }
    }
    claims
}

impl Guarded {
    async fn start(keys: &str) -> Self {
        Self::start_with(keys, |program| program).await
    }

    async fn start_with(keys: &str, change: impl FnOnce(Program) -> Program) -> Self {
        let (rsa, ec) = (SigningKey::rsa("rsa-1"), SigningKey::ec("ec-1"));
        let provider = IdentityProvider::start([&rsa, &ec]).await;
        let policy = policy(&provider, keys);
        let fixture = Fixture::start_prepared(
            |deployment| write(deployment, &policy),
            |program| change(program.args(["--policy-config", "policy.yaml"])),
        );
        Self { fixture, provider, rsa, ec }
    }

    /// The claims of a token that may only read.
    fn claims(&self) -> Value {
        self.provider.claims(AUDIENCE, "alice", "nessus:read")
    }

    fn token(&self, scope: &str) -> String {
        self.rsa.sign(&self.provider.claims(AUDIENCE, "alice", scope))
    }

    async fn send(&self, request: reqwest::RequestBuilder, authorization: &[String]) -> Answered {
        let request = authorization.iter().fold(request, |request, value| request.header("authorization", value));
        let answer = request.send().await.unwrap();
        let challenges = answer.headers().get_all("www-authenticate").iter();
        let challenges: Vec<_> = challenges.map(|value| value.to_str().unwrap().to_owned()).collect();
        assert!(challenges.len() <= 1, "{challenges:?}");
        let (status, challenge) = (answer.status().as_u16(), challenges.concat());
        Answered { status, challenge, body: answer.text().await.unwrap() }
    }

    async fn knock(&self, token: &str) -> Answered {
        self.send(self.fixture.request("tools/list", json!({})), &[bearer(token)]).await
    }

    async fn call(&self, token: &str, tool: &str, arguments: Value) -> Answer {
        self.fixture.call_with(tool, arguments, &[("authorization", &bearer(token))]).await
    }

    /// Installs another policy, and waits until a request with this token is answered so.
    async fn reload(&self, policy: &str, token: &str, status: u16) {
        write(&self.fixture.deployment, policy);
        self.fixture.server.process.hang_up();
        until("the policy is in force", &[&self.fixture.server.process], async || {
            (self.knock(token).await.status == status).then_some(())
        })
        .await;
    }

    /// Waits until the log, from this byte on, has a text.
    async fn said(&self, from: usize, text: &str) {
        until(&format!("`{text}` in the log"), &[&self.fixture.server.process], async || {
            self.fixture.server.process.log()[from..].contains(text).then_some(())
        })
        .await;
    }
}

fn write(deployment: &Deployment, policy: &str) {
    durable::replace(&deployment.path("policy.yaml"), policy.as_bytes()).unwrap();
}

/// Attempts that fail whatever else is right, each with the reason that the log has.
fn intrusions(guarded: &Guarded, attacker: &IdentityProvider, attackers: &SigningKey) -> Vec<(String, &'static str)> {
    let (claims, rsa) = (guarded.claims(), &guarded.rsa);
    let changed = |changed: Value| rsa.sign(&with(&claims, &changed));
    let headed = |changed: Value| rsa.sign_with(&with(&rsa.head(), &changed), &claims);
    let forged = |changed: Value| attackers.sign_with(&with(&rsa.head(), &changed), &claims);
    let good = rsa.sign(&claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let root = with(&claims, &json!({ "groups": "sec" }));
    let other_payload = rsa.sign(&root).split('.').nth(1).unwrap().to_owned();
    let issuer = guarded.provider.issuer();
    let strange = "is no JWT, or is signed in a way";
    let hs256 = json!({ "alg": "HS256", "typ": "JWT", "kid": "rsa-1" });
    vec![
        (unsigned(&json!({ "alg": "none", "typ": "JWT" }), &claims), strange),
        (unsigned(&json!({ "alg": "NONE", "kid": "rsa-1" }), &claims), strange),
        (unsigned(&rsa.head(), &claims), "the signature of the token is wrong"),
        (signed_with_secret(&hs256, &claims, rsa.public_pem().as_bytes()), "signed with HS256, which"),
        (signed_with_secret(&hs256, &claims, rsa.jwk()["n"].as_str().unwrap().as_bytes()), "signed with HS256, which"),
        (headed(json!({ "alg": "PS256" })), "has no key `rsa-1` for this algorithm"),
        (headed(json!({ "alg": "ES256" })), "has no key `rsa-1` for this algorithm"),
        (headed(json!({ "alg": "RS512" })), "signed with RS512, which"),
        (headed(json!({ "kid": "ec-1" })), "has no key `ec-1` for this algorithm"),
        (headed(json!({ "kid": "rsa-2" })), "has no key `rsa-2` for this algorithm"),
        (headed(json!({ "kid": "../../../../etc/passwd" })), "has no key `../../../../etc/passwd`"),
        (forged(json!({ "kid": attacker.keys_url() })), "has no key `http://127.0.0.1"),
        (forged(json!({ "kid": "a\u{1b}[2Jb\n" })), "has no key `a\\"),
        (forged(json!({ "jku": attacker.keys_url() })), "the signature of the token is wrong"),
        (forged(json!({ "jku": attacker.keys_url(), "kid": "evil" })), "has no key `evil`"),
        (forged(json!({ "x5u": attacker.keys_url() })), "the signature of the token is wrong"),
        (forged(json!({ "jwk": attackers.jwk() })), "the signature of the token is wrong"),
        (forged(json!({})), "the signature of the token is wrong"),
        (headed(json!({ "crit": ["exp"] })), strange),
        (headed(json!({ "typ": "logout+jwt" })), "of the type `logout+jwt`, and no access token"),
        (changed(json!({ "aud": "https://other.example" })), "for another audience"),
        (changed(json!({ "aud": ["https://other.example", "https://scan.example"] })), "for another audience"),
        (changed(json!({ "aud": [] })), "for another audience"),
        (changed(json!({ "aud": null })), "no `aud` that can be used"),
        (changed(json!({ "iss": "https://other.example" })), "of another issuer"),
        (changed(json!({ "iss": format!("{issuer}/") })), "of another issuer"),
        (changed(json!({ "iss": [issuer, "https://other.example"] })), "of another issuer"),
        (changed(json!({ "iss": null })), "no `iss` that can be used"),
        (changed(json!({ "exp": now() - 60 })), "the token has expired"),
        (changed(json!({ "exp": 0 })), "the token has expired"),
        (changed(json!({ "exp": null })), "no `exp` that can be used"),
        (changed(json!({ "exp": "2999-01-01" })), "no `exp` that can be used"),
        (changed(json!({ "exp": -1 })), "no `exp` that can be used"),
        (changed(json!({ "nbf": now() + 300 })), "the token is not valid yet"),
        (changed(json!({ "nbf": "later" })), "no `nbf` that can be used"),
        (changed(json!({ "sub": null })), "no `sub` that can be used"),
        (changed(json!({ "sub": "" })), "the token has no subject"),
        (changed(json!({ "sub": 7 })), "no `sub` that can be used"),
        (changed(json!({ "sub": "a".repeat(300) })), "is longer than"),
        (changed(json!({ "pad": "a".repeat(20 << 10) })), "more than 16 KiB"),
        (format!("{head}.{other_payload}.{signature}"), "the signature of the token is wrong"),
        (format!("{message}."), "the signature of the token is wrong"),
        (format!("{message}.{}", &signature[..340]), "the signature of the token is wrong"),
        (message.to_owned(), "no client has this token"),
        (format!("{good}.{signature}"), "no client has this token"),
        ("..".to_owned(), strange),
        ("a.b.c".to_owned(), strange),
        (new_token().expose().to_owned(), "no client has this token"),
    ]
}

/// Each is answered 401 with the same body and the same challenge, whatever is wrong, and told in the log with its reason.
#[tokio::test]
async fn nobody_comes_in_with_a_token_that_is_wrong_in_anything() {
    let guarded = Guarded::start("").await;
    let attackers = SigningKey::rsa("rsa-1");
    let attacker = IdentityProvider::start([&attackers]).await;
    assert_eq!(guarded.knock(&guarded.token("nessus:read")).await.status, 200);
    let attempts = intrusions(&guarded, &attacker, &attackers);
    let challenge = format!(
        "Bearer realm=\"nessus-mcp\", error=\"invalid_token\", scope=\"nessus:read nessus:scan\", \
         resource_metadata=\"{METADATA_URL}\""
    );
    for (token, reason) in &attempts {
        let from = guarded.fixture.server.process.log().len();
        let answered = guarded.knock(token).await;
        assert_eq!((answered.status, answered.body.as_str()), (401, UNAUTHORIZED), "{reason}");
        assert_eq!(answered.challenge, challenge, "{reason}");
        guarded.said(from, reason).await;
        assert!(!guarded.fixture.server.process.log().contains(token.as_str()) || token.len() < 8, "{reason}");
    }
    assert_eq!(attacker.requests(), 0, "a token does not say where its key is");
    // One reading for the first token, one for the first unknown key, and none for all others.
    assert_eq!(guarded.provider.key_requests(), 2);
    let good = bearer(&guarded.token("nessus:read"));
    for sent in
        [vec![good.clone(), good.clone()], vec![good.replace("Bearer", "Basic")], vec![good.replace("Bearer ", "")]]
    {
        let answered = guarded.send(guarded.fixture.request("tools/list", json!({})), &sent).await;
        assert_eq!(
            (answered.status, answered.body.as_str(), answered.challenge),
            (401, UNAUTHORIZED, challenge.clone())
        );
    }
    let in_query = guarded.fixture.get(&format!("/mcp?access_token={}", guarded.token("nessus:read")));
    let answered = guarded.send(in_query, &[]).await;
    assert_eq!((answered.status, answered.body.as_str()), (401, UNAUTHORIZED));
    assert!(!answered.challenge.contains("error"), "{answered:?}");
    let metrics = guarded.send(guarded.fixture.get("/metrics"), &[good]).await.body;
    let refused = attempts.len() + 4;
    assert!(metrics.contains(&format!("nessus_http_refused_total{{what=\"identity\"}} {refused}\n")), "{metrics}");
}

/// What is right comes in: both kinds of keys, a list of audiences, the types that providers write, clocks that are a little apart.
#[tokio::test]
async fn tokens_that_are_right_come_in() {
    let guarded = Guarded::start("").await;
    let (claims, rsa) = (guarded.claims(), &guarded.rsa);
    let typed = |typ: Value| rsa.sign_with(&with(&rsa.head(), &json!({ "typ": typ })), &claims);
    for token in [
        rsa.sign(&claims),
        guarded.ec.sign(&claims),
        rsa.sign(&with(&claims, &json!({ "aud": ["https://other.example", AUDIENCE] }))),
        rsa.sign(&with(&claims, &json!({ "exp": now() - 5, "nbf": now() + 5 }))),
        rsa.sign(&with(&claims, &json!({ "scope": null, "scp": ["nessus:read"] }))),
        typed(json!("JWT")),
        typed(json!("application/at+jwt")),
        typed(json!(null)),
        // The only key for RS256 needs no name.
        rsa.sign_with(&with(&rsa.head(), &json!({ "kid": null })), &claims),
    ] {
        let answered = guarded.knock(&token).await;
        assert_eq!(answered.status, 200, "{answered:?}");
    }
    assert_eq!(guarded.provider.key_requests(), 1);
}

/// The first token of a new key is taken at once, and from then on none of a key that is gone.
#[tokio::test]
async fn keys_rotate_and_are_revoked() {
    let guarded = Guarded::start("").await;
    let (old, next) = (guarded.token("nessus:read"), SigningKey::ec("ec-2"));
    assert_eq!(guarded.knock(&old).await.status, 200);
    guarded.provider.publish([&next]);
    assert_eq!(guarded.knock(&old).await.status, 200, "known keys are not asked for again");
    let new = next.sign(&guarded.claims());
    assert_eq!((guarded.knock(&new).await.status, guarded.knock(&old).await.status), (200, 401));
    assert_eq!(guarded.provider.key_requests(), 2);
    // An operator need not wait: SIGHUP lets the keys be read again.
    guarded.provider.publish([&guarded.rsa]);
    guarded.reload(&policy(&guarded.provider, ""), &new, 401).await;
    assert_eq!((guarded.knock(&old).await.status, guarded.provider.key_requests()), (200, 3));
}

/// Where no key can be read, nobody comes in, and nobody is told that their token is wrong. Known keys go on being used.
#[tokio::test]
async fn a_provider_that_misbehaves_lets_nobody_in() {
    let guarded = Guarded::start("").await;
    let token = guarded.token("nessus:read");
    let url = guarded.provider.keys_url();
    // Another URL is another source, of which nothing is known.
    let cases = [
        (Fault::Down, true, "cannot be read: "),
        (Fault::Status(500), true, "answers with the status 500"),
        (Fault::Status(404), true, "answers with the status 404"),
        (Fault::Redirect, true, "answers with the status 302"),
        (Fault::Huge, true, "answers with more than 256 KiB"),
        (Fault::NoJson, true, "answers with something else than keys"),
        (Fault::Empty, true, "has no keys that check signatures"),
        (Fault::Slow, true, "there is no answer within 5 s"),
        (Fault::OtherIssuer, false, "is the metadata of another issuer: https://other.example"),
        (Fault::UnsafeKeys, false, "the keys are at http://keys.example/jwks, which is neither https nor"),
    ];
    for (number, (fault, is_by_url, reason)) in cases.into_iter().enumerate() {
        guarded.provider.misbehave(None);
        // The keys of this source are known, so that the policy is seen to be in force; then those of the next are not.
        let at = |part: usize| format!("  jwks_url: {url}?{part}\n");
        guarded.reload(&policy(&guarded.provider, &at(number)), &token, 200).await;
        guarded.provider.misbehave(fault);
        let from = guarded.fixture.server.process.log().len();
        let keys = if is_by_url { at(number + 100) } else { String::new() };
        guarded.reload(&policy(&guarded.provider, &keys), &token, 503).await;
        guarded.said(from, reason).await;
        let answered = guarded.knock(&token).await;
        assert_eq!((answered.status, answered.body.as_str()), (503, "no token can be checked now; try again soon\n"));
        assert_eq!(answered.challenge, "", "{fault:?}");
        guarded.said(from, "the keys of the identity provider cannot be read, and none is known").await;
    }
    guarded.provider.misbehave(None);
    guarded.reload(&policy(&guarded.provider, &format!("  jwks_url: {url}?known\n")), &token, 200).await;
    guarded.provider.misbehave(Fault::Status(500));
    let unknown = SigningKey::ec("ec-9").sign(&guarded.claims());
    assert_eq!((guarded.knock(&unknown).await.status, guarded.knock(&token).await.status), (401, 200));
}

/// Scopes and claims decide the role; a call that another scope would allow says which.
#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let guarded = Guarded::start("").await;
    let challenge = |scope: &str| {
        format!(
            "Bearer realm=\"nessus-mcp\", error=\"insufficient_scope\", scope=\"{scope}\", \
             resource_metadata=\"{METADATA_URL}\""
        )
    };
    for scope in ["", "openid profile", "nessus:readx", "NESSUS:READ"] {
        let answered = guarded.knock(&guarded.token(scope)).await;
        assert_eq!((answered.status, answered.challenge), (403, challenge("nessus:read")), "{scope}");
        assert_eq!(answered.body, "the token does not give the right to do this\n");
    }
    guarded.said(0, "no entry of `oauth.roles` gives `oauth:alice` a role").await;
    let (reader, scanner) = (guarded.token("nessus:read"), guarded.token("nessus:scan"));
    let scan = json!({ "targets": "192.0.2.1", "name": "x" });
    let modern = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    for version in ["2025-06-18", "2026-07-28"] {
        let mut params = json!({ "name": "run_untrusted_scan", "arguments": scan });
        let mut request = guarded.fixture.request("tools/call", params.clone());
        if version == "2026-07-28" {
            params["_meta"] = modern.clone();
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            let headers = [("mcp-method", "tools/call"), ("mcp-name", "run_untrusted_scan")];
            request =
                headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).json(&body);
        }
        let answered = guarded.send(request, &[bearer(&reader)]).await;
        assert_eq!((answered.status, answered.challenge), (403, challenge("nessus:scan")), "{version}");
    }
    let older = guarded.fixture.request("tools/call", json!({ "name": "run_authenticated_scan", "arguments": {} }));
    assert_eq!(guarded.send(older, &[bearer(&reader)]).await.challenge, challenge("nessus:scan"));
    guarded.said(0, "a tool was refused: its role is missing").await;
    assert!(guarded.fixture.deployment.task_directories().is_empty());
    assert!(!guarded.call(&reader, "list_tasks", json!({})).await.ok()["tasks"].is_null());
    let refused = guarded.send(guarded.fixture.get("/metrics"), &[bearer(&reader)]).await.body;
    assert!(refused.contains("nessus_http_refused_total{what=\"scope\"} 3\n"), "{refused}");
    // With the scope it may, under its own name.
    let task = task_id(guarded.call(&scanner, "run_untrusted_scan", scan.clone()).await.ok());
    assert_eq!(guarded.fixture.deployment.task(&task).submitted_by.as_deref(), Some("oauth:alice"));
    let member = guarded.rsa.sign(&with(&guarded.claims(), &json!({ "groups": ["staff", "sec"], "sub": "auth0|b" })));
    let task = guarded.fixture.deployment.task(&task_id(guarded.call(&member, "run_untrusted_scan", scan).await.ok()));
    assert_eq!((task.submitted_by.as_deref(), task.team.as_deref()), (Some("oauth:auth0%7Cb"), Some("sec")));
}

/// An entry of `roles` may have the rights that a client may have; its scans say under which entry they run.
#[tokio::test]
async fn an_entry_restricts_whoever_comes_in_by_it() {
    let guarded = Guarded::start("").await;
    let entry =
        "roles:\n    - {name: ops, scope: \"nessus:ops\", role: scan, pools: [slow], exclude_tools: [cancel_scan]}\n";
    let token = guarded.token("nessus:ops");
    guarded.reload(&policy(&guarded.provider, "").replace("roles:\n", entry), &token, 200).await;
    let scan = |pool: &str| json!({ "targets": "192.0.2.1", "name": "x", "scanner_pool": pool });
    let refused = guarded.call(&token, "run_untrusted_scan", scan("lab")).await;
    assert!(!refused.refusal().1.contains("lab`, "), "{refused:?}");
    let pools = guarded.call(&token, "list_pools", json!({})).await;
    assert_eq!(pools.ok()["pools"].as_array().unwrap().len(), 1, "{pools:?}");
    let task = task_id(guarded.call(&token, "run_untrusted_scan", scan("slow")).await.ok());
    let stored = guarded.fixture.deployment.task(&task);
    assert_eq!(
        (stored.submitted_by.as_deref(), stored.principal.as_deref()),
        (Some("oauth:alice"), Some("oauth:alice/ops"))
    );
    // No scope would help: it is the policy that leaves the tool out.
    let answer = guarded.call(&token, "cancel_scan", json!({ "task_id": task.as_str() })).await;
    assert_eq!(answer.refusal().0, "not_permitted");
}

/// What no scope would allow is refused as it is for every client.
#[tokio::test]
async fn no_scope_is_asked_for_that_would_not_help() {
    let guarded = Guarded::start_with("", |program| program.arg("--read-only")).await;
    let answer = guarded.call(&guarded.token("nessus:read"), "cancel_scan", json!({ "task_id": "x" })).await;
    assert_eq!(answer.refusal().0, "not_permitted");
}

/// Who has no token learns where to get one, and nothing else.
#[tokio::test]
async fn the_metadata_of_the_resource_are_open() {
    let guarded = Guarded::start("  scopes_supported: [\"nessus:read\"]\n").await;
    for path in ["", "/mcp"] {
        let found = guarded.fixture.get(&format!("/.well-known/oauth-protected-resource{path}")).send().await.unwrap();
        assert_eq!(found.status(), 200);
        let expected = json!({
            "resource": AUDIENCE, "authorization_servers": [guarded.provider.issuer()],
            "scopes_supported": ["nessus:read"], "bearer_methods_supported": ["header"],
        });
        assert_eq!(found.json::<Value>().await.unwrap(), expected);
    }
    for path in ["/other", "/mcp/", "x"] {
        let found = guarded.fixture.get(&format!("/.well-known/oauth-protected-resource{path}")).send().await.unwrap();
        assert_ne!(found.status(), 200, "{path}");
    }
    let answered = guarded.send(guarded.fixture.request("tools/list", json!({})), &[]).await;
    let challenge = format!("Bearer realm=\"nessus-mcp\", scope=\"nessus:read\", resource_metadata=\"{METADATA_URL}\"");
    assert_eq!((answered.status, answered.challenge, answered.body.as_str()), (401, challenge, UNAUTHORIZED));
}

/// Tokens of `clients`, access tokens and `local` stand side by side; each follows the policy that was read last.
#[tokio::test]
async fn all_ways_in_stand_side_by_side_and_follow_the_policy() {
    let guarded = Guarded::start("").await;
    let (client, jwt) = (new_token(), guarded.token("nessus:scan"));
    let clients = format!("clients: [{{name: ci, role: read, token_sha256: {}}}]\n", TokenHash::of(client.expose()));
    let oauth = policy(&guarded.provider, "");
    let statuses = async || {
        let without = guarded.send(guarded.fixture.request("tools/list", json!({})), &[]).await.status;
        (guarded.knock(client.expose()).await.status, guarded.knock(&jwt).await.status, without)
    };
    assert_eq!(statuses().await, (401, 200, 401));
    guarded.reload(&format!("local: read\n{clients}{oauth}"), client.expose(), 200).await;
    assert_eq!(statuses().await, (200, 200, 200));
    guarded.reload(&clients, &jwt, 401).await;
    assert_eq!(statuses().await, (200, 401, 401));
    // A file with a mistake changes nothing.
    write(&guarded.fixture.deployment, &oauth.replace("role: scan", "role: root"));
    let from = guarded.fixture.server.process.log().len();
    guarded.fixture.server.process.hang_up();
    guarded.said(from, "`oauth.roles[1].role` must be").await;
    assert_eq!(statuses().await, (200, 401, 401));
    guarded.reload(&oauth, &jwt, 200).await;
    let without_scan = oauth.replace("nessus:scan", "nessus:other");
    guarded.reload(&without_scan, &jwt, 403).await;
}

/// Other machines may connect where access tokens are asked for.
#[tokio::test]
async fn an_identity_provider_is_enough_to_listen_on_all_addresses() {
    let provider = IdentityProvider::start([]).await;
    let deployment = Deployment::new(SCANNERS);
    write(&deployment, &policy(&provider, ""));
    let program = deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server")), &["serve"]);
    let server = deployment.serve(&program.args(["--mcp-bind", "0.0.0.0:0", "--policy-config", "policy.yaml"]));
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/health")).await.unwrap();
    assert_eq!(answer.status(), 401);
}

/// A right access token is no password of a person: at the pages only tokens of clients are taken.
#[tokio::test]
async fn the_pages_take_no_access_tokens() {
    let guarded = Guarded::start_with("", |program| program.args(["--ui-bind", "127.0.0.1:0"])).await;
    let token = guarded.token("nessus:read");
    assert_eq!(guarded.knock(&token).await.status, 200);
    let pages = guarded.fixture.pages() + "/ui";
    let ask = || reqwest::Client::new().get(&pages);
    for request in [ask().bearer_auth(&token), ask().basic_auth("alice", Some(&token))] {
        let answered = guarded.send(request, &[]).await;
        assert_eq!((answered.status, answered.challenge.starts_with("Basic ")), (401, true), "{answered:?}");
    }
}
