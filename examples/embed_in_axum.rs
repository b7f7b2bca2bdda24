//! How to put scanning into your own axum program: an HTTP API of your own for people, and `/mcp` for agents, over one service whose worker
//! runs in the same process. It has a mock scanner, and ends with Ctrl-C.
//!
//! ```console
//! cargo run --example embed_in_axum
//! curl --json '{"name": "office", "targets": "192.0.2.1-192.0.2.3"}' http://127.0.0.1:8000/scans
//! curl http://127.0.0.1:8000/scans/TASK
//! curl http://127.0.0.1:8000/scans/TASK/findings
//! claude mcp add --transport http scans http://127.0.0.1:8000/mcp
//! ```
//!
//! With `ScanService::open` and a `scanners.yaml` the same program drives a real Nessus. It listens on loopback, where everybody is trusted; the
//! crate page of `nessus_mcp_server` says how your own login, or tokens, let others in.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, net::SocketAddr, path::Path as FilePath, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use nessus_mcp_lib::{
    ScanService, Worker,
    config::{Settings, WorkerSettings},
    error::{Classified, ErrorKind},
    ids::{InstanceId, PoolName},
    scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool, ScannerRegistry},
    service::{ResultsRequest, ServiceError, Submission, SubmitRequest, TaskView},
};
use nessus_mcp_server::McpRoutes;
use serde::Deserialize;

/// A scan that somebody asks for.
#[derive(Deserialize)]
struct Wanted {
    name: String,
    targets: String,
}

/// An error of the service as your API tells it.
struct Refused(ServiceError);

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = self.0.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
        (status, format!("{}: {}{hint}\n", self.0.code(), self.0)).into_response()
    }
}

async fn submit(
    State(service): State<ScanService>,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, Json<Submission>), Refused> {
    let scan = service.submit(SubmitRequest::untrusted(wanted.name, wanted.targets)).await?;
    Ok((StatusCode::ACCEPTED, Json(scan)))
}

async fn status(State(service): State<ScanService>, Path(task): Path<String>) -> Result<Json<TaskView>, Refused> {
    Ok(Json(service.status(&ScanService::parse_task_id(&task)?).await?))
}

/// The findings as lines of JSON, however many there are. Once they are prepared, the status of the answer is known.
async fn findings(State(service): State<ScanService>, Path(task): Path<String>) -> Result<impl IntoResponse, Refused> {
    let findings = ResultsRequest::everything(ScanService::parse_task_id(&task)?);
    let prepared = service.prepare_results(findings).await?;
    // An error in their midst breaks the answer off, so that nobody takes it for whole.
    let lines = stream::unfold(prepared, async |mut prepared| Some((prepared.next().await?, prepared)));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)))
}

/// The service, with a mock scanner.
async fn open(data: &FilePath) -> Result<ScanService, Box<dyn Error>> {
    let mock = Arc::new(MockScanner::new(MockConfig::new().scan_duration(Duration::from_secs(1))));
    let instance = ScannerInstance::new(InstanceId::new("one")?, 2, mock);
    let pool = ScannerPool::new(PoolName::new("lab")?, "mock", vec![instance]);
    let scanners = ScannerRegistry::new(vec![pool])?;
    Ok(ScanService::open_with_scanners(&Settings::new(data, "unused"), scanners).await?)
}

/// Completes when the program should end.
async fn told_to_stop() {
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let data = tempfile::tempdir()?;
    let service = open(data.path()).await?;
    let settings = WorkerSettings::default().with_poll_interval(Duration::from_millis(200));
    let worker = tokio::spawn(Worker::new(&service, settings)?.run(told_to_stop()));

    let mcp = McpRoutes::new(&service)?.with_graceful_shutdown(told_to_stop());
    let own = Router::new()
        .route("/scans", post(submit))
        .route("/scans/{task}", get(status))
        .route("/scans/{task}/findings", get(findings))
        .with_state(service);
    let router = own.merge(mcp.into_router());

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("people: http://{0}/scans, agents: http://{0}/mcp", listener.local_addr()?);
    let served = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    served.with_graceful_shutdown(told_to_stop()).await?;
    // It hands unfinished tasks back to the queue.
    worker.await?;
    println!("ended");
    Ok(())
}
