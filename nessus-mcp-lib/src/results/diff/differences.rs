//! What makes two scans see different things in the same hosts.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Serialize};

use super::{
    hosts::{Pair, Seen},
    read::About,
};
use crate::{
    error::counted,
    results::{
        judge::{Coverage, Judgement, PortRange, Setting},
        texts::{NAME_CHARS, clean},
        xml::PolicyScope,
    },
};

/// A code, what a scan says about it, and what follows when two say different things.
type Side<'a> = (&'static str, &'a dyn Fn(&About) -> Option<String>, &'static str);
/// How many values or families are named.
const NAMED: usize = 3;

/// Something in which the scans differ beside their findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Difference {
    /// What it is, as a stable code: `port_range`, `credentials`, `plugin_set`, `policy`, ...
    pub what: Cow<'static, str>,
    /// In the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// In the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What follows from it.
    pub message: Cow<'static, str>,
}

impl Difference {
    /// A difference of what both sides say.
    pub(crate) fn new(what: &'static str, before: String, after: String, message: &'static str) -> Self {
        Self { what: what.into(), before: Some(before), after: Some(after), message: message.into() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "(not said)".to_owned());
        write!(f, "{}: {} -> {}: {}", self.what, side(&self.before), side(&self.after), self.message)
    }
}

/// In what the scans differ beside their findings, the most misleading first.
pub(super) fn differences(before: &About, after: &About, pairs: &[Pair]) -> Vec<Difference> {
    let mut found = Vec::new();
    if let (Some(first), Some(second)) = (&before.start, &after.start)
        && second < first
    {
        let message = "the first scan is the later one: new and fixed are the wrong way round";
        found.push(Difference::new("order", first.clone(), second.clone(), message));
    }
    coverage(before, after, pairs, &mut found);
    found.extend(credentials(pairs));
    found.extend(families(before, after));
    let text = |text: &Option<String>| text.as_deref().map(|text| clean(text, NAME_CHARS));
    let policy = |about: &About| text(&about.header.policy_name).or_else(|| about.stats.policy_used.clone());
    let plugin_set = |about: &About| {
        about.header.plugin_set_print.map(|print| {
            format!("{}, fingerprint {print}", crate::error::counted(print.plugins(), "plugin", "plugins"))
        })
    };
    let status = |about: &About| Some(about.authentication.status.to_string());
    let sides: [Side<'_>; 7] = [
        ("policy", &policy, "findings may be new or missing because the scan looked for other things"),
        ("plugin_set", &plugin_set, "findings of plugins that were in one scan only are not changes of the hosts"),
        (
            "plugin_feed_version",
            &|about| about.stats.plugin_feed_version.clone(),
            "a newer feed finds more and rates some differently",
        ),
        ("scanner_version", &|about| about.stats.scanner_version.clone(), "another version may report differently"),
        (
            "severity_basis",
            &|about| text(&about.header.severity_basis),
            "severities were derived differently: changed severities may be no changes",
        ),
        ("report_type", &|about| text(&about.header.report_type), "these are scans of different kinds"),
        ("authentication_status", &status, "the scans did not see equally much of the hosts"),
    ];
    found.extend(sides.into_iter().filter_map(|(what, side, message)| {
        let (before, after) = (side(before), side(after));
        // What one export does not say is no difference, except that of the status, which is always said.
        let differ = before != after && (before.is_some() && after.is_some() || what == "report_type");
        differ.then_some(Difference { what: what.into(), before, after, message: message.into() })
    }));
    found
}

/// What one of the scans looked at, of one kind: each value once, in order; none when it is not said.
type Values = Vec<String>;

/// In what the scans looked at different things, and what one of them does not say.
fn coverage(before: &About, after: &About, pairs: &[Pair], found: &mut Vec<Difference>) {
    let (was, is) =
        (looks(before, pairs, |pair| pair.before.as_ref()), looks(after, pairs, |pair| pair.after.as_ref()));
    let mut not_said = (Vec::new(), Vec::new());
    let mut compare = |what: &'static str, was: Values, is: Values, message| match (was.is_empty(), is.is_empty()) {
        (false, true) => not_said.1.push(what),
        (true, false) => not_said.0.push(what),
        (false, false) if was != is => found.push(Difference::new(what, listed(&was), listed(&is), message)),
        (true, true) | (false, false) => {}
    };
    let (was_ports, mut is_ports) = (ports(&was), ports(&is));
    let has_all = |one: &[&PortRange], other: &[&PortRange]| {
        one.iter().all(|range| other.iter().any(|other| other.is_same(range)))
    };
    if has_all(&was_ports, &is_ports) && has_all(&is_ports, &was_ports) {
        is_ports.clone_from(&was_ports);
    }
    let texts = |ports: Vec<&PortRange>| values(ports.into_iter().map(PortRange::text));
    compare(
        "port_range",
        texts(was_ports),
        texts(is_ports),
        "findings at ports that one scan left out cannot be compared",
    );
    let kinds = |looks: &[&Coverage]| values(looks.iter().filter_map(|look| Some(look.kind?.as_str().to_owned())));
    compare("scan_kind", kinds(&was), kinds(&is), "these are scans of different kinds");
    for setting in Setting::ALL {
        let words =
            |looks: &[&Coverage]| values(looks.iter().filter_map(|look| Some(setting.word(look.level(setting)?))));
        let (what, message) = match setting {
            Setting::ThoroughTests => ("thorough_tests", "thorough tests find more"),
            Setting::CgiScanning => ("cgi_scanning", "without it little is found on web servers"),
            Setting::WebTests => ("web_tests", "without them flaws of web applications are not found"),
            Setting::Paranoia => ("paranoia", "at a higher level more is reported that is uncertain"),
            Setting::ExperimentalTests => ("experimental_tests", "experimental tests find more"),
            Setting::UnsafeChecks => ("safe_checks", "without safe checks more is tested"),
        };
        compare(what, words(&was), words(&is), message);
    }
    if !not_said.0.is_empty() || !not_said.1.is_empty() {
        let listed = |kinds: Vec<&str>| if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
        let message = "one export does not say these: its scan is taken to have looked at as much as the other";
        found.push(Difference::new("not_said", listed(not_said.0), listed(not_said.1), message));
    }
}

/// What is said of the hosts that answered.
fn looks<'a>(about: &'a About, pairs: &'a [Pair], side: impl Fn(&Pair) -> Option<&Seen>) -> Vec<&'a Coverage> {
    let live = pairs.iter().filter_map(side).filter(|seen| seen.machine.judgement.is_live());
    let numbers: BTreeSet<u32> = live.map(|seen| seen.machine.coverage).collect();
    numbers.into_iter().filter_map(|number| about.coverages.get(number as usize)).collect()
}

fn ports<'a>(looks: &[&'a Coverage]) -> Vec<&'a PortRange> {
    looks.iter().filter_map(|look| look.ports.as_ref()).collect()
}

fn values(values: impl Iterator<Item = String>) -> Values {
    values.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The first of them, and how many more.
fn listed(values: &[String]) -> String {
    let mut text = values.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" / ");
    if values.len() > NAMED {
        let _ = write!(text, " and {} more", values.len() - NAMED);
    }
    text
}

/// Where the login let the scans see different things.
fn credentials(pairs: &[Pair]) -> Option<Difference> {
    let reach = |seen: Option<&Seen>| match seen?.machine.judgement {
        Judgement::Live(verdict, _) => Some(verdict.reach()),
        Judgement::Dead | Judgement::NotScanned => None,
    };
    let both = pairs.iter().filter_map(|pair| reach(pair.before.as_ref()).zip(reach(pair.after.as_ref())));
    let (mut hosts, mut was, mut is, mut differ) = (0_u64, 0_u64, 0_u64, false);
    for (before, after) in both {
        hosts += 1;
        was += u64::from(before == 2);
        is += u64::from(after == 2);
        differ |= before != after;
    }
    let text = |count| format!("full login on {count} of {} in both", counted(hosts, "host", "hosts"));
    let message = "what only a login shows cannot be compared where it did not work in both";
    differ.then(|| Difference::new("credentials", text(was), text(is), message))
}

/// Which families were switched off in one scan only.
fn families(before: &About, after: &About) -> Option<Difference> {
    let (was, is) = (before.header.scope.as_ref()?, after.header.scope.as_ref()?);
    if !was.says_families() || !is.says_families() || was.families_off() == is.families_off() {
        return None;
    }
    let only = |one: &PolicyScope, other: &PolicyScope| {
        let off = one.families_off().iter().filter(|family| !other.families_off().contains(family));
        let off: Vec<String> = off.map(|family| clean(family, NAME_CHARS / 4)).collect();
        if off.is_empty() { "none off that the other has on".to_owned() } else { format!("off: {}", listed(&off)) }
    };
    let message = "findings of families that were off in one scan cannot be compared";
    Some(Difference::new("families", only(was, is), only(is, was), message))
}
