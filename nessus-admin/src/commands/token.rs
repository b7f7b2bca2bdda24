//! `token new|list|revoke`: tokens for the clients of the server.

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted},
    policy::{self, ApprovalKey, Role, TokenHash, new_token},
    time::{Clock as _, SystemClock},
};

use serde_json::json;

use super::recorded::Recorder;
use crate::{
    args::{ListTokensArgs, NewTokenArgs, RevokeTokenArgs},
    output,
};

pub(crate) async fn new(args: &NewTokenArgs) -> Result<(), Failure> {
    let token = new_token();
    let hash = TokenHash::of(token.expose()).to_string();
    let arguments = json!({ "client": args.client, "role": args.role.as_str(), "token_sha256": hash });
    let made = async { Ok(()) };
    Recorder::open(&args.common.settings()?).await?.run("token new", arguments, None, made).await?;
    let expires = args.expires_in.map(|time| SystemClock.now().plus(time));
    let approval_key = args.role.may(Role::Approve).then(|| ApprovalKey::of(&token).to_string());
    if args.json {
        return output::json(&json!({
            "client": args.client, "role": args.role.as_str(), "token": token.expose(), "token_sha256": hash,
            "expires": expires, "approval_key": approval_key,
        }));
    }
    let mut entry = vec![
        "For policy.yaml; the server takes it with its next start or SIGHUP. The token is shown only now.".to_owned(),
        "clients:".to_owned(),
        format!("  - name: {}", args.client),
        format!("    role: {}", args.role),
        format!("    token_sha256: {hash}"),
    ];
    entry.extend(expires.map(|expires| format!("    expires: {expires}")));
    entry.extend(approval_key.map(|key| format!("    approval_key: {key}")));
    output::note(&entry.join("\n"));
    output::lines([token.expose().to_owned()]);
    Ok(())
}

/// Writes `revoked: true` into the entry of a client.
pub(crate) async fn revoke(args: &RevokeTokenArgs) -> Result<(), Failure> {
    let settings = args.policy.settings()?;
    let Some(file) = ScanService::load_scope(&settings).await?.file() else {
        return Err(Failure::new("no policy is set: name it with `--policy-config` or `POLICY_CONFIG`"));
    };
    let revoke = async { Ok(policy::revoke(&file, &args.client)?) };
    let recorder = Recorder::open(&settings).await?;
    recorder.run("token revoke", json!({ "client": args.client }), None, revoke).await?;
    if args.json {
        return output::json(&json!({ "client": args.client, "revoked": true, "file": file }));
    }
    let file = file.display();
    output::say(format!("the token of `{}` is revoked in {file}; SIGHUP lets a running server go by it", args.client));
    Ok(())
}

pub(crate) async fn list(args: &ListTokensArgs) -> Result<(), Failure> {
    let scope = ScanService::load_scope(&args.scope.apply(Settings::new(".", "scanners.yaml"))?).await?;
    let (policy, now) = (scope.policy(), SystemClock.now());
    if args.json {
        return policy.clients().iter().try_for_each(|client| {
            output::json(&json!({
                "client": client.name, "role": client.role.as_str(), "expires": client.expires,
                "revoked": client.is_revoked, "approves": client.is_approver(now),
            }))
        });
    }
    output::lines(policy.clients().iter().map(|client| {
        let until = match client.expires {
            _ if client.is_revoked => "revoked".to_owned(),
            Some(end) if end <= now => format!("ended at {end}"),
            Some(end) => format!("until {end}"),
            None => "for ever".to_owned(),
        };
        let decides = if client.is_approver(now) { "  agrees to scans" } else { "" };
        format!("{}  {}  {until}{decides}", client.name, client.role)
    }));
    output::note(&counted(policy.clients().len(), "client", "clients"));
    Ok(())
}
