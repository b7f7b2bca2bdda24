//! A simulated Nessus scanner: stateful, on loopback, and as unreliable as a test wants it.
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
//! The modules, lowest first; each uses only those above it:
//! ```text
//! wire      requests, free of any HTTP library     reply     what comes back, and how it travels
//! front     the HTTP server                         wiremock_fixture  wiremock's server instead
//! config    what can be chosen                      targets   the hosts behind `text_targets`
//! plugins   texts of the findings                   findings  which finding stands on which host
//! authentication  how the logins on a host end      certificates  for https
//! report    the .nessus and csv writers             files     export files that wait to be fetched
//! run       the life of one launch, computed from the clock
//! templates, tokens, stats                          state     everything remembered between requests
//! policies  what people made on the scanner, and what scans are made of
//! session server editor scans details export        the endpoints, one module for each kind
//! credentials  what scans log in with, and what of it may be seen
//! faults    everything that can go wrong
//! routes    the table of endpoints and who may call them
//! control   the second port, for tests in other processes
//! ```
//!
//! Nothing runs in the background: a scan's status is computed when somebody asks. A test that injects a
//! [`ManualClock`](nessus_mcp_lib::time::ManualClock) therefore decides when a scan completes.
//!
//! No request is kept: a scanner that has answered for a day is as large as before. Only the counts of
//! [`Stats::creates`] and the tokens of [`NessusSim::session_tokens`] grow, by a line for each scan and session.

#![expect(
    clippy::unnecessary_wraps,
    reason = "the endpoints share one signature, whether or not each can fail, and so do the score constants"
)]

mod authentication;
mod certificates;
mod config;
mod control;
mod credentials;
mod details;
mod editor;
mod export;
mod faults;
mod files;
mod findings;
mod front;
mod plugins;
mod policies;
mod reply;
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
mod wiremock_fixture;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

use nessus_mcp_lib::secret::Secret;
use wiremock::MockServer;

pub use self::{
    authentication::Authentication,
    certificates::Certificate,
    config::{Acknowledgement, BodyLength, DoubleLaunch, Edition, Exporting, SimConfig, Trust},
    credentials::SentCredential,
    faults::{Fault, FaultError, When},
    findings::{Finding, findings},
    plugins::{Plugin, Score},
    report::{ReportHost, ReportInput, write_csv, write_nessus},
    stats::{MadeOf, Stats},
    targets::{Expansion, TargetsError, expand},
};
use self::{
    certificates::Certificates,
    control::Control,
    faults::Faults,
    front::{Door, Front, Gate},
    routes::Scanner,
    state::{Shared, State},
};

/// A running simulated scanner. Dropping it breaks its connections and frees its ports.
#[derive(Debug)]
pub struct NessusSim {
    shared: Shared,
    faults: Faults,
    scanner: Served,
    control: Option<Front>,
}

/// Who serves the scanner's port.
#[derive(Debug)]
enum Served {
    /// The own server, and what it shows when it speaks TLS.
    Own(Front, Option<Certificates>),
    /// A server of wiremock, at this URL.
    Wiremock(String),
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
    #[expect(clippy::unused_async, reason = "a caller shall not care whether starting takes time")]
    pub async fn try_start(config: SimConfig) -> io::Result<Self> {
        let port = config.port;
        let control_port = config.control_port;
        // Both ports are bound before either is served, so that a failure leaves nothing behind.
        let listener = bind(port)?;
        let control_listener = control_port.map(bind).transpose()?;
        let certificates = config.certificate.map(|_| Certificates::make()).transpose()?;
        let door = Door::new();
        let (shared, faults) = memory(config, door.clone());
        let gate = Gate { door, certificates: certificates.clone() };
        let scanner = Front::start(listener, Scanner::new(shared.clone(), faults.clone()), gate)?;
        let control = Control::new(shared.clone(), faults.clone());
        let control = control_listener.map(|listener| Front::start(listener, control, Gate::open())).transpose()?;
        Ok(Self { shared, faults, scanner: Served::Own(scanner, certificates), control })
    }

    /// A scanner that answers on a server of wiremock, behind the other mocks of the server.
    ///
    /// wiremock has no hold on its connections: a fault that would break one is answered with 501. The ports of the
    /// configuration do not matter, and there is no control port.
    pub async fn mount_on(server: &MockServer, config: SimConfig) -> Self {
        let (shared, faults) = memory(config, Door::new());
        wiremock_fixture::mount(Scanner::new(shared.clone(), faults.clone()), server).await;
        Self { shared, faults, scanner: Served::Wiremock(server.uri()), control: None }
    }

    /// The scanner's base URL, without a slash at the end.
    pub fn url(&self) -> String {
        match &self.scanner {
            Served::Own(front, None) => format!("http://{}", front.address()),
            Served::Own(front, Some(_)) => format!("https://{}", front.address()),
            Served::Wiremock(url) => url.clone(),
        }
    }

    /// The base URL of the control port; none unless configured.
    ///
    /// There `GET /stats` answers [`Stats`], `GET /faults` lists the faults that can be injected, and `POST /faults`
    /// injects them, all as JSON.
    pub fn control_url(&self) -> Option<String> {
        self.control.as_ref().map(|front| format!("http://{}", front.address()))
    }

    /// What the scanner has seen so far.
    pub fn stats(&self) -> Stats {
        Control::new(self.shared.clone(), self.faults.clone()).stats()
    }

    /// Injects a fault; it is effective when this returns.
    ///
    /// # Panics
    /// When there is no such fault; [`try_inject`](Self::try_inject) says so instead.
    pub fn inject(&self, fault: Fault) {
        if let Err(error) = self.try_inject(fault) {
            panic!("{error}");
        }
    }

    /// Injects a fault; it is effective when this returns.
    ///
    /// # Errors
    /// When there is no such fault.
    pub fn try_inject(&self, fault: Fault) -> Result<(), FaultError> {
        self.faults.inject(&mut self.shared.lock(), vec![fault])?;
        self.settle();
        Ok(())
    }

    /// Ends all faults. What they have done to scans and sessions stays.
    pub fn clear_faults(&self) {
        self.faults.clear(None);
        self.settle();
    }

    fn settle(&self) {
        if matches!(self.scanner, Served::Own(..)) {
            self.faults.settle();
        }
    }

    /// The `X-API-Token` that `/nessus6.js` gives away.
    pub fn api_token(&self) -> String {
        self.shared.lock().api_token.clone()
    }

    /// The tokens of all sessions so far, those that have ended included: what must stand in no log.
    pub fn session_tokens(&self) -> Vec<String> {
        self.shared.lock().sessions.given().to_vec()
    }

    /// The credentials that were sent for a scan, in clear, those that were removed since included.
    pub fn credentials(&self, scan_id: u64) -> Vec<SentCredential> {
        self.shared.lock().sent.of_scan(scan_id)
    }

    /// The content of a file that was uploaded under this name.
    pub fn uploaded(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.lock().sent.file(name).map(<[u8]>::to_vec)
    }

    /// Makes a policy from the template `advanced`, as somebody does in the web interface; returns its id. One that `logs_in` has
    /// credentials of its own.
    pub fn add_policy(&self, name: &str, logs_in: bool) -> u64 {
        let credentials = if logs_in { policies::login() } else { serde_json::json!({ "add": {} }) };
        policies::add(&mut self.shared.lock(), name, &templates::TEMPLATES[1], credentials)
    }

    /// Gives a policy another name.
    pub fn rename_policy(&self, id: u64, name: &str) {
        if let Some(policy) = self.shared.lock().policies.get_mut(&id) {
            name.clone_into(&mut policy.name);
        }
    }

    /// Deletes a policy.
    pub fn delete_policy(&self, id: u64) {
        self.shared.lock().policies.remove(&id);
    }

    /// Makes so many scans of somebody else's, copies of the one that was created last.
    pub fn crowd(&self, scans: usize) {
        scans::crowd(&mut self.shared.lock(), scans);
    }

    /// Ends every session, as a restart of the scanner does.
    pub fn drop_sessions(&self) {
        self.shared.lock().sessions.clear();
    }

    /// Gives the account another password, and ends its sessions.
    pub fn change_password(&self, password: impl Into<String>) {
        let mut state = self.shared.lock();
        state.config.password = Secret::new(password);
        state.sessions.clear();
    }

    /// Replaces the `X-API-Token`, as an upgrade of the scanner does; returns the new one.
    pub fn rotate_api_token(&self) -> String {
        self.shared.lock().rotate_api_token()
    }

    /// A `scanners.yaml` that trusts the certificate, if there is one, with this scanner as the only instance of the pool `nessus`.
    pub fn scanners_yaml(&self) -> String {
        let trust = self.certificate_sha256().map(|sha256| Trust::Pin(sha256.to_owned()));
        self.shared.lock().config.scanners_yaml(&self.url(), trust.as_ref())
    }

    /// The certificate that the configuration chose, in PEM; none without https.
    pub fn certificate_pem(&self) -> Option<&str> {
        let kind = self.shared.lock().config.certificate.unwrap_or_default();
        self.certificates().map(|made| made.pem(kind))
    }

    /// The SHA-256 of that certificate in its DER form, in lower-case hex; none without https.
    pub fn certificate_sha256(&self) -> Option<&str> {
        let kind = self.shared.lock().config.certificate.unwrap_or_default();
        self.certificates().map(|made| made.sha256(kind))
    }

    fn certificates(&self) -> Option<&Certificates> {
        match &self.scanner {
            Served::Own(_, certificates) => certificates.as_ref(),
            Served::Wiremock(_) => None,
        }
    }
}

/// What a scanner of this configuration has in mind when it starts.
fn memory(config: SimConfig, door: Door) -> (Shared, Faults) {
    let starting = config.starting;
    let (mut state, faults) = (State::new(config), Faults::new(door));
    if let Some((duration, status)) = starting {
        faults.start_loading(&mut state, duration, status);
    }
    (Shared::new(state), faults)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}")))
}
