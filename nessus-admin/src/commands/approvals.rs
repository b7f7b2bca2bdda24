//! `approvals list|show|approve|deny`: scans that wait until a person agrees.

use nessus_mcp_lib::{
    ScanService,
    audit::{Entry, Who},
    config::Settings,
    error::{Classified, ErrorKind, Failure, counted},
    policy::Verdict,
    service::{ApprovalAnswer, ApprovalView},
    targets,
    time::{Clock as _, SystemClock},
};

use super::{
    approver, queue,
    recorded::{Recorder, user},
};
use crate::{
    args::{ApproveArgs, DecisionArgs, DenyArgs, ListApprovalsArgs, ShowApprovalArgs},
    output::{self, Terminal, age},
};

/// Without the policy nobody knows which scans wait, and who may decide.
#[derive(Debug, thiserror::Error)]
#[error("no policy is set, so there is nothing that a person must agree to")]
struct NoPolicy;

impl Classified for NoPolicy {
    fn code(&self) -> &'static str {
        "no_policy"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Configuration
    }

    fn hint(&self) -> Option<String> {
        Some("name the policy of server and workers with `--policy-config` or `POLICY_CONFIG`".to_owned())
    }
}

pub(crate) async fn list(args: &ListApprovalsArgs) -> Result<(), Failure> {
    let waiting = open(&args.policy.settings()?).await?.approvals().await?;
    if args.json {
        output::lines(waiting.iter().map(|view| serde_json::json!(view).to_string()));
        return Ok(());
    }
    let now = SystemClock.now();
    output::lines(waiting.iter().map(|view| {
        format!(
            "{}  {} by {}  {}  {}  {}  since {}  until {}",
            view.task_id,
            view.scan_type,
            asked_by(view),
            visible(&targets::shortened(&view.targets)),
            hosts(view),
            view.rules.join(","),
            age(view.asked_at, now),
            view.expires_at
        )
    }));
    output::note(&counted(waiting.len(), "scan waits until a person agrees", "scans wait until a person agrees"));
    Ok(())
}

pub(crate) async fn show(args: &ShowApprovalArgs) -> Result<(), Failure> {
    let service = open(&args.policy.settings()?).await?;
    let view = service.approval(&service.find_task(&args.task).await?).await?;
    if args.json {
        return output::pretty(&view);
    }
    output::lines(told(&view));
    Ok(())
}

pub(crate) async fn approve(args: &ApproveArgs) -> Result<(), Failure> {
    decide(&args.decision, Verdict::Approved, args.reason.clone()).await
}

pub(crate) async fn deny(args: &DenyArgs) -> Result<(), Failure> {
    decide(&args.decision, Verdict::Denied, Some(args.reason.clone())).await
}

async fn decide(args: &DecisionArgs, verdict: Verdict, reason: Option<String>) -> Result<(), Failure> {
    let settings = args.policy.settings()?;
    let service = open(&settings).await?;
    let task_id = service.find_task(&args.task).await?;
    let view = service.approval(&task_id).await?;
    // Whoever gives the token sees what for, and what is changed after that is refused.
    output::note_at_once(&told(&view).join("\n"));
    let token = approver::token(args.token_file.as_deref())?;
    let mut answer = ApprovalAnswer::new(verdict);
    answer.reason = reason;
    answer.digest = Some(args.digest.clone().unwrap_or(view.digest));
    let arguments = serde_json::json!({ "task": task_id, "digest": answer.digest, "reason": answer.reason });
    let command = format!("approvals {}", verdict.as_str());
    let rules = format!("approvals: {}", view.rules.join(", "));
    let decide = async { Ok(service.decide(&task_id, &token, answer).await?) };
    // The audit log names whoever has the token, if that is somebody.
    let who = match service.scope().policy().authenticate(token.expose(), SystemClock.now()) {
        Ok(principal) => Who::new(principal.name, Entry::Token).with_role(principal.role),
        Err(_) => user(),
    };
    let by = (who, rules.as_str());
    let recorder = Recorder::open(&settings).await?;
    let status = recorder.run_by(by, &command, arguments, Some(task_id.as_str()), decide).await?;
    let follows = match verdict {
        Verdict::Approved => "it begins when its turn has come",
        Verdict::Denied => "it ends",
    };
    if args.json {
        return output::json(&serde_json::json!({ "task_id": task_id, "status": status, "verdict": verdict.as_str() }));
    }
    output::say(format!("{task_id}  {status}: {}; {follows}", verdict.as_str()));
    Ok(())
}

async fn open(settings: &Settings) -> Result<ScanService, Failure> {
    let service = queue::open_service(settings).await?;
    if service.scope().file().is_some() { Ok(service) } else { Err(NoPolicy.into()) }
}

/// All that a person needs to decide.
fn told(view: &ApprovalView) -> Vec<String> {
    let team = view.team.as_ref().map(|team| format!(" (team {})", visible(team))).unwrap_or_default();
    let asked_for_by = format!("{}{team}", asked_by(view));
    let made_of = match &view.template {
        Some(template) => ("template", visible(template)),
        None => ("policy", visible(&view.policy.join(", id or name "))),
    };
    let mut rows = vec![
        ("task", format!("{}, attempt {}", view.task_id, view.attempt)),
        ("name", visible(&view.name)),
        ("asked for by", asked_for_by),
        ("type", view.scan_type.to_string()),
        ("targets", visible(&view.targets)),
        ("hosts", hosts(view)),
        ("pool", view.scanner_pool.to_string()),
        made_of,
        ("login", visible(view.login.as_deref().unwrap_or("none"))),
        ("rules", view.rules.join(", ")),
        ("asked", format!("{} ago, at {}", age(view.asked_at, SystemClock.now()), view.asked_at)),
        ("expires", view.expires_at.to_string()),
    ];
    rows.extend(view.asked_anew.as_ref().map(|why| ("asked anew", visible(why))));
    rows.push(("digest", view.digest.clone()));
    rows.into_iter().map(|(name, value)| format!("{name:<13} {value}")).collect()
}

/// Who asked for the scan, and who wants it tried again.
fn asked_by(view: &ApprovalView) -> String {
    if view.asked_by.is_empty() { "somebody unknown".to_owned() } else { visible(&view.asked_by.join(", ")) }
}

fn hosts(view: &ApprovalView) -> String {
    match view.target_hosts.parse::<u128>() {
        Ok(hosts) => counted(hosts, "host", "hosts"),
        Err(_) => "an unknown number of hosts".to_owned(),
    }
}

/// A text as a terminal shows it: whoever wrote the file of the task may want to be misread.
fn visible(text: &str) -> String {
    Terminal::of_stdout().visible(text).into_owned()
}
