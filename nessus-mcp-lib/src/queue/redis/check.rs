//! Whether a server keeps what it was given.

use redis::cmd;

use super::calls::Calls;
use crate::{error::chain, queue::QueueError};

/// What an operator should change about the server, or look at because it cannot be asked.
pub(super) async fn warnings(calls: &Calls) -> Result<Vec<String>, QueueError> {
    let mut found = Vec::new();
    match setting(calls, "memory", "maxmemory_policy", "maxmemory-policy").await? {
        Asked::Is(policy) if policy == "noeviction" => {}
        Asked::Is(policy) => found.push(format!(
            "Redis may throw queue entries away when its memory is full (`maxmemory-policy {policy}`): set it to `noeviction`"
        )),
        Asked::Forbidden => found.push(
            "it could not be checked whether Redis may throw queue entries away: INFO and CONFIG are not allowed".to_owned(),
        ),
    }
    match setting(calls, "persistence", "aof_enabled", "appendonly").await? {
        Asked::Is(on) if on == "1" || on == "yes" => {}
        aof => match (aof, configured(calls, "save").await?) {
            (Asked::Is(_), Asked::Is(save)) if save.is_empty() => found.push(
                "Redis writes nothing to its disk (`appendonly no`, no `save`): set `appendonly yes`, else a restart loses \
                 the queue, which is then rebuilt from the task files, and the idempotency keys, which are not"
                    .to_owned(),
            ),
            (Asked::Is(_), Asked::Is(_)) => {}
            _ => found.push("it could not be checked whether Redis writes to its disk: CONFIG is not allowed".to_owned()),
        },
    }
    Ok(found)
}

/// The answer to a question that may be forbidden.
enum Asked {
    Is(String),
    Forbidden,
}

/// A setting from INFO, which more logins may use, else from CONFIG.
async fn setting(calls: &Calls, section: &str, field: &str, name: &str) -> Result<Asked, QueueError> {
    let info = allowed(calls.ask::<String>(cmd("INFO").arg(section)).await)?;
    let field =
        info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')));
    match field {
        Some(value) => Ok(Asked::Is(value.trim().to_owned())),
        None => configured(calls, name).await,
    }
}

async fn configured(calls: &Calls, name: &str) -> Result<Asked, QueueError> {
    let answer = allowed(calls.ask::<Vec<String>>(cmd("CONFIG").arg("GET").arg(name)).await)?;
    Ok(answer.and_then(|answer| answer.into_iter().nth(1)).map_or(Asked::Forbidden, Asked::Is))
}

/// `None` when the server refuses the question, as hosted ones and careful ACLs do.
fn allowed<T>(answer: Result<T, QueueError>) -> Result<Option<T>, QueueError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error @ QueueError::Unavailable { .. }) => Err(error),
        Err(error) => {
            tracing::debug!(error = chain(&error), "the server does not say how it is set up");
            Ok(None)
        }
    }
}
