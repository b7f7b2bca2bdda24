//! Endpoints for load balancers and Prometheus.

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use nessus_mcp_lib::{error::chain, policy::Principal, telemetry::CheckStatus};

use crate::app::App;

/// The state of the process and of what it depends on; 503 when any of it is unhealthy. It tells what the tool tells the caller.
pub(super) async fn health(State(app): State<App>, Extension(caller): Extension<Principal>) -> Response {
    let report = app.service.acting_for(caller).health().await;
    let status = match report.status {
        CheckStatus::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        CheckStatus::Healthy | CheckStatus::Degraded => StatusCode::OK,
    };
    (status, Json(report)).into_response()
}

/// The process is running.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Whether scans can be submitted; 503 when they cannot, or when the process is stopping.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if !app.stop.is_cancelled() && app.service.ready().await {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// All metrics in Prometheus' text format; what the queue knows is left out while it does not answer.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    match app.service.render_metrics().await {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", chain(&error))).into_response(),
    }
}
