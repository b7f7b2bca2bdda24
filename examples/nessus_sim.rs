//! A simulated Nessus scanner as a program: try the gateway without a scanner.
//!
//! ```text
//! cargo run --example nessus-sim -- --port 18834 --control-port 18835
//! cargo run --example nessus-sim -- --print-config > scanners.yaml
//! curl -s http://127.0.0.1:18835/stats
//! ```
//! It listens on 127.0.0.1 only, forgets everything when it ends, and invents its findings. When it is ready it prints
//! one line with both URLs; it ends with exit code 0 on Ctrl-C or SIGTERM, and with 69 when a port is in use.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use nessus_mcp_lib::durable;
use nessus_mcp_tests::sim::{Certificate, Edition, NessusSim, SimConfig, Trust};

/// The service cannot be offered, in the words of sysexits.h.
const EXIT_UNAVAILABLE: u8 = 69;

/// A simulated Nessus scanner on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(name = "nessus-sim")]
struct Args {
    /// Port of the scanner; 0 takes a free one.
    #[arg(long, default_value_t = 18_834)]
    port: u16,
    /// Port where `GET /stats` tells what the scanner saw; 0 takes a free one.
    #[arg(long, default_value_t = 18_835)]
    control_port: u16,
    /// From a scan's launch to its end, in seconds; fractions are allowed.
    #[arg(long, default_value = "10", value_parser = seconds)]
    scan_seconds: Duration,
    /// Findings under each host.
    #[arg(long, default_value_t = 12)]
    findings_per_host: usize,
    /// The account.
    #[arg(long, default_value = "admin")]
    username: String,
    /// The account's password.
    #[arg(long, default_value = "nessus")]
    password: String,
    /// Access key of an API key pair that is valid.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// Secret key of the pair.
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
    /// How long a session lives without a call, in seconds.
    #[arg(long, default_value = "1800", value_parser = seconds)]
    session_idle_seconds: Duration,
    /// The product it says it is.
    #[arg(long, value_enum, default_value_t = Product::Professional)]
    edition: Product,
    /// Hosts a scan keeps at most; the rest is trimmed.
    #[arg(long)]
    host_limit: Option<usize>,
    /// Another seed invents other findings.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Speak https, with a certificate that is made at the start.
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
            .seed(self.seed);
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
    /// What a gateway needs to know. The certificate is made at the start: only its file can be named before.
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
            // Nothing is left to be done when even stderr is closed.
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
    // Before the ready line: whoever reads it may send the signal at once.
    let ended = shutdown_signal()?;
    let sim = NessusSim::try_start(config).await?;
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

/// Completes on Ctrl-C or SIGTERM; listens from the moment it is called.
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
        // Without a handler the process ends by the signal itself.
        let _ = tokio::signal::ctrl_c().await;
    })
}
