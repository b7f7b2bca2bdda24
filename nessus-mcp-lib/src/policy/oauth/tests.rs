use std::path::Path;

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::policy::Policy;

const RULES: &str = "roles: [{scope: \"nessus:read\", role: read}, {scope: \"nessus:scan\", role: scan}, {claim: groups, \
                     value: sec, role: scan, team: red}]";

fn parse(keys: &str) -> Result<OAuth, ConfigError> {
    let keys = keys.replace('\n', "\n  ");
    let policy = Policy::parse(&format!("oauth:\n  {keys}\n"), Path::new("policy.yaml"), &|_| None)?;
    Ok(policy.oauth().unwrap().as_ref().clone())
}

fn with(keys: &str) -> Result<OAuth, ConfigError> {
    parse(&format!("issuer: https://idp.example\naudience: https://scan.example/mcp\n{keys}"))
}

fn claims(claims: Value) -> Claims {
    serde_json::from_value(claims).unwrap()
}

#[test]
fn the_keys_are_read_and_have_defaults() {
    let oauth = with(RULES).unwrap();
    assert_eq!((oauth.issuer.as_str(), oauth.resource.as_str()), ("https://idp.example", "https://scan.example/mcp"));
    assert_eq!((oauth.jwks_url, oauth.scopes_supported), (None, vec!["nessus:read".into(), "nessus:scan".into()]));
    assert_eq!(oauth.algorithms, SigningAlgorithm::DEFAULT);
    let all = parse(&format!(
        "issuer: http://127.0.0.1:8080/realms/a\naudience: [\"api://1\", b]\nresource: https://scan.example/mcp\n\
         jwks_url: \"http://[::1]:1/keys?app=1\"\nalgorithms: ES256\nscopes_supported: [\"nessus:read\"]\n{RULES}"
    ))
    .unwrap();
    assert_eq!((all.audiences.len(), all.algorithms.as_slice()), (2, &[SigningAlgorithm::ES256][..]));
    assert_eq!((all.jwks_url.as_deref(), all.scopes_supported.len()), (Some("http://[::1]:1/keys?app=1"), 1));
}

#[rstest]
#[case("issuer: http://idp.example\naudience: a", "policy.yaml:2: `oauth.issuer` must be a URL that begins with https")]
#[case("issuer: idp.example\naudience: a", "`oauth.issuer` must be a URL")]
#[case("issuer: https://idp.example?a=b\naudience: a", "`oauth.issuer` must have no query")]
#[case("issuer: https://u@idp.example\naudience: a", "`oauth.issuer` must be a URL")]
#[case("issuer: https://idp.example\naudience: []", "policy.yaml:2: `oauth.audience` is empty")]
#[case("issuer: https://idp.example\naudience: [a, \"\"]", "policy.yaml:3: `oauth.audience[1]` must not be empty")]
#[case("issuer: https://idp.example\naudience: api", "policy.yaml:2: `oauth.resource` is missing")]
#[case("issuer: https://idp.example\naudience: {a: b}", "policy.yaml:3:")]
#[case("issuer: https://idp.example", "missing field `audience`")]
#[case(
    "issuer: https://idp.example\naudience: https://a.example\njwks_url: http://10.0.0.1/",
    "`oauth.jwks_url` must be"
)]
#[case("issuer: https://idp.example\naudience: https://a.example\naudiences: b", "did you mean `audience`?")]
#[case(
    "issuer: https://idp.example\naudience: https://a.example\nalgorithms: [ES256, HS256]",
    "policy.yaml:4: `oauth.algorithms[1]` lets others than the identity provider make tokens"
)]
#[case("issuer: https://idp.example\naudience: https://a.example\nalgorithms: none", "lets others than")]
#[case(
    "issuer: https://idp.example\naudience: https://a.example\nalgorithms: RS265",
    "is no algorithm; they are: RS256"
)]
#[case("issuer: https://idp.example\naudience: https://a.example\nscopes_supported: a b", "must be one scope")]
fn a_mistake_is_named_with_line_and_key(#[case] keys: &str, #[case] expected: &str) {
    let message = parse(&format!("{keys}\n{RULES}")).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case("roles: []", "policy.yaml:2: `oauth.roles` is empty")]
#[case("roles: [{role: read}]", "policy.yaml:4: `oauth.roles[0]` needs a `scope`, or a `claim` with its `value`")]
#[case("roles: [{claim: groups, role: read}]", "`oauth.roles[0].value` is missing beside `claim`")]
#[case("roles: [{value: groups, role: read}]", "`oauth.roles[0].claim` is missing beside `value`")]
#[case("roles: [{scope: \"a\\\"b\", role: read}]", "`oauth.roles[0].scope` must be one scope")]
#[case("roles: [{scope: a, role: root}]", "`oauth.roles[0].role` must be")]
#[case("roles: [{scope: a, role: read, team: local}]", "`oauth.roles[0].team` is the name of")]
#[case("roles: [{scope: a, rol: read}]", "did you mean `role`?")]
#[case("", "missing field `roles`")]
fn a_mistake_in_the_roles_is_named(#[case] keys: &str, #[case] expected: &str) {
    let message = with(keys).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case(json!({ "scope": "openid nessus:read" }), Some(Role::Read))]
#[case(json!({ "scope": "nessus:read nessus:scan" }), Some(Role::Scan))]
#[case(json!({ "scope": ["nessus:scan", "nessus:read"] }), Some(Role::Scan))]
#[case(json!({ "scp": "nessus:read" }), Some(Role::Read))]
#[case(json!({ "scp": ["nessus:read"], "groups": ["a", "sec"] }), Some(Role::Scan))]
#[case(json!({ "groups": "sec" }), Some(Role::Scan))]
#[case(json!({ "groups": "sec-2" }), None)]
#[case(json!({ "groups": [["sec"]] }), None)]
#[case(json!({ "groups": { "sec": true } }), None)]
#[case(json!({ "scope": "nessus:readx NESSUS:READ nessus" }), None)]
#[case(json!({ "scope": { "nessus:read": 1 } }), None)]
#[case(json!({}), None)]
fn the_highest_role_that_a_token_gives_counts(#[case] given: Value, #[case] role: Option<Role>) {
    let mut given = claims(given);
    given.insert("sub".into(), "u1".into());
    let found = with(RULES).unwrap().principal(&given);
    assert_eq!(
        found.ok().map(|principal| (principal.name.to_string(), principal.role)),
        role.map(|role| ("oauth:u1".into(), role))
    );
}

#[test]
fn the_team_is_that_of_the_first_entry_with_the_highest_role() {
    let oauth = with(RULES).unwrap();
    let team = |given: Value| oauth.principal(&claims(given)).unwrap().team.map(|team| team.to_string());
    assert_eq!(team(json!({ "sub": "a", "groups": "sec", "scope": "nessus:read" })).as_deref(), Some("red"));
    assert_eq!(team(json!({ "sub": "a", "groups": "sec", "scope": "nessus:scan" })), None);
}

#[test]
fn an_entry_asks_for_all_that_it_names_and_finds_claims_inside_others() {
    let rules = "roles: [{scope: s, claim: realm_access.roles, value: scanner, role: scan}, {claim: \"a.b\", value: \"7\", role: read}]";
    let oauth = with(rules).unwrap();
    let role = |given: Value| oauth.principal(&claims(given)).ok().map(|principal| principal.role);
    let given = json!({ "roles": ["scanner"] });
    assert_eq!(role(json!({ "sub": "a", "scope": "s", "realm_access": given })), Some(Role::Scan));
    assert_eq!(role(json!({ "sub": "a", "realm_access": given })), None);
    assert_eq!(role(json!({ "sub": "a", "scope": "s" })), None);
    assert_eq!(role(json!({ "sub": "a", "a.b": 7 })), Some(Role::Read));
    assert_eq!(role(json!({ "sub": "a", "a": { "b": [7] } })), Some(Role::Read));
    assert_eq!(oauth.scopes_supported, ["s"]);
}

#[test]
fn an_entry_may_have_rights_which_workers_find_by_its_name() {
    let policy = |rules: &str| {
        let text = format!(
            "oauth:\n  issuer: https://idp.example\n  audience: https://scan.example/mcp\n  roles: [{rules}]\n"
        );
        Policy::parse(&text, Path::new("policy.yaml"), &|_| None)
    };
    let bound = policy("{name: ops, scope: s, role: scan, pools: [lab], tools: [x]}, {scope: r, role: read}").unwrap();
    let principal =
        |scope: &str| bound.oauth().unwrap().principal(&claims(json!({ "sub": "a", "scope": scope }))).unwrap();
    let (ops, reader) = (principal("s r"), principal("r"));
    assert_eq!((ops.rights_key(), reader.rights_key()), ("oauth:a/ops".to_owned(), "oauth:a".to_owned()));
    assert_eq!((Principal::name_in("oauth:a/ops"), Principal::name_in("desk")), ("oauth:a", "desk"));
    assert_eq!((&bound.rights_of("oauth:a/ops").unwrap(), reader.rights.is_unrestricted()), (&ops.rights, true));
    assert!(ops.rights.pools.is_some() && !ops.rights.is_unrestricted() && bound.pools().count() == 1);
    assert_eq!(bound.tool_rights().filter(|rights| rights.tools.is_some()).count(), 1);
    for gone in ["oauth:a/other", "a/ops/", "oauth:a/"] {
        assert!(bound.rights_of(gone).is_err(), "{gone}");
    }
    assert!(bound.rights_of("user:corp/ann").is_ok(), "a user of the system, and no entry");
    assert!(Policy::default().rights_of("oauth:a/ops").is_ok());
    for (rules, expected) in [
        ("{scope: s, role: scan, pools: [lab]}", "policy.yaml:4: `oauth.roles[0].name` is missing"),
        ("{scope: s, role: scan, deny_targets: [10.0.0.1]}", "`oauth.roles[0].name` is missing"),
        ("{scope: s, role: scan, tools: [x]}", "`oauth.roles[0].name` is missing"),
        (
            "{scope: s, role: scan, name: a}, {scope: r, role: read, name: a}",
            "`oauth.roles[1].name` is that of another",
        ),
        ("{scope: s, role: scan, name: a, pools: [\"a b\"]}", "`oauth.roles[0].pools[0]` is no name of a pool"),
    ] {
        let message = policy(rules).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_scope_is_asked_for_only_where_it_gives_the_role() {
    let rules =
        "roles: [{scope: s, claim: groups, value: sec, role: scan}, {scope: r, role: read}, {scope: r2, role: read}]";
    let oauth = with(rules).unwrap();
    let (member, other) = (claims(json!({ "groups": ["sec"] })), claims(json!({})));
    assert_eq!((oauth.scope_for(Role::Scan, &member), oauth.scope_for(Role::Scan, &other)), (Some("s"), None));
    assert_eq!((oauth.scope_for(Role::Read, &member), oauth.scope_for(Role::Read, &other)), (Some("r"), Some("r")));
}

#[test]
fn different_subjects_have_different_names() {
    let name = |subject: &str| name_of(subject).ok();
    assert_eq!(name("auth0|1f").as_deref(), Some("oauth:auth0%7C1f"));
    let subjects = ["a b", "a%20b", "a+b", "a\nb", "ä", "a:b", "a/b", "local", "A b"];
    let names: std::collections::BTreeSet<_> = subjects.iter().filter_map(|subject| name(subject)).collect();
    assert_eq!(names.len(), subjects.len());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@%:".contains(&byte);
    assert!(names.iter().all(|name| name.starts_with("oauth:") && name.bytes().all(is_plain)), "{names:?}");
    assert_eq!((name(&"a".repeat(249)).map(|name| name.len()), name(&"a".repeat(250))), (Some(255), None));
    assert_eq!(
        (name(&"ä".repeat(42)).map(|name| name.len()), name(&"ä".repeat(41)).map(|name| name.len())),
        (None, Some(252))
    );
    for subject in [json!(""), json!(5), json!(null), json!(["a"])] {
        let refused = with(RULES).unwrap().principal(&claims(json!({ "sub": subject, "groups": "sec" })));
        assert_eq!(refused, Err(OAuthError::NoSubject), "{subject}");
    }
}

#[rstest]
#[case("https://idp.example/a", true)]
#[case("https://idp.example:8443", true)]
#[case("http://localhost:1/a", true)]
#[case("http://127.0.0.2", true)]
#[case("http://[::1]:8080/", true)]
#[case("http://localhost.evil.example", false)]
#[case("http://127.0.0.1.evil.example", false)]
#[case("http://10.0.0.1", false)]
#[case("http://127.0.0.1@evil.example", false)]
#[case("https://a.example/#b", false)]
#[case("https://a.example/\" x", false)]
#[case("ftp://a.example", false)]
#[case("file:///etc/passwd", false)]
#[case("https://", false)]
#[case("/keys", false)]
fn keys_come_only_from_where_nobody_can_change_them(#[case] url: &str, #[case] is_trusted: bool) {
    assert_eq!(OAuth::trusts(url), is_trusted);
}
