//! What is decided about targets, by rule and by mode.

use rstest::rstest;

use super::*;
use crate::{error::Classified as _, policy::TableResolver};

const POLICY: &str = "
allow: [10.0.0.0/8, 192.0.2.1-192.0.2.50, '2001:db8::/32', '*.corp.example', db.example]
deny: [10.0.0.8/29, '2001:db8:dead::/48', '*.hr.corp.example']
max_hosts_per_scan: 70000
";

fn policy(text: &str) -> Policy {
    Policy::parse(text, Path::new("policy.yaml"), &|_| None).unwrap()
}

/// A scope in which names stand for fixed addresses.
fn scope(text: &str) -> Scope {
    let names = TableResolver::default();
    let set = |name, addresses: &[&str]| names.set(name, addresses.iter().map(|address| address.parse().unwrap()));
    set("web.corp.example", &["10.0.1.1"]);
    set("both.corp.example", &["2001:db8::7", "10.0.1.2", "::ffff:10.0.1.2"]);
    set("moved.corp.example", &["10.0.1.3", "203.0.113.9"]);
    set("denied.corp.example", &["10.0.0.9"]);
    set("mapped.corp.example", &["::ffff:203.0.113.9"]);
    set("cloud.corp.example", &["169.254.169.254"]);
    set("pay.hr.corp.example", &["10.0.1.4"]);
    set("db.example", &["10.0.1.5"]);
    set("other.example", &["10.0.1.6"]);
    Scope::new(policy(text)).with_resolver(Arc::new(names))
}

async fn check(scope: &Scope, targets: &str) -> Result<Checked, ScopeError> {
    scope.check(&targets.parse().unwrap(), &Rights::default()).await
}

#[rstest]
#[case::inside("10.0.0.0/29,10.0.0.16-10.255.255.255", "16777208 hosts, and one scan may have 70000")]
#[case::half_outside("192.0.2.40-192.0.2.60", "`192.0.2.40-192.0.2.60` is out of scope: it is not wholly inside")]
#[case::outside("10.0.1.1,8.8.8.8", "`8.8.8.8` is out of scope: it is not wholly inside")]
#[case::deny_wins("10.0.0.0/24", "`10.0.0.0/24` is out of scope: `deny` has `10.0.0.8/29`")]
#[case::mapped("::ffff:11.0.0.1", "`11.0.0.1` is out of scope")]
#[case::mapped_and_denied("::ffff:10.0.0.9", "`10.0.0.9` is out of scope: `deny` has")]
#[case::denied_v6("2001:db8:dead::1", "`deny` has `2001:db8:dead::/48`")]
#[case::loopback("127.0.0.1", "`127.0.0.1` is out of scope: it is not wholly inside")]
#[case::always("169.254.169.254", "`169.254.169.254` is not scanned: it holds link-local")]
#[case::name_outside("other.example", "`other.example` is out of scope: it is not wholly inside")]
#[case::name_denied("pay.hr.corp.example", "`deny` has `*.hr.corp.example`")]
#[case::suffix_alone("corp.example", "`corp.example` is out of scope")]
#[case::one_address_outside("moved.corp.example", "`moved.corp.example` stands for 203.0.113.9: `203.0.113.9` is out")]
#[case::address_denied(
    "denied.corp.example",
    "`denied.corp.example` stands for 10.0.0.9: `10.0.0.9` is out of scope: `deny`"
)]
#[case::mapped_address("mapped.corp.example", "stands for 203.0.113.9")]
#[case::metadata("cloud.corp.example", "stands for 169.254.169.254: `169.254.169.254` is not scanned")]
#[case::unknown(
    "none.corp.example",
    "`none.corp.example` cannot be resolved, so its addresses cannot be checked: there is no such"
)]
#[tokio::test]
async fn what_is_refused_is_named_with_the_rule(#[case] targets: &str, #[case] expected: &str) {
    let refused = check(&scope(POLICY), targets).await.unwrap_err();
    assert!(refused.to_string().contains(expected), "{refused}");
    assert_eq!(refused.code(), "out_of_scope");
    assert!(refused.hint().is_some_and(|hint| hint.len() > 20), "{refused}");
}

#[tokio::test]
async fn names_inside_are_known_by_their_addresses() {
    let targets: TargetSet =
        "10.0.0.1,192.0.2.1-50,2001:db8::1,web.corp.example,both.corp.example,db.example".parse().unwrap();
    let checked = scope(POLICY).check(&targets, &Rights::default()).await.unwrap();
    assert_eq!((checked.mode, checked.would_refuse.len()), (PolicyMode::Enforce, 0));
    assert_eq!(
        targets.with_addresses(&checked.addresses).to_string(),
        "10.0.0.1,10.0.1.1-10.0.1.2,10.0.1.5,192.0.2.1-192.0.2.50,2001:db8::1,2001:db8::7"
    );
    assert_eq!(
        targets.for_scanner_with(&checked.addresses).unwrap(),
        "10.0.0.1,192.0.2.1-192.0.2.50,2001:db8::1,both.corp.example[10.0.1.2],both.corp.example[2001:db8::7],\
         db.example[10.0.1.5],web.corp.example[10.0.1.1]"
    );
}

/// Where `allow` has only one of the two kinds, the other is not judged by it, but addresses alone are never names.
#[rstest]
#[case("allow: [10.0.0.0/8]", "other.example", true)]
#[case("allow: [10.0.0.0/8]", "moved.corp.example", false)]
#[case("allow: ['*.corp.example']", "mapped.corp.example", true)]
#[case("allow: ['*.corp.example']", "10.0.0.1", false)]
#[case("allow: ['*.corp.example']", "cloud.corp.example", false)]
#[case("deny: [203.0.113.0/24]", "10.0.0.1,db.example", true)]
#[case("deny: [203.0.113.0/24]", "moved.corp.example", false)]
#[case("deny: ['*']", "db.example", false)]
#[tokio::test]
async fn names_and_addresses_are_judged_by_their_rules(
    #[case] rules: &str,
    #[case] targets: &str,
    #[case] allowed: bool,
) {
    assert_eq!(check(&scope(rules), targets).await.is_ok(), allowed, "{rules} / {targets}");
}

#[tokio::test]
async fn a_dry_run_accepts_and_tells_all_that_it_would_refuse() {
    let scope = scope(&format!("mode: dry_run\n{POLICY}"));
    let checked = check(&scope, "8.8.8.8,10.0.0.0/24,moved.corp.example,none.corp.example").await.unwrap();
    assert_eq!((checked.mode, checked.addresses.len()), (PolicyMode::DryRun, 0), "names are not replaced");
    let told = checked.would_refuse.join("\n");
    for part in ["`8.8.8.8` is out", "`deny` has `10.0.0.8/29`", "203.0.113.9", "`none.corp.example` cannot be"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(checked.would_refuse.len(), 4, "{told}");
    assert!(check(&scope, "10.0.1.1").await.unwrap().would_refuse.is_empty());
    for always in ["224.0.0.1", "cloud.corp.example", "10.0.0.0/14"] {
        assert!(check(&scope, always).await.is_err(), "{always} is refused in every mode");
    }
}

#[tokio::test]
async fn a_policy_that_is_off_or_missing_looks_nothing_up() {
    for scope in
        [scope(&format!("mode: off\n{POLICY}")), Scope::default().with_resolver(Arc::new(TableResolver::default()))]
    {
        assert_eq!(check(&scope, "8.8.8.8,none.corp.example,cloud.corp.example").await.unwrap(), Checked::default());
        assert!(
            check(&scope, "10.0.0.0/16,192.0.2.1")
                .await
                .unwrap_err()
                .to_string()
                .contains("`settings.max_hosts_per_scan`")
        );
        assert!(check(&scope, "::/0").await.is_err());
    }
}

#[tokio::test]
async fn the_number_of_hosts_follows_the_setting_and_the_policy() {
    let few = "max_hosts_per_scan: 2";
    assert!(check(&scope(few), "10.0.0.1,both.corp.example").await.unwrap_err().to_string().contains("are 3 hosts"));
    assert!(check(&scope(few), "both.corp.example").await.is_ok());
    let dry = scope("mode: dry_run\nmax_hosts_per_scan: 2");
    assert_eq!(check(&dry, "10.0.0.0/30").await.unwrap().would_refuse.len(), 1);
    let more = scope("mode: dry_run\nmax_hosts_per_scan: 100000");
    assert!(check(&more, "10.0.0.0/16,192.0.2.1").await.unwrap().would_refuse.is_empty(), "an operator allows it");
    let setting = Scope::default().with_max_hosts_per_scan(100_000);
    assert!(check(&setting, "10.0.0.0/16,192.0.2.1").await.is_ok());
}

#[tokio::test]
async fn a_scan_that_was_created_is_judged_by_the_addresses_it_was_created_with() {
    let scope = scope(POLICY);
    let targets: TargetSet = "10.0.1.1,moved.corp.example".parse().unwrap();
    let known =
        |address: &str| NameAddresses::from([("moved.corp.example".to_owned(), vec![address.parse().unwrap()])]);
    assert_eq!(scope.check_created(&targets, &known("10.0.1.3"), &Rights::default()), Ok(()));
    assert!(matches!(
        scope.check_created(&targets, &known("10.0.0.9"), &Rights::default()),
        Err(ScopeError::AddressOfName { .. })
    ));
    let unchecked = scope.check_created(&targets, &NameAddresses::new(), &Rights::default()).unwrap_err();
    assert!(matches!(&unchecked, ScopeError::Unchecked { name } if name == "moved.corp.example"), "{unchecked}");
    scope.replace(policy("mode: off"));
    assert_eq!(scope.check_created(&targets, &NameAddresses::new(), &Rights::default()), Ok(()));
    assert!(scope.check_created(&targets, &known("224.0.0.1"), &Rights::default()).is_err());
}

const CLIENT: &str = "
mode: MODE
allow: [10.0.0.0/8, '*.corp.example']
clients:
  - name: lab
    role: scan
    token_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    targets: [10.0.1.1-10.0.1.200, 203.0.113.0/24]
    deny_targets: [10.0.1.4]
";

async fn check_for_client(mode: &str, targets: &str) -> Result<Checked, ScopeError> {
    let scope = scope(&CLIENT.replace("MODE", mode));
    let rights = scope.policy().clients()[0].rights.clone();
    scope.check(&targets.parse().unwrap(), &rights).await
}

/// What a client may scan holds in every mode; that of all must hold as well where it is enforced.
#[rstest]
#[case::half_outside(
    "10.0.1.100-10.0.2.1",
    "`10.0.1.100-10.0.2.1` is out of scope: it is not wholly inside what `targets` of `lab`"
)]
#[case::mapped("::ffff:10.0.0.1", "`10.0.0.1` is out of scope: it is not wholly inside what `targets` of `lab` has")]
#[case::denied("10.0.1.1-5", "`10.0.1.1-10.0.1.5` is out of scope: `deny_targets` of `lab` has `10.0.1.4`")]
#[case::address_outside("denied.corp.example", "`denied.corp.example` stands for 10.0.0.9: `10.0.0.9` is out of scope")]
#[case::address_denied(
    "pay.hr.corp.example",
    "stands for 10.0.1.4: `10.0.1.4` is out of scope: `deny_targets` of `lab`"
)]
#[case::unknown("none.corp.example", "cannot be resolved")]
#[tokio::test]
async fn a_client_scans_no_more_than_its_targets(#[case] targets: &str, #[case] expected: &str) {
    for mode in ["enforce", "dry_run", "off"] {
        let refused = check_for_client(mode, targets).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{mode}: {refused}");
        assert_eq!(refused.code(), "out_of_scope");
    }
}

#[tokio::test]
async fn both_the_scope_and_the_client_must_allow() {
    let refused = check_for_client("enforce", "203.0.113.9").await.unwrap_err();
    assert_eq!(refused.to_string(), "`203.0.113.9` is out of scope: it is not wholly inside what `allow` has");
    assert_eq!(check_for_client("dry_run", "203.0.113.9").await.unwrap().would_refuse.len(), 1);
    let allowed = check_for_client("enforce", "web.corp.example,10.0.1.7").await.unwrap();
    assert_eq!(
        allowed.allowed_by,
        ["`allow` has `10.0.0.0/8`", "`allow` has `*.corp.example`", "`targets` of `lab` has `10.0.1.1-10.0.1.200`"]
    );
    // A name is bound to the addresses that were checked, also where the scope is not enforced.
    for mode in ["enforce", "dry_run", "off"] {
        let checked = check_for_client(mode, "web.corp.example").await.unwrap();
        assert_eq!(checked.addresses["web.corp.example"], ["10.0.1.1".parse::<IpAddr>().unwrap()], "{mode}");
    }
}
