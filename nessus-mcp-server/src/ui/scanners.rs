//! *Scanners*: whether each could scan, what it is, how old its plugins are, and what it does.

use std::time::Duration;

use maud::{Markup, html};
use nessus_mcp_lib::{
    error::counted,
    service::{HealthView, InstanceView, PoolView, PoolsView},
};

use super::{
    frame::{Page, short},
    reader::{Failure, Reader, shown},
    words::{circuit, lasting, tag, when},
};

/// The most scanners that are shown.
const MOST: usize = 500;
/// The age from which on plugins are old, in days.
const OLD_DAYS: u64 = 7;
/// The characters of a text.
const CHARS: usize = 300;

/// The page.
pub(super) async fn page(reader: &Reader) -> Result<Page, Failure> {
    let (scanners, pools) = tokio::join!(
        reader.section("list_scanners", reader.service().list_scanners(None)),
        reader.section("list_pools", reader.service().list_pools())
    );
    let body = html! {
        section { h2 { "Pools" } (shown(&pools, pools_of)) }
        section {
            h2 { "Scanners" }
            (shown(&scanners, |view| scanners_of(reader, &view.scanners)))
        }
    };
    Ok(Page::live("Scanners", body))
}

fn pools_of(view: &PoolsView) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Pool" } th.text { "Type" } th { "Scanners enabled" } th { "Running" } th { "Waiting" } th { "Workers" } th.text { "Load" } } }
            tbody { @for pool in &view.pools { (pool_row(pool)) } }
        } }
        @for orphaned in &view.orphaned {
            p.alarm {
                (counted(orphaned.tasks, "task waits", "tasks wait")) " for " strong { (orphaned.scanner_pool) @if let Some(instance) = &orphaned.scanner_instance { ":" (instance) } }
                ", which is not configured any more."
            }
        }
    }
}

fn pool_row(pool: &PoolView) -> Markup {
    html! {
        tr {
            td { (pool.scanner_pool) @if pool.default { " " (tag("", "default")) } }
            td.text { (pool.scanner_type) }
            td { (pool.enabled_scanners) " of " (pool.scanners) }
            td { (pool.active_scans) " of " (pool.capacity) }
            td { (pool.queue_depth) }
            td { @if let Some(workers) = pool.workers { (workers) } }
            td.text { (load(pool.active_scans, pool.capacity)) }
        }
    }
}

/// How much of the room is taken.
fn load(active: usize, capacity: u32) -> Markup {
    html! { @if capacity > 0 { meter min="0" max=(capacity) value=(active) { (active) " of " (capacity) } } }
}

fn scanners_of(reader: &Reader, scanners: &[InstanceView]) -> Markup {
    html! {
        @if scanners.is_empty() { p.note { "You may use no scanner." } }
        @for one in scanners.iter().take(MOST) {
            article.scanner {
                h3 { (one.scanner_pool) ":" (one.scanner_instance) " " small { (short(&one.name, 120)) } }
                p {
                    (state(one)) " " (circuit_of(one))
                    " " (load(one.active_scans, one.max_concurrent_scans)) " " (one.active_scans) " of " (one.max_concurrent_scans) " scans"
                }
                dl.facts {
                    div { dt { "Type" } dd { (one.scanner_type) } }
                    @if !one.url.is_empty() { div { dt { "Address" } dd { (short(&one.url, CHARS)) } } }
                    @if let Some(health) = &one.health { (health_of(reader, health)) }
                    @else { div { dt { "Health" } dd { "not checked yet, or not by this process" } } }
                }
                @if let Some(error) = one.health.as_ref().and_then(|health| health.error.as_deref()) {
                    p.alarm { (short(error, CHARS)) }
                }
                @if !one.circuit.lets_through() {
                    p.alarm {
                        "It is not called: " (short(&one.circuit.reason, CHARS))
                        @if let Some(since) = one.circuit.since { ", since " (when(since, reader.now)) }
                        @if let Some(wait) = one.circuit.retry_after_seconds { ", tried again in " (lasting(Duration::from_secs(wait))) }
                    }
                }
            }
        }
        @if scanners.len() > MOST { p.note { "and " (scanners.len() - MOST) " more" } }
    }
}

fn state(one: &InstanceView) -> Markup {
    match &one.health {
        _ if !one.enabled => tag("", "disabled"),
        Some(health) if health.healthy => tag("good", "healthy"),
        Some(health) => tag("bad", health.error_code.as_deref().unwrap_or("unhealthy")),
        None => tag("", "not checked"),
    }
}

fn circuit_of(one: &InstanceView) -> Markup {
    html! { "circuit " (circuit(one.circuit.state)) }
}

fn health_of(reader: &Reader, health: &HealthView) -> Markup {
    let texts = [
        ("Edition", health.product.as_deref()),
        ("Version", health.version.as_deref()),
        ("Plugin set", health.plugin_set.as_deref()),
    ];
    html! {
        @for (name, value) in texts {
            @if let Some(value) = value { div { dt { (name) } dd { (short(value, CHARS)) } } }
        }
        @if let Some(days) = health.plugin_set_age_days {
            div { dt { "Age of the plugins" } dd {
                @if days >= OLD_DAYS { (tag("warn", &counted(days, "day", "days"))) } @else { (counted(days, "day", "days")) }
            } }
        }
        @if let Some(hosts) = health.licensed_hosts { div { dt { "Licensed hosts" } dd { (hosts) } } }
        div { dt { "Answered in" } dd { (health.latency_ms) " ms" } }
        div { dt { "Checked" } dd { (when(health.checked_at, reader.now)) } }
    }
}
