//! Circuits as the scripts answer them.

use redis::{ParsingError, Value};

use crate::{
    error::excerpt,
    queue::{CircuitNotice, CircuitNoticeKind, PostedNotice, ProcessCircuits},
    time::Timestamp,
};

/// A notice's fields, in the order of `circuit_notice.lua`. Circuits that an earlier version of the program has told of are no
/// notices.
pub(super) fn notice(value: Value) -> Result<Option<PostedNotice>, ParsingError> {
    let Some(fields) = redis::from_redis_value::<Option<Vec<Option<String>>>>(value)? else { return Ok(None) };
    let text = |index: usize| fields.get(index).and_then(Option::as_deref).unwrap_or_default();
    let wrong = |index: usize| ParsingError::from(format!("`{}` in a circuit", excerpt(text(index))));
    let number = |index: usize| text(index).parse::<u64>().map_err(|_| wrong(index));
    if text(1).is_empty() {
        return Ok(None);
    }
    let kind = CircuitNoticeKind::parse(text(1)).ok_or_else(|| wrong(1))?;
    let notice = CircuitNotice { kind, reason: text(2).to_owned(), by: text(3).to_owned() };
    let at = Timestamp::from_millis(i64::try_from(number(4)?).unwrap_or(i64::MAX));
    Ok(Some(PostedNotice::new(number(0)?, at, notice)))
}

/// What `circuit_states.lua` answers.
pub(super) fn processes(stored: Vec<(String, u64, String)>) -> Vec<ProcessCircuits> {
    let parsed =
        stored.into_iter().filter_map(|(process, age, circuits)| ProcessCircuits::parse(process, age, &circuits));
    let mut processes: Vec<_> = parsed.collect();
    processes.sort_by(|one, other| one.process.cmp(&other.process));
    processes
}
