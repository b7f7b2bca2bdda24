//! Whether a server keeps what it was given.

use redis::cmd;

use super::calls::Calls;
use crate::{error::chain, queue::error::QueueError};

/// What an operator should change about the servers, or look at because they cannot be asked.
pub(super) async fn warnings(calls: &Calls) -> Result<Vec<String>, QueueError> {
    let mut found = Vec::new();
    match setting(calls, "memory", "maxmemory_policy", "maxmemory-policy").await? {
        Some(policies) => found.extend(policies.iter().find(|policy| *policy != "noeviction").map(|policy| {
            format!(
                "Redis may throw queue entries away when its memory is full (`maxmemory-policy {policy}`): set it to \
                 `noeviction`"
            )
        })),
        None => found.push(
            "it could not be checked whether Redis may throw queue entries away: INFO and CONFIG are not allowed"
                .to_owned(),
        ),
    }
    found.extend(nearly_full(calls).await?);
    let appends = setting(calls, "persistence", "aof_enabled", "appendonly").await?;
    let all_append = appends.is_some_and(|appends| appends.iter().all(|on| on == "1" || on == "yes"));
    if !all_append {
        match configured(calls, "save").await? {
            Some(saves) if saves.iter().any(String::is_empty) => found.push(
                "Redis writes nothing to its disk (`appendonly no`, no `save`): set `appendonly yes`, else a restart loses \
                 the queue until it is rebuilt from the task files"
                    .to_owned(),
            ),
            Some(_) => {}
            None => {
                found.push("it could not be checked whether Redis writes to its disk: CONFIG is not allowed".to_owned());
            }
        }
    }
    Ok(found)
}

/// That a server will soon refuse to store more, where one has used nine tenths of the memory that it may use.
async fn nearly_full(calls: &Calls) -> Result<Option<String>, QueueError> {
    let infos = allowed(calls.ask_each::<String>(cmd("INFO").arg("memory")).await)?.unwrap_or_default();
    Ok(infos.iter().find_map(|info| {
        let figure = |field: &str| -> Option<u64> {
            info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).and_then(|value| value.trim().parse().ok())
        };
        let (used, most) = (figure("used_memory")?, figure("maxmemory").filter(|most| *most > 0)?);
        let percent = u128::from(used) * 100 / u128::from(most);
        (percent >= 90).then(|| {
            format!("Redis has used {percent} % of its memory (`maxmemory`), and stores nothing more when it is full: give it more")
        })
    }))
}

/// A setting of each server from INFO, which more logins may use, else from CONFIG; `None` when neither says it.
async fn setting(calls: &Calls, section: &str, field: &str, name: &str) -> Result<Option<Vec<String>>, QueueError> {
    let infos = allowed(calls.ask_each::<String>(cmd("INFO").arg(section)).await)?;
    let value = |info: &String| {
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    };
    match infos.and_then(|infos| infos.iter().map(value).collect::<Option<Vec<_>>>()) {
        Some(values) => Ok(Some(values)),
        None => configured(calls, name).await,
    }
}

async fn configured(calls: &Calls, name: &str) -> Result<Option<Vec<String>>, QueueError> {
    let answers = allowed(calls.ask_each::<Vec<String>>(cmd("CONFIG").arg("GET").arg(name)).await)?;
    Ok(answers.and_then(|answers| answers.into_iter().map(|answer| answer.into_iter().nth(1)).collect()))
}

/// `None` when a server refuses the question, as hosted ones and careful ACLs do.
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
