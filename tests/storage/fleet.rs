//! A fleet that shares no directory, on an object store, while all of it fails.
//!
//! ```console
//! cargo run --release -p nessus-mcp-tests --example fleet
//! cargo run --release -p nessus-mcp-tests --example fleet -- --redis sentinel --seed 7 --scans 500
//! ```
//!
//! Servers and workers are processes with a data directory each; the tasks are on the simulated S3, the queue is on a Redis
//! cluster or on a master with a replica and a sentinel. While agents submit scans and ask for them, workers, servers and Redis
//! primaries are killed, the S3 server stands still, is cut off, breaks off its answers, asks to go slower and refuses writes.
//! The order follows from the seed. At the end a table tells what became of the scans; the exit code is 1 when one was lost,
//! launched or completed twice, or an object belongs to no task.
//!
//! Options: `--redis cluster|sentinel` (both, one after the other), `--seed N` (1), `--scans N` (2000), `--servers N` (3),
//! `--workers N` (8), `--scanners N` (5), `--agents N` (20), `--minutes N` (60, after which agents give up).
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{process::ExitCode, time::Duration};

use nessus_mcp_tests::{
    fleet::{self, Plan, RedisKind, Verdict},
    processes::told_to_stop,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(plans) = plans(std::env::args().skip(1)) else {
        println!(
            "usage: fleet [--redis cluster|sentinel] [--seed N] [--scans N] [--servers N] [--workers N] [--scanners N] [--agents N] [--minutes N]"
        );
        return ExitCode::from(2);
    };
    // What was started ends with the future that holds it.
    tokio::select! {
        is_clean = run(plans) => ExitCode::from(u8::from(!is_clean)),
        () = told_to_stop() => {
            println!("interrupted: all processes are stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run(plans: Vec<Plan>) -> bool {
    let mut verdicts = Vec::new();
    for plan in plans {
        println!("{plan:?}");
        let verdict = fleet::run(&plan).await;
        println!("{}", verdict.report());
        verdicts.push(verdict);
    }
    println!("{}", Verdict::HEADER);
    for verdict in &verdicts {
        println!("{}", verdict.row());
    }
    verdicts.iter().all(Verdict::is_clean)
}

fn plans(mut arguments: impl Iterator<Item = String>) -> Option<Vec<Plan>> {
    let mut kinds = vec![RedisKind::Cluster, RedisKind::Sentinel];
    let mut change: Vec<Box<dyn Fn(Plan) -> Plan>> = Vec::new();
    while let Some(option) = arguments.next() {
        let value = arguments.next()?;
        if option == "--redis" {
            kinds = vec![RedisKind::parse(&value)?];
            continue;
        }
        let number: u32 = value.parse().ok()?;
        let count = usize::try_from(number).ok()?;
        change.push(match option.as_str() {
            "--seed" => Box::new(move |plan| plan.seed(number.into())),
            "--scans" => Box::new(move |plan| plan.scans(count)),
            "--servers" => Box::new(move |plan| plan.servers(count)),
            "--workers" => Box::new(move |plan| plan.workers(count)),
            "--scanners" => Box::new(move |plan| plan.scanners(count)),
            "--agents" => Box::new(move |plan| plan.agents(count)),
            "--minutes" => Box::new(move |plan| plan.at_most(Duration::from_secs(60) * number)),
            _ => return None,
        });
    }
    Some(kinds.into_iter().map(|kind| change.iter().fold(Plan::new(kind), |plan, change| change(plan))).collect())
}
