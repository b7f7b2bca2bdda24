//! Ages, such as 90m, 12h or 30d.

use std::time::Duration;

/// Parses an age in minutes, hours or days. A number without a unit is refused: a bare 0 would purge everything.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit: m for minutes, h for hours, d for days".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}
