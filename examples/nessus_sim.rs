//! A simulated Nessus scanner, to try the gateway without a real one.
//!
//! ```text
//! cargo run --example nessus-sim -- --port 18834 --control-port 18835
//! cargo run --example nessus-sim -- --print-config > scanners.yaml
//! curl -s http://127.0.0.1:18835/stats
//! curl -s http://127.0.0.1:18835/faults
//! curl -s http://127.0.0.1:18835/faults -d '{"name": "create_lost", "count": 2}'
//! ```
//! It listens on 127.0.0.1 only, keeps nothing after it ends, and invents its findings. When it is ready it prints one line
//! with both URLs. It exits with code 0 on Ctrl-C or SIGTERM, and with 69 when a port is in use.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use nessus_mcp_lib::durable;
use nessus_sim::{
    Acknowledgement, Authentication, BodyLength, Certificate, DoubleLaunch, Edition, Exporting, SimConfig,
    SimulatedNessus, Trust,
};

/// EX_UNAVAILABLE of sysexits.h.
const EXIT_UNAVAILABLE: u8 = 69;

/// A simulated Nessus scanner on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(name = "nessus-sim")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Args {
    /// Port of the scanner; 0 takes a free one.
    #[arg(long, default_value_t = 18_834)]
    port: u16,
    /// Port of `GET /stats` (what the scanner has seen) and `/faults`; 0 takes a free one.
    #[arg(long, default_value_t = 18_835)]
    control_port: u16,
    /// How long a scan takes, in seconds; fractions are allowed.
    #[arg(long, default_value = "10", value_parser = seconds)]
    scan_seconds: Duration,
    /// Findings under each host.
    #[arg(long, default_value_t = 12)]
    findings_per_host: usize,
    /// The user name of the account.
    #[arg(long, default_value = "admin")]
    username: String,
    /// The account's password.
    #[arg(long, default_value = "nessus")]
    password: String,
    /// Access key of a valid API key pair.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// Secret key of the pair.
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
    /// How long a session lives without a call, in seconds.
    #[arg(long, default_value = "1800", value_parser = seconds)]
    session_idle_seconds: Duration,
    /// The edition it reports.
    #[arg(long, value_enum, default_value_t = Product::Professional)]
    edition: Product,
    /// The most hosts that a scan covers, as a licence limit; further hosts are trimmed.
    #[arg(long)]
    host_limit: Option<usize>,
    /// Seed of the invented findings.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The plugin set it reports.
    #[arg(long, default_value = "202511200505")]
    plugin_set: String,
    /// How long it reports to be loading after its start, in seconds.
    #[arg(long, value_parser = seconds)]
    starting_seconds: Option<Duration>,
    /// HTTP status of its answers while it is loading: 200 or 503.
    #[arg(long, default_value_t = 200, requires = "starting_seconds")]
    starting_status: u16,
    /// The outcome of logins in scans with credentials.
    #[arg(long, value_enum, default_value_t = Logins::Succeed)]
    logins: Logins,
    /// The outcome of logins on one host, as in `192.0.2.7=fail`; may be repeated.
    #[arg(long, value_parser = logins_of, value_name = "HOST=HOW")]
    logins_of: Vec<(String, Logins)>,
    /// An account on the scanned hosts and the outcome of its logins, as in `scan:secret=lack-privilege`; may be repeated. Once
    /// there is one, all other logins fail.
    #[arg(long, value_parser = account, value_name = "USER:PASSWORD=HOW")]
    account: Vec<(String, String, Logins)>,
    /// A policy that somebody has made on it, by its name; may be repeated.
    #[arg(long)]
    policy: Vec<String>,
    /// The same, of a policy that logs in with credentials of its own.
    #[arg(long)]
    policy_with_login: Vec<String>,
    /// A .nessus file to return for every export.
    #[arg(long)]
    export_file: Option<PathBuf>,
    /// How long an export can be downloaded after it was made, in seconds.
    #[arg(long, default_value = "600", value_parser = seconds)]
    export_lifetime_seconds: Duration,
    /// Content type of a download.
    #[arg(long, default_value = "application/octet-stream")]
    download_type: String,
    /// Refuse exports, as some licences do.
    #[arg(long)]
    block_exports: bool,
    /// Answer the launch of a running scan with the current run, instead of 409.
    #[arg(long)]
    ignore_double_launch: bool,
    /// Answer `{}` instead of an empty body.
    #[arg(long)]
    acknowledge_with_object: bool,
    /// Accept a POST or PUT without a Content-Length, instead of answering 411.
    #[arg(long)]
    accept_missing_length: bool,
    /// Serve HTTPS, with a certificate generated at the start.
    #[arg(long)]
    https: bool,
    /// The kind of certificate.
    #[arg(long, value_enum, default_value_t = Shown::Sound, requires = "https")]
    certificate: Shown,
    /// File to write the certificate to, in PEM.
    #[arg(long, requires = "https")]
    certificate_file: Option<PathBuf>,
    /// Print a scanners.yaml for this scanner and exit.
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Product {
    Essentials,
    Professional,
    Expert,
    Manager,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shown {
    /// For 127.0.0.1, valid.
    Sound,
    /// For 127.0.0.1, expired.
    Expired,
    /// For another host.
    WrongHost,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Logins {
    /// They work.
    Succeed,
    /// They are refused (plugin 104410).
    Fail,
    /// They are refused, and local checks do not run (104410 and 21745).
    FailLocally,
    /// They work, but the account sees too little (110385).
    LackPrivilege,
    /// None is tried.
    None,
}

impl From<Logins> for Authentication {
    fn from(logins: Logins) -> Self {
        match logins {
            Logins::Succeed => Self::Succeeds,
            Logins::Fail => Self::Fails,
            Logins::FailLocally => Self::FailsLocally,
            Logins::LackPrivilege => Self::LacksPrivilege,
            Logins::None => Self::NotTried,
        }
    }
}

fn logins_of(text: &str) -> Result<(String, Logins), String> {
    let (host, how) = text.split_once('=').ok_or("must be HOST=HOW")?;
    Ok((host.to_owned(), Logins::from_str(how, true)?))
}

fn account(text: &str) -> Result<(String, String, Logins), String> {
    let parts = text.rsplit_once('=').and_then(|(login, how)| Some((login.split_once(':')?, how)));
    let ((user, password), how) = parts.ok_or("must be USER:PASSWORD=HOW")?;
    Ok((user.to_owned(), password.to_owned(), Logins::from_str(how, true)?))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "not a number of seconds".to_owned())
}

impl Args {
    fn config(&self) -> SimConfig {
        let edition = match self.edition {
            Product::Essentials => Edition::Essentials,
            Product::Professional => Edition::Professional,
            Product::Expert => Edition::Expert,
            Product::Manager => Edition::Manager,
        };
        let mut config = SimConfig::new()
            .port(self.port)
            .control_port(self.control_port)
            .login(&self.username, &self.password)
            .edition(edition)
            .scan_duration(self.scan_seconds)
            .session_idle(self.session_idle_seconds)
            .findings_per_host(self.findings_per_host)
            .seed(self.seed)
            .plugin_set(&self.plugin_set)
            .authentication(self.logins.into())
            .export_lifetime(self.export_lifetime_seconds)
            .download_type(&self.download_type);
        for (host, how) in &self.logins_of {
            config = config.authentication_of(host, (*how).into());
        }
        for (user, password, how) in &self.account {
            config = config.account(user, password, (*how).into());
        }
        if let Some(duration) = self.starting_seconds {
            config = config.starting(duration, self.starting_status);
        }
        if let Some(file) = &self.export_file {
            config = config.export_file(file);
        }
        if self.block_exports {
            config = config.exports(Exporting::Blocked);
        }
        if self.ignore_double_launch {
            config = config.double_launch(DoubleLaunch::Ignored);
        }
        if self.acknowledge_with_object {
            config = config.acknowledgement(Acknowledgement::Object);
        }
        if self.accept_missing_length {
            config = config.body_length(BodyLength::Optional);
        }
        if let (Some(access), Some(secret)) = (&self.access_key, &self.secret_key) {
            config = config.api_keys(access, secret);
        }
        if self.https {
            config = config.certificate(match self.certificate {
                Shown::Sound => Certificate::Sound,
                Shown::Expired => Certificate::Expired,
                Shown::WrongHost => Certificate::WrongHost,
            });
        }
        if let Some(limit) = self.host_limit {
            config = config.host_limit(limit);
        }
        config
    }
}

impl Args {
    /// The `scanners.yaml` for a gateway. The certificate does not exist yet, so only its file can be named.
    fn scanners_yaml(&self, config: &SimConfig) -> String {
        let (scheme, trust) = match (self.https, &self.certificate_file) {
            (false, _) => ("http", None),
            (true, None) => ("https", Some(Trust::Anything)),
            (true, Some(file)) => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                ("https", Some(Trust::Authority(file.display().to_string())))
            }
        };
        config.scanners_yaml(&format!("{scheme}://127.0.0.1:{}", self.port), trust.as_ref())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even stderr is closed, nobody can be told.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

async fn run(args: &Args) -> io::Result<()> {
    let config = args.config();
    if args.print_config {
        return io::stdout().write_all(args.scanners_yaml(&config).as_bytes());
    }
    // Registered before the ready line is printed: its reader may send the signal at once.
    let ended = shutdown_signal()?;
    let sim = SimulatedNessus::try_start_with(config).await?;
    for name in &args.policy {
        sim.add_policy(name);
    }
    for name in &args.policy_with_login {
        sim.add_policy_with_login(name);
    }
    if let (Some(file), Some(pem)) = (&args.certificate_file, sim.certificate_pem()) {
        durable::replace(file, pem.as_bytes())?;
    }
    let control = sim.control_url().unwrap_or_default();
    let mut out = io::stdout();
    writeln!(out, "nessus-sim ready: scanner {} control {control}", sim.url())?;
    out.flush()?;
    ended.await;
    Ok(())
}

/// Completes on Ctrl-C or SIGTERM. The handlers are registered by the call itself, not by the first poll.
#[cfg(unix)]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes on Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If the handler cannot be registered, the signal ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
    })
}
