//! What a check of one scanner finds, step by step: the way to it, its certificate, whether it lets us in, and its licence.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::facts::ScannerProperties;
use crate::{
    error::{Classified, chain, counted},
    time::Timestamp,
};

/// A plugin set that is older finds less than people expect.
const OLD_PLUGINS: Duration = Duration::from_secs(14 * 86_400);
/// How long before its end a licence or a certificate is warned about.
pub(super) const ENDS_SOON: Duration = Duration::from_secs(30 * 86_400);

/// A step of a check. Each needs those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckStep {
    /// Its entry in `scanners.yaml`.
    Configuration,
    /// Its name has an address.
    Dns,
    /// The port accepts connections.
    Tcp,
    /// Its certificate is the one to be trusted.
    Tls,
    /// It says that it can scan.
    Ready,
    /// It lets us in.
    Login,
    /// What it is.
    Edition,
    /// Until when and for how many hosts it may be used.
    Licence,
    /// How old its plugins are.
    Plugins,
}

impl CheckStep {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Configuration,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Ready,
        Self::Login,
        Self::Edition,
        Self::Licence,
        Self::Plugins,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ready => "ready",
            Self::Login => "login",
            Self::Edition => "edition",
            Self::Licence => "licence",
            Self::Plugins => "plugins",
        }
    }
}

impl fmt::Display for CheckStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a login may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginTry {
    /// It may, once.
    Once,
    /// Not with a user name and password, because they were refused before, for this reason: Nessus locks accounts.
    RefusedBefore(String),
}

/// How a step has ended, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckOutcome {
    /// As it should.
    Ok,
    /// It was not tried: there is nothing to be checked, or a step before it has failed.
    Skipped,
    /// Scans can run, and somebody should look after something.
    Warning,
    /// Scans cannot run.
    Failed,
}

impl CheckOutcome {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckedStep {
    /// The step.
    pub step: CheckStep,
    /// How it has ended.
    pub outcome: CheckOutcome,
    /// How long it took; absent for one that was skipped or asks nobody.
    #[serde(rename = "milliseconds", serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// What was found, or the cause. No secret.
    pub detail: String,
    /// The code of the error, where it failed with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde asks for a reference")]
fn millis<S: Serializer>(took: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

/// What a check of a scanner has found: each [`CheckStep`] once, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScannerCheck {
    /// The worst of the steps.
    pub outcome: CheckOutcome,
    /// The steps.
    pub steps: Vec<CheckedStep>,
}

impl ScannerCheck {
    /// A check of an entry that cannot be used, for this reason.
    pub fn not_configured(error: &impl Classified) -> Self {
        let mut steps = Steps::default();
        steps.fail(CheckStep::Configuration, None, error);
        steps.end("it is not known how to reach it")
    }

    /// A check of a scanner that is not used.
    pub fn disabled() -> Self {
        Steps::default().end("the scanner is disabled (`enabled: false`)")
    }

    /// The step that failed.
    pub fn failure(&self) -> Option<&CheckedStep> {
        self.steps.iter().find(|step| step.outcome == CheckOutcome::Failed)
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<CheckedStep>);

impl Steps {
    /// A step that was well, with what it found.
    pub(super) fn ok(&mut self, step: CheckStep, took: Option<Duration>, detail: impl Into<String>) {
        self.add(step, CheckOutcome::Ok, took, detail.into(), None);
    }

    /// A step that has nothing to check.
    pub(super) fn skip(&mut self, step: CheckStep, detail: impl Into<String>) {
        self.add(step, CheckOutcome::Skipped, None, detail.into(), None);
    }

    /// A step that found what somebody should look after.
    pub(super) fn warn(&mut self, step: CheckStep, took: Option<Duration>, detail: impl Into<String>, hint: &str) {
        self.add(step, CheckOutcome::Warning, took, detail.into(), Some(hint.to_owned()));
    }

    /// A step that failed, with what mends it.
    pub(super) fn refuse(&mut self, step: CheckStep, took: Option<Duration>, detail: impl Into<String>, hint: &str) {
        self.add(step, CheckOutcome::Failed, took, detail.into(), Some(hint.to_owned()));
    }

    /// A step that failed with an error.
    pub(super) fn fail(&mut self, step: CheckStep, took: Option<Duration>, error: &impl Classified) {
        self.add(step, CheckOutcome::Failed, took, chain(error), error.hint());
        if let Some(step) = self.0.last_mut() {
            step.code = Some(error.code());
        }
    }

    /// What mends the last step.
    pub(super) fn advise(&mut self, hint: String) {
        if let Some(step) = self.0.last_mut() {
            step.hint = Some(hint);
        }
    }

    fn add(
        &mut self,
        step: CheckStep,
        outcome: CheckOutcome,
        took: Option<Duration>,
        detail: String,
        hint: Option<String>,
    ) {
        self.0.push(CheckedStep { step, outcome, took, detail, code: None, hint });
    }

    /// Judges what a scanner tells about itself at a moment.
    pub(super) fn judge(&mut self, properties: &ScannerProperties, now: Timestamp) {
        let words = [properties.product.as_deref(), properties.version.as_deref()];
        match words.into_iter().flatten().collect::<Vec<_>>().join(" ") {
            edition if edition.is_empty() => {
                self.warn(
                    CheckStep::Edition,
                    None,
                    "it does not say what it is",
                    "look whether a proxy answers in its place",
                );
            }
            edition => self.ok(CheckStep::Edition, None, edition),
        }
        self.judge_licence(properties, now);
        let hint = "let the scanner update its plugins: look at its update settings and its way to the internet";
        match (&properties.plugin_set, properties.plugin_age(now)) {
            (None, _) => self.warn(CheckStep::Plugins, None, "it does not say which plugins it has", hint),
            (Some(set), None) => self.ok(CheckStep::Plugins, None, set.as_str()),
            (Some(set), Some(age)) => {
                let detail = format!("set {set}, {} old", in_days(age));
                if age > OLD_PLUGINS {
                    self.warn(CheckStep::Plugins, None, detail, hint);
                } else {
                    self.ok(CheckStep::Plugins, None, detail);
                }
            }
        }
    }

    fn judge_licence(&mut self, properties: &ScannerProperties, now: Timestamp) {
        let mut parts: Vec<String> = properties.licence.iter().cloned().collect();
        let hosts = (properties.used_hosts, properties.licensed_hosts.filter(|most| *most > 0));
        match hosts {
            (Some(used), Some(most)) => parts.push(format!("{used} of {} used", counted(most, "host", "hosts"))),
            (None, Some(most)) => parts.push(format!("for at most {}", counted(most, "host", "hosts"))),
            _ => {}
        }
        let left = properties.licence_ends.map(|end| (end, end.since(now)));
        parts.extend(left.map(|(end, _)| format!("until {end}")));
        let detail = if parts.is_empty() { "it does not say".to_owned() } else { parts.join(", ") };
        match (left, hosts) {
            (Some((_, left)), _) if left.is_zero() => {
                self.refuse(
                    CheckStep::Licence,
                    None,
                    format!("it has ended: {detail}"),
                    "renew the licence of the scanner",
                );
            }
            (Some((_, left)), _) if left < ENDS_SOON => {
                let detail = format!("it ends in {}: {detail}", in_days(left));
                self.warn(CheckStep::Licence, None, detail, "renew the licence of the scanner");
            }
            (_, (Some(used), Some(most))) if used >= most => {
                self.warn(
                    CheckStep::Licence,
                    None,
                    detail,
                    "scans of further hosts are cut: ask Tenable for more, or wait until hosts are released",
                );
            }
            _ => self.ok(CheckStep::Licence, None, detail),
        }
    }

    /// All steps; those that are missing were skipped, because of the one that failed or for this reason.
    pub(super) fn end(self, why_skipped: &str) -> ScannerCheck {
        let failed = self.0.iter().find(|step| step.outcome == CheckOutcome::Failed).map(|step| step.step);
        let why = failed
            .map_or_else(|| why_skipped.to_owned(), |step| format!("not tried, because the step `{step}` failed"));
        let mut done = self.0;
        let steps: Vec<_> = CheckStep::ALL
            .into_iter()
            .map(|step| match done.iter().position(|done| done.step == step) {
                Some(at) => done.swap_remove(at),
                None => CheckedStep {
                    step,
                    outcome: CheckOutcome::Skipped,
                    took: None,
                    detail: why.clone(),
                    code: None,
                    hint: None,
                },
            })
            .collect();
        let is_worse = |outcome: &CheckOutcome| *outcome != CheckOutcome::Skipped;
        let outcome = steps.iter().map(|step| step.outcome).filter(is_worse).max().unwrap_or(CheckOutcome::Skipped);
        ScannerCheck { outcome, steps }
    }
}

/// A time in days, or in hours when it is short.
pub(super) fn in_days(time: Duration) -> String {
    let hours = time.as_secs() / 3600;
    if hours < 48 { counted(hours, "hour", "hours") } else { counted(hours / 24, "day", "days") }
}

/// What `step` answers, and how long it took.
pub(super) async fn timed<T>(step: impl Future<Output = T>) -> (T, Option<Duration>) {
    let begun = Instant::now();
    let answer = step.await;
    (answer, Some(begun.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(change: impl FnOnce(&mut ScannerProperties)) -> ScannerCheck {
        let now: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let mut properties = ScannerProperties {
            product: Some("Nessus Professional".to_owned()),
            plugin_set: Some("202611280505".to_owned()),
            licence_ends: Some("2027-11-29T00:00:00Z".parse().unwrap()),
            ..ScannerProperties::default()
        };
        change(&mut properties);
        let mut steps = Steps::default();
        steps.judge(&properties, now);
        steps.end("it was not asked")
    }

    #[test]
    fn a_licence_and_old_plugins_are_judged() {
        let at = |text: &str| Some(text.parse().unwrap());
        let of = |check: &ScannerCheck, step| check.steps.iter().find(|one| one.step == step).cloned().unwrap();
        assert_eq!(judged(|_| {}).outcome, CheckOutcome::Ok);
        let ended = judged(|properties| properties.licence_ends = at("2026-11-28T23:59:59Z"));
        assert_eq!(ended.failure().unwrap().step, CheckStep::Licence);
        let soon = of(&judged(|properties| properties.licence_ends = at("2026-12-10T00:00:00Z")), CheckStep::Licence);
        assert_eq!((soon.outcome, soon.detail.contains("in 11 days")), (CheckOutcome::Warning, true), "{soon:?}");
        let full = judged(|properties| (properties.used_hosts, properties.licensed_hosts) = (Some(16), Some(16)));
        assert_eq!(of(&full, CheckStep::Licence).detail, "16 of 16 hosts used, until 2027-11-29T00:00:00.000Z");
        assert_eq!(full.outcome, CheckOutcome::Warning);
        let old = of(&judged(|properties| properties.plugin_set = Some("202601010000".to_owned())), CheckStep::Plugins);
        assert_eq!((old.outcome, old.hint.is_some()), (CheckOutcome::Warning, true), "{old:?}");
    }

    #[test]
    fn every_step_is_told_of_once() {
        let check = judged(|properties| *properties = ScannerProperties::default());
        assert_eq!(check.steps.iter().map(|step| step.step).collect::<Vec<_>>(), CheckStep::ALL);
        assert_eq!(check.steps[0].detail, "it was not asked");
        let disabled = ScannerCheck::disabled();
        assert!(disabled.outcome == CheckOutcome::Skipped && disabled.failure().is_none());
    }
}
