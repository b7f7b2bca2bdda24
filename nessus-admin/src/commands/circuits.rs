//! `list-circuits`, `isolate-scanner`, `close-circuit` and `reset-circuit`: which scanners are called, and which may be.

use nessus_mcp_lib::{
    circuit_breaker::CircuitOrder,
    error::{Failure, excerpt},
    ids::PoolName,
    service::InstanceView,
};

use super::queue;
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
    order(&args.scanner, CircuitOrder::Isolate, &args.reason).await
}

pub(crate) async fn close(args: &CircuitArgs) -> Result<(), Failure> {
    order(args, CircuitOrder::Close, "closed by an operator").await
}

pub(crate) async fn reset(args: &CircuitArgs) -> Result<(), Failure> {
    order(args, CircuitOrder::Reset, "reset by an operator").await
}

async fn order(args: &CircuitArgs, order: CircuitOrder, reason: &str) -> Result<(), Failure> {
    let service = queue::open_service(&args.common.settings()).await?;
    let CircuitArgs { pool, instance, .. } = args;
    let status = service.order_circuit(pool.as_str(), instance.as_str(), order, reason).await?;
    let why = if order == CircuitOrder::Isolate { format!(": {}", excerpt(&status.reason)) } else { String::new() };
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
            continue;
        };
        let retry = circuit.retry_after_seconds.map(|left| format!("  retry_after={left}s")).unwrap_or_default();
        let by = if circuit.changed_by.is_empty() { String::new() } else { format!("  by={}", circuit.changed_by) };
        let counts = format!("opens={} failures={}", circuit.opens, circuit.failures);
        lines.push(format!(
            "{name}  {:<9}  since={since}{retry}  {counts}{by}  {}",
            circuit.state,
            excerpt(&circuit.reason)
        ));
    }
    lines
}
