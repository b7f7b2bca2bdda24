//! What the configuration of a scanner decides: whom to trust, how to get there, who one is, what may be done.

use std::{path::Path, process::Command, sync::Arc};

use rstest::rstest;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sha2::Digest as _;
use wiremock::matchers::body_partial_json;

use super::*;
use crate::{config::ApiKeys, error::Classified as _};

const ACCESS_KEY: &str = "plantedaccess";
const SECRET_KEY: &str = "plantedsecret";

fn keys() -> ApiKeys {
    ApiKeys::new(Secret::new(ACCESS_KEY), Secret::new(SECRET_KEY))
}

/// A certificate for this address that is self-signed, and its key, in PEM.
fn certificate(address: &str) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let settings = format!(
        "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n[name]\nCN = nessus\n\
         [extensions]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:{address}\n"
    );
    crate::durable::replace(&file("openssl.cnf"), settings.as_bytes()).unwrap();
    let arguments = "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                     -keyout key.pem -out certificate.pem";
    let made =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(directory.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&file("certificate.pem")), read(&file("key.pem")))
}

/// A scanner behind TLS that says once that it is loading, to whoever trusts it.
fn tls_scanner(certificate: &str, key: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut request = [0; 4096];
        // Whoever does not trust the certificate hangs up.
        if tls.read(&mut request).is_ok() {
            let _ = tls.write_all(raw(r#"{"status":"loading","progress":1}"#).as_bytes());
            let _ = tls.flush();
        }
    });
    url
}

fn fingerprint(certificate: &str) -> [u8; 32] {
    sha2::Sha256::digest(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).into()
}

#[tokio::test]
async fn a_scanner_is_believed_by_its_authority_or_its_fingerprint() {
    let (mine, key) = certificate("127.0.0.1");
    let (elsewhere, elsewhere_key) = certificate("127.0.0.2");
    let other = certificate("127.0.0.1").0;
    let cases = [
        (TlsTrust::AnyCertificate, &mine, &key, true),
        (TlsTrust::Authorities(mine.clone()), &mine, &key, true),
        (TlsTrust::Pinned(fingerprint(&mine)), &mine, &key, true),
        (TlsTrust::Pinned(fingerprint(&elsewhere)), &elsewhere, &elsewhere_key, true),
        (TlsTrust::Verified, &mine, &key, false),
        (TlsTrust::Authorities(other.clone()), &mine, &key, false),
        (TlsTrust::Authorities(elsewhere.clone()), &elsewhere, &elsewhere_key, false),
        (TlsTrust::Pinned(fingerprint(&other)), &mine, &key, false),
    ];
    for (number, (trust, certificate, key, is_trusted)) in cases.into_iter().enumerate() {
        let url = tls_scanner(certificate, key);
        let error = NessusScanner::new(config(url).tls_trust(trust)).unwrap().properties().await.unwrap_err();
        if is_trusted {
            assert!(matches!(error, ScannerError::NotReady(_)), "case {number}: {error:?}");
        } else {
            let ScannerError::Certificate(message) = &error else { panic!("case {number}: {error:?}") };
            assert!(message.contains("certificate") && message.contains("tls_pin_sha256"), "case {number}: {message}");
            assert!(!error.is_retryable());
        }
    }
}

#[rstest]
#[case("")]
#[case("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
fn an_authority_that_is_none_is_a_configuration_error(#[case] pem: &str) {
    let trust = TlsTrust::Authorities(pem.to_owned());
    let error = NessusScanner::new(config("https://127.0.0.1:1").tls_trust(trust)).unwrap_err();
    assert!(matches!(&error, ScannerError::Configuration(_)), "{error:?}");
}

#[tokio::test]
async fn a_proxy_is_used_only_when_it_is_configured() {
    let proxy = scanner_with_logins(1).await;
    call("GET", "/scans/1").respond_with(ok(running(7))).mount(&proxy).await;
    let through = config("http://nessus.invalid:8834").proxy(Secret::new(proxy.uri()));
    let scanner = NessusScanner::new(through).unwrap();
    assert_eq!(scanner.status(&ScanId::from(1)).await.unwrap().progress, Some(7));
    let hosts = proxy.received_requests().await.unwrap();
    assert!(hosts.iter().all(|request| request.headers.get("host").unwrap() == "nessus.invalid:8834"), "{hosts:?}");

    let wrong = config("http://nessus.invalid:8834").proxy(Secret::new("http://me:planted-password@ bad"));
    assert_keeps_secrets(&NessusScanner::new(wrong).unwrap_err());
}

#[tokio::test]
async fn api_keys_read_without_a_session_and_say_what_they_cannot_do() {
    let server = scanner().await;
    let shown = format!("accessKey={ACCESS_KEY}; secretKey={SECRET_KEY}");
    let read = || call("GET", "/scans/1").and(header("X-ApiKeys", shown.as_str()));
    read().respond_with(ok(running(7))).mount(&server).await;
    let words = format!("API is not available {SECRET_KEY}");
    call("POST", "/scans/1/launch").respond_with(refusal(412, &words)).mount(&server).await;
    let config = NessusConfig::new(server.uri(), "", Secret::new("")).api_keys(keys());
    let scanner = NessusScanner::new(config).unwrap();
    let scan = ScanId::from(1);
    assert_eq!(scanner.status(&scan).await.unwrap().progress, Some(7));
    let error = scanner.launch(&scan).await.unwrap_err();
    let ScannerError::ApiNotAvailable(message) = &error else { panic!("{error:?}") };
    assert!(message.contains("`username` and `password`") && message.contains("[redacted]"), "{message}");
    assert!(!message.contains(SECRET_KEY) && !message.contains(ACCESS_KEY), "{message}");
    scanner.close().await;
    assert_eq!(requests(&server, "POST", "/session").await, 0);
}

#[tokio::test]
async fn api_keys_that_are_refused_are_no_expired_session() {
    let server = scanner().await;
    call("GET", "/scans/1").respond_with(refusal(401, "Invalid Credentials")).expect(2).mount(&server).await;
    let config = NessusConfig::new(server.uri(), "", Secret::new("")).api_keys(keys());
    let error = NessusScanner::new(config).unwrap().status(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(&error, ScannerError::AuthenticationRefused(text) if text.contains("API keys")), "{error:?}");
    assert_eq!(requests(&server, "GET", "/server/status").await, 2, "before the first use, and after the refusal");
}

/// A scanner that starts refuses keys that it will accept in a moment.
#[tokio::test]
async fn api_keys_are_shown_to_a_scanner_that_is_ready() {
    let server = scanner().await;
    let says = |status: &str| ok(json!({ "status": status }));
    for status in ["loading", "ready", "loading", "ready"] {
        call("GET", "/server/status").respond_with(says(status)).up_to_n_times(1).expect(1).mount(&server).await;
    }
    call("GET", "/scans/1").respond_with(refusal(401, "Invalid Credentials")).up_to_n_times(1).mount(&server).await;
    call("GET", "/scans/1").respond_with(ok(running(7))).expect(2).mount(&server).await;
    let scanner = NessusScanner::new(NessusConfig::new(server.uri(), "", Secret::new("")).api_keys(keys())).unwrap();
    let scan = ScanId::from(1);
    for shown in [0, 1] {
        let error = scanner.status(&scan).await.unwrap_err();
        assert!(matches!(error, ScannerError::NotReady(_)), "{error:?}");
        assert_eq!(requests(&server, "GET", "/scans/1").await, shown);
    }
    for _ in 0..2 {
        assert_eq!(scanner.status(&scan).await.unwrap().progress, Some(7));
    }
}

#[tokio::test]
async fn with_both_the_login_is_used_where_the_keys_do_not_do() {
    let server = scanner_with_logins(1).await;
    let read = call("GET", "/scans/1").and(wiremock::matchers::header_exists("X-ApiKeys"));
    read.respond_with(ok(json!({ "info": { "status": "empty" } }))).expect(1).mount(&server).await;
    let launched = ok(json!({ "scan_uuid": "run-1" }));
    call_with("POST", "/scans/1/launch", "first").respond_with(launched).expect(1).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).api_keys(keys())).unwrap();
    assert_eq!(scanner.launch(&ScanId::from(1)).await.unwrap().as_deref(), Some("run-1"));
}

#[tokio::test]
async fn without_login_and_keys_nothing_is_asked() {
    // A disabled entry needs neither, so it is no error before the first call.
    let server = scanner().await;
    let nobody = NessusScanner::new(NessusConfig::new(server.uri(), "", Secret::new(""))).unwrap();
    let error = nobody.status(&ScanId::from(1)).await.unwrap_err();
    assert!(matches!(error, ScannerError::Configuration(_)), "{error:?}");
    let shown = format!("{:?}", config("http://127.0.0.1:1").api_keys(keys()).proxy(Secret::new("http://planted@x")));
    assert!(!shown.contains("planted"), "{shown}");
}

async fn scanner_with_templates() -> MockServer {
    let server = scanner_with_logins(1).await;
    let template = |name: &str| json!({ "name": name, "uuid": format!("uuid-{name}") });
    let templates = json!({ "templates": [template("basic"), template("discovery"), template("malware")] });
    call("GET", "/editor/scan/templates").respond_with(ok(templates)).mount(&server).await;
    call("POST", "/scans").respond_with(ok(json!({ "scan": { "id": 57 } }))).with_priority(200).mount(&server).await;
    server
}

#[tokio::test]
async fn a_template_the_operator_does_not_allow_is_not_used() {
    let server = scanner_with_templates().await;
    let allowed = ["basic", "discovery"].map(str::to_owned);
    let scanner = NessusScanner::new(config(server.uri()).allowed_templates(allowed)).unwrap();
    let mut request = ScanRequest::new("m", "n", "192.0.2.1");
    request.basis = ScanBasis::template("malware");
    let error = scanner.create(&request).await.unwrap_err();
    let ScannerError::UnknownTemplate { available, .. } = &error else { panic!("{error:?}") };
    assert_eq!(available, &["basic", "discovery"]);
    assert_eq!(requests(&server, "POST", "/scans").await, 0);
    request.basis = ScanBasis::template("discovery");
    scanner.create(&request).await.unwrap();
}

#[rstest]
#[case::by_type("MAIN", Some(3))]
#[case::by_name("agents", Some(18))]
#[case::unknown("planted folder", None)]
#[tokio::test]
async fn a_folder_is_looked_up(#[case] folder: &str, #[case] id: Option<u64>) {
    let server = scanner_with_templates().await;
    let folders = json!({ "folders": [
        { "id": 2, "type": "trash", "name": "Trash" },
        { "id": "18", "type": "custom", "name": "Agents" },
        { "id": 3, "type": "main", "name": "My Scans" },
    ]});
    call("GET", "/folders").respond_with(ok(folders)).mount(&server).await;
    let expected = json!({ "settings": { "folder_id": id } });
    let created = ok(json!({ "scan": { "id": 58 } }));
    call("POST", "/scans").and(body_partial_json(expected)).respond_with(created).mount(&server).await;
    let scanner = NessusScanner::new(config(server.uri()).folder(folder)).unwrap();
    match scanner.create(&ScanRequest::new("m", "n", "192.0.2.1")).await {
        Ok(scan) => assert!(id.is_some() && scan == ScanId::from(58), "{scan}"),
        Err(error) => {
            assert!(id.is_none() && error.code() == "scanner_configuration", "{error:?}");
            assert!(error.to_string().contains("My Scans"), "{error}");
        }
    }
}
