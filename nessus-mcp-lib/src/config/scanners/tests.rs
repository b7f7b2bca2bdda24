use rstest::rstest;

use super::*;

fn parse(text: &str) -> Result<ScannersConfig, ConfigError> {
    let lookup = |name: &str| (name == "NESSUS_PASSWORD").then(|| "hunter2: [".to_owned());
    ScannersConfig::parse(text, Path::new("scanners.yaml"), &lookup)
}

#[test]
fn the_predecessors_format_is_read() {
    let config = parse(
        "nessus:\n  - instance_id: scanner1\n    name: Head office\n    url: https://${HOST:-localhost}:8834/\n    username: admin\n    \
         password: ${NESSUS_PASSWORD}\n    enabled: ${ON:-true}\n    max_concurrent_scans: 5\nlab:\n  - {instance_id: m, type: mock, scan_duration: 500ms}\n",
    )
    .unwrap();
    let nessus = &config.pools[0].instances[0];
    assert_eq!(nessus.url, "https://localhost:8834");
    assert_eq!(nessus.password.expose(), "hunter2: [");
    assert_eq!((nessus.enabled, nessus.max_concurrent_scans, nessus.verify_tls), (true, 5, true));
    assert_eq!(config.pools[1].scanner_type, ScannerType::Mock);
    assert_eq!(config.pools[1].instances[0].scan_duration, Duration::from_millis(500));
    assert_eq!(config.default_pool().unwrap().name.as_str(), "nessus");
}

#[test]
fn the_keys_of_a_nessus_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| crate::durable::replace(&directory.path().join(name), text.as_bytes());
    write("password", "hunter2: [\nsecond line\n").unwrap();
    write("ca.pem", "-----BEGIN CERTIFICATE-----\n").unwrap();
    let pin = ["AB"; 32].join(":");
    let text = format!(
        "nessus:\n  - instance_id: a\n    url: https://a\n    username: u\n    password_file: password\n    ca_file: ca.pem\n    \
         proxy: http://me:hunter2@proxy:3128\n    allowed_templates: [basic, \"${{NONE:-discovery}}\"]\n    folder: main\n  \
         - {{instance_id: b, url: https://b, access_key: k1, secret_key: k2, tls_pin_sha256: '{pin}'}}\n"
    );
    let config = ScannersConfig::parse(&text, &directory.path().join("scanners.yaml"), &|_| None).unwrap();
    let [first, second] = &config.pools[0].instances[..] else { panic!("{config:?}") };
    assert_eq!(first.password.expose(), "hunter2: [");
    assert_eq!(first.nessus.ca_certificates.as_deref(), Some("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(first.nessus.allowed_templates.as_deref().unwrap(), ["basic", "discovery"]);
    assert_eq!(first.nessus.folder.as_deref(), Some("main"));
    assert_eq!(second.nessus.tls_pin_sha256, Some([0xab; 32]));
    assert_eq!(second.nessus.api_keys.as_ref().unwrap().secret_key.expose(), "k2");
    assert!(second.username.is_empty(), "keys do without a login");
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[rstest]
#[case("password: x\n    password_file: y", "scanners.yaml:6: `nessus[0].password_file` stands beside `password`")]
#[case("password_file: /no/such/file", "scanners.yaml:5: `nessus[0].password_file` names the file `/no/such/file`")]
#[case("access_key: abc", "scanners.yaml:5: `nessus[0].secret_key` is missing")]
#[case("access_key: a-c\n    secret_key: x", "`nessus[0].access_key` must be a key")]
#[case("verify_tls: false\n    ca_file: x", "scanners.yaml:6: `nessus[0].ca_file` stands beside `verify_tls: false`")]
#[case("ca_file: x\n    tls_pin_sha256: y", "scanners.yaml:6: `nessus[0].tls_pin_sha256` stands beside `ca_file`")]
#[case("tls_pin_sha256: abc", "`nessus[0].tls_pin_sha256` must be the SHA-256")]
#[case("proxy: hunter2@proxy", "`nessus[0].proxy` must begin with")]
#[case("allowed_templates:\n      - ''", "scanners.yaml:6: `nessus[0].allowed_templates` must not be empty")]
#[case("folder: ''", "`nessus[0].folder` must not be empty")]
fn a_wrong_key_of_a_nessus_is_named(#[case] keys: &str, #[case] expected: &str) {
    let text = format!("nessus:\n  - instance_id: a\n    url: https://a\n    username: u\n    {keys}\n");
    let message = parse(&text).unwrap_err().to_string();
    assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
}

#[rstest]
#[case("", "scanners.yaml:1: the file has no pools")]
#[case("nessus: []", "pool `nessus` needs at least one scanner")]
#[case("nessus:\n  - instance_id: a\n    type: mock\n    colour: red\n", "scanners.yaml:4:")]
#[case("nessus:\n  - type: mock\n", "scanners.yaml:2: `nessus[0].instance_id` is missing")]
#[case(
    "nessus:\n  - instance_id: a\n    username: x\n    password: y\n",
    "scanners.yaml:2: `nessus[0].url` is missing"
)]
#[case("nessus:\n  - instance_id: a\n    url: ftp://x\n", "scanners.yaml:3: `nessus[0].url` must begin with")]
#[case("nessus:\n  - instance_id: a\n    url: https://u:hunter2@x\n", "must not hold a user name or password")]
#[case("nessus:\n  - instance_id: a\n    password: ${NOT_SET}\n", "scanners.yaml:3: `nessus[0].password` refers to")]
#[case(
    "nessus:\n  - instance_id: a\n    type: mock\n    max_concurrent_scans: 0\n",
    "`nessus[0].max_concurrent_scans` must be"
)]
#[case("nessus:\n  - instance_id: a\n    type: mock\n    enabled: maybe\n", "`nessus[0].enabled` must be")]
#[case(
    "nessus:\n  - {instance_id: a, type: mock}\n  - {instance_id: a, type: mock}\n",
    "two scanners with the instance_id `a`"
)]
#[case("nessus:\n  - {instance_id: a, type: mock}\nnessus:\n  - {instance_id: b, type: mock}\n", "scanners.yaml:3:")]
#[case("nessus: {instance_id: a", "scanners.yaml:")]
#[case("no/pool:\n  - {instance_id: a, type: mock}\n", "pool name")]
#[case(".webhooks:\n  - {instance_id: a, type: mock}\n", "scanners.yaml:1: `.webhooks` is the queue of webhooks")]
#[case("a:\n  - {instance_id: a, type: mock}\nb/c: []\n", "scanners.yaml:3: `b/c` is not a valid pool name")]
#[case("a:\n  - {instance_id: a, type: mock}\nb: []\n", "scanners.yaml:3: pool `b` needs at least one")]
#[case("nessus:\n  - instance_id: a\n    url: https://s:99999\n", "scanners.yaml:3: `nessus[0].url` has the port")]
#[case("nessus:\n  - instance_id: a\n    url: 'https://[::1]:x'\n", "scanners.yaml:3: `nessus[0].url` has the port")]
fn a_broken_file_is_named_with_line_and_key(#[case] text: &str, #[case] expected: &str) {
    let error = parse(text).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains('\n') && !format!("{error:?}").contains("hunter2"), "{message}");
}

/// Whoever mends a file wants to do it once.
#[test]
fn all_faults_of_a_file_are_found_and_what_is_sound_is_read() {
    let text = "nessus:\n  - {instance_id: a, url: ftp://x, username: u, max_concurrent_scans: 0, password: 'p${NONE}'}\n  - {instance_id: b, type: mock}\n\
                no/pool:\n  - {instance_id: a, type: mock}\nlab:\n  - {type: mock, enabled: maybe}\n";
    let found = examine(text, Path::new("scanners.yaml"), &|_| None);
    let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    let expected = [
        "2: `nessus[0].password` refers to",
        "2: `nessus[0].url` must begin",
        "2: `nessus[0].max_concurrent_scans` must be",
        "4: `no/pool` is not",
        "7: `lab[0].enabled` must be",
        "7: `lab[0].instance_id` is missing",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(&format!("scanners.yaml:{expected}")), "{fault}");
    }
    let (nessus, entries) = &found.pools[0];
    assert_eq!((nessus.as_str(), entries.len(), entries[1].is_ok()), ("nessus", 2, true));
}
