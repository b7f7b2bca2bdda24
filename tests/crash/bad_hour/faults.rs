//! What happens in a bad hour.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use nessus_mcp_tests::{
    binaries,
    processes::{Process, full_pipe},
    sim,
};
use serde_json::Value;

use crate::{disk::Disk, hour::Hour};

/// How many scans are submitted during each fault.
const SUBMITS: usize = 5;
/// How far the clock steps back, in seconds.
const STEP: i64 = 2400;
/// The descriptors that are left: more are open already, so that nothing can be opened.
#[cfg(target_os = "linux")]
const DESCRIPTORS: u64 = 12;

/// The head of the table.
pub(crate) const HEADER: &str =
    "fault | seconds | times | completed meanwhile | what the logs said most often\n---|---|---|---|---";

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Descriptors,
    DiskFull,
    ReadOnly,
    UnreadLog,
    Clock,
    CrashLoop,
    SilentScanner,
    RedisRefuses,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] = [
        Self::Descriptors,
        Self::DiskFull,
        Self::ReadOnly,
        Self::UnreadLog,
        Self::Clock,
        Self::CrashLoop,
        Self::SilentScanner,
        Self::RedisRefuses,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "no descriptors left",
            Self::DiskFull => "the disk is full",
            Self::ReadOnly => "the tasks are read-only",
            Self::UnreadLog => "nobody reads the log",
            Self::Clock => "the clock steps",
            Self::CrashLoop => "workers crash in a loop",
            Self::SilentScanner => "a scanner is silent",
            Self::RedisRefuses => "Redis refuses writes",
        })
    }
}

/// Lets a fault happen for its share of the time, with submits meanwhile; the row of the table.
pub(crate) async fn strike(hour: &mut Hour, fault: Fault) -> String {
    let (began, completed, said) = (Instant::now(), hour.completed(), hour.log_sizes());
    let until = began + hour.plan.time / u32::try_from(Fault::ALL.len()).unwrap_or(1);
    let submits = hour.submit(hour.server.mcp(), SUBMITS);
    let times = match fault {
        Fault::Descriptors => descriptors(hour, until).await,
        Fault::DiskFull => disk_full(hour, until).await,
        Fault::ReadOnly => read_only(hour, until).await,
        Fault::UnreadLog => Some(unread_log(hour, until).await),
        Fault::Clock => clock(hour, until).await,
        Fault::CrashLoop => Some(crash_loop(hour, until).await),
        Fault::SilentScanner => Some(silent_scanner(hour, until).await),
        Fault::RedisRefuses => redis_refuses(hour, until).await,
    };
    hour.receive(submits).await;
    let (seconds, completed) = (began.elapsed().as_secs_f64(), hour.completed().saturating_sub(completed));
    let times = times.map_or_else(|| "left out: not possible here".to_owned(), |times| times.to_string());
    format!("{fault} | {seconds:.1} | {times} | {completed} | {}", most_said(&hour.logs_since(&said)))
}

/// The warnings and errors that stand in the logs most often.
fn most_said(logs: &str) -> String {
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    for line in logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if matches!(line["level"].as_str(), Some("WARN" | "ERROR")) {
            *said.entry(line["message"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let mut said: Vec<_> = said.into_iter().collect();
    said.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<_> = said.iter().take(3).map(|(message, count)| format!("{count} x {message}")).collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join("; ") }
}

/// Lets so many milliseconds pass.
async fn pause(hour: &mut Hour, from: u64, to: u64) {
    let moment = hour.moments.next_in(&(Duration::from_millis(from)..Duration::from_millis(to)));
    tokio::time::sleep(moment).await;
}

#[cfg(target_os = "linux")]
async fn descriptors(hour: &mut Hour, until: Instant) -> Option<usize> {
    let mut times = 0;
    while Instant::now() < until {
        let processes = || hour.workers.iter().chain([&hour.server.process]);
        let former: Vec<_> = processes().map(|process| process.limit_open_files(Some(DESCRIPTORS))).collect();
        pause(hour, 10, 200).await;
        for (process, former) in hour.workers.iter().chain([&hour.server.process]).zip(former) {
            process.limit_open_files(former);
        }
        times += 1;
        pause(hour, 20, 400).await;
    }
    Some(times)
}

#[cfg(not(target_os = "linux"))]
async fn descriptors(_hour: &mut Hour, _until: Instant) -> Option<usize> {
    None
}

async fn disk_full(hour: &mut Hour, until: Instant) -> Option<usize> {
    hour.disks.as_ref()?;
    let mut times = 0;
    while Instant::now() < until {
        let ballast: Vec<_> = hour.disks.iter().flatten().map(Disk::fill).collect();
        pause(hour, 500, 3000).await;
        drop(ballast);
        times += 1;
        pause(hour, 500, 1500).await;
    }
    Some(times)
}

async fn read_only(hour: &mut Hour, until: Instant) -> Option<usize> {
    let mut times = 0;
    while Instant::now() < until {
        let [_, tasks] = hour.disks.as_ref()?;
        times += usize::from(tasks.forbid_writes().await);
        pause(hour, 500, 3000).await;
        let [_, tasks] = hour.disks.as_ref()?;
        tasks.allow_writes();
        pause(hour, 500, 1500).await;
    }
    Some(times)
}

/// A worker and a server with a full pipe for a log, and with much to say. They must work, and end when they are told to.
async fn unread_log(hour: &mut Hour, until: Instant) -> usize {
    let [(_worker_unread, worker_log), (_server_unread, server_log)] = [full_pipe(), full_pipe()];
    let worker = hour.worker().arg("--log-level").arg("trace").stderr_to(worker_log);
    let server = hour.with_clock(hour.deployment.server(binaries::server()));
    let server = server.arg("--log-level").arg("trace").stderr_to(server_log);
    let mut worker = hour.start(&worker);
    let mut server = hour.serve(&server);
    let submits = hour.submit(server.mcp(), SUBMITS);
    // The worker that nobody hears is the only one for a while.
    hour.workers.iter().for_each(Process::freeze);
    tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
    hour.workers.iter().for_each(Process::thaw);
    hour.receive(submits).await;
    hour.ended(&mut worker);
    hour.ended(&mut server.process);
    2
}

async fn clock(hour: &mut Hour, until: Instant) -> Option<usize> {
    let mut times = 0;
    while Instant::now() < until {
        for offset in [-STEP, 0] {
            hour.clock.as_ref()?.set(offset);
            pause(hour, 1500, 4000).await;
            times += 1;
        }
    }
    Some(times)
}

async fn crash_loop(hour: &mut Hour, until: Instant) -> usize {
    let mut times = 0;
    while Instant::now() < until {
        for at in 0..hour.workers.len() {
            pause(hour, 50, 400).await;
            hour.workers[at].kill();
            let worker = hour.worker();
            hour.workers[at] = hour.start(&worker);
            times += 1;
        }
    }
    hour.await_workers();
    times
}

async fn silent_scanner(hour: &mut Hour, until: Instant) -> usize {
    let mut times = 0;
    while Instant::now() < until {
        let scanner = times % hour.scanners.len();
        hour.scanners[scanner].inject(sim::Fault::new("silence").count(0));
        pause(hour, 2000, 6000).await;
        hour.scanners[scanner].clear_faults();
        times += 1;
        pause(hour, 500, 2000).await;
    }
    times
}

async fn redis_refuses(hour: &mut Hour, until: Instant) -> Option<usize> {
    let mut times = 0;
    while Instant::now() < until {
        for (setting, refuses) in [("maxmemory", "1"), ("min-replicas-to-write", "1")] {
            hour.redis.as_ref()?.ask(&["CONFIG", "SET", setting, refuses]);
            pause(hour, 300, 2500).await;
            hour.redis.as_ref()?.ask(&["CONFIG", "SET", setting, "0"]);
            times += 1;
            pause(hour, 300, 1500).await;
        }
    }
    Some(times)
}
