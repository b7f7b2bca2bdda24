//! `health`: what a container asks.

use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    redis::{RedisServer, free_port},
};

use crate::{MOCKS, alone};

#[test]
fn a_server_that_lives_is_told_from_one_that_is_ready() {
    let mut redis = RedisServer::start();
    let deployment = Deployment::new(MOCKS).with_queue(redis.url());
    let mut server = deployment.serve(&deployment.server(binaries::server()));
    let asked = |arguments: &[&str]| alone(&[&["health"], arguments].concat());
    let (live, ready) = (asked(&[server.url()]), asked(&["--ready", server.url()]));
    assert_eq!((live.code, &*live.stdout), (Some(0), "live\n"), "{live:?}");
    assert_eq!((ready.code, &*ready.stdout), (Some(0), "ready\n"), "{ready:?}");
    redis.kill();
    let (live, ready) = (asked(&[server.url()]), asked(&["--ready", server.url()]));
    assert_eq!((live.code, &*live.stdout), (Some(0), "live\n"), "{live:?}");
    assert_eq!(ready.code, Some(69), "{ready:?}");
    assert!(ready.stderr.contains("/health/ready answers with the status 503"), "{}", ready.stderr);
    server.process.kill();
    let gone = asked(&[server.url()]);
    assert!(gone.code == Some(69) && gone.stderr.contains("/health/live does not answer"), "{gone:?}");
}

#[test]
fn what_is_no_address_is_refused() {
    for url in ["", "127.0.0.1:8835", "ftp://127.0.0.1", "http://me:hunter2@127.0.0.1:8835"] {
        let refused = alone(&["health", url]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("https://ADDRESS:PORT") && !refused.stderr.contains("hunter2"), "{refused:?}");
    }
    let nobody = alone(&["health", &format!("https://localhost:{}", free_port())]);
    assert_eq!(nobody.code, Some(69), "{nobody:?}");
}
