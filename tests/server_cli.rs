//! `nessus-mcp-server` as a process: how it starts, what it refuses to start with, and how it ends.

#[path = "server_cli/install.rs"]
mod install;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use nessus_mcp_tests::{
    deployment::Deployment,
    processes::{Finished, Program, entries},
};
use serde_json::{Value, json};

const MOCK: &str = "lab:\n  - {instance_id: mock-1, type: mock, scan_duration: 300ms}\n";

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"))
}

/// What a run that must fail said, after what holds for every failure: one `error:` line, then perhaps, after a blank
/// line, one `hint:` line, and nothing on stdout. What a person reads first must not drown in log lines.
#[track_caller]
fn refusal(finished: &Finished, code: i32) -> String {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    let lines: Vec<_> = finished.stderr.lines().collect();
    let well_formed = match lines.as_slice() {
        [error] => error.starts_with("error: "),
        [error, "", hint] => error.starts_with("error: ") && hint.starts_with("hint: "),
        _ => false,
    };
    assert!(well_formed, "not one error line and a hint:\n{}", finished.stderr);
    finished.stderr.clone()
}

/// The first command of the README: whoever tries the program sees this first.
#[test]
fn the_demo_ends_with_findings_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Program::new(binary()).args(["demo", "--once"]).env("TMPDIR", directory.path());
    let finished = demo.current_dir(directory.path()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines: Vec<_> = finished.stdout.lines().collect();
    let position = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).unwrap();

    let table = &lines[position("severity   findings") + 2..][..5];
    let counts = table.iter().map(|line| line.split_once(char::is_whitespace).unwrap());
    let counts: Vec<(&str, u32)> = counts.map(|(name, count)| (name, count.trim().parse().unwrap())).collect();
    assert_eq!(counts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Critical", "High", "Medium", "Low", "Info"]);
    let total: u32 = counts.iter().map(|(_, count)| count).sum();
    assert!(total > 5 && finished.stdout.contains(&format!("\n{total} findings on 192.0.2.10-192.0.2.14 in ")));

    let worst = &lines[position("The worst five:") + 4..][..5];
    let expected = counts.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count as usize));
    assert!(worst.iter().zip(expected).all(|(line, severity)| line.starts_with(severity)), "{worst:#?}");
    assert_eq!(entries(directory.path()), [""; 0], "something was left behind");
    assert_eq!(finished.stderr, "");
}

/// Ports are taken all the time: by the server of yesterday, by another agent's.
#[test]
fn a_taken_port_ends_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let deployment = Deployment::new(MOCK);
    let serve = deployment.program(binary(), &["serve"]).args(["--mcp-bind", &address]);
    assert_eq!(
        refusal(&serve.run(), 69),
        format!(
            "error: cannot listen on {address}: Address already in use (os error 98)\n\n\
             hint: another process listens there; stop it, or choose another address with `--mcp-bind`\n"
        )
    );
    let demo = Program::new(binary()).args(["demo", "--once", "--mcp-bind", &address]).run();
    assert!(refusal(&demo, 69).contains("cannot listen on"));
}

/// A start that fails, for whatever reason, leaves nothing behind: neither a data directory nor anything beside it.
#[test]
fn a_start_that_fails_makes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let nessus = |rest: &str| {
        format!("lab:\n  - {{instance_id: a, url: 'https://127.0.0.1:9', username: u, password: p, {rest}}}\n")
    };
    let no_password = "lab:\n  - {instance_id: a, url: 'https://s', username: u, password_file: nowhere}\n";
    let unusable = nessus("ca_file: scanners.yaml");
    let both = ["serve --with-worker", "stdio --with-worker"];
    for (commands, scanners, (name, value), code, said) in [
        (&both[..], MOCK, ("WORKER_POOLS", "lab,nowhere"), 78, "the pool `nowhere`, which is not configured"),
        (&both, MOCK, ("WORKER_POOLS", "lab,no where"), 78, "`WORKER_POOLS`"),
        (&both, MOCK, ("LEASE_SECONDS", "soon"), 78, "`LEASE_SECONDS`"),
        (&both, MOCK, ("MAX_HOSTS_PER_SCAN", "0"), 78, "`MAX_HOSTS_PER_SCAN`"),
        (&both, MOCK, ("CIRCUIT_FAILURES", "0"), 78, "`CIRCUIT_FAILURES`"),
        (&both, MOCK, ("RESULTS_MEMORY_MIB", "1"), 78, "`RESULTS_MEMORY_MIB`"),
        (&both, MOCK, ("LOG_FORMAT", "xml"), 78, "`LOG_FORMAT`"),
        (&both, MOCK, ("QUEUE_URL", "amqp://queue.example"), 78, "`amqp://queue.example`"),
        (&both, MOCK, ("QUEUE_URL", "redis://127.0.0.1/database"), 78, "redis://"),
        (&both, MOCK, ("DATA_URL", "s3://"), 78, "`DATA_URL` names no bucket"),
        (&both, MOCK, ("DATA_URL", "s3://scans"), 78, "hint: name a Redis with `QUEUE_URL`"),
        (&both, MOCK, ("CACHE_MAX_GB", "10001"), 78, "`CACHE_MAX_GB`"),
        (&both, MOCK, ("QUEUE_URL", "redis://127.0.0.1:9"), 69, "is not available"),
        (&both, "lab: []\n", ("", ""), 78, "scanners.yaml:1"),
        (&both, no_password, ("", ""), 78, "`lab[0].password_file`"),
        (&both, &unusable, ("", ""), 78, "scanners.yaml"),
        (&both, MOCK, ("TOOLS", "list_tasks,cancel"), 78, "`TOOLS` names `cancel`, which is no tool; did you mean `"),
        (&both, MOCK, ("EXCLUDE_TOOLS", "cancel_scans"), 78, "did you mean `cancel_scan`?"),
        (
            &both,
            MOCK,
            ("TOOLSETS", "result"),
            78,
            "`TOOLSETS` names `result`, which is no toolset; did you mean `results`?",
        ),
        (&both[..1], MOCK, ("MCP_BIND", &taken), 69, "cannot listen on"),
        (&both[..1], MOCK, ("MCP_BIND", "0.0.0.0:0"), 78, "`MCP_BIND`"),
        (&both[..1], MOCK, ("MCP_ALLOWED_HOSTS", "https://gateway.example"), 78, "`MCP_ALLOWED_HOSTS`"),
        (&both[..1], MOCK, ("MCP_CLIENT_TIMEOUT_SECONDS", "0"), 78, "`MCP_CLIENT_TIMEOUT_SECONDS`"),
    ] {
        for command in commands {
            let deployment = Deployment::new(scanners);
            let command: Vec<_> = command.split(' ').collect();
            let mut program = deployment.program(binary(), &command);
            for (name, value) in [("MCP_BIND", "127.0.0.1:0"), (name, value)] {
                program = if name.is_empty() { program } else { program.env(name, value) };
            }
            let text = refusal(&program.run(), code);
            assert!(text.contains(said), "{command:?} {name}={value}: {text}");
            assert_eq!(entries(deployment.directory()), ["logs", "scanners.yaml"], "{command:?} {name}={value}");
        }
    }
    for (flag, value, code) in [("--mcp-bind", &*taken, 69), ("--mcp-bind", "0.0.0.0:0", 1), ("--targets", "a b/c", 1)]
    {
        let directory = tempfile::tempdir().unwrap();
        let demo = Program::new(binary()).args(["demo", "--once", "--data-dir", "data", flag, value]);
        refusal(&demo.env("TMPDIR", directory.path()).current_dir(directory.path()).run(), code);
        assert_eq!(entries(directory.path()), [""; 0], "demo {flag} {value}");
    }
}

/// With hardly any file to open, a process says so, whatever it would have needed first.
#[test]
fn without_descriptors_nothing_is_started() {
    for most in [8, 34] {
        for command in [&["serve", "--mcp-bind", "127.0.0.1:0"][..], &["stdio"]] {
            let deployment = Deployment::new(MOCK);
            let text = refusal(&deployment.program(binary(), command).with_open_files(most).run(), 1);
            assert!(text.contains("`ulimit -n`") && text.ends_with("Too many open files (os error 24)\n"), "{text}");
            assert!(!deployment.data().exists());
        }
    }
}

/// A mistyped scanner configuration must not start a server without scanners, nor show the passwords in the file.
#[test]
fn a_broken_scanner_configuration_is_named_with_file_line_and_key() {
    let entry = "nessus:\n  - instance_id: a\n    url: https://scanner:8834\n    username: u\n    password: hunter2\n";
    let with = |rest: &str| format!("{entry}    {rest}\n");
    for (scanners, line, named) in [
        (String::new(), 1, "no pools"),
        ("# nothing but a remark\n".to_owned(), 1, "no pools"),
        ("nessus: []\n".to_owned(), 1, "`nessus`"),
        ("lab:\n  - {instance_id: a, type: mock}\nnessus: []\n".to_owned(), 3, "`nessus`"),
        (
            "lab:\n  - {instance_id: a, type: mock}\nthe lab:\n  - {instance_id: a, type: mock}\n".to_owned(),
            3,
            "`the lab`",
        ),
        ("nessus:\n  - {instance_id: a, type: mock}\n  - {instance_id: a, type: mock}\n".to_owned(), 1, "`a`"),
        ("nessus:\n  - instance_id: a\n    url: https://s:88341\n".to_owned(), 3, "`nessus[0].url`"),
        ("nessus: https://scanner\n".to_owned(), 1, ""),
        ("nessus:\n  - {instance_id: a, type: mock}\n - b\n".to_owned(), 3, ""),
        ("nessus:\n  - url: https://scanner:8834\n    password: hunter2\n".to_owned(), 2, "`nessus[0].instance_id`"),
        ("nessus:\n  - instance_id: a b\n    password: hunter2\n".to_owned(), 2, "`nessus[0].instance_id`"),
        (
            "nessus:\n  - instance_id: a\n    url: https://s\n    password: hunter2\n".to_owned(),
            2,
            "`nessus[0].username`",
        ),
        ("nessus:\n  - instance_id: a\n    url: https://s\n    username: u\n".to_owned(), 2, "`nessus[0].password`"),
        ("nessus:\n  - instance_id: a\n    password: ${NOT_SET_ANYWHERE}\n".to_owned(), 3, "NOT_SET_ANYWHERE"),
        ("nessus:\n  - instance_id: a\n    url: https://u:hunter2@s\n".to_owned(), 3, "`nessus[0].url`"),
        // Only the end of the file shows that the quote is never closed.
        ("nessus:\n  - instance_id: a\n    password: 'hunter2\n".to_owned(), 4, ""),
        ("nessus:\n  - instance_id: a\n    password: [hunter2]\n".to_owned(), 3, ""),
        ("nessus:\n  - instance_id: a\n    passwrod: hunter2\n".to_owned(), 3, "passwrod"),
        ("nessus:\n  - instance_id: a\n    password: hunter2: x\n".to_owned(), 3, ""),
        (with("type: nesus"), 6, "`nessus[0].type`"),
        (with("enabled: perhaps"), 6, "`nessus[0].enabled`"),
        (with("max_concurrent_scans: many"), 6, "`nessus[0].max_concurrent_scans`"),
        (with("max_concurrent_scans: 0"), 6, "`nessus[0].max_concurrent_scans`"),
        (with("verify_tls: 2"), 6, "`nessus[0].verify_tls`"),
        (with("password: hunter2"), 6, "password"),
    ] {
        let deployment = Deployment::new(&scanners);
        let text = refusal(&deployment.server(binary()).run(), 78);
        let place = format!("error: {}:{line}: ", deployment.scanners_yaml().display());
        assert!(text.starts_with(&place) && text.contains(named), "{scanners}\n->\n{text}");
        assert!(!text.contains("hunter2"), "a password is shown: {text}");
        assert!(!deployment.data().exists(), "something was made for\n{scanners}");
    }
}

/// Without a configuration a newcomer needs to know what to do, and must not be served by scanners that only play.
#[test]
fn without_a_scanner_configuration_an_example_is_written_and_it_ends_with_78() {
    let deployment = Deployment::new(MOCK);
    let missing = deployment.path("nowhere.yaml");
    for (command, first) in [("serve", true), ("stdio", false)] {
        let program = Program::new(binary()).args([command, "--scanner-config"]).arg(&missing);
        let program = program.env("MCP_BIND", "127.0.0.1:0").arg("--data-dir").arg(deployment.data());
        let text = refusal(&program.run(), 78);
        let shown = missing.display();
        if first {
            assert!(text.starts_with(&format!("error: there is no `{shown}`: an example was written there")), "{text}");
            assert!(text.contains("hint: ") && text.contains("SCANNER_CONFIG"), "{text}");
        } else {
            assert!(text.starts_with(&format!("error: {shown}:1: the file has no pools")), "not edited yet: {text}");
        }
        assert_eq!(std::fs::read_to_string(&missing).unwrap(), nessus_mcp_lib::config::EXAMPLE_SCANNERS);
        assert!(!deployment.data().exists());
    }
    let elsewhere = deployment.path("no/folder.yaml");
    let serve = Program::new(binary()).args(["serve", "--scanner-config"]).arg(&elsewhere);
    let text = refusal(&serve.env("MCP_BIND", "127.0.0.1:0").arg("--data-dir").arg(deployment.data()).run(), 78);
    assert!(text.starts_with(&format!("error: cannot read `{}`: No such file", elsewhere.display())), "{text}");
}

/// The tests may run as root, whom no permission stops: a directory below a file cannot be made by anybody.
#[test]
fn a_data_directory_that_cannot_be_used_ends_with_78() {
    let deployment = Deployment::new(MOCK);
    let impossible = deployment.scanners_yaml().join("data");
    for command in ["serve", "stdio"] {
        let program =
            Program::new(binary()).arg(command).env("MCP_BIND", "127.0.0.1:0").arg("--data-dir").arg(&impossible);
        let text = refusal(&program.arg("--scanner-config").arg(deployment.scanners_yaml()).run(), 78);
        assert!(text.contains(&*impossible.to_string_lossy()) && text.contains("`DATA_DIR`"), "{text}");
    }
    let demo = Program::new(binary()).args(["demo", "--once", "--mcp-bind", "127.0.0.1:0", "--data-dir"]);
    assert!(refusal(&demo.arg(&impossible).run(), 78).contains(&*impossible.to_string_lossy()));
}

/// Every setting is checked before anything is opened, and named as the operator wrote it.
#[test]
fn a_bad_setting_ends_with_78_and_its_name() {
    for (name, value, expected) in [
        // Without tokens, whoever reaches the port may scan.
        ("MCP_BIND", "0.0.0.0:0", "loopback"),
        ("MCP_BIND", "[::]:0", "loopback"),
        ("MCP_BIND", "192.0.2.1:8835", "loopback"),
        ("MCP_BIND", "8835", "127.0.0.1:8835"),
        ("ADMIN_BIND", "0.0.0.0:0", "loopback"),
        ("ADMIN_BIND", "localhost", "127.0.0.1:8835"),
        ("UI_BIND", "8835", "127.0.0.1:8835"),
        ("UI_BIND", "0.0.0.0:0", "loopback"),
        ("TRUSTED_PROXIES", "proxy.example", "`proxy.example`"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "every address"),
        ("MCP_CLIENT_TIMEOUT_SECONDS", "0", "100ms to 1h"),
        ("MCP_CLIENT_TIMEOUT_SECONDS", "2h", "100ms to 1h"),
        ("MCP_MAX_REQUESTS_PER_CLIENT", "0", "1 to 256"),
        ("MCP_MAX_REQUESTS_PER_CLIENT", "257", "1 to 256"),
        ("TOOLS", "list_tasks,,cancel_scan", "an empty name"),
        ("TOOLSETS", " ", "names nothing"),
        ("LOG_LEVEL", "loud", "info"),
        ("LOG_LEVEL", "info,nessus_mcp_lib=loud", "info"),
        ("LOG_FORMAT", "xml", "`json` or `text`"),
        ("QUEUE_URL", "queue.db", "sqlite:"),
        ("QUEUE_URL", "amqp://user:hunter2@host/?token=hunter2", "sqlite"),
        ("QUEUE_URL", "sqlite:", "sqlite:"),
        ("QUEUE_URL", "redis://me:hunter2@127.0.0.1/database", "redis://"),
        ("QUEUE_URL", "redis+cluster://me:hunter2@a,,b", "`redis+cluster://a,,b`"),
        ("QUEUE_URL", "redis+sentinel://me:hunter2@127.0.0.1", "MASTER_NAME"),
        ("LEASE_SECONDS", "soon", "LEASE_SECONDS"),
        ("POLL_INTERVAL_SECONDS", "0", "POLL_INTERVAL_SECONDS"),
        ("SCAN_TIMEOUT_HOURS", "-1", "SCAN_TIMEOUT_HOURS"),
    ] {
        let deployment = Deployment::new(MOCK);
        let serve = deployment.program(binary(), &["serve"]).env("MCP_BIND", "127.0.0.1:0").env(name, value);
        let text = refusal(&serve.run(), 78);
        assert!(text.contains(expected), "{name}={value}\n{text}");
        let named = text.contains(&format!("`{name}`")) || name == "QUEUE_URL";
        assert!(named, "{name}={value}\n{text}");
        assert!(!text.contains("hunter2"), "a password is shown: {text}");
        assert!(!deployment.data().exists(), "something was made for {name}={value}");
    }
}

/// A queue that is not there may come: a supervisor starts the process again, which it does not for a wrong setting.
#[test]
fn an_unreachable_queue_ends_with_69_and_leaves_nothing() {
    let deployment = Deployment::new(MOCK).with_queue("redis://me:hunter2@127.0.0.1:9");
    let text = refusal(&deployment.server(binary()).run(), 69);
    assert!(
        text.starts_with("error: the queue at redis://127.0.0.1:9 is not available: the connection is refused"),
        "{text}"
    );
    assert!(text.contains("hint: ") && text.contains("`QUEUE_URL`") && !text.contains("hunter2"), "{text}");
    assert!(!deployment.data().exists());
}

/// A queue URL holds a password. Neither a failure nor the help, which shows values of variables, may print it.
#[test]
fn the_password_of_a_queue_url_is_never_printed() {
    let url = "redis+nonsense://gateway:hunter2@127.0.0.1:1/0";
    for name in ["QUEUE_URL", "REDIS_URL"] {
        let deployment = Deployment::new(MOCK);
        let serve = deployment.server(binary()).env(name, url).env("LOG_LEVEL", "trace");
        let finished = serve.run();
        assert_eq!(finished.code, Some(78), "{finished:?}");
        let help = Program::new(binary()).args(["serve", "--help"]).env(name, url).run();
        assert_eq!(help.code, Some(0));
        for text in [finished.stdout, finished.stderr, help.stdout, help.stderr] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

/// Wrong usage is told apart from wrong configuration.
#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["server"][..], &["serve", "--colour", "red"], &["demo", "--mcp-bind", "nowhere"], &[]] {
        let finished = Program::new(binary()).args(arguments).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
    }
}

/// A supervisor that stops the server waits for it; agents keep connections open for hours. Connections that are idle,
/// or on which nothing was ever said, are closed as if they were not there.
#[test]
fn sigterm_ends_with_0_although_connections_are_open() {
    let deployment = Deployment::new(MOCK);
    let mut server = deployment.serve(&deployment.server(binary()).arg("--with-worker"));
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let silent = connect();
    let mut idle = connect();
    idle.write_all(format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert_eq!(server.process.terminate(), Some(0), "{}", server.process.tail());
    assert!(!server.process.log().contains("closed before their requests"), "{}", server.process.tail());
    drop((silent, idle));
}

/// A client that died in the middle of a request never sends the rest: its connection is closed in the end.
#[test]
fn sigterm_ends_with_0_although_a_request_is_half_sent() {
    let deployment = Deployment::new(MOCK);
    let mut server = deployment.serve(&deployment.server(binary()));
    let mut halfway = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    halfway.write_all(b"GET /health HTTP/1.1\r\nHost: 127").unwrap();
    assert_eq!(server.process.terminate(), Some(0), "{}", server.process.tail());
}

/// An agent that starts the server itself reads its stdout: one stray line there breaks the protocol, and an agent that
/// goes away must not leave a server behind.
#[test]
fn stdio_carries_the_protocol_and_nothing_else() {
    let deployment = Deployment::new(MOCK);
    let program = deployment.program(binary(), &["stdio", "--with-worker"]).args(["--log-level", "debug"]).with_input();
    let mut process = deployment.start(&program);
    let send = |process: &mut nessus_mcp_tests::processes::Process, message: Value| process.send(&message.to_string());
    let client = json!({ "name": "test", "version": "0" });
    let parameters = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    send(&mut process, json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters }));
    let answered = |id: u64| {
        move |line: &str| serde_json::from_str::<Value>(line).ok().filter(|message| message["id"] == json!(id))
    };
    let initialized = process.wait_for_line("the answer to initialize", answered(1));
    assert_eq!(initialized["result"]["serverInfo"]["name"], "nessus-mcp-server");
    send(&mut process, json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    send(&mut process, json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }));
    let listed = process.wait_for_line("the tools", answered(2));
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 18);
    let arguments = json!({ "targets": "192.0.2.1", "name": "over stdio" });
    let call = json!({ "name": "run_untrusted_scan", "arguments": arguments });
    send(&mut process, json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call }));
    let submitted = process.wait_for_line("the answer to the call", answered(3));
    assert_eq!(submitted["result"]["structuredContent"]["status"], "queued", "{submitted}");
    process.close_input();
    assert_eq!(process.wait().code(), Some(0), "{}", process.tail());
    for line in process.stdout().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
    }
}

/// A client that only looks whether the program starts, as agents do when they are configured.
#[test]
fn stdio_without_a_client_ends_with_0() {
    let deployment = Deployment::new(MOCK);
    let finished = deployment.program(binary(), &["stdio"]).run();
    assert_eq!((finished.code, &*finished.stdout), (Some(0), ""), "{finished:?}");
}
