//! Commands that change something stand in the audit log: before they are carried out, and after.

use std::pin::Pin;

use nessus_mcp_lib::{
    audit::{Audit, Decision, Entry, Event, ProcessRole, Who, digest},
    config::{Settings, cli},
    error::Failure,
    ids::TraceId,
};
use serde_json::Value;

/// The audit log of this command line. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recorder(Audit);

impl Recorder {
    /// Opens it, where a server or a worker with a policy has made one, or the settings name a policy.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        // Without a log nothing is sealed, so a key that cannot be read holds no order up.
        let is_wanted = Audit::is_wanted(settings, ProcessRole::Admin);
        let settings = match if is_wanted { cli::secret_key_of_environment()? } else { None } {
            Some(key) => settings.clone().with_secret_key(key),
            None => settings.clone(),
        };
        Ok(Self(Audit::open(&settings, ProcessRole::Admin, None).await?))
    }

    /// Carries a command out, with a line before it and one after it. Where the first cannot be written, nothing is done.
    pub(super) fn run<'a, T: Send + 'a>(
        &'a self,
        command: &'a str,
        arguments: Value,
        task: Option<&'a str>,
        action: impl Future<Output = Result<T, Failure>> + Send + 'a,
    ) -> Recorded<'a, T> {
        self.run_by((user(), "command line"), command, arguments, task, action)
    }

    /// The same for somebody who has shown who they are, by the rule that lets them.
    pub(super) fn run_by<'a, T: Send + 'a>(
        &'a self,
        (who, rule): (Who, &'a str),
        command: &'a str,
        arguments: Value,
        task: Option<&'a str>,
        action: impl Future<Output = Result<T, Failure>> + Send + 'a,
    ) -> Recorded<'a, T> {
        Box::pin(async move {
            let event = Event::new(command, who)
                .decided(Decision::Allowed, rule)
                .with_arguments(digest(&arguments))
                .with_task(task.map(str::to_owned))
                .with_trace(Some(TraceId::generate().to_string()));
            let asked = self.0.asked(event.clone()).await?;
            let outcome = action.await;
            let code = outcome.as_ref().map_or_else(Failure::code, |_| "ok");
            let decision = Decision::of_outcome(code);
            let event = if decision == Decision::Refused { event.decided(decision, code) } else { event };
            self.0.done(asked, event.with_outcome(code)).await;
            self.0.flush().await;
            outcome
        })
    }
}

/// A command that is carried out when it is awaited. Boxed, because what it does may be large.
type Recorded<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Whoever has started the command.
pub(super) fn user() -> Who {
    Who::new(format!("user:{}", cli::user_name()), Entry::OsUser)
}
