//! `token new|list`: tokens for the clients of the server.

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted},
    policy::{ApprovalKey, Role, TokenHash, new_token},
    time::{Clock as _, SystemClock},
};

use crate::{
    args::{ListTokensArgs, NewTokenArgs},
    output,
};

pub(crate) fn new(args: &NewTokenArgs) {
    let token = new_token();
    let mut entry = vec![
        "For policy.yaml; the server takes it with its next start or SIGHUP. The token is shown only now.".to_owned(),
        "clients:".to_owned(),
        format!("  - name: {}", args.client),
        format!("    role: {}", args.role),
        format!("    token_sha256: {}", TokenHash::of(token.expose())),
    ];
    entry.extend(args.expires_in.map(|time| format!("    expires: {}", SystemClock.now().plus(time))));
    if args.role.may(Role::Approve) {
        entry.push(format!("    approval_key: {}", ApprovalKey::of(&token)));
    }
    output::note(&entry.join("\n"));
    output::lines([token.expose().to_owned()]);
}

pub(crate) async fn list(args: &ListTokensArgs) -> Result<(), Failure> {
    let scope = ScanService::load_scope(&args.scope.apply(Settings::new(".", "scanners.yaml"))?).await?;
    let (policy, now) = (scope.policy(), SystemClock.now());
    output::lines(policy.clients().iter().map(|client| {
        let until = match client.expires {
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
