use rstest::rstest;

use super::*;
use crate::login::EscalationMethod;

const EXAMPLE: &str = include_str!("../credentials.example.yaml");
const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ssh_keys/ed25519_locked"));

fn parse(text: &str) -> Result<CredentialsConfig, ConfigError> {
    let lookup = |name: &str| (name == "PASSWORD").then(|| "hunter2: [".to_owned());
    CredentialsConfig::parse(text, Path::new("credentials.yaml"), &lookup)
}

#[test]
fn logins_are_read_with_their_secrets_and_targets() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| crate::durable::replace(&directory.path().join(name), text.as_bytes());
    write("key", KEY).unwrap();
    write("phrase", "hunter2\nsecond line\n").unwrap();
    let text = "\
linux:
  username: scan
  password: ${PASSWORD}
  elevate_privileges_with: sudo
  escalation_password: ${PASSWORD}
  targets: 10.0.0.0/8, *.corp.example
by.key:
  {username: scan, private_key_file: key, private_key_passphrase_file: phrase, targets: '*'}
windows:
  {kind: windows, username: scan, password_file: phrase, domain: EXAMPLE, targets: 10.1.0.0/16}
";
    let path = directory.path().join("credentials.yaml");
    let config = CredentialsConfig::parse(text, &path, &|_| Some("hunter2: [".to_owned())).unwrap();
    let ids: Vec<_> = config.credentials.iter().map(|stored| stored.id.as_str()).collect();
    assert_eq!(ids, ["linux", "by.key", "windows"]);
    let linux = config.get("linux").unwrap();
    assert!(linux.targets.contains_set(&"10.1.2.3, db.corp.example".parse().unwrap()));
    assert_eq!(linux.credential.escalation().unwrap().method, EscalationMethod::Sudo);
    assert_eq!(linux.credential.fields().password, Some("hunter2: ["));
    let by_key = config.get("by.key").unwrap().credential.fields();
    assert_eq!((by_key.private_key, by_key.private_key_passphrase), (Some(KEY), Some("hunter2")));
    assert_eq!(config.get("windows").unwrap().credential.fields().domain.as_deref(), Some("EXAMPLE"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !KEY.lines().any(|line| shown.contains(line)), "{shown}");
}

#[rstest]
#[case("a b:\n  {username: x}\n", "credentials.yaml:1: the id of a credential has")]
#[case("a:\n  username: x\n  pasword: hunter2\n", "credentials.yaml:3: `a.pasword` is not a key of a credential")]
#[case("a:\n  username: x\n  targets: '*'\n", "credentials.yaml:1: `a.password` is missing")]
#[case("a:\n  username: x\n  password: ''\n  targets: '*'\n", "credentials.yaml:3: `a.password` is empty")]
#[case("a:\n  username: x\n  password: hunter2\n", "credentials.yaml:1: `a.targets` is missing")]
#[case(
    "a:\n  username: x\n  password: hunter2\n  targets: 10.0.0.999\n",
    "credentials.yaml:4: `a.targets` cannot be used"
)]
#[case("a:\n  username: x\n  password: ${UNSET}\n", "credentials.yaml:3: `a.password` refers to")]
#[case(
    "a:\n  password: hunter2\n  password_file: y\n",
    "credentials.yaml:3: `a.password_file` stands beside `password`"
)]
#[case("a:\n  username: x\n  private_key_file: /no/such\n", "credentials.yaml:3: `a.private_key_file` names the file")]
#[case(
    "a:\n  username: x\n  private_key: hunter2\n  targets: '*'\n",
    "credentials.yaml:3: `a.private_key` is not a private key"
)]
#[case("a:\n  username: x\n  password: hunter2\n  su_user: y\n", "credentials.yaml:4: `a.su_user` stands without")]
#[case("a:\n  kind: telnet\n  password: hunter2\n", "credentials.yaml:2: `a.kind` is `telnet`")]
#[case("a:\n  {username: x}\na:\n  {username: y}\n", "credentials.yaml:3:")]
#[case("a: [hunter2]\n", "credentials.yaml:1:")]
fn a_broken_file_is_named_with_line_and_key(#[case] text: &str, #[case] expected: &str) {
    let error = parse(text).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(expected) && !format!("{error:?}").contains("hunter2"), "{message}");
}

#[test]
fn the_example_has_no_effect_until_it_is_uncommented() {
    assert_eq!(parse(EXAMPLE).unwrap(), CredentialsConfig::default());
    let used = |line: &str| line.strip_prefix('#').filter(|line| !line.starts_with('#')).map(str::to_owned);
    let text = EXAMPLE.lines().filter_map(used).collect::<Vec<_>>().join("\n");
    let directory = tempfile::tempdir().unwrap();
    crate::durable::replace(&directory.path().join("id_scan"), KEY.as_bytes()).unwrap();
    let path = directory.path().join("credentials.yaml");
    let config = CredentialsConfig::parse(&text, &path, &|_| Some("x".to_owned())).unwrap();
    let ids: Vec<_> = config.credentials.iter().map(|stored| stored.id.as_str()).collect();
    assert_eq!(ids, ["linux-scan", "linux-root", "network-devices", "windows-scan"]);
}
