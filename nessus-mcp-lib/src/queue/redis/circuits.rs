//! Circuits as the scripts answer them.

use redis::{ParsingError, Value};

use crate::{
    queue::{CircuitChange, CircuitRecord, PublishOutcome},
    time::Timestamp,
};

/// The arguments of `publish_circuit.lua`.
pub(super) fn arguments(change: &CircuitChange) -> [String; 8] {
    let order = change.order.map_or("", crate::circuit_breaker::CircuitOrder::as_str);
    [
        change.after.to_string(),
        change.state.as_str().to_owned(),
        super::scripts::millis(change.lasts),
        change.reason.clone(),
        change.by.clone(),
        order.to_owned(),
        change.opens.to_string(),
        change.failures.to_string(),
    ]
}

/// What `publish_circuit.lua` answers.
pub(super) fn outcome(value: Value) -> Result<PublishOutcome, ParsingError> {
    let (stands, fields): (u64, Value) = redis::from_redis_value(value)?;
    let record = record(fields)?.ok_or_else(|| ParsingError::from("a circuit without fields"))?;
    Ok(if stands == 1 { PublishOutcome::Published(record) } else { PublishOutcome::Superseded(record) })
}

/// A circuit's fields, in the order of `circuit.lua`.
pub(super) fn record(value: Value) -> Result<Option<CircuitRecord>, ParsingError> {
    let Some(fields) = redis::from_redis_value::<Option<Vec<Option<String>>>>(value)? else { return Ok(None) };
    let text = |index: usize| fields.get(index).and_then(Option::as_deref).unwrap_or_default();
    let wrong = |index: usize| ParsingError::from(format!("`{}` in a circuit", crate::error::excerpt(text(index))));
    let number = |index: usize| text(index).parse::<u64>().map_err(|_| wrong(index));
    let order = match text(4) {
        "" => None,
        word => Some(word.parse().map_err(|_| wrong(4))?),
    };
    let change = CircuitChange {
        after: 0,
        state: text(1).parse().map_err(|_| wrong(1))?,
        lasts: std::time::Duration::from_millis(number(8)?),
        reason: text(2).to_owned(),
        by: text(3).to_owned(),
        order,
        opens: 0,
        failures: 0,
    };
    let since = Timestamp::from_millis(i64::try_from(number(5)?).unwrap_or(i64::MAX));
    Ok(Some(CircuitRecord::new(number(0)?, &change, since).with_counts(number(6)?, number(7)?)))
}
