//! Values of `policy.yaml` that several of its keys have.

use serde::Deserialize;

use super::windows::{DAY_MINUTES, Window, parse_days, parse_time};
use crate::{
    config::{ConfigError, Reader, Scalar},
    ids::PoolName,
};

/// The most characters of a name.
const MOST_CHARS: usize = 255;

/// The keys of a window.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    pub(super) days: Vec<Scalar>,
    from: Option<Scalar>,
    to: Option<Scalar>,
}

impl Reader<'_> {
    /// The entries of a list; one that is there has some.
    pub(super) fn entries<T>(
        &self,
        key: &str,
        line: u64,
        raw: Option<Vec<Scalar>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(raw) = raw else { return Ok(Vec::new()) };
        if raw.is_empty() {
            return Err(self.error(key, line, "is empty: leave it out, or name what it is about"));
        }
        let entries = raw.into_iter().enumerate();
        let read = |(at, entry)| self.placed(&format!("{key}[{at}]"), Some(entry), &parse).transpose();
        entries.filter_map(read).collect()
    }

    pub(super) fn window_list(&self, key: &str, raw: Vec<RawWindow>) -> Result<Vec<Window>, ConfigError> {
        let read = |(at, raw): (usize, RawWindow)| {
            let name = |part: &str| format!("{key}[{at}].{part}");
            let mut days = [false; 7];
            let line = raw.days.first().map_or(1, |day| day.line);
            for (at, named) in raw.days.into_iter().enumerate() {
                let named = self.placed(&name(&format!("days[{at}]")), Some(named), parse_days)?;
                days.iter_mut().zip(named.unwrap_or_default()).for_each(|(day, is_named)| *day |= is_named);
            }
            if days == [false; 7] {
                return Err(self.error(&name("days"), line, "is empty: name days, such as mon-fri"));
            }
            let from = self.placed(&name("from"), raw.from, parse_time)?.unwrap_or(0);
            let to = self.placed(&name("to"), raw.to, parse_time)?.unwrap_or(DAY_MINUTES);
            if from == to || from == DAY_MINUTES {
                let message = "begins where it ends: leave `from` and `to` out for whole days";
                return Err(self.error(&format!("{key}[{at}]"), line, message));
            }
            Ok(Window { days, from, to })
        };
        raw.into_iter().enumerate().map(read).collect()
    }

    /// As [`value`](Self::value), and says the column too: several values may stand on a line.
    pub(super) fn placed<T>(
        &self,
        key: &str,
        raw: Option<Scalar>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let column = raw.as_ref().map_or(0, |scalar| scalar.column);
        self.value(key, raw, |text| parse(text).map_err(|message| format!("{message} (column {column})")))
    }
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be `true` or `false`".to_owned())
}

pub(super) fn pool_name(text: &str) -> Result<PoolName, String> {
    PoolName::new(text).map_err(|error| format!("is no name of a pool: {error}"))
}

/// A name of somebody or something, as others write it.
pub(super) fn any_name(text: &str) -> Result<String, String> {
    let is_fine = (1..=MOST_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_fine { Ok(text.to_owned()) } else { Err(format!("must be a name of 1 to {MOST_CHARS} characters")) }
}
