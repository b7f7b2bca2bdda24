//! The resources: what tools answer, under addresses that a client can list, show and attach.

use nessus_mcp_lib::{
    ScanService,
    error::{Classified as _, ErrorKind, excerpt},
    ids::TaskId,
    results::declared_fields,
    service::{ResultsRequest, ServiceError, TaskSummary},
    task::TaskQuery,
};
use rmcp::{
    ErrorData,
    model::{CacheScope, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    access::ToolSet,
    answer::{explained, said},
    report_view,
};

/// The template of a task's status.
pub(crate) const TASK: &str = "nessus://tasks/{task_id}";
/// The template of a page of a task's findings.
pub(crate) const RESULTS: &str = "nessus://tasks/{task_id}/results{?profile,page}";
/// The tools that answer what the templates do, and the one that lists tasks.
const OF_TASK: &str = "get_scan_status";
const OF_RESULTS: &str = "get_scan_results";
const OF_LIST: &str = "list_tasks";
/// What the address of a task begins with.
pub(crate) const TASKS: &str = "nessus://tasks/";
const FIELDS: &str = "nessus://schema/fields";
const FILTERS_GUIDE: &str = "nessus://guide/filters";

const JSON: &str = "application/json";
const JSON_LINES: &str = "application/x-ndjson";
const MARKDOWN: &str = "text/markdown";

/// The text of the guide.
const GUIDE: &str = include_str!("resources/filters.md");

/// How many tasks are listed, the newest: clients show the list to people, and many read its first page only.
const TASKS_LISTED: usize = 50;
/// The most characters of all findings at once (page 0).
const PAGE_0_CHARS: u64 = 400_000;
/// How long a client may cache what changes only with the program, in milliseconds.
const STATIC_TTL_MS: u64 = 300_000;

/// An address of a resource that there may be.
#[derive(Debug)]
pub(crate) enum Address {
    Fields,
    FiltersGuide,
    /// The view that shows a report beside the answer of a tool.
    ReportView,
    Task(TaskId),
    Results(Box<ResultsRequest>),
}

impl Address {
    /// The tool that answers the same: whoever may not use it may not read the resource.
    pub(crate) fn tool(&self) -> Option<&'static str> {
        match self {
            Self::Fields | Self::FiltersGuide | Self::ReportView => None,
            Self::Task(_) => Some(OF_TASK),
            Self::Results(_) => Some(OF_RESULTS),
        }
    }
}

/// The resources that are there whatever was scanned.
pub(crate) fn fixed() -> Vec<Resource> {
    vec![
        Resource::new(FIELDS, "fields")
            .with_title("Fields of findings")
            .with_description(
                "Every field with its type, meaning, conditions in filters, and the profiles that show it",
            )
            .with_mime_type(JSON),
        Resource::new(FILTERS_GUIDE, "filters")
            .with_title("How to filter findings")
            .with_description("The language of `filters`, with examples")
            .with_mime_type(MARKDOWN),
    ]
}

/// The templates for somebody who may use these tools.
pub(crate) fn templates(tools: ToolSet) -> Vec<ResourceTemplate> {
    let task = ResourceTemplate::new(TASK, "task")
        .with_title("Scan status")
        .with_description("Where a scan stands, as get_scan_status answers it")
        .with_mime_type(JSON);
    let results = ResourceTemplate::new(RESULTS, "results")
        .with_title("Scan findings")
        .with_description(
            "A page of the findings of a scan that has ended, worst first, as get_scan_results answers it. profile: minimal, \
             summary, brief (default), triage or full. page: from 1 (default); 0 for all that fit into 400,000 characters",
        )
        .with_mime_type(JSON_LINES);
    let all = [(OF_TASK, task), (OF_RESULTS, results)];
    all.into_iter().filter(|(tool, _)| tools.has(tool)).map(|(_, template)| template).collect()
}

/// The fixed resources and the newest tasks, as far as somebody may see them who may use these tools.
pub(crate) async fn list(service: &ScanService, tools: ToolSet) -> Result<ListResourcesResult, ErrorData> {
    let mut resources = fixed();
    if tools.has(OF_LIST) && tools.has(OF_TASK) {
        let newest = TaskQuery::default().with_limit(TASKS_LISTED);
        let newest = service.list_tasks(newest).await.map_err(|error| failed(&error))?;
        resources.extend(newest.tasks.iter().map(of_task));
    }
    Ok(ListResourcesResult::with_all_items(resources).with_ttl_ms(0).with_cache_scope(CacheScope::Private))
}

fn of_task(task: &TaskSummary) -> Resource {
    let description = format!("{} scan of {} from {}", task.status, task.targets, task.created_at);
    Resource::new(format!("{TASKS}{}", task.task_id), task.task_id.as_str())
        .with_title(task.name.clone())
        .with_description(description)
        .with_mime_type(JSON)
}

/// What stands at an address.
///
/// # Errors
/// The protocol's "resource not found" where nothing is, also not yet.
pub(crate) async fn read(service: &ScanService, uri: &str, address: Address) -> Result<ReadResourceResult, ErrorData> {
    let refused = |error: ServiceError| of_resource(uri, &error);
    let text = |text: String, mime_type| ResourceContents::text(text, uri).with_mime_type(mime_type);
    let (contents, is_fixed) = match address {
        Address::Fields => (text(written(&declared_fields())?, JSON), true),
        Address::FiltersGuide => (text(GUIDE.to_owned(), MARKDOWN), true),
        Address::ReportView => (report_view::contents(), true),
        Address::Task(task_id) => {
            let view = service.status(&task_id).await.map_err(refused)?;
            (text(written(&said(&view).map_err(|error| unwritten(&error))?)?, JSON), false)
        }
        Address::Results(request) => (text(service.results(*request).await.map_err(refused)?, JSON_LINES), false),
    };
    let (ttl, scope) = if is_fixed { (STATIC_TTL_MS, CacheScope::Public) } else { (0, CacheScope::Private) };
    Ok(ReadResourceResult::new(vec![contents]).with_ttl_ms(ttl).with_cache_scope(scope))
}

fn written(value: &impl Serialize) -> Result<String, ErrorData> {
    serde_json::to_string(value).map_err(|error| unwritten(&error))
}

fn unwritten(error: &serde_json::Error) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// What an address leads to.
///
/// # Errors
/// The protocol's "resource not found" for an address that there cannot be; "invalid params" for such a profile or page.
pub(crate) fn parse(uri: &str) -> Result<Address, ErrorData> {
    match uri {
        FIELDS => return Ok(Address::Fields),
        FILTERS_GUIDE => return Ok(Address::FiltersGuide),
        report_view::ADDRESS => return Ok(Address::ReportView),
        _ => {}
    }
    let unknown = || not_found(uri, "there is no such resource", None);
    let path = uri.strip_prefix(TASKS).ok_or_else(unknown)?;
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let (task_id, rest) = path.split_once('/').map_or((path, None), |(task_id, rest)| (task_id, Some(rest)));
    let task_id = TaskId::new(task_id).map_err(|_| unknown())?;
    match (rest, query) {
        (None, None) => Ok(Address::Task(task_id)),
        (Some("results"), query) => {
            results_request(task_id, query.unwrap_or_default()).map(Box::new).map(Address::Results)
        }
        _ => Err(unknown()),
    }
}

fn results_request(task_id: TaskId, query: &str) -> Result<ResultsRequest, ErrorData> {
    let mut request = ResultsRequest::new(task_id);
    let mut page = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let twice = match name {
            "profile" => {
                let profile = value.parse().map_err(|error| failed(&ServiceError::Results(error)))?;
                request.schema_profile.replace(profile).is_some()
            }
            "page" => {
                let number = value.parse().map_err(|_| invalid("`page` must be a whole number"))?;
                page.replace(number).is_some()
            }
            _ => return Err(invalid(&format!("there is no `{}`; there are: profile, page", excerpt(name)))),
        };
        if twice {
            return Err(invalid(&format!("`{name}` is given twice")));
        }
    }
    request.page = page;
    request.max_chars = (request.page == Some(0)).then_some(PAGE_0_CHARS);
    Ok(request)
}

fn invalid(message: &str) -> ErrorData {
    ErrorData::invalid_params(message.to_owned(), None)
}

/// An error as the protocol has it for resources.
fn of_resource(uri: &str, error: &ServiceError) -> ErrorData {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Conflict => {
            let (message, hint) = explained(error);
            not_found(uri, &message, Some((error.code(), hint)))
        }
        _ => failed(error),
    }
}

fn not_found(uri: &str, message: &str, why: Option<(&str, Option<String>)>) -> ErrorData {
    let (code, hint) = why.unwrap_or(("resource_not_found", None));
    let data = json!({ "uri": excerpt(uri).to_string(), "error": code, "hint": hint });
    ErrorData::resource_not_found(format!("Resource not found: {message}"), Some(data))
}

/// An error as the protocol has it for what is not about a resource.
pub(crate) fn failed(error: &ServiceError) -> ErrorData {
    let (message, hint) = explained(error);
    let data = Some(json!({ "error": error.code(), "hint": hint }));
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Conflict => ErrorData::invalid_params(message, data),
        _ => ErrorData::internal_error(message, data),
    }
}

#[cfg(test)]
mod tests {
    use nessus_mcp_lib::results::FilterSet;

    use super::*;

    #[test]
    fn an_address_leads_to_one_thing() {
        let id = "ne_ness_20261128_143022_a1b2c3d4";
        for (uri, task) in [
            (format!("nessus://tasks/{id}"), "Task"),
            (format!("nessus://tasks/{id}/results"), "Results"),
            (format!("nessus://tasks/{id}/results?page=2&profile=full"), "Results"),
            (FIELDS.to_owned(), "Fields"),
            (FILTERS_GUIDE.to_owned(), "FiltersGuide"),
            (report_view::ADDRESS.to_owned(), "ReportView"),
        ] {
            assert!(format!("{:?}", parse(&uri).unwrap()).starts_with(task), "{uri}");
        }
        for uri in [
            String::new(),
            "nessus://tasks/".to_owned(),
            "nessus://tasks/../x".to_owned(),
            format!("nessus://tasks/{id}/"),
            format!("nessus://tasks/{id}?page=1"),
            format!("nessus://tasks/{id}/task.json"),
            format!("nessus://tasks/{id}/results/1"),
            format!("http://tasks/{id}"),
            "nessus://schema/fields?x".to_owned(),
            format!("{}/", report_view::ADDRESS),
        ] {
            assert_eq!(parse(&uri).unwrap_err().code, rmcp::model::ErrorCode::RESOURCE_NOT_FOUND, "{uri}");
        }
        for query in ["page=x", "page=1&page=2", "profile=full&profile=full", "pages=1"] {
            let refused = parse(&format!("nessus://tasks/{id}/results?{query}")).unwrap_err();
            assert_eq!(refused.code, rmcp::model::ErrorCode::INVALID_PARAMS, "{query}");
        }
        let Address::Results(request) = parse(&format!("nessus://tasks/{id}/results?page=0")).unwrap() else {
            panic!("no results")
        };
        assert_eq!((request.page, request.max_chars), (Some(0), Some(PAGE_0_CHARS)));
    }

    /// What the guide shows can be asked for.
    #[test]
    fn every_filter_of_the_guide_is_one() {
        let mut examples = 0;
        for example in GUIDE.lines().filter_map(|line| line.strip_prefix("    ")) {
            let filters = serde_json::from_str(example).unwrap_or_else(|error| panic!("{example}: {error}"));
            if let Err(error) = FilterSet::from_json(&filters) {
                panic!("{example}: {error}");
            }
            examples += 1;
        }
        assert!(examples > 10, "{examples}");
    }
}
