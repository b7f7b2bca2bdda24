//! `list-circuits`, `isolate-scanner`, `close-circuit` and `reset-circuit`: which scanners are called, and which may be.

use nessus_mcp_lib::{
    circuit_breaker::CircuitCommand,
    error::{Failure, excerpt},
    ids::PoolName,
    service::{InstanceView, ProcessCircuit},
};

use super::{queue, recorded::Recorder};
use crate::{
    args::{CircuitArgs, IsolateScannerArgs, ListCircuitsArgs},
    output,
};

pub(crate) async fn list(args: &ListCircuitsArgs) -> Result<(), Failure> {
    let service = queue::open_service(&args.common.settings()).await?;
    let scanners = service.list_scanners(args.pool.as_ref().map(PoolName::as_str)).await?.scanners;
    if args.json {
        output::lines(scanners.iter().map(json));
    } else {
        output::lines(table(&scanners));
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
    let settings = args.common.settings();
    let service = queue::open_service(&settings).await?;
    let CircuitArgs { pool, instance, .. } = args;
    let change = async { Ok(service.command_circuit(pool.as_str(), instance.as_str(), command, reason).await?) };
    let arguments = serde_json::json!({ "pool": pool, "instance": instance, "reason": reason });
    let status = Recorder::open(&settings).await?.run(name, arguments, None, change).await?;
    let why = if command == CircuitCommand::Isolate { format!(": {}", excerpt(&status.reason)) } else { String::new() };
    output::lines([format!("{pool}:{instance} is {}{why}", status.state)]);
    Ok(())
}

fn json(view: &InstanceView) -> String {
    let mut fields = serde_json::json!(view.circuit);
    fields["scanner_pool"] = serde_json::json!(view.scanner_pool);
    fields["scanner_instance"] = serde_json::json!(view.scanner_instance);
    fields.to_string()
}

fn table(scanners: &[InstanceView]) -> Vec<String> {
    let width = |title: &str, of: fn(&InstanceView) -> &str| {
        scanners.iter().map(|view| of(view).len()).max().unwrap_or(0).max(title.len())
    };
    let pools = width("pool", |view| view.scanner_pool.as_str());
    let instances = width("instance", |view| view.scanner_instance.as_str());
    let mut lines = vec![format!("{:<pools$}  {:<instances$}  state", "pool", "instance")];
    for view in scanners {
        let circuit = &view.circuit;
        let name = format!("{:<pools$}  {:<instances$}", view.scanner_pool.as_str(), view.scanner_instance.as_str());
        let Some(since) = circuit.since else {
            lines.push(format!("{name}  {}", circuit.state));
            lines.extend(circuit.processes.iter().map(of_process));
            continue;
        };
        let by = if circuit.changed_by.is_empty() { String::new() } else { format!("  by={}", circuit.changed_by) };
        let counts = format!("opens={} failures={}", circuit.opens, circuit.failures);
        lines.push(format!(
            "{name}  {:<9}  since={since}{}  {counts}{by}  {}",
            circuit.state,
            retry(circuit.retry_after_seconds),
            excerpt(&circuit.reason)
        ));
        lines.extend(circuit.processes.iter().map(of_process));
    }
    lines
}

fn of_process(circuit: &ProcessCircuit) -> String {
    let name = format!("  {}", excerpt(&circuit.process));
    let Some(since) = circuit.since else { return format!("{name}  {}", circuit.state) };
    let (state, reason) = (circuit.state, excerpt(&circuit.reason));
    let counts = format!("opens={} failures={}", circuit.opens, circuit.failures);
    format!("{name}  {state}  since={since}{}  {counts}  {reason}", retry(circuit.retry_after_seconds))
}

fn retry(seconds: Option<u64>) -> String {
    seconds.map(|left| format!("  retry_after={left}s")).unwrap_or_default()
}
