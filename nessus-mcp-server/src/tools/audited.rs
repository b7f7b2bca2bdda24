//! The audit lines of requests. A read has one line; what changes something has one before it is done and one after it.
//!
//! [`Audited`] stands before the tools: it knows the request before anything is decided, and the answer.

use std::{borrow::Cow, sync::Arc};

use nessus_mcp_lib::{
    audit::{Decision, Entry, Event, Who, digest},
    policy::{LOCAL, Principal},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest, CustomResult,
        DiscoverResult, GetPromptRequestParams, GetPromptResponse, InitializeRequestParams, InitializeResult,
        JsonObject, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use super::{
    ScanTools,
    question::{Answer, Question},
};
use crate::{client_address::ClientAddress, resources, trace::Trace};

/// What stands in the place of an argument that is secret, or that a tool does not have.
const LEFT_OUT: &str = "[left out]";

/// The tools, with an audit line for each request. Where there is no audit log they are the tools.
#[derive(Debug, Clone)]
pub(crate) struct Audited(ScanTools);

impl Audited {
    pub(crate) const fn new(tools: ScanTools) -> Self {
        Self(tools)
    }

    /// The question that a request is, where there is an audit log.
    fn question(
        &self,
        what: &str,
        arguments: impl FnOnce() -> Value,
        task: Option<&str>,
        context: &mut RequestContext<RoleServer>,
    ) -> Question {
        let audit = self.0.service.audit();
        if !audit.is_on() {
            return Question::default();
        }
        let trace = Trace::of(context);
        let trace_id = trace.id.to_string();
        // What the tool asks for belongs to the same trace.
        context.extensions.insert(trace);
        let principal = self.0.principal(context);
        let parts = context.extensions.get::<http::request::Parts>();
        let from = parts.and_then(|parts| parts.extensions.get::<ClientAddress>()).map(|ClientAddress(from)| *from);
        let who = principal.as_ref().map(who).unwrap_or_default().with_address(from);
        let rule = principal.map_or_else(|| "nobody".to_owned(), |principal| format!("role {}", principal.role));
        let event = Event::new(what, who).decided(Decision::Allowed, rule).with_arguments(digest(&arguments()));
        let event = event.with_task(task.map(str::to_owned)).with_trace(Some(trace_id));
        let question = Question::new(audit.clone(), event);
        context.extensions.insert(question.clone());
        question
    }

    /// The arguments of a tool as they were sent, without those that are secret or that it does not have: a secret may stand in an
    /// argument whose name was misspelt.
    fn without_secrets(&self, tool: &str, given: Option<&JsonObject>) -> Value {
        let tool = self.0.shared.router.get(tool);
        let members = tool.and_then(|tool| tool.input_schema.get("properties")?.as_object());
        let is_plain = |name: &String| {
            let member = members.and_then(|members| members.get(name));
            member.is_some_and(|member| member.get("writeOnly") != Some(&Value::Bool(true)))
        };
        let shown = given.into_iter().flatten().map(|(name, value)| {
            let value = if is_plain(name) { value.clone() } else { Value::from(LEFT_OUT) };
            (name.clone(), value)
        });
        Value::Object(shown.collect::<Map<_, _>>())
    }
}

/// Who calls, as it stands in the log.
pub(crate) fn who(principal: &Principal) -> Who {
    let entry = match &*principal.name {
        LOCAL => Entry::Local,
        name if name.starts_with("user:") => Entry::Stdio,
        name if name.starts_with("oauth:") => Entry::Oauth,
        _ => Entry::Token,
    };
    Who::new(Arc::clone(&principal.name), entry).with_role(principal.role)
}

impl ServerHandler for Audited {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let given = request.arguments.as_ref();
        let task = given.and_then(|given| given.get("task_id")).and_then(Value::as_str);
        let arguments = || self.without_secrets(&request.name, given);
        let question = self.question(&request.name, arguments, task, &mut context);
        let result = self.0.call_tool(request, context).await;
        question.answered(Answer::of_call(&result)).await;
        result
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let task = request.uri.strip_prefix(resources::TASKS);
        let task = task.map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
        let arguments = || json!({ "uri": request.uri });
        let question = self.question("resources/read", arguments, task, &mut context);
        let result = self.0.read_resource(request, context).await;
        question.answered(Answer::of(&result)).await;
        result
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        mut context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let question = self.question("resources/list", || json!({}), None, &mut context);
        let result = self.0.list_resources(request, context).await;
        question.answered(Answer::of(&result)).await;
        result
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = || json!({ "name": request.name, "arguments": request.arguments });
        let question = self.question("prompts/get", arguments, None, &mut context);
        let result = self.0.get_prompt(request, context).await;
        question.answered(Answer::of(&result)).await;
        result
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let arguments = || json!({ "argument": request.argument });
        let question = self.question("completion/complete", arguments, None, &mut context);
        let result = self.0.complete(request, context).await;
        question.answered(Answer::of(&result)).await;
        result
    }

    // What tells nothing of tasks has no line.

    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.get_tool(name)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.0.initialize(request, context).await
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        self.0.discover(context).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.0.list_tools(request, context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.0.list_resource_templates(request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.0.list_prompts(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.0.on_custom_request(request, context).await
    }
}
