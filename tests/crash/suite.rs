//! The long crash suite: hundreds of tasks on the shipped binaries while their processes are killed, frozen and emptied.
//!
//! ```console
//! cargo run -p nessus-mcp-tests --example crash-suite                    # every fault alone, then all together
//! CRASH_RUNS="sqlite:a sqlite:abc redis:abcde" CRASH_SEED=7 cargo run -p nessus-mcp-tests --example crash-suite
//! ```
//!
//! `CRASH_RUNS` lists runs as `queue:faults`, the faults by letter: (a) kill -9 of workers, (b) kill -9 of the server
//! during submits, (c) SIGSTOP of workers beyond their lease, (d) kill -9 of Redis, (e) Redis emptied; none at all is a
//! run too. `CRASH_TASKS` (300), `CRASH_WORKERS` (6), `CRASH_CAPACITY` (12 scans at a time), `CRASH_SCAN_MS` (400) and
//! `CRASH_SEED` change all runs. It prints a table; a run that broke a promise keeps its files and says where, and the exit code is 1.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{env, process::ExitCode, str::FromStr, time::Duration};

use nessus_mcp_tests::chaos::{self, BackendKind, Fault, Plan, Verdict};

/// What is run unless `CRASH_RUNS` says otherwise.
const RUNS: &str = "sqlite:a sqlite:b sqlite:c sqlite:abc";

#[tokio::main]
async fn main() -> ExitCode {
    let plans = match plans() {
        Ok(plans) => plans,
        Err(message) => {
            println!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let mut reports = String::new();
    println!("{}", Verdict::HEADER);
    for plan in plans {
        let verdict = chaos::run(&plan).await;
        println!("{}", verdict.row());
        if !verdict.is_clean() {
            reports.push_str(&verdict.report());
        }
    }
    print!("\n{reports}");
    if reports.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plans() -> Result<Vec<Plan>, String> {
    let runs = env::var("CRASH_RUNS").unwrap_or_else(|_| RUNS.to_owned());
    let (tasks, workers) = (number("CRASH_TASKS", 300)?, number("CRASH_WORKERS", 6)?);
    let (capacity, scan) = (number("CRASH_CAPACITY", 12)?, number("CRASH_SCAN_MS", 400)?);
    let seed = number("CRASH_SEED", 0x5EED)?;
    let plan = |run: &str| {
        let (backend, faults) = run.split_once(':')?;
        let plan = Plan::new(BackendKind::parse(backend)?, Fault::parse_all(faults)?).tasks(tasks).workers(workers);
        Some(plan.capacity(capacity).scan_duration(Duration::from_millis(scan)).seed(seed))
    };
    runs.split_whitespace()
        .map(|run| plan(run).ok_or_else(|| format!("`{run}` is no run; write `sqlite:abc` or `redis:de`")))
        .collect()
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("`{name}` is not a number: {text}"))
}
