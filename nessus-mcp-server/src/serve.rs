//! `serve`: serves MCP over HTTP until the process is told to stop.

use std::time::Duration;

use nessus_mcp_lib::{
    ScanService, TaskManager, Worker,
    audit::ProcessRole,
    config::{Bind, ConfigError, cli::server::BindArgs},
    error::Failure,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    access,
    app::App,
    args::{ADMIN_BIND, MCP_BIND, Serve, UI_BIND, certificate, offered},
    client_address::TrustedProxies,
    http::{self, AllowedHosts, Door, Identities, Routes},
    output,
};

/// How long open requests may take to end after the process was told to stop. Then streams are cancelled, which may take as
/// long again: together less than the ten seconds after which Docker kills a container.
const DRAIN_WAIT: Duration = Duration::from_secs(3);

/// Runs the command.
pub(crate) async fn run(command: Serve) -> Result<(), Failure> {
    command.log.init()?;
    let binds = binds(&command)?;
    let hosts = command.bind.mcp_allowed_hosts.as_deref().unwrap_or_default();
    let hosts = AllowedHosts::default().with_names("MCP_ALLOWED_HOSTS", hosts)?;
    let proxies = TrustedProxies::new(command.bind.trusted_proxies.as_deref())?;
    let requests_per_client = command.bind.requests_per_client()?;
    let client_timeout = command.bind.client_timeout()?;
    let offered = offered(&command.tools)?;
    let worker_settings = command.worker.settings()?;
    let settings = command.common.scanning_settings()?.with_circuits(command.circuits.settings()?);
    let settings = command.scope.apply(settings.with_results_memory_mib(command.results.memory_mib()?))?;
    let settings = command.credentials.settings(settings)?;
    let scanners = ScanService::load_scanners(&settings).await?;
    let scope = ScanService::load_scope(&settings).await?.checked_by(access::check)?;
    for (bind, _) in &binds {
        bind.check_exposure(scope.policy().has_identities())?;
    }
    command.bind.check_pages(&command.tls)?;
    let tls = certificate(&command.tls)?;
    if command.worker_here.with_worker {
        Worker::check_pools(&scanners, &worker_settings)?;
    }
    // Before anything is made: a start that fails leaves no data directory.
    let mut listeners = Vec::new();
    for (bind, routes) in binds {
        listeners.push((bind, routes, bind.listen().await?));
    }
    let service = ScanService::open_with(&settings, scanners, scope).await?;
    TaskManager::check_cache(&settings).await?;
    let app = App::new(service.audited(&settings, ProcessRole::Server).await?);
    app.stop_on_signal()?;
    app.reload_on_signal(tls.clone())?;
    let health_interval = worker_settings.health_interval;
    let worker = if command.worker_here.with_worker { Some(app.start_worker(worker_settings)?) } else { None };
    app.watch_approvals();
    // A worker does both by itself.
    if worker.is_none() {
        app.watch_queue();
        if let Some(interval) = health_interval {
            app.watch_scanners(interval);
        }
    }
    if tls.is_none() && listeners.iter().any(|(bind, ..)| bind.is_exposed()) {
        warn!(
            "other machines may connect, and tokens travel in clear text: set TLS_CERT and TLS_KEY, or put a proxy with TLS in front"
        );
    }
    // With port 0 these lines are the only way to know the ports.
    let scheme = if tls.is_some() { "https" } else { "http" };
    for (_, routes, listener) in &listeners {
        let address = format!("{scheme}://{}", listener.local_addr()?);
        output::line(match *routes {
            Routes::PAGES => format!("pages on {address}/ui"),
            Routes::ADMINISTRATION => format!("metrics and health on {address}"),
            _ => format!("listening on {address}/mcp"),
        });
    }
    let door = |bind: Bind, routes| Door {
        routes,
        hosts: hosts.clone().with_address(bind.ip()),
        identities: Identities::new(&app.service, bind.is_exposed()).with_tls(tls.is_some()),
        client_timeout,
        requests_per_client,
        tls: tls.clone(),
        proxies: proxies.clone(),
        offered,
    };
    let addresses = listeners.into_iter().map(|(bind, routes, listener)| (listener, door(bind, routes)));
    until_stopped(&app, addresses.collect()).await?;
    match worker {
        Some(worker) => worker.stopped().await,
        None => app.service.scanners().close().await,
    }
    app.service.end_audit().await;
    Ok(())
}

/// The addresses to listen on, that of `/mcp` first, each with what is offered there.
fn binds(command: &Serve) -> Result<Vec<(Bind, Routes)>, ConfigError> {
    let BindArgs { mcp_bind, admin_bind, ui_bind, .. } = &command.bind;
    let of_mcp = Routes { mcp: true, pages: ui_bind.is_none(), administration: admin_bind.is_none() };
    let given = [
        (MCP_BIND, Some(mcp_bind), of_mcp),
        (UI_BIND, ui_bind.as_ref(), Routes::PAGES),
        (ADMIN_BIND, admin_bind.as_ref(), Routes::ADMINISTRATION),
    ];
    let given = given.into_iter().filter_map(|(setting, text, routes)| Some((setting, text?, routes)));
    given.map(|(setting, text, routes)| Ok((Bind::parse(setting, text)?, routes))).collect()
}

/// Serves at these addresses until `app.stop` is cancelled. Then waits for open requests to end, and closes what is still open.
pub(crate) async fn until_stopped(app: &App, addresses: Vec<(TcpListener, Door)>) -> Result<(), Failure> {
    let streams = CancellationToken::new();
    let mut serving = JoinSet::new();
    for (listener, door) in addresses {
        info!(address = %listener.local_addr()?, routes = ?door.routes, "requests are served at this address");
        serving.spawn(http::serve(app.clone(), listener, door, streams.clone()));
    }
    tokio::select! {
        Some(ended) = serving.join_next() => return ended.map_err(|failed| Failure::new(failed.to_string())),
        () = app.stop.cancelled() => {}
    }
    if tokio::time::timeout(DRAIN_WAIT, all_ended(&mut serving)).await.is_ok() {
        return Ok(());
    }
    // Streams and half-sent requests do not end by themselves.
    streams.cancel();
    if tokio::time::timeout(DRAIN_WAIT, all_ended(&mut serving)).await.is_err() {
        warn!("connections were closed before their requests had ended");
        serving.abort_all();
    }
    Ok(())
}

async fn all_ended(serving: &mut JoinSet<()>) {
    while serving.join_next().await.is_some() {}
}
