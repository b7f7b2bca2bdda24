//! Logging in and out.

use serde::Deserialize;
use serde_json::json;

use super::{
    reply::Reply,
    state::{State, seconds},
    tokens::random_hex,
    wire::{ApiError, Call, Incoming, Outcome},
};

/// The session token of `X-Cookie: token=…`.
pub(super) fn cookie(request: &Incoming) -> Option<&str> {
    request.header("x-cookie")?.split(';').find_map(|part| part.trim().strip_prefix("token="))
}

/// Whether `X-ApiKeys: accessKey=…; secretKey=…` names the valid pair; `None` when there is no such header.
pub(super) fn api_keys_valid(request: &Incoming, valid: Option<&(String, String)>) -> Option<bool> {
    let header = request.header("x-apikeys")?;
    let field = |name| header.split(';').find_map(|part| part.trim().strip_prefix(name));
    let (access, secret) = (field("accessKey=")?, field("secretKey=")?);
    Some(valid.is_some_and(|(a, s)| access == a && secret == s))
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// `POST /session`, with a JSON or a form body.
pub(super) fn login(state: &mut State, call: &Call<'_>) -> Outcome {
    let given = read_login(call.request)?;
    if given.username.is_empty() {
        return Err(ApiError::invalid_field("username"));
    }
    if given.username != state.config.username || given.password != state.config.password {
        state.counted.failed_logins += 1;
        return Err(ApiError::unauthorized());
    }
    state.counted.logins += 1;
    let token = state.sessions.create(call.now);
    Ok(Reply::json(&json!({
        "token": token,
        "md5sum_wizard_templates": "5b2e6f0a9c1d4e8f7a3b2c1d0e9f8a7b",
        "md5sum_tenable_links": "0f9e8d7c6b5a49382716050403020100",
    })))
}

fn read_login(request: &Incoming) -> Result<Login, ApiError> {
    if !request.header("content-type").unwrap_or_default().starts_with("application/x-www-form-urlencoded") {
        return request.json();
    }
    let form = request.form();
    let field =
        |wanted: &str| form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap_or_default();
    Ok(Login { username: field("username"), password: field("password") })
}

/// `GET /session`.
pub(super) fn show(state: &mut State, call: &Call<'_>) -> Outcome {
    Ok(Reply::json(&json!({
        "id": 2, "username": state.config.username, "email": null, "name": null, "type": "local", "permissions": 128,
        "lastlogin": seconds(call.now), "lockout": 0, "container_id": 0, "groups": null,
    })))
}

/// `DELETE /session`.
pub(super) fn logout(state: &mut State, call: &Call<'_>) -> Outcome {
    // API keys have no session that could end.
    let token = call.session.ok_or_else(ApiError::unauthorized)?;
    state.sessions.close(token);
    state.counted.logouts += 1;
    Ok(state.done())
}

/// `PUT /session/keys`: a new pair; the old one dies.
pub(super) fn new_keys(state: &mut State, _call: &Call<'_>) -> Outcome {
    let (access, secret) = (random_hex(64), random_hex(64));
    let reply = Reply::json(&json!({ "accessKey": access, "secretKey": secret }));
    state.api_keys = Some((access, secret));
    Ok(reply)
}
