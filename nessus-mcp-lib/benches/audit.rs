//! What the audit log costs: changes (a line before, and a synced one after) and reads a second, beside bare syncs of a file.
//!
//! `cargo bench --bench audit`. The figures that count are the ratios of one run: the machine may be busy, and disks differ.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, for those who work on the library")]

use std::{
    fs::File,
    io::Write as _,
    net::Ipv4Addr,
    task::Poll,
    time::{Duration, Instant},
};

use nessus_mcp_lib::{
    audit::{Audit, Decision, Entry, Event, ProcessRole, Who},
    config::{SecretKey, Settings},
};

/// How long each step is measured.
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(".").unwrap();
    println!("| step | callers | a second | of bare syncs |\n|---|---:|---:|---:|");
    let bare = bare_syncs(&directory.path().join("bare"));
    row("write and sync a line", 1, bare, bare);
    for (name, key) in [("", None), (", signed", Some(SecretKey::new(&"5e".repeat(32)).unwrap()))] {
        let mut settings =
            Settings::new(directory.path().join(format!("data{name}")), "none").with_policy_config("none");
        if let Some(key) = key {
            settings = settings.with_secret_key(key);
        }
        let audit = runtime.block_on(Audit::open(&settings, ProcessRole::Server, None)).unwrap();
        for callers in [1, 10, 100] {
            let changes = rate(&runtime, &audit, callers, &async |audit: &Audit| {
                let asked = audit.asked(event()).await.unwrap();
                audit.done(asked, event().with_outcome("ok")).await;
            });
            row(&format!("change{name}"), callers, changes, bare);
        }
        for callers in [1, 100] {
            let reads =
                rate(&runtime, &audit, callers, &async |audit: &Audit| audit.note(event().with_outcome("ok")).await);
            row(&format!("read{name}"), callers, reads, bare);
        }
        runtime.block_on(audit.flush());
    }
}

fn row(step: &str, callers: usize, rate: f64, bare: f64) {
    println!("| {step} | {callers} | {rate:.0} | {:.2} |", rate / bare);
}

fn event() -> Event {
    let who = Who::new("desk@example", Entry::Token).with_role("scan").with_address(Some(Ipv4Addr::LOCALHOST.into()));
    Event::new("run_untrusted_scan", who)
        .decided(Decision::Allowed, "role scan")
        .with_arguments("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
        .with_task(Some("ne_ness_20251201_143022_a1b2c3d4".to_owned()))
        .with_trace(Some("5f1d2c3b4a5968778695a4b3c2d1e0f0".to_owned()))
}

fn bare_syncs(path: &std::path::Path) -> f64 {
    let mut file = File::create(path).unwrap();
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < TIME {
        file.write_all(&[b'x'; 600]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// How many calls a second so many callers make together.
fn rate(runtime: &tokio::runtime::Runtime, audit: &Audit, callers: usize, call: &impl AsyncFn(&Audit)) -> f64 {
    runtime.block_on(async {
        let began = Instant::now();
        let counts = futures_of(callers, async || {
            let mut count = 0_u32;
            while began.elapsed() < TIME {
                call(audit).await;
                count += 1;
            }
            count
        });
        f64::from(counts.await) / began.elapsed().as_secs_f64()
    })
}

/// The sum of what so many futures return, which run at the same time.
async fn futures_of(callers: usize, one: impl AsyncFn() -> u32) -> u32 {
    let mut running: Vec<_> = (0..callers).map(|_| Some(Box::pin(one()))).collect();
    let mut sum = 0;
    std::future::poll_fn(|context| {
        for slot in &mut running {
            if let Some(Poll::Ready(count)) = slot.as_mut().map(|future| future.as_mut().poll(context)) {
                sum += count;
                *slot = None;
            }
        }
        if running.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    sum
}
