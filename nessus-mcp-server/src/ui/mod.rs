//! The pages under `/ui`: what the tools tell an agent, for a person with a browser.
//!
//! Read-only, without scripts, and without anything from another host. Everything comes from the calls of
//! [`ScanService`](nessus_mcp_lib::ScanService) that the tools make, for the same caller: what it may not see is not there, and
//! a page or a part of one that it may not have is named by the tool that would tell it. Texts are escaped by the templates;
//! those of scanned hosts also lose what a person would not see. Each list is bounded. The machines of workers,
//! who did what and the logins of scans that wait are shown to operators alone: [`Reader::is_operator`].
//!
//! A part that cannot be told, because the queue does not answer for example, says so in its place; the others are shown.

mod compare;
mod findings;
mod frame;
mod now;
mod reader;
mod scan;
mod scanners;
mod task;
mod tasks;
mod words;

use std::{collections::BTreeMap, future::Future, sync::Arc};

use axum::{
    Router,
    extract::{Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderValue, header};
use nessus_mcp_lib::{
    policy::{Principal, RateClass},
    results::REPORT_STYLE,
};

use self::{
    frame::Page,
    reader::{Failure, Params, Reader},
};
use crate::{
    client_address::ClientAddress,
    tools::{PageCall, ScanTools},
    trace::RequestTrace,
};

/// The path of the first page; all others stand below it.
pub(crate) const PATH: &str = "/ui";

/// What a browser may do with a page: show it, with the styles of this server.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The styles of the pages, after those of the report.
const STYLE: &str = include_str!("style.css");

/// Whether a path is that of a page.
pub(crate) fn is_page(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The pages, for whoever may call these tools.
pub(crate) fn routes(tools: &ScanTools) -> Router {
    Router::new()
        .route(PATH, get(now))
        .route("/ui/", get(now))
        .route("/ui/tasks", get(tasks))
        .route("/ui/tasks/{task_id}", get(task))
        .route("/ui/scans/{task_id}", get(scan))
        .route("/ui/scans/{task_id}/findings", get(findings))
        .route("/ui/compare", get(compare))
        .route("/ui/scanners", get(scanners))
        .route("/ui/style.css", get(style))
        .route("/ui/{*path}", get(async || Failure::no_page().page().into_response()))
        .layer(middleware::from_fn(with_headers))
        .with_state(Arc::new(tools.clone()))
}

/// Gives every answer, a refusal of another method as well, the headers that keep it what it is.
async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], [REPORT_STYLE, STYLE].concat()).into_response()
}

/// A request for a page.
struct Asked {
    tools: Arc<ScanTools>,
    principal: Option<Principal>,
    params: Params,
    from: Option<ClientAddress>,
    trace: Option<RequestTrace>,
}

impl<S> axum::extract::FromRequestParts<S> for Asked
where
    Arc<ScanTools>: axum::extract::FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, Response> {
        let refused =
            || Failure::bad_request("the part of the address behind `?` cannot be read").page().into_response();
        let Query(mut params): Query<BTreeMap<String, String>> =
            Query::from_request_parts(parts, state).await.map_err(|_| refused())?;
        let Path(named): Path<BTreeMap<String, String>> =
            Path::from_request_parts(parts, state).await.map_err(|_| refused())?;
        // A field of a form that was left empty was not given.
        params.retain(|_, value| !value.trim().is_empty());
        params.extend(named);
        let State(tools) = State::from_request_parts(parts, state).await.map_err(|never| match never {})?;
        let known = &parts.extensions;
        let (principal, from, trace) = (known.get().cloned(), known.get().copied(), known.get().cloned());
        Ok(Self { tools, principal, params: Params::new(params), from, trace })
    }
}

/// Answers with a page, if its tool may be used, and writes that it was read.
async fn answer<F>(
    asked: Asked,
    name: &'static str,
    tool: Option<&str>,
    class: RateClass,
    show: impl FnOnce(Arc<Reader>) -> F,
) -> Response
where
    F: Future<Output = Result<Page, Failure>>,
{
    let Asked { tools, principal, params, from, trace } = asked;
    let Some(caller) = principal else { return Failure::not_permitted(None).page().into_response() };
    let call = PageCall {
        page: name,
        arguments: params.to_json(),
        from: from.map(|ClientAddress(address)| address),
        trace_id: trace.map(|trace| trace.known().id.to_string()),
    };
    let reader = tools.reader(caller.clone(), class).map(|access| Arc::new(Reader::new(access, params)));
    let (menu, page) = match reader {
        Ok(reader) => match tool.filter(|tool| !reader.may(tool)) {
            Some(tool) => (reader.menu(), Err(Failure::not_permitted(Some(tool)))),
            None => (reader.menu(), show(reader).await),
        },
        Err(refused) => (Vec::new(), Err(refused.into())),
    };
    let outcome = page.as_ref().err().map_or("ok", |failure| failure.code);
    tools.note_page(call, &caller, outcome).await;
    page.unwrap_or_else(Failure::page).within(&menu, &caller.name)
}

async fn now(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Ok(Box::pin(now::page(&reader)).await);
    answer(asked, "ui/now", None, RateClass::Read, show).await
}

async fn tasks(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(tasks::page(&reader)).await;
    answer(asked, "ui/tasks", Some("list_tasks"), RateClass::Read, show).await
}

async fn task(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(task::page(&reader)).await;
    answer(asked, "ui/task", Some("get_scan_status"), RateClass::Read, show).await
}

async fn scan(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(scan::page(&reader)).await;
    answer(asked, "ui/scan", Some("get_scan_summary"), RateClass::Results, show).await
}

async fn findings(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(findings::page(&reader)).await;
    answer(asked, "ui/findings", Some("get_scan_results"), RateClass::Results, show).await
}

async fn compare(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(compare::page(&reader)).await;
    answer(asked, "ui/compare", Some("compare_scans"), RateClass::Results, show).await
}

async fn scanners(asked: Asked) -> Response {
    let show = async |reader: Arc<Reader>| Box::pin(scanners::page(&reader)).await;
    answer(asked, "ui/scanners", Some("list_scanners"), RateClass::Read, show).await
}

/// A page of its own, where nobody is known for whom it could have a menu.
impl axum::response::IntoResponse for Page {
    fn into_response(self) -> Response {
        self.within(&[], "")
    }
}
