//! `circuits`, `isolate-scanner`, `close-circuit` and `reset-circuit`: which scanners are called, and which may be.

use nessus_mcp_lib::{
    circuit_breaker::{CircuitCommand, CircuitState},
    error::{Classified, ErrorKind, Failure, excerpt, nearest},
    service::{ProcessCircuit, ScannerCircuit},
    time::Timestamp,
};
use serde_json::json;

use super::{pools, queue, recorded::Recorder};
use crate::{
    args::{CircuitArgs, IsolateScannerArgs, ListCircuitsArgs},
    output::{self, Cell, Colour, Column, Table},
};

pub(crate) async fn list(args: &ListCircuitsArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let service = queue::open_service(&settings).await?;
    if let Some(pool) = &args.pool {
        pools::named(&settings, service.queue().as_ref(), std::slice::from_ref(pool)).await?;
    }
    let names = pools::configured(&settings);
    let mut circuits = service.scanner_circuits(&names.pools).await?;
    circuits.retain(|circuit| args.pool.as_ref().is_none_or(|pool| *pool == circuit.scanner_pool));
    if args.json {
        return circuits.iter().try_for_each(output::json);
    }
    if circuits.is_empty() {
        output::say("no scanner is configured here, and no process tells of one");
    } else {
        output::table(&table(&circuits));
    }
    Ok(())
}

pub(crate) async fn isolate(args: &IsolateScannerArgs) -> Result<(), Failure> {
    command("isolate-scanner", &args.scanner, CircuitCommand::Isolate, &args.reason).await
}

pub(crate) async fn close(args: &CircuitArgs) -> Result<(), Failure> {
    command("close-circuit", args, CircuitCommand::Close, "closed by an operator").await
}

pub(crate) async fn reset(args: &CircuitArgs) -> Result<(), Failure> {
    command("reset-circuit", args, CircuitCommand::Reset, "reset by an operator").await
}

async fn command(name: &str, args: &CircuitArgs, command: CircuitCommand, reason: &str) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let service = queue::open_service(&settings).await?;
    let CircuitArgs { pool, instance, .. } = args;
    let known = service.scanner_circuits(&pools::configured(&settings).pools).await?;
    if !known.iter().any(|circuit| (&circuit.scanner_pool, &circuit.scanner_instance) == (pool, instance)) {
        return Err(Unknown::new(&format!("{pool}:{instance}"), &known).into());
    }
    let change = async { Ok(service.command_circuit_of(pool, instance.clone(), command, reason).await?) };
    let arguments = json!({ "pool": pool, "instance": instance, "reason": reason });
    let status = Recorder::open(&settings).await?.run(name, arguments, None, change).await?;
    if args.json {
        return output::json(&json!({
            "scanner_pool": pool, "scanner_instance": instance, "state": status.state, "reason": status.reason,
        }));
    }
    let why = if command == CircuitCommand::Isolate { format!(": {}", excerpt(&status.reason)) } else { String::new() };
    output::say(format!("{pool}:{instance} is {}{why}", status.state));
    Ok(())
}

/// A scanner that nothing knows.
#[derive(Debug, thiserror::Error)]
#[error("there is no scanner `{name}`: it is not configured here, and no process tells of it")]
struct Unknown {
    name: String,
    /// Those that there are, the most like it first.
    known: Vec<String>,
}

impl Unknown {
    fn new(name: &str, known: &[ScannerCircuit]) -> Self {
        let names = known.iter().map(|circuit| format!("{}:{}", circuit.scanner_pool, circuit.scanner_instance));
        let names: Vec<_> = names.collect();
        let known = nearest(name, names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
        Self { name: name.to_owned(), known }
    }
}

impl Classified for Unknown {
    fn code(&self) -> &'static str {
        "unknown_instance"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self.known.first() {
            Some(first) => format!("did you mean `{first}`? the scanners are: {}", self.known.join(", ")),
            None => "no scanner is known: name the scanner configuration with `--scanner-config`".to_owned(),
        })
    }
}

fn table(circuits: &[ScannerCircuit]) -> Table {
    let names = ["pool", "scanner", "process", "state", "since", "retry"].map(Column::new);
    let counts = ["opens", "failures"].map(Column::right);
    let texts = [Column::wide("by"), Column::wide("reason")];
    let mut table = Table::new(names.into_iter().chain(counts).chain(texts));
    for ScannerCircuit { scanner_pool, scanner_instance, circuit, .. } in circuits {
        table.row(row(
            [Cell::new(scanner_pool), Cell::new(scanner_instance), Cell::default()],
            (circuit.state, circuit.since, circuit.retry_after_seconds),
            [circuit.opens, circuit.failures],
            [&circuit.changed_by, &circuit.reason],
        ));
        for ProcessCircuit { process, state, since, retry_after_seconds, reason, opens, failures, .. } in
            &circuit.processes
        {
            table.row(row(
                [Cell::default(), Cell::default(), Cell::new(excerpt(process))],
                (*state, *since, *retry_after_seconds),
                [*opens, *failures],
                ["", reason],
            ));
        }
    }
    table
}

fn row(
    names: [Cell; 3],
    (state, since, retry): (CircuitState, Option<Timestamp>, Option<u64>),
    counts: [u64; 2],
    texts: [&str; 2],
) -> impl Iterator<Item = Cell> {
    let colour = match state {
        CircuitState::Closed => Colour::Good,
        CircuitState::HalfOpen => Colour::Warning,
        _ => Colour::Bad,
    };
    let state = Cell::new(state).coloured(colour);
    let retry = Cell::optional(retry.map(|seconds| format!("{seconds}s")));
    let texts = texts.map(|text| Cell::new(excerpt(text)));
    names.into_iter().chain([state, Cell::optional(since), retry]).chain(counts.map(Cell::new)).chain(texts)
}
