//! `rediss://`: encrypted, and only to a server that proves who it is.

use std::path::Path;

use nessus_mcp_lib::durable;
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::Program,
    redis::{FORGETFUL, RedisServer, free_port},
};

const SCANNERS: &str = "nessus:\n  - {instance_id: mock-1, type: mock}\n";

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
fn certificate(directory: &Path) -> [String; 2] {
    let text = "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n[name]\nCN = redis\n\
                [extensions]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    durable::replace(&directory.join("openssl.cnf"), text.as_bytes()).unwrap();
    let arguments = "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -keyout key.pem -out certificate.pem";
    let made = Program::new("openssl").args(arguments.split_whitespace()).current_dir(directory).run();
    assert_eq!(made.code, Some(0), "{made:?}");
    ["certificate.pem", "key.pem"].map(|name| directory.join(name).display().to_string())
}

#[test]
fn redis_over_tls_needs_a_certificate_that_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(directory.path());
    let port = free_port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let options = [&FORGETFUL[..], &tls, &["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"]].concat();
    let redis = RedisServer::with(&options);
    redis.ask(&["LPUSH", "nessus:queue", "{}"]).number();

    let deployment = Deployment::new(SCANNERS).with_queue(format!("rediss://127.0.0.1:{port}"));
    let stats = deployment.program(binaries::admin(), &["stats", "--json"]);
    let trusted = stats.clone().env("SSL_CERT_FILE", &certificate).run();
    assert_eq!(trusted.code, Some(0), "{trusted:?}");
    assert!(trusted.stdout.contains(r#""queued":1"#), "{trusted:?}");
    let stranger = stats.run();
    assert_eq!(stranger.code, Some(69), "{stranger:?}");
    assert!(stranger.stderr.contains("certificate"), "{stranger:?}");
}
