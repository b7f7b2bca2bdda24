//! The MCP tools. They pass arguments to [`ScanService`] and return its views; they decide nothing.

mod arguments;
mod audited;
mod control;
#[cfg(test)]
mod documentation;
mod instructions;
mod inventory;
mod limits;
mod pages;
mod question;
mod results;
mod scan;
mod scan_schemas;
mod status;
mod views;

use std::sync::Arc;

use http::HeaderMap;
use nessus_mcp_lib::{
    ScanService,
    error::excerpt,
    policy::{Principal, RateClass, Role},
    telemetry::ToolOutcome,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{router::tool::ToolRouter, tool::ToolCallContext},
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
        CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams, GetPromptResponse, Implementation,
        InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig,
    },
    service::RequestContext,
    tool_handler,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error_span};

pub(crate) use self::{
    audited::{Audited, who},
    pages::{NoReader, PageCall},
    status::{ListTasks, task_query},
};
use self::{
    limits::{Limited, Limits},
    question::Question,
};
use crate::{
    access::{self, Access, ToolSet},
    answer, completion,
    progress::Progress,
    prompts, report_view, resources, schema,
    trace::Trace,
};

/// How long a client may cache a list that changes only with the program, in milliseconds.
const LIST_TTL_MS: u64 = 300_000;

/// The handler; cloned for every request.
#[derive(Debug, Clone)]
pub(crate) struct ScanTools {
    /// In a call, the service for whoever calls.
    service: Arc<ScanService>,
    shared: Arc<Shared>,
}

/// What all calls share.
#[derive(Debug)]
struct Shared {
    /// Who calls where a request does not say so.
    user: Option<Principal>,
    /// The tools that are offered, whoever calls.
    offered: ToolSet,
    /// What is said of the server to those who may use all that are offered; the MCP library asks for it with each request.
    info: ServerConfig,
    /// Cancelled when nobody should be kept waiting any more.
    stop: CancellationToken,
    router: ToolRouter<ScanTools>,
    limits: Limits,
}

impl ScanTools {
    /// The tools for `user`, or for those whom requests bring with them, as far as they are offered. `stop` is cancelled when nobody
    /// should be kept waiting any more.
    pub(crate) fn new(
        service: &ScanService,
        stop: &CancellationToken,
        user: Option<Principal>,
        offered: ToolSet,
    ) -> Self {
        let (info, stop) = (Self::info_for(offered), stop.clone());
        let shared = Shared { user, offered, info, stop, router: Self::router(), limits: Limits::default() };
        Self { service: Arc::new(service.clone()), shared: Arc::new(shared) }
    }

    /// Who calls.
    fn principal(&self, context: &RequestContext<RoleServer>) -> Option<Principal> {
        let parts = context.extensions.get::<http::request::Parts>();
        parts.map_or_else(|| self.shared.user.clone(), |parts| parts.extensions.get().cloned())
    }

    /// Who calls, and what they may use: somebody who may at least read.
    ///
    /// # Errors
    /// When nobody is known, and for headers that name what there is not.
    fn access(&self, context: &RequestContext<RoleServer>) -> Result<Access, ErrorData> {
        let principal = self.principal(context).filter(|principal| principal.role.may(Role::Read));
        let principal = principal.ok_or_else(|| ErrorData::invalid_request("Not permitted", None))?;
        let headers = context.extensions.get::<http::request::Parts>().map(|parts| &parts.headers);
        let chosen = headers.map_or(Ok(ToolSet::ALL), access::chosen_by);
        let chosen = chosen.map_err(|message| ErrorData::invalid_params(message, None))?;
        Ok(Access::new(&self.service, principal, self.shared.offered, chosen))
    }

    /// What somebody is told of the server who may use these tools.
    fn info_for(tools: ToolSet) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_resources()
                .enable_prompts()
                .enable_completions()
                .build(),
        )
        .with_server_info(
            Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).with_title("Nessus scans"),
        )
        .with_instructions(instructions::for_tools(tools))
    }

    /// The role that the tool of this name asks for, where nothing but this keeps it from who calls with these headers.
    pub(crate) fn lacking_role(&self, headers: &HeaderMap, caller: Principal, tool: &str) -> Option<Role> {
        let chosen = access::chosen_by(headers).ok()?;
        let access = Access::new(&self.service, caller, self.shared.offered, chosen);
        access.lacks_role_for(scan_schemas::name_of_today(tool))
    }

    /// Counts a call that was refused for want of a scope.
    pub(crate) fn refused_for_scope(&self) {
        self.service.metrics().process().http_refused("scope");
    }

    /// The methods that are tools, as they stand in their files.
    fn methods() -> ToolRouter<Self> {
        Self::scan_router()
            + Self::status_router()
            + Self::results_router()
            + Self::views_router()
            + Self::control_router()
            + Self::inventory_router()
    }

    /// The tools, with what the table says of them.
    fn router() -> ToolRouter<Self> {
        let mut router = Self::methods();
        router.map.retain(|name, route| {
            let Some(row) = access::find(name) else { return false };
            row.describe(&mut route.attr);
            schema::normalise(&mut route.attr);
            scan_schemas::fit(&mut route.attr);
            true
        });
        router
    }
}

#[tool_handler(router = self.shared.router)]
impl ServerHandler for ScanTools {
    fn get_info(&self) -> ServerConfig {
        self.shared.info.clone()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let tools = self.access(&context)?.tools();
        let answer = self.negotiate_initialize(&request)?.with_instructions(instructions::for_tools(tools));
        context.peer.set_peer_info(request);
        Ok(answer)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let tools = self.access(&context)?.tools();
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, Self::info_for(tools)))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        first_page(request)?;
        let may_use = self.access(&context)?.tools();
        let tools = self.shared.router.list_all().into_iter().filter(|tool| may_use.has(&tool.name));
        let shows_views = report_view::is_declared(&context);
        let tools = tools.map(|tool| if shows_views { report_view::named_by(tool) } else { tool }).collect();
        // Another client may see other tools.
        Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let unclear = scan_schemas::by_name_of_today(&mut request);
        let Some(tool) = self.shared.router.get(&request.name) else {
            // Not counted: the caller chose the name, and callers must not create metric labels.
            let name = excerpt(&request.name).to_string();
            return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None));
        };
        let access = self.access(&context)?;
        let trace = Trace::of(&context);
        let client = &*access.principal.name;
        let span =
            error_span!("tool", tool = %tool.name, client, trace_id = trace.id.as_str(), span_id = trace.span_id);
        // Whatever the tool asks for later belongs to the same trace.
        context.extensions.insert(trace);
        let row = access::find(&request.name);
        let class = row.map_or(RateClass::Change, |row| row.class);
        let read = span.in_scope(|| {
            self.shared
                .limits
                .count_call(&access, class)
                .map_err(Limited::into_result)
                .and_then(|()| access.permit(&request.name))
                .and_then(|()| unclear.map_or(Ok(()), Err))
                .and_then(|()| arguments::read(tool, request.arguments.take().unwrap_or_default()))
        });
        let changes = row.is_none_or(|row| !row.is_read_only());
        let read = match read {
            Ok(arguments) if changes => Question::ask(&context).await.map(|()| arguments),
            read => read,
        };
        let tool = request.name.clone();
        let result = match read {
            Ok(arguments) => {
                request.arguments = Some(arguments);
                let progress = Progress::of(&context, &tool);
                context.extensions.insert(progress.clone());
                let acting = Self { service: Arc::clone(&access.service), shared: Arc::clone(&self.shared) };
                let call = self.shared.router.call(ToolCallContext::new(&acting, request, context)).instrument(span);
                progress.during(call).await.map(answer::with_code)
            }
            Err(refusal) => Ok(refusal.into()),
        };
        let outcome = match &result {
            Ok(CallToolResponse::Complete(result)) if result.is_error != Some(true) => ToolOutcome::Success,
            _ => ToolOutcome::Error,
        };
        self.service.metrics().tool_called(&tool, outcome);
        result
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let access = self.access(&context)?;
        first_page(request)?;
        self.shared.limits.count_call(&access, RateClass::Read)?;
        resources::list(&access.service, access.tools()).instrument(span_of(&context)).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let access = self.access(&context)?;
        first_page(request)?;
        // Another client may see other resources.
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates(access.tools()))
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let access = self.access(&context)?;
        let address = resources::parse(&request.uri)?;
        if let Some(tool) = address.tool() {
            self.shared.limits.count_call(&access, access::find(tool).map_or(RateClass::Change, |row| row.class))?;
            access.permit_as(tool)?;
        }
        let read = resources::read(&access.service, &request.uri, address).instrument(span_of(&context));
        read.await.map(Into::into)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let access = self.access(&context)?;
        first_page(request)?;
        // Another client may see other prompts.
        Ok(ListPromptsResult::with_all_items(prompts::list(access.tools()))
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let access = self.access(&context)?;
        self.shared.limits.count_call(&access, RateClass::Read)?;
        let arguments = request.arguments.unwrap_or_default();
        let got = prompts::get(&access.service, access.tools(), &request.name, arguments);
        got.instrument(span_of(&context)).await.map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let access = self.access(&context)?;
        self.shared.limits.count_call(&access, RateClass::Read)?;
        completion::complete(&access.service, &access, &request).instrument(span_of(&context)).await
    }

    /// Answers an unknown method. The MCP library's own answer would repeat the name, however long it is.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, excerpt(&request.method).to_string(), None))
    }
}

/// The span of a request that calls no tool.
fn span_of(context: &RequestContext<RoleServer>) -> Span {
    let trace = Trace::of(context);
    error_span!("request", trace_id = trace.id.as_str(), span_id = trace.span_id)
}

/// Lists come whole, so no cursor was ever handed out.
fn first_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        Some(_) => Err(ErrorData::invalid_params("Invalid cursor: the list comes whole", None)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::access::table::{TOOLS, find};

    #[test]
    fn every_tool_has_one_row_and_every_row_a_tool() {
        let methods = ScanTools::methods();
        let methods: BTreeSet<_> = methods.map.keys().map(|name| &**name).collect();
        let rows: BTreeSet<_> = TOOLS.iter().map(|row| row.name).collect();
        assert_eq!(methods, rows);
        assert_eq!(rows.len(), TOOLS.len(), "a tool has two rows");
        let offered = ScanTools::router();
        assert_eq!(offered.map.keys().map(|name| &**name).collect::<BTreeSet<_>>(), rows);
    }

    #[test]
    fn only_the_table_says_what_a_tool_is() {
        for (name, route) in &ScanTools::methods().map {
            let tool = &route.attr;
            assert!(tool.title.is_none() && tool.annotations.is_none(), "the method of `{name}` has an attribute");
        }
    }

    /// Agents may call what is marked as read-only without asking, and readers may call it.
    #[test]
    fn role_class_and_annotations_agree() {
        for tool in ScanTools::router().list_all() {
            let row = find(&tool.name).unwrap();
            let hints = tool.annotations.unwrap();
            let reads = hints.read_only_hint.unwrap();
            assert_eq!(reads, row.role == Role::Read, "{}", row.name);
            assert_eq!(reads, row.class != RateClass::Change, "{}", row.name);
            assert_eq!(reads, !["submit", "control"].contains(&row.toolset.as_str()), "{}", row.name);
            assert!(!reads || (hints.destructive_hint == Some(false) && hints.idempotent_hint == Some(true)));
            assert!(hints.destructive_hint.is_some() && hints.open_world_hint.is_some() && tool.title.is_some());
        }
    }
}
