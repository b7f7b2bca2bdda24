//! Who calls, and what they may use: what their role, the policy, the settings of the server and the headers of the request all leave.

use std::sync::Arc;

use nessus_mcp_lib::{
    ScanService,
    policy::{Principal, Role},
};
use rmcp::{ErrorData, model::CallToolResult};
use serde_json::json;
use tracing::warn;

use super::{
    choice::{self, ToolSet},
    table,
};
use crate::answer;

/// The code of a call of a tool that the caller may not use.
pub(crate) const NOT_PERMITTED: &str = "not_permitted";

/// What can leave a tool out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Role,
    Policy,
    Settings,
    Headers,
}

/// Who calls, and which tools they may use.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) principal: Principal,
    /// The service for them.
    pub(crate) service: Arc<ScanService>,
    layers: [(Layer, ToolSet); 4],
}

impl Access {
    /// The access of a principal to what this server offers, and the headers of the request leave.
    pub(crate) fn new(service: &ScanService, principal: Principal, offered: ToolSet, chosen: ToolSet) -> Self {
        let layers = [
            (Layer::Role, ToolSet::of_role(principal.role)),
            (Layer::Policy, choice::left_by(&principal.rights)),
            (Layer::Settings, offered),
            (Layer::Headers, chosen),
        ];
        Self { service: Arc::new(service.acting_for(principal.clone())), principal, layers }
    }

    /// The tools that may be used.
    pub(crate) fn tools(&self) -> ToolSet {
        self.layers.iter().fold(ToolSet::ALL, |left, (_, tools)| left.and(*tools))
    }

    /// The role that a tool asks for, where nothing but this keeps it from the caller.
    pub(crate) fn lacks_role_for(&self, tool: &str) -> Option<Role> {
        let mut missing = self.layers.iter().filter(|(_, tools)| !tools.has(tool)).map(|(layer, _)| *layer);
        let is_role = missing.next() == Some(Layer::Role) && missing.next().is_none();
        table::find(tool).filter(|_| is_role).map(|row| row.role)
    }

    /// Refuses a tool that may not be used.
    ///
    /// # Errors
    /// The message and the hint.
    fn check(&self, tool: &str) -> Result<(), (String, &'static str)> {
        let Some((layer, _)) = self.layers.iter().find(|(_, tools)| !tools.has(tool)) else { return Ok(()) };
        let client = &*self.principal.name;
        warn!(tool, client, by = ?layer, "a tool was refused");
        let needed = table::find(tool).map_or(Role::Scan, |row| row.role);
        let (message, hint) = match layer {
            Layer::Role => (
                format!("`{tool}` is for clients with the role `{needed}`, which you do not have"),
                "use the tools of your list; roles stand in the operator's policy.yaml",
            ),
            Layer::Policy => (
                format!("`{tool}` is not among the tools that the operator's policy.yaml gives you"),
                "use the tools of your list",
            ),
            Layer::Settings => {
                (format!("`{tool}` is not among the tools that this server offers"), "use the tools of your list")
            }
            Layer::Headers => (
                format!("`{tool}` is left out by the headers `X-MCP-...` of this request"),
                "use the tools of your list, or change the headers in the configuration of the client",
            ),
        };
        Err((message, hint))
    }

    /// Refuses the call of a tool that may not be used.
    pub(crate) fn permit(&self, tool: &str) -> Result<(), CallToolResult> {
        self.check(tool).map_err(|(message, hint)| answer::refusal(NOT_PERMITTED, message, Some(hint.to_owned())))
    }

    /// Refuses what a tool would answer, asked for in another way.
    pub(crate) fn permit_as(&self, tool: &str) -> Result<(), ErrorData> {
        self.check(tool).map_err(|(message, hint)| {
            ErrorData::invalid_request(message, Some(json!({ "error": NOT_PERMITTED, "hint": hint })))
        })
    }
}
