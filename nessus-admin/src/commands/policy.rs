//! `policy check`: reads the scope policy, tells how its windows stand, and asks it about targets.

use std::sync::Arc;

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted, excerpt},
    policy::{Policy, Rights, Scope},
    targets::TargetSet,
    time::{Clock as _, SystemClock},
};

use serde_json::json;

use crate::{args::PolicyCheckArgs, output};

pub(crate) async fn check(args: &PolicyCheckArgs) -> Result<(), Failure> {
    // Neither of the two paths is looked at.
    let settings = args.scope.apply(Settings::new(".", "scanners.yaml"))?;
    let scope = ScanService::load_scope(&settings).await?;
    if args.json {
        return in_json(args, &scope).await;
    }
    let policy = match scope.file() {
        Some(file) => {
            let most = scope.policy().max_hosts_per_day();
            let day = most.map(|most| format!(", {} per day", counted(most, "host", "hosts"))).unwrap_or_default();
            format!("{}: mode {}{day}", file.display(), scope.policy().mode())
        }
        None => "no scope is set (`--policy-config` or `POLICY_CONFIG` names a policy)".to_owned(),
    };
    output::lines([policy]);
    output::lines(scope.windows(SystemClock.now()).into_iter().map(|window| match (window.is_open, window.opens_at) {
        (true, _) => format!("open: {}", window.rule),
        (false, Some(opens_at)) => format!("closed, opens at {opens_at}: {}", window.rule),
        (false, None) => format!("closed: {}", window.rule),
    }));
    output::lines(scope.policy().approval_rules().map(|rule| format!("a person must agree: rule `{rule}`")));
    let rights = args.client.as_deref().map(|client| rights_of(&scope.policy(), client)).transpose()?;
    if let (Some(client), Some(rights)) = (&args.client, &rights) {
        let restrictions = rights.restrictions();
        let free = restrictions.is_empty().then(|| "may scan whatever the policy allows".to_owned());
        output::lines(restrictions.into_iter().chain(free).map(|line| format!("`{client}`: {line}")));
    }
    let Some(targets) = &args.targets else { return Ok(()) };
    let targets: TargetSet = targets.parse()?;
    let checked = scope.check(&targets, &rights.unwrap_or_default()).await?;
    let hosts = counted(targets.with_addresses(&checked.addresses).host_count(), "host", "hosts");
    output::lines([format!("accepted: {hosts}: {}", targets.for_scanner_with(&checked.addresses)?)]);
    output::lines(checked.would_refuse.iter().map(|refused| format!("`enforce` would refuse: {refused}")));
    Ok(())
}

/// The same as one object; targets that are refused are a failure here as well.
async fn in_json(args: &PolicyCheckArgs, scope: &Scope) -> Result<(), Failure> {
    let policy = scope.policy();
    let windows = scope
        .windows(SystemClock.now())
        .into_iter()
        .map(|window| json!({ "rule": window.rule, "open": window.is_open, "opens_at": window.opens_at }));
    let rights = args.client.as_deref().map(|client| rights_of(&policy, client)).transpose()?;
    let mut document = json!({
        "file": scope.file(), "mode": scope.file().is_some().then(|| policy.mode().to_string()),
        "max_hosts_per_day": policy.max_hosts_per_day(), "windows": windows.collect::<Vec<_>>(),
        "approval_rules": policy.approval_rules().collect::<Vec<_>>(), "client": args.client,
        "restrictions": rights.as_ref().map(|rights| rights.restrictions()),
    });
    if let Some(targets) = &args.targets {
        let targets: TargetSet = targets.parse()?;
        let checked = scope.check(&targets, &rights.unwrap_or_default()).await?;
        document["accepted"] = json!({
            "targets": targets.for_scanner_with(&checked.addresses)?,
            "hosts": targets.with_addresses(&checked.addresses).host_count().to_string(),
            "would_refuse": checked.would_refuse,
        });
    }
    output::json(&document)
}

/// What a client of the policy may scan.
fn rights_of(policy: &Policy, client: &str) -> Result<Arc<Rights>, Failure> {
    let found = policy.clients().iter().find(|one| &*one.name == client);
    found.map(|one| Arc::clone(&one.rights)).ok_or_else(|| {
        let known: Vec<_> = policy.clients().iter().map(|one| one.name.to_string()).collect();
        Failure::new(format!("the policy has no client `{}`; its clients are: {}", excerpt(client), known.join(", ")))
    })
}
