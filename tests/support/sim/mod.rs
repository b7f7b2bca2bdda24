//! A simulated Nessus scanner: stateful, on loopback, over plain HTTP.
//!
//! It exists because no test may need a real scanner, and because a mock that answers canned replies cannot show
//! what the gateway promises: that a scan is created and launched once, whatever is killed. The simulator keeps
//! sessions, scans, runs and export files, moves them along by the clock, and counts what it was asked to do.
//! What it answers follows the recorded behaviour of Nessus 8 to 10; it was built without one.
//!
//! ```no_run
//! # async fn example() {
//! use std::time::Duration;
//! use nessus_mcp_tests::sim::{NessusSim, SimConfig};
//! let sim = NessusSim::start(SimConfig::new().scan_duration(Duration::from_millis(200))).await;
//! println!("a scanner at {}", sim.url());
//! assert_eq!(sim.stats().total_launches, 0);
//! # }
//! ```
//!
//! The rooms, from the ground up; a room uses only those above it:
//! ```text
//! wire      what comes in and goes out, free of any HTTP library but at its edge
//! config    what can be chosen              targets   the hosts behind `text_targets`
//! plugins   texts of the findings           findings  which finding stands on which host
//! report    the .nessus and csv writers     files     export files that wait to be fetched
//! run       the life of one launch, computed from the clock
//! templates, tokens, stats                  state     everything remembered between requests
//! session server editor scans details export          the endpoints, one room for each kind
//! routes    the table of endpoints and who may call them
//! control   the second port, for tests in other processes
//! ```
//!
//! Nothing runs in the background: a scan's status is computed when somebody asks. A test that injects a
//! [`ManualClock`](nessus_mcp_lib::time::ManualClock) therefore decides when a scan completes.
//!
//! Known limit: wiremock keeps a copy of each request it has matched, so memory grows by about a kilobyte a call.

#![expect(
    clippy::unnecessary_wraps,
    reason = "the endpoints share one signature, whether or not each can fail, and so do the score constants"
)]

mod config;
mod control;
mod details;
mod editor;
mod export;
mod files;
mod findings;
mod plugins;
mod report;
mod routes;
mod run;
mod scans;
mod server;
mod session;
mod state;
mod stats;
mod targets;
mod templates;
mod tokens;
mod wire;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

use wiremock::{Mock, MockServer, matchers::any};

pub use self::{
    config::{Edition, SimConfig},
    findings::{Finding, findings},
    plugins::{Plugin, Score},
    report::{ReportHost, ReportInput, write_csv, write_nessus},
    stats::Stats,
    targets::{Expansion, TargetsError, expand},
};
use self::{
    state::{Shared, State},
    wire::{Answer, OnWiremock},
};

/// A running simulated scanner. Dropping it closes its connections and, a moment later, its ports.
#[derive(Debug)]
pub struct NessusSim {
    shared: Shared,
    scanner: MockServer,
    control: Option<MockServer>,
}

impl NessusSim {
    /// Starts a scanner that listens on 127.0.0.1 when this returns.
    ///
    /// # Panics
    /// When a port is taken; [`try_start`](Self::try_start) says so instead.
    pub async fn start(config: SimConfig) -> Self {
        match Self::try_start(config).await {
            Ok(sim) => sim,
            Err(error) => panic!("the simulated scanner cannot start: {error}"),
        }
    }

    /// Starts a scanner that listens on 127.0.0.1 when this returns.
    ///
    /// # Errors
    /// When the port or the control port cannot be bound; the message names the port.
    pub async fn try_start(config: SimConfig) -> io::Result<Self> {
        let port = config.port;
        let control_port = config.control_port;
        // Both ports are bound before either is served, so that a failure leaves nothing behind.
        let listener = bind(port)?;
        let control_listener = control_port.map(bind).transpose()?;
        let shared = Shared::new(State::new(config));
        let scanner = serve(listener, routes::Scanner::new(shared.clone())).await;
        let control = match control_listener {
            Some(listener) => Some(serve(listener, control::Control::new(shared.clone())).await),
            None => None,
        };
        Ok(Self { shared, scanner, control })
    }

    /// The scanner's base URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.scanner.uri()
    }

    /// The base URL of the control port, where `GET /stats` answers [`Stats`] as JSON; none unless configured.
    pub fn control_url(&self) -> Option<String> {
        self.control.as_ref().map(MockServer::uri)
    }

    /// What the scanner has seen so far.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    /// The `X-API-Token` that `/nessus6.js` gives away.
    pub fn api_token(&self) -> String {
        self.shared.lock().api_token.clone()
    }

    /// The tokens of all sessions so far, those that have ended included: what must stand in no log.
    pub fn session_tokens(&self) -> Vec<String> {
        self.shared.lock().sessions.given().to_vec()
    }

    /// Ends every session, as a restart of the scanner does.
    pub fn drop_sessions(&self) {
        self.shared.lock().sessions.clear();
    }

    /// Replaces the `X-API-Token`, as an upgrade of the scanner does; returns the new one.
    pub fn rotate_api_token(&self) -> String {
        self.shared.lock().rotate_api_token()
    }

    /// A `scanners.yaml` with this scanner as the only instance of the pool `nessus`.
    pub fn scanners_yaml(&self) -> String {
        self.shared.lock().config.scanners_yaml(&self.url())
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}")))
}

async fn serve(listener: TcpListener, answer: impl Answer) -> MockServer {
    let server = MockServer::builder().listener(listener).disable_request_recording().start().await;
    Mock::given(any()).respond_with(OnWiremock(answer)).mount(&server).await;
    server
}
