//! When the circuit of a scanner opens and closes.

use std::time::Duration;

use super::ConfigError;

/// When a circuit opens, for how long, and what closes it again.
///
/// ```
/// use std::time::Duration;
/// use nessus_mcp_lib::config::CircuitSettings;
/// let settings = CircuitSettings::default().with_failures(3).with_open_time(Duration::from_secs(10), Duration::from_secs(60));
/// assert!(settings.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitSettings {
    /// Opens after so many failures in a row.
    pub failures: u32,
    /// Opens when this share of the calls within [`window`](Self::window) failed, in percent.
    pub failure_rate_percent: u8,
    /// A share counts from so many calls on.
    pub minimum_calls: u32,
    /// How long a call counts for the share.
    pub window: Duration,
    /// The longest time the first opening lasts; it doubles with each further one. The time itself is randomised
    /// between a tenth of that and the whole, so that many processes do not come back at once.
    pub open: Duration,
    /// What the doubling ends at.
    pub max_open: Duration,
    /// The longest time for which a scanner may ask for no calls (`Retry-After`).
    pub max_retry_after: Duration,
    /// How many calls may be under way at once while it is tried whether the scanner is back.
    pub half_open_permits: u32,
    /// How many of them must succeed to close the circuit.
    pub half_open_successes: u32,
    /// How long the trying may take before the circuit opens again.
    pub max_half_open: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_rate_percent: 50,
            minimum_calls: 20,
            window: Duration::from_secs(60),
            open: Duration::from_secs(30),
            max_open: Duration::from_secs(600),
            max_retry_after: Duration::from_secs(3600),
            half_open_permits: 2,
            half_open_successes: 2,
            max_half_open: Duration::from_secs(120),
        }
    }
}

impl CircuitSettings {
    /// Opens after this many failures in a row.
    pub fn with_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Opens when `percent` of at least `minimum_calls` calls within `window` failed.
    pub fn with_failure_rate(mut self, percent: u8, minimum_calls: u32, window: Duration) -> Self {
        (self.failure_rate_percent, self.minimum_calls, self.window) = (percent, minimum_calls, window);
        self
    }

    /// Stays open for at most `first`, later for at most `longest`.
    pub fn with_open_time(mut self, first: Duration, longest: Duration) -> Self {
        (self.open, self.max_open) = (first, longest);
        self
    }

    /// Lets `permits` calls at once try whether the scanner is back, for at most `longest`, and closes after
    /// `successes`.
    pub fn with_half_open(mut self, permits: u32, successes: u32, longest: Duration) -> Self {
        (self.half_open_permits, self.half_open_successes, self.max_half_open) = (permits, successes, longest);
        self
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] with the name of the setting.
    pub fn check(self) -> Result<Self, ConfigError> {
        let wrong = [
            (self.failures == 0, "settings.circuits.failures", "must be at least 1"),
            (
                !(1..=100).contains(&self.failure_rate_percent),
                "settings.circuits.failure_rate_percent",
                "must be from 1 to 100",
            ),
            (self.minimum_calls == 0, "settings.circuits.minimum_calls", "must be at least 1"),
            (
                self.window < Duration::from_millis(100) || self.window > LIMIT,
                "settings.circuits.window",
                "must be from 100ms to 24h",
            ),
            (self.open < Duration::from_millis(10), "settings.circuits.open", "must be at least 10ms"),
            (
                self.max_open < self.open,
                "settings.circuits.max_open",
                "must not be shorter than `settings.circuits.open`",
            ),
            (self.max_open > LIMIT, "settings.circuits.max_open", "must be at most 24h"),
            (self.max_retry_after > LIMIT, "settings.circuits.max_retry_after", "must be at most 24h"),
            (self.half_open_permits == 0, "settings.circuits.half_open_permits", "must be at least 1"),
            (self.half_open_successes == 0, "settings.circuits.half_open_successes", "must be at least 1"),
            (
                self.max_half_open.is_zero() || self.max_half_open > LIMIT,
                "settings.circuits.max_half_open",
                "must be longer than zero and at most 24h",
            ),
        ];
        match wrong.into_iter().find(|(is_wrong, ..)| *is_wrong) {
            Some((_, name, message)) => {
                Err(ConfigError::Setting { name: name.to_owned(), message: message.to_owned() })
            }
            None => Ok(self),
        }
    }
}

/// A circuit that is open for longer is one that an operator should isolate.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        let second = Duration::from_secs(1);
        let base = CircuitSettings::default;
        assert_eq!(base().check().unwrap(), base());
        for (settings, name) in [
            (base().with_failures(0), "settings.circuits.failures"),
            (base().with_failure_rate(0, 1, second), "settings.circuits.failure_rate_percent"),
            (base().with_failure_rate(101, 1, second), "settings.circuits.failure_rate_percent"),
            (base().with_failure_rate(50, 0, second), "settings.circuits.minimum_calls"),
            (base().with_failure_rate(50, 1, Duration::ZERO), "settings.circuits.window"),
            (base().with_open_time(Duration::ZERO, second), "settings.circuits.open"),
            (base().with_open_time(second * 2, second), "settings.circuits.max_open"),
            (base().with_open_time(second, second * 100_000), "settings.circuits.max_open"),
            (base().with_half_open(0, 1, second), "settings.circuits.half_open_permits"),
            (base().with_half_open(1, 0, second), "settings.circuits.half_open_successes"),
            (base().with_half_open(1, 1, Duration::ZERO), "settings.circuits.max_half_open"),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{name}`")), "{error}");
        }
    }
}
