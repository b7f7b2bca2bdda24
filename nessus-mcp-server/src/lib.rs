//! The MCP tools of `nessus-mcp-server`, to be mounted in an axum program of one's own.
//!
//! The package is a program: `nessus-mcp-server serve` is all that most need. This library is for a program that has an HTTP API already, embeds
//! [`ScanService`](nessus_mcp_lib::ScanService), and wants to offer the same scans to AI agents at `/mcp`. [`McpRoutes`] is all there is.
//!
//! # How to mount it
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use axum::{Router, routing::get};
//! use nessus_mcp_lib::{ScanService, Worker, config::{Settings, WorkerSettings}};
//! use nessus_mcp_server::McpRoutes;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ScanService::open(&Settings::new("./data", "scanners.yaml")).await?;
//! tokio::spawn(Worker::new(&service, WorkerSettings::default())?.run(std::future::pending()));
//!
//! let mcp = McpRoutes::new(&service)?.allowed_hosts("scans.example")?;
//! let router = Router::new().route("/", get(|| async { "scans" })).merge(mcp.into_router());
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! // Without `ConnectInfo` nobody knows that a client is on this machine, and each needs a token.
//! axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! # Ok(()) }
//! ```
//!
//! A router with a state of its own gets it (`with_state`) before the merge. The example `embed_in_axum` is a whole program.
//!
//! # Who is let in
//! The first of these that holds decides:
//!
//! 1. **Your own middleware** has put a [`Principal`](nessus_mcp_lib::policy::Principal) into the request's extensions: that is who calls, and
//!    no token is asked for. Its name stands in the tasks, the log and the audit log; its role and rights say which tools it may use and
//!    what it may scan; who sees whose tasks follows from it, as `visibility` in `policy.yaml` has it.
//! 2. **A bearer token**, where `policy.yaml` has `clients` or `oauth`: that of a client, or of an identity provider (OAuth 2.1), as with
//!    `serve`. One that is not taken is refused.
//! 3. **Who is on this machine** is `local`, where the policy lets `local` in: the peer in axum's `ConnectInfo<SocketAddr>` is a loopback
//!    address, and no proxy has added `Forwarded`, `X-Forwarded-For`, `X-Real-IP` or `Via`.
//! 4. Everybody else is refused with 401. Without `ConnectInfo` that is everybody without a token.
//!
//! ```
//! use axum::{Extension, Router, extract::Request, middleware::{self, Next}, response::Response};
//! use nessus_mcp_lib::policy::{Principal, Role};
//!
//! /// Somebody whom your own login knows.
//! #[derive(Clone)]
//! struct User {
//!     name: String,
//!     may_scan: bool,
//! }
//!
//! async fn as_principal(Extension(user): Extension<User>, mut request: Request, next: Next) -> Response {
//!     let role = if user.may_scan { Role::Scan } else { Role::Read };
//!     request.extensions_mut().insert(Principal::new(format!("app:{}", user.name), role));
//!     next.run(request).await
//! }
//!
//! // Not `layer`, which would stand before your own answers to unknown paths as well.
//! fn guarded(mcp: Router) -> Router {
//!     mcp.route_layer(middleware::from_fn(as_principal))
//! }
//! ```
//!
//! An API of your own over the same service asks [`service.acting_for(principal)`](nessus_mcp_lib::ScanService::acting_for) in the same
//! way: then role, rights and visibility hold there too.
//!
//! Give principals names with a colon, as here. A worker looks up the rights of a name without one in its own `policy.yaml`, and refuses what a
//! client asked for who is not in it (`client_revoked`). Of a name with a colon it applies the policy alone: rights that you give such a
//! principal ([`Rights::parse`](nessus_mcp_lib::policy::Rights::parse)) hold where a scan is submitted, and are not checked again before the launch.
//!
//! # What these routes do
//! - `Host` must be a loopback name or one of [`allowed_hosts`](McpRoutes::allowed_hosts), and `Origin`, if there is one, a page on this
//!   machine (403). So no web page gets at them through a name of its own.
//! - A request is at most 1 MiB and arrives within 30 s. Of one client 64 requests are worked on at once, of all 256. Large answers that nobody
//!   reads take at most 64 MiB. What is over is refused with 408, 413, 503 or the error `busy`.
//! - Traces, metrics, rate limits and audit lines are those of `serve`. [`render_metrics`](nessus_mcp_lib::ScanService::render_metrics) has the
//!   metrics. Audit lines are written where there is a policy, and the service keeps an audit log
//!   ([`audited`](nessus_mcp_lib::ScanService::audited)).
//!
//! # What is left to you
//! - **TLS**, and bounds on connections: how many, how long one may stay idle, how slowly an answer may be read.
//! - **A proxy in front** that adds no header, such as a forwarded TCP port, cannot be told from a client on this machine: let `policy.yaml`
//!   name `clients` or `oauth`. Audit lines have the address in `ConnectInfo`; middleware that knows the client's address may put it there.
//! - **Stopping.** [`with_graceful_shutdown`](McpRoutes::with_graceful_shutdown) ends calls that wait.
//! - **Everything beside `/mcp`**: `/health` and `/metrics` are [`health`](nessus_mcp_lib::ScanService::health),
//!   [`ready`](nessus_mcp_lib::ScanService::ready) and [`render_metrics`](nessus_mcp_lib::ScanService::render_metrics). Files are read again
//!   by `reload_scanners`, `reload_policy` and `reload_credentials`.
//! - **Work in the background.** Scans run in a [`Worker`](nessus_mcp_lib::Worker), in this process or another one. A process without one
//!   spawns [`watch_queue`](nessus_mcp_lib::ScanService::watch_queue), and
//!   [`watch_scanners`](nessus_mcp_lib::ScanService::watch_scanners) to show the health of the scanners. Where the policy has scans wait for a
//!   person, [`watch_approvals`](nessus_mcp_lib::ScanService::watch_approvals) counts them, and ends those that nobody agrees to in time.
//!
//! # Versions
//! [`McpRoutes::into_router`] returns a `Router` of axum 0.8. When axum has a breaking release, so has this crate. No other type of a crate before
//! its 1.0 is in a public signature.

mod access;
mod answer;
mod app;
mod args;
mod client_address;
mod completion;
mod demo;
mod http;
mod install;
mod mount;
mod output;
mod progress;
mod prompts;
mod report_view;
mod resources;
mod schema;
mod serve;
mod stdio;
mod tls;
mod tools;
mod trace;
mod ui;
mod words;

use std::process::ExitCode;

use nessus_mcp_lib::config::cli;

use crate::args::{Arguments, Command};

pub use mount::McpRoutes;

/// The program `nessus-mcp-server`, for its binary alone.
#[doc(hidden)]
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    output::exit_code(cli::block_on(async {
        match arguments.command {
            Command::Serve(command) => serve::run(*command).await,
            Command::Stdio(command) => stdio::run(*command).await,
            Command::Demo(command) => demo::run(command).await,
            Command::Install(command) => install::run(&command),
        }
    }))
}
