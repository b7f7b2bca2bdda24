//! `policy check`: reads the scope policy, tells how its windows stand, and asks it about targets.

use std::sync::Arc;

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    error::{Failure, counted, excerpt},
    policy::{Policy, Rights},
    targets::TargetSet,
    time::{Clock as _, SystemClock},
};

use crate::{args::PolicyCheckArgs, output};

pub(crate) async fn check(args: &PolicyCheckArgs) -> Result<(), Failure> {
    // Neither of the two paths is looked at.
    let settings = args.scope.apply(Settings::new(".", "scanners.yaml"))?;
    let scope = ScanService::load_scope(&settings).await?;
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

/// What a client of the policy may scan.
fn rights_of(policy: &Policy, client: &str) -> Result<Arc<Rights>, Failure> {
    let found = policy.clients().iter().find(|one| &*one.name == client);
    found.map(|one| Arc::clone(&one.rights)).ok_or_else(|| {
        let known: Vec<_> = policy.clients().iter().map(|one| one.name.to_string()).collect();
        Failure::new(format!("the policy has no client `{}`; its clients are: {}", excerpt(client), known.join(", ")))
    })
}
