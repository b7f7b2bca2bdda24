//! A call of a tool that another scope would allow is answered 403 with that scope, so that a client can ask for it.
//!
//! The name of the tool stands in the body in every revision of MCP, so it is taken from there. Whatever is passed on here is
//! judged once more where tools are called, and is answered there with `not_permitted`.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use nessus_mcp_lib::policy::{Claims, OAuth, Principal};
use serde::Deserialize;
use tracing::warn;

use super::challenge::{Wrong, challenge};
use crate::{http::audited::Refused, tools::ScanTools};

/// What more scopes would give whoever has sent a request.
#[derive(Debug, Clone)]
pub(in crate::http) struct StepUp {
    pub(in crate::http) oauth: Arc<OAuth>,
    pub(in crate::http) claims: Arc<Claims>,
}

/// The parts of a call that say which tool it is of.
#[derive(Deserialize)]
struct Call {
    method: String,
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    name: String,
}

/// Refuses such a call, and passes everything else on.
pub(in crate::http) async fn step_up(tools: &ScanTools, request: Request) -> Result<Request, Response> {
    let extensions = request.extensions();
    let (Some(more), Some(caller)) = (extensions.get::<StepUp>().cloned(), extensions.get::<Principal>().cloned())
    else {
        return Ok(request);
    };
    let (parts, body) = request.into_parts();
    // It was read before, and bounded.
    let body = to_bytes(body, usize::MAX).await.map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
    let call = serde_json::from_slice::<Call>(&body).ok().filter(|call| call.method == "tools/call");
    let needed = call.as_ref().and_then(|call| tools.lacking_role(&parts.headers, caller.clone(), &call.params.name));
    let (Some(call), Some(scope)) = (call, needed.and_then(|needed| more.oauth.scope_for(needed, &more.claims))) else {
        return Ok(Request::from_parts(parts, Body::from(body)));
    };
    warn!(tool = %call.params.name, client = &*caller.name, scope, "a tool was refused: its role is missing");
    tools.refused_for_scope();
    let mut response = insufficient_scope(&more.oauth, Some(scope));
    response.extensions_mut().insert(Refused::call(&caller, &call.params.name, scope));
    Err(response)
}

/// Says which scope is missing.
pub(in crate::http) fn insufficient_scope(oauth: &OAuth, scope: Option<&str>) -> Response {
    let challenge = challenge(Some(oauth), Wrong::InsufficientScope, scope);
    let message = "the token does not give the right to do this\n";
    (StatusCode::FORBIDDEN, [(header::WWW_AUTHENTICATE, challenge)], message).into_response()
}
