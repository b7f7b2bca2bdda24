//! A bad hour: a hundred running and two hundred queued scans on two scanners while everything around them fails.
//!
//! ```console
//! cargo run --release -p nessus-mcp-tests --example bad-hour
//! BAD_QUEUES=redis BAD_SECONDS=600 BAD_SEED=7 cargo run --release -p nessus-mcp-tests --example bad-hour
//! ```
//!
//! One fault after the other, in an order that the seed decides: descriptors run out, the disk fills, the directory of the
//! tasks turns read-only, nobody reads the log of a worker and a server, the clock steps back and forward, workers crash
//! in a loop, a scanner goes silent, Redis refuses writes. Scans are submitted during each of them. At the end every task
//! is completed, on one scan; the exit code is 1 when one is not.
//!
//! `BAD_SECONDS` (120) is the time of all faults together, `BAD_RUNNING` (100) and `BAD_QUEUED` (200) are the scans,
//! `BAD_QUEUES` (`sqlite redis`) the queues, `BAD_SEED` (1) the order. Full and read-only disks need the right to mount,
//! and a clock that steps needs libfaketime (on Debian: apt-get install libfaketime): without them the fault is left out,
//! and the table says so.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod clock;
mod disk;
mod faults;
mod hour;
mod verdict;

use std::{env, process::ExitCode, str::FromStr, time::Duration};

use hour::{Hour, Plan};
use nessus_mcp_tests::processes::told_to_stop;

#[tokio::main]
async fn main() -> ExitCode {
    // What was started ends with the future that holds it.
    tokio::select! {
        is_clean = run() => ExitCode::from(u8::from(!is_clean)),
        () = told_to_stop() => {
            println!("interrupted: all processes are stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> bool {
    let mut is_clean = true;
    for queue in env::var("BAD_QUEUES").unwrap_or_else(|_| "sqlite redis".to_owned()).split_whitespace() {
        let plan = Plan {
            redis: queue == "redis",
            time: Duration::from_secs(number("BAD_SECONDS", 120)),
            running: number("BAD_RUNNING", 100),
            queued: number("BAD_QUEUED", 200),
            seed: number("BAD_SEED", 1),
        };
        println!("\n{queue}: {plan:?}");
        let mut hour = Hour::begin(plan).await;
        hour.fill().await;
        println!("{} scans submitted, {} running\n{}", hour.tasks.len(), hour.running(), faults::HEADER);
        for fault in hour.faults() {
            println!("{}", faults::strike(&mut hour, fault).await);
        }
        let verdict = hour.end().await;
        println!("{verdict}");
        is_clean &= verdict.is_clean();
    }
    is_clean
}

fn number<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
