use std::{path::Path, time::Duration};

use super::*;
use crate::{
    error::Classified as _,
    ids::PoolName,
    policy::{TokenHash, approval::AskedLogin, new_token},
};

/// Two people who may agree, one who may not, and an agent.
struct People {
    alice: Secret,
    bob: Secret,
    carol: Secret,
}

fn people() -> People {
    People { alice: new_token(), bob: new_token(), carol: new_token() }
}

fn client(name: &str, role: &str, token: &Secret, rest: &str) -> String {
    let (hash, key) = (TokenHash::of(token.expose()), ApprovalKey::of(token));
    format!("  - {{name: {name}, role: {role}, token_sha256: {hash}, approval_key: {key}{rest}}}\n")
}

fn parse(text: &str) -> Policy {
    Policy::parse(text, Path::new("policy.yaml"), &|_| None).unwrap()
}

const RULES: &str = "approvals:\n  - {name: root, expires_after: 8h, when: {scan_types: [privileged]}}\n";

impl People {
    fn policy(&self, rules: &str) -> Policy {
        let clients = [
            client("alice", "approve", &self.alice, ", also: ['user:alice', 'oauth:a1']"),
            client("bob", "admin", &self.bob, ""),
            client("carol", "scan", &self.carol, ", also: ['oauth:a1']"),
        ];
        parse(&format!("{rules}clients:\n{}", clients.concat()))
    }
}

fn scan(by: &str) -> AskedScan {
    let mut scan = AskedScan::new("digest", "privileged", PoolName::new("nessus").unwrap(), "10.1.2.0/24");
    (scan.asked_by, scan.login) = (vec!["agent".to_owned(), by.to_owned()], AskedLogin::Inline);
    scan
}

const fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_764_599_422_000 + hours * 3_600_000)
}

fn waiting(state: ApprovalState) -> ApprovalRequest {
    match state {
        ApprovalState::Waiting(request) => request,
        other => panic!("{other:?}"),
    }
}

fn asked(policy: &Policy, scan: &AskedScan) -> Approval {
    Approval::new(waiting(policy.approval(scan, None, at(0))))
}

fn decided(policy: &Policy, token: &Secret, scan: &AskedScan, verdict: Verdict) -> Approval {
    policy.decide(token, (verdict, None), (scan, Some(&asked(policy, scan))), at(1)).unwrap()
}

#[test]
fn a_scan_waits_until_a_person_agrees_and_then_for_as_long_as_the_rule_says() {
    let people = people();
    let (policy, scan) = (people.policy(RULES), scan("agent"));
    let mut free = scan.clone();
    free.scan_type = "trusted";
    assert_eq!(policy.approval(&free, None, at(0)), ApprovalState::NotNeeded);
    let asked = asked(&policy, &scan);
    assert_eq!((asked.request.asked_at, asked.request.expires_at), (at(0), at(8)));
    assert_eq!(waiting(policy.approval(&scan, Some(&asked), at(7))), asked.request, "since when it was asked");
    let state = policy.approval(&scan, Some(&asked), at(8));
    assert_eq!(state.end().unwrap().0, "approval_expired");
    let too_late = policy.decide(&people.alice, (Verdict::Approved, None), (&scan, Some(&asked)), at(8)).unwrap_err();
    assert_eq!(too_late.code(), "approval_expired");

    let agreed = decided(&policy, &people.alice, &scan, Verdict::Approved);
    let read: Approval = serde_json::from_str(&serde_json::to_string(&agreed).unwrap()).unwrap();
    assert!(matches!(policy.approval(&scan, Some(&read), at(8)), ApprovalState::Approved(_)), "8 hours from 1 o'clock");
    let (code, message) = policy.approval(&scan, Some(&read), at(9)).end().unwrap();
    assert!(code == "approval_expired" && message.contains("`alice` had agreed"), "{message}");
    let again = policy.decide(&people.bob, (Verdict::Denied, None), (&scan, Some(&agreed)), at(2)).unwrap_err();
    assert_eq!(again.code(), "already_decided");

    let reason = Some("not on a Friday".to_owned());
    let refused = policy.decide(&people.bob, (Verdict::Denied, reason), (&scan, Some(&asked)), at(1)).unwrap();
    let (code, message) = policy.approval(&scan, Some(&refused), at(2)).end().unwrap();
    assert_eq!((code, &*message), ("approval_denied", "`bob` has not agreed to the scan: not on a Friday"));
}

#[test]
fn a_decision_counts_for_this_scan_only_and_only_as_it_was_signed() {
    let people = people();
    let (policy, scan) = (people.policy(RULES), scan("agent"));
    let agreed = decided(&policy, &people.alice, &scan, Verdict::Approved);
    let counts = |policy: &Policy, scan: &AskedScan, approval: &Approval| {
        matches!(policy.approval(scan, Some(approval), at(2)), ApprovalState::Approved(_))
    };
    assert!(counts(&policy, &scan, &agreed));
    let altered = |change: &dyn Fn(&mut Decision)| {
        let mut approval = agreed.clone();
        change(approval.decision.as_mut().unwrap());
        approval
    };
    let forgeries: [&dyn Fn(&mut Decision); 7] = [
        &|decision| decision.by = "bob".to_owned(),
        &|decision| decision.reason = Some("because".to_owned()),
        &|decision| decision.decided_at = at(2),
        &|decision| decision.expires_at = at(9000),
        &|decision| _ = decision.rules.insert("other".to_owned(), "digest".to_owned()),
        &|decision| decision.signature = String::new(),
        &|decision| decision.verdict = Verdict::Denied,
    ];
    for (number, change) in forgeries.into_iter().enumerate() {
        let forged = altered(change);
        assert_eq!(waiting(policy.approval(&scan, Some(&forged), at(2))), forged.request, "{number}");
    }
    // Replayed for another task, or after what is asked for was changed.
    let mut other = scan.clone();
    other.digest = "another".to_owned();
    assert!(!counts(&policy, &other, &agreed));
    let mut replayed = agreed.clone();
    replayed.request.asked = other.digest.clone();
    assert_eq!(waiting(policy.approval(&other, Some(&replayed), at(2))), replayed.request);
}

#[test]
fn only_those_decide_who_may_and_never_about_their_own() {
    let people = people();
    let policy = people.policy(RULES);
    let decide = |token: &Secret, by: &str| {
        let scan = scan(by);
        let decided = policy.decide(token, (Verdict::Approved, None), (&scan, Some(&asked(&policy, &scan))), at(1));
        decided.map(drop).map_err(|error| error.code())
    };
    assert_eq!(decide(&people.alice, "agent"), Ok(()));
    for own in ["alice", "user:alice", "oauth:a1", "carol"] {
        assert_eq!(decide(&people.alice, own), Err("own_approval"), "{own}");
        assert_eq!(decide(&people.bob, own), Ok(()), "{own}");
    }
    assert_eq!(decide(&people.carol, "agent"), Err("not_an_approver"));
    assert_eq!(decide(&new_token(), "agent"), Err("not_an_approver"));
    assert_eq!(decide(&Secret::new(""), "agent"), Err("not_an_approver"));
    // A signature of somebody whose decision it cannot be does not count either, however it came about.
    let scan = scan("alice");
    let request = asked(&policy, &scan).request;
    for (token, by) in [(&people.alice, "alice"), (&people.carol, "carol"), (&people.carol, "bob")] {
        let forged = Decision::sign(token, (by, Verdict::Approved, None), &request, (at(1), at(5)));
        let forged = Approval { request: request.clone(), decision: Some(forged) };
        assert_eq!(waiting(policy.approval(&scan, Some(&forged), at(2))), request, "{by}");
    }
}

#[test]
fn a_decision_counts_as_long_as_the_policy_has_who_made_it_and_the_rules_it_was_made_under() {
    let people = people();
    let (policy, scan) = (people.policy(RULES), scan("agent"));
    let agreed = decided(&policy, &people.alice, &scan, Verdict::Approved);
    let state = |policy: &Policy| policy.approval(&scan, Some(&agreed), at(2));
    let only = |role: &str, token: &Secret, rest: &str| {
        let bob = client("bob", "admin", &people.bob, "");
        parse(&format!("{RULES}clients:\n{bob}{}", client("alice", role, token, rest)))
    };
    assert!(matches!(state(&only("admin", &people.alice, "")), ApprovalState::Approved(_)));
    let revoked = parse(&format!("{RULES}clients:\n{}", client("bob", "admin", &people.bob, "")));
    for (what, policy) in [
        ("her token was revoked", revoked),
        ("she has another token", only("approve", &new_token(), "")),
        ("her role was taken", only("scan", &people.alice, "")),
        ("her token has ended", only("approve", &people.alice, ", expires: 2025-12-01T16:30:00Z")),
    ] {
        assert_eq!(waiting(state(&policy)), agreed.request, "{what}");
    }
    for rules in [
        RULES.replace("8h", "9h"),
        RULES.replace("[privileged]", "[privileged, trusted]"),
        RULES.replace("name: root", "name: other"),
        format!("{RULES}  - {{name: second}}\n"),
    ] {
        let request = waiting(state(&people.policy(&rules)));
        assert_eq!(request.asked_anew.as_deref(), Some("the rules that hold it are not what they were"), "{rules}");
        assert_eq!(request.asked_at, at(2));
    }
    // Fewer rules, or other rules that do not hold this scan, take nothing back.
    let both = people.policy(&format!("{RULES}  - {{name: second}}\n"));
    let agreed = decided(&both, &people.bob, &scan, Verdict::Approved);
    for rules in [RULES.to_owned(), format!("{RULES}  - {{name: third, when: {{pools: [lab]}}}}\n")] {
        assert!(matches!(people.policy(&rules).approval(&scan, Some(&agreed), at(2)), ApprovalState::Approved(_)));
    }
    for mode in ["off", "dry_run"] {
        assert_eq!(state(&people.policy(&format!("mode: {mode}\n{RULES}"))), ApprovalState::NotNeeded);
    }
    let would = people.policy(&format!("mode: dry_run\n{RULES}")).would_hold(&scan, at(0)).unwrap();
    assert_eq!(would, "a person would have to agree to it (rule `root`)");
    assert_eq!(policy.would_hold(&scan, at(0)), None);
}

#[test]
fn a_time_in_which_a_rule_holds_nothing_takes_no_decision_back() {
    let people = people();
    let by_day = "approvals:\n  - {name: root, when: {scan_types: [privileged]}}\n  - {name: day, when: {during: [{days: \
                  [mon-sun], from: \"14:00\", to: \"16:00\"}], time_zone: UTC}}\n";
    let (policy, scan) = (people.policy(by_day), scan("agent"));
    let agreed = decided(&policy, &people.alice, &scan, Verdict::Approved);
    assert_eq!(agreed.request.rules.len(), 2);
    let later = at(0).plus(Duration::from_secs(3 * 3600));
    assert!(matches!(policy.approval(&scan, Some(&agreed), later), ApprovalState::Approved(_)));
}
