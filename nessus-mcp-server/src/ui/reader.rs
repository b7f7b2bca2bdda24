//! Who reads a page, what was asked for, and what is said where it cannot be told.

use std::{collections::BTreeMap, fmt::Display, future::Future, time::Duration};

use http::StatusCode;
use maud::{Markup, html};
use nessus_mcp_lib::{
    ScanService,
    error::{Classified as _, ErrorKind},
    ids::TaskId,
    service::ServiceError,
    time::Timestamp,
};
use serde_json::Value;

use super::frame::{Page, text};
use crate::{access::Access, answer, tools::NoReader};

/// How long a part of a page may take; the others are shown without it.
const SECTION_WAIT: Duration = Duration::from_secs(3);

/// What is given in the address of a page: fields of a form, and the names in the path.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) const fn new(given: BTreeMap<String, String>) -> Self {
        Self(given)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The names and values but for this one.
    pub(super) fn without<'a>(&'a self, left_out: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter(move |(name, _)| *name != left_out).map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
    }
}

/// Whoever reads a page.
#[derive(Debug)]
pub(super) struct Reader {
    access: Access,
    pub(super) params: Params,
    /// When the page is made.
    pub(super) now: Timestamp,
}

impl Reader {
    pub(super) fn new(access: Access, params: Params) -> Self {
        let now = access.service.clock().now();
        Self { access, params, now }
    }

    /// The service, for this reader.
    pub(super) fn service(&self) -> &ScanService {
        &self.access.service
    }

    /// Whether they may have what this tool tells.
    pub(super) fn may(&self, tool: &str) -> bool {
        self.access.tools().has(tool)
    }

    /// Whether they are shown machines, logins and who did what.
    pub(super) fn is_operator(&self) -> bool {
        self.service().is_operator()
    }

    /// The pages that they may open.
    pub(super) fn menu(&self) -> Vec<(&'static str, &'static str)> {
        let pages = [
            ("/ui", "Now", None),
            ("/ui/tasks", "Tasks", Some("list_tasks")),
            ("/ui/compare", "Compare", Some("compare_scans")),
            ("/ui/scanners", "Scanners", Some("list_scanners")),
        ];
        let may_open = |tool: Option<&str>| tool.is_none_or(|tool| self.may(tool));
        pages.into_iter().filter(|(.., tool)| may_open(*tool)).map(|(path, name, _)| (path, name)).collect()
    }

    /// The task that the address of the page names.
    pub(super) fn task_id(&self) -> Result<TaskId, Failure> {
        Ok(ScanService::parse_task_id(self.params.get("task_id").unwrap_or_default())?)
    }

    /// What a part of a page shows, which a tool tells as well.
    pub(super) async fn section<T>(
        &self,
        tool: &'static str,
        question: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, Missing> {
        if !self.may(tool) {
            return Err(Missing::NotPermitted(tool));
        }
        match tokio::time::timeout(SECTION_WAIT, question).await {
            Ok(told) => told.map_err(|error| Missing::Failed(Failure::from(error))),
            Err(_elapsed) => Err(Missing::NoAnswer),
        }
    }
}

/// Why a part of a page is not there.
#[derive(Debug)]
pub(super) enum Missing {
    /// The reader may not use the tool that tells it.
    NotPermitted(&'static str),
    /// What is asked, in most cases the queue, does not answer in time.
    NoAnswer,
    /// It cannot be told.
    Failed(Failure),
}

impl Missing {
    /// What stands in the place of the part.
    pub(super) fn notice(&self) -> Markup {
        match self {
            Self::NotPermitted(tool) => {
                html! { p.note { "Not shown: your client may not use " code { (tool) } "." } }
            }
            Self::NoAnswer => html! {
                p.alarm role="alert" { strong { "No answer. " } "The queue or the disk does not answer in time; it is asked again when the page is loaded again." }
            },
            Self::Failed(Failure { code, message, .. }) => html! {
                p.alarm role="alert" { strong { "This cannot be told now. " } (text(message)) " (" code { (code) } ")" }
            },
        }
    }
}

/// Shows a part of a page, or why it is not there.
pub(super) fn shown<T>(section: &Result<T, Missing>, show: impl FnOnce(&T) -> Markup) -> Markup {
    match section {
        Ok(told) => show(told),
        Err(missing) => missing.notice(),
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    pub(super) code: &'static str,
    message: String,
    retry_after_seconds: Option<u64>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Display) -> Self {
        Self { status, code, message: message.to_string(), retry_after_seconds: None }
    }

    pub(super) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_page", "there is no page at this address")
    }

    pub(super) fn bad_request(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_arguments", message)
    }

    pub(super) fn not_permitted(tool: Option<&str>) -> Self {
        let message = match tool {
            Some(tool) => format!("this page shows what `{tool}` tells, which your client may not use"),
            None => "your client may not read here".to_owned(),
        };
        Self::new(StatusCode::FORBIDDEN, "not_permitted", message)
    }

    /// The page that says so.
    pub(super) fn page(self) -> Page {
        let Self { status, code, message, retry_after_seconds } = self;
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not permitted",
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => "Not possible",
            StatusCode::TOO_MANY_REQUESTS => "Too many requests",
            _ => "Not now",
        };
        let body = html! { p.alarm role="alert" { (text(&message)) " (" code { (code) } ")" } };
        Page { status, retry_after_seconds, ..Page::new(title, body) }
    }
}

/// The message is that of the tools: what only an operator can act on stands in the log.
impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.code(), answer::explained(&error).0)
    }
}

impl From<NoReader> for Failure {
    fn from(refused: NoReader) -> Self {
        match refused {
            NoReader::NotPermitted => Self::not_permitted(None),
            NoReader::Limited { message, retry_after_seconds } => {
                let limited = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
                Self { retry_after_seconds: Some(retry_after_seconds), ..limited }
            }
        }
    }
}
