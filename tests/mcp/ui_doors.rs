//! Who gets the pages of `/ui`, and at which address.

use std::path::Path;

use nessus_mcp_lib::policy::new_token;
use nessus_mcp_tests::deployment::{Deployment, Server};

use crate::{
    access::{Certificate, certificate, entry, write},
    browser::Browser,
    fixture::{Fixture, SCANNERS},
    markup::text_of,
    ui::{EVERY_PAGE, NO_TASK, guarded, submit_as},
};

/// The policy of a server that takes access tokens of a provider; nobody asks it for its keys here.
const OAUTH: &str = "oauth: {issuer: \"https://idp.example\", audience: \"https://scan.example/mcp\", roles: [{scope: r, role: read}]}\n";

/// Another web page spends no limit of who looks at it; its links may be followed.
#[tokio::test]
async fn other_web_pages_do_not_load_these() {
    let token = new_token();
    let entries = entry("few", "read", &token, ", calls_per_minute: {read: 3}");
    let fixture = guarded("", &entries, |program| program);
    let ask = async |site: &str, mode: &str, dest: &str| {
        let request = fixture.get("/ui/tasks").basic_auth("me", Some(token.expose()));
        let request =
            request.header("sec-fetch-site", site).header("sec-fetch-mode", mode).header("sec-fetch-dest", dest);
        request.send().await.unwrap().status().as_u16()
    };
    for (site, mode, dest) in [
        ("cross-site", "no-cors", "image"),
        ("cross-site", "cors", "empty"),
        ("cross-site", "navigate", "iframe"),
        ("same-site", "no-cors", "style"),
    ] {
        assert_eq!(ask(site, mode, dest).await, 403, "{site} {mode} {dest}");
    }
    for (site, mode, dest) in
        [("cross-site", "navigate", "document"), ("same-origin", "no-cors", "style"), ("none", "navigate", "document")]
    {
        assert_eq!(ask(site, mode, dest).await, 200, "{site} {mode} {dest}");
    }
    assert_eq!(ask("none", "navigate", "document").await, 429);
}

/// A browser gives a token as password. Without one that is right there is nothing, and a browser is asked.
#[tokio::test]
async fn nobody_sees_a_page_without_a_token() {
    let (reader, expired) = (new_token(), new_token());
    let entries = entry("desk", "read", &reader, "") + &entry("gone", "read", &expired, ", expires: 2020-01-01");
    let fixture = guarded("", &entries, |program| program);
    let wrong = new_token();
    for path in EVERY_PAGE.into_iter().chain(["/ui/", "/ui/style.css", "/ui/nothing"]) {
        for request in [
            fixture.get(path),
            fixture.get(path).basic_auth("desk", Some("")),
            fixture.get(path).basic_auth("desk", Some(wrong.expose())),
            fixture.get(path).basic_auth(reader.expose(), Some("desk")),
            fixture.get(path).basic_auth("gone", Some(expired.expose())),
            fixture.get(path).bearer_auth(wrong.expose()),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["www-authenticate"], r#"Basic realm="nessus-mcp", charset="UTF-8""#, "{path}");
            assert_eq!(
                (answer.status().as_u16(), answer.text().await.unwrap().contains("as the password")),
                (401, true)
            );
        }
    }
    let browser = Browser::with(&fixture, &reader);
    browser.crawl(&EVERY_PAGE).await;
    assert!(text_of(&browser.page("/ui").await).contains("For desk"));
    let by_bearer = fixture.get("/ui").bearer_auth(reader.expose()).send().await.unwrap();
    assert_eq!(by_bearer.status(), 200);
    // It is a way to the pages, and to nothing else.
    for path in ["/metrics", "/health", "/uix"] {
        let answer = fixture.get(path).basic_auth("desk", Some(reader.expose())).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "), "{path}");
    }
}

/// Pages are read, whoever asks.
#[tokio::test]
async fn nothing_but_get_and_head_is_answered() {
    let fixture = Fixture::start();
    let client = reqwest::Client::new();
    for path in EVERY_PAGE.into_iter().chain([&*format!("/ui/tasks/{NO_TASK}"), "/ui/style.css"]) {
        let url = format!("{}{path}", fixture.server.url());
        for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::PATCH] {
            let answer = client.request(method, &url).send().await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
                (405, "GET,HEAD"),
                "{path}"
            );
            assert!(answer.headers().contains_key("content-security-policy"));
        }
        let (get, head) = (client.get(&url).send().await.unwrap(), client.head(&url).send().await.unwrap());
        let of_head = head.status();
        assert_eq!((get.status(), head.text().await.unwrap().as_str()), (of_head, ""), "{path}");
    }
}

/// Where others could read a token on the way, a browser is not even asked for it; over TLS it is.
#[tokio::test]
async fn no_password_is_taken_over_plain_text_from_other_machines() {
    let token = new_token();
    let deployment = Deployment::new(SCANNERS);
    write(deployment.path("policy.yaml"), format!("local: read\nclients:\n{}", entry("desk", "read", &token, "")));
    let Certificate { pem, key } = certificate();
    write(deployment.path("cert.pem"), pem);
    write(deployment.path("key.pem"), key);
    let serve = |more: &[&str]| {
        let program = deployment.program(Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server")), &["serve"]);
        let program = program.args(["--mcp-bind", "0.0.0.0:0", "--policy-config", "policy.yaml"]).args(more);
        deployment.serve(&program)
    };
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let ask = async |server: &Server, path: &str, password: Option<&str>| {
        let request = client.get(format!("{}{path}", server.url().replace("0.0.0.0", "127.0.0.1")));
        let request = password.into_iter().fold(request, |request, password| request.basic_auth("me", Some(password)));
        let answer = request.send().await.unwrap();
        let asks = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), asks.unwrap_or_default(), answer.text().await.unwrap())
    };
    let plain = serve(&[]);
    for path in ["/ui", "/ui/tasks", "/ui/style.css"] {
        for password in [None, Some(token.expose())] {
            let (status, asks, body) = ask(&plain, path, password).await;
            assert_eq!((status, asks.as_str(), body.contains("open them over TLS")), (403, "", true), "{body}");
        }
    }
    drop(plain);
    let secured = serve(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let (status, asks, _) = ask(&secured, "/ui", None).await;
    assert!(status == 401 && asks.starts_with("Basic "), "{status} {asks}");
    let (status, _, body) = ask(&secured, "/ui", Some(token.expose())).await;
    assert!(status == 200 && body.contains("For desk"), "{status} {body}");
}

/// A browser has no access token to send.
#[tokio::test]
async fn there_are_no_pages_beside_tools_behind_oauth() {
    let token = new_token();
    let fixture = guarded(OAUTH, &entry("desk", "read", &token, ""), |program| program);
    for path in EVERY_PAGE {
        let answer = fixture.get(path).basic_auth("desk", Some(token.expose())).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("www-authenticate")), (404, false));
        let said = answer.text().await.unwrap();
        assert!(said.contains("no pages where access tokens") && said.contains("UI_BIND"), "{said}");
    }
}

/// At an address of their own they are shown behind OAuth too, to clients of the policy, and to each what it may see.
#[tokio::test]
async fn pages_have_an_address_of_their_own() {
    let (ann, cem) = (new_token(), new_token());
    let entries = entry("ann", "scan", &ann, "") + &entry("cem", "read", &cem, "");
    let keys = format!("{OAUTH}visibility: own\n");
    let fixture = guarded(&keys, &entries, |program| program.args(["--ui-bind", "127.0.0.1:0"]));
    let task = submit_as(&fixture, &ann, "hers", "slow").await;
    let (of_ann, of_cem) = [&ann, &cem].map(|token| Browser::with(&fixture, token).at_the_pages(&fixture)).into();
    assert!(of_ann.page("/ui/tasks").await.contains("hers"));
    assert!(of_ann.crawl(&EVERY_PAGE).await.contains(&format!("/ui/tasks/{task}")));
    assert!(!of_cem.page("/ui/tasks").await.contains("hers"));
    assert_eq!(of_cem.open(&format!("/ui/tasks/{task}")).await.status, 404);
    let pages = fixture.pages();
    let ask = |url: &str, path: &str| reqwest::Client::new().get(format!("{url}{path}"));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    for (password, expected) in [("", 401), ("wrong", 401), ("a.b.c", 401), (ann.expose(), 200)] {
        assert_eq!(status(ask(&pages, "/ui").basic_auth("me", Some(password))).await, expected, "{password}");
    }
    let unknown = ask(&pages, "/ui").send().await.unwrap();
    assert!(unknown.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "), "{unknown:?}");
    assert_eq!(status(ask(&pages, "/ui").header("host", "evil.example").bearer_auth(ann.expose())).await, 403);
    let embedded = ask(&pages, "/ui").header("sec-fetch-site", "cross-site").header("sec-fetch-dest", "image");
    assert_eq!(status(embedded.bearer_auth(ann.expose())).await, 403);
    // What is there is not here, and the other way round; there nobody is asked for a password.
    for (url, path, expected) in [
        (&*pages, "/mcp", 404),
        (&pages, "/metrics", 404),
        (&pages, "/health/live", 200),
        (fixture.server.url(), "/ui", 404),
        (fixture.server.url(), "/metrics", 200),
    ] {
        assert_eq!(status(ask(url, path).bearer_auth(ann.expose())).await, expected, "{url}{path}");
    }
    let asked = fixture.get("/ui").send().await.unwrap();
    assert!(asked.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "), "{asked:?}");
}

/// Who is on this machine reads there as beside the tools; who comes through a proxy is not.
#[tokio::test]
async fn at_their_own_address_pages_are_for_whoever_is_on_the_machine() {
    let fixture =
        Fixture::start_with(|program| program.args(["--ui-bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]));
    let browser = Browser::of(&fixture).at_the_pages(&fixture);
    for path in EVERY_PAGE {
        browser.page(path).await;
        assert_eq!(fixture.get(path).send().await.unwrap().status(), 404, "{path}");
    }
    for (url, path) in [(fixture.pages(), "/metrics"), (fixture.administration(), "/ui")] {
        assert_eq!(reqwest::get(format!("{url}{path}")).await.unwrap().status(), 404, "{url}{path}");
    }
    let forwarded = reqwest::Client::new().get(fixture.pages() + "/ui").header("x-forwarded-for", "203.0.113.1");
    assert_eq!(forwarded.send().await.unwrap().status(), 401);
}
