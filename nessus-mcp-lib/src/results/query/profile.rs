//! Which fields of a record are shown.

use std::{collections::HashSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::group::GroupBy;
use crate::{
    error::{counted, excerpt},
    results::{
        error::ResultsError,
        record::{FieldId, FieldRef, FieldSet, MOST_NAMES, NAME_BYTES, RecordKind},
    },
};

/// A named choice of fields.
///
/// In every profile but `full` each record has every field of the profile; a missing value is `null`, an empty list,
/// or `false`. In `full` a record has what its item has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Profile {
    /// Host, plugin, severity, CVEs, score and exploit; of a compliance check host, plugin, name and result.
    Minimal,
    /// Minimal, with the plugin's name, CVSS 3 score and synopsis; of a check with audit file and references.
    Summary,
    /// Summary, with description and solution; of a check with actual value, policy value and solution.
    #[default]
    Brief,
    /// What it takes to decide what to fix first and to write a ticket; of a check also port and protocol.
    Triage,
    /// Every element and attribute of the item, and the derived fields; `finding_key` only where it is asked for as an extra
    /// field, because it costs a third of the time.
    Full,
}

const MINIMAL: &[FieldId] =
    &[FieldId::Host, FieldId::PluginId, FieldId::Severity, FieldId::Cve, FieldId::CvssScore, FieldId::ExploitAvailable];

const SUMMARY: &[FieldId] = &[
    FieldId::Host,
    FieldId::PluginId,
    FieldId::Severity,
    FieldId::Cve,
    FieldId::CvssScore,
    FieldId::ExploitAvailable,
    FieldId::PluginName,
    FieldId::Cvss3BaseScore,
    FieldId::Synopsis,
];

const BRIEF: &[FieldId] = &[
    FieldId::Host,
    FieldId::PluginId,
    FieldId::Severity,
    FieldId::Cve,
    FieldId::CvssScore,
    FieldId::ExploitAvailable,
    FieldId::PluginName,
    FieldId::Cvss3BaseScore,
    FieldId::Synopsis,
    FieldId::Description,
    FieldId::Solution,
];

const TRIAGE: &[FieldId] = &[
    FieldId::Host,
    FieldId::Port,
    FieldId::Protocol,
    FieldId::PluginId,
    FieldId::PluginName,
    FieldId::Severity,
    FieldId::Cve,
    FieldId::CvssScore,
    FieldId::VprScore,
    FieldId::EpssScore,
    FieldId::ExploitAvailable,
    FieldId::CisaKnownExploited,
    FieldId::Solution,
    FieldId::FindingKey,
];

const MINIMAL_OF_CHECKS: &[FieldId] =
    &[FieldId::Host, FieldId::PluginId, FieldId::ComplianceCheckName, FieldId::ComplianceResult];

const SUMMARY_OF_CHECKS: &[FieldId] = &[
    FieldId::Host,
    FieldId::PluginId,
    FieldId::ComplianceCheckName,
    FieldId::ComplianceResult,
    FieldId::PluginName,
    FieldId::ComplianceAuditFile,
    FieldId::ComplianceReference,
];

const BRIEF_OF_CHECKS: &[FieldId] = &[
    FieldId::Host,
    FieldId::PluginId,
    FieldId::ComplianceCheckName,
    FieldId::ComplianceResult,
    FieldId::PluginName,
    FieldId::ComplianceAuditFile,
    FieldId::ComplianceReference,
    FieldId::ComplianceActualValue,
    FieldId::CompliancePolicyValue,
    FieldId::ComplianceSolution,
];

const TRIAGE_OF_CHECKS: &[FieldId] = &[
    FieldId::Host,
    FieldId::Port,
    FieldId::Protocol,
    FieldId::PluginId,
    FieldId::PluginName,
    FieldId::ComplianceCheckName,
    FieldId::ComplianceResult,
    FieldId::ComplianceActualValue,
    FieldId::CompliancePolicyValue,
    FieldId::ComplianceAuditFile,
    FieldId::ComplianceReference,
    FieldId::ComplianceSolution,
    FieldId::FindingKey,
];

impl Profile {
    /// From the shortest to the longest.
    pub const ALL: [Self; 5] = [Self::Minimal, Self::Summary, Self::Brief, Self::Triage, Self::Full];

    /// The profile's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Summary => "summary",
            Self::Brief => "brief",
            Self::Triage => "triage",
            Self::Full => "full",
        }
    }

    /// The names of all profiles.
    pub fn names() -> [&'static str; 5] {
        Self::ALL.map(Self::name)
    }

    /// The fields of items of a kind, in order; `None` is all there are.
    pub(crate) const fn fields(self, kind: RecordKind) -> Option<&'static [FieldId]> {
        match (self, kind) {
            (Self::Minimal, RecordKind::Vulnerability) => Some(MINIMAL),
            (Self::Summary, RecordKind::Vulnerability) => Some(SUMMARY),
            (Self::Brief, RecordKind::Vulnerability) => Some(BRIEF),
            (Self::Triage, RecordKind::Vulnerability) => Some(TRIAGE),
            (Self::Minimal, RecordKind::Compliance) => Some(MINIMAL_OF_CHECKS),
            (Self::Summary, RecordKind::Compliance) => Some(SUMMARY_OF_CHECKS),
            (Self::Brief, RecordKind::Compliance) => Some(BRIEF_OF_CHECKS),
            (Self::Triage, RecordKind::Compliance) => Some(TRIAGE_OF_CHECKS),
            (Self::Full, _) => None,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = ResultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| ResultsError::UnknownProfile {
            name: excerpt(text).to_string(),
            known: Self::names().into(),
        })
    }
}

/// The fields that are shown: a profile's or the caller's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Everything the item has.
    Full {
        /// What is shown as well, of [`FieldSet::ON_REQUEST`].
        asked: FieldSet,
    },
    /// These, always.
    Fields {
        /// The profile's name, or `custom`.
        name: &'static str,
        /// The fields in order, each once.
        fields: Vec<FieldRef>,
    },
}

impl Projection {
    /// The profile's fields of items of a kind.
    pub(crate) fn of(profile: Profile, kind: RecordKind) -> Self {
        match profile.fields(kind) {
            None => Self::Full { asked: FieldSet::default() },
            Some(fields) => {
                let fields = fields.iter().copied().map(FieldRef::Declared).collect();
                Self::Fields { name: profile.name(), fields }
            }
        }
    }

    /// What is said of a group of findings.
    pub(crate) fn of_group(by: GroupBy, kind: RecordKind) -> Self {
        let fields = by.fields(kind).iter().copied().map(FieldRef::Declared).collect();
        Self::Fields { name: "group", fields }
    }

    /// The caller's own fields, which are the value of this option.
    pub(crate) fn custom(names: &[String], option: &'static str) -> Result<Self, ResultsError> {
        let fields = Self::Fields { name: "custom", fields: Vec::new() }.with_extra(names, option)?;
        if fields.len() == 0 {
            return Err(ResultsError::NoFields { option });
        }
        Ok(fields)
    }

    /// These fields after those that are shown already; `full` shows everything an item has anyway, but for what is to be asked
    /// for.
    pub(crate) fn with_extra(mut self, names: &[String], option: &'static str) -> Result<Self, ResultsError> {
        let invalid = |reason| Err(ResultsError::InvalidFields { option, reason });
        if names.len() > MOST_NAMES {
            return invalid(format!("{} are more than {MOST_NAMES}", counted(names.len(), "name", "names")));
        }
        if let Some(name) = names.iter().find(|name| name.len() > NAME_BYTES) {
            let (name, length) = (excerpt(name), counted(name.len(), "byte", "bytes"));
            return invalid(format!("`{name}` has {length}, more than {NAME_BYTES}"));
        }
        let wanted = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).map(FieldRef::named);
        match &mut self {
            Self::Full { asked } => {
                for field in wanted {
                    if let FieldRef::Declared(id) = field
                        && FieldSet::ON_REQUEST.contains(id)
                    {
                        asked.insert(id);
                    }
                }
            }
            Self::Fields { fields, .. } => {
                let mut known: HashSet<FieldRef> = fields.iter().cloned().collect();
                fields.extend(wanted.filter(|field| known.insert(field.clone())));
            }
        }
        Ok(self)
    }

    /// How many fields are named.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Full { .. } => 0,
            Self::Fields { fields, .. } => fields.len(),
        }
    }

    /// The fields that are shown of every finding beside those that it has, in `full`; `None` in other profiles.
    pub(crate) const fn beside_all(&self) -> Option<FieldSet> {
        match self {
            Self::Full { asked } => Some(*asked),
            Self::Fields { .. } => None,
        }
    }

    /// The fields, in order; `present` are those that `full` shows.
    pub(crate) fn shown<'p>(&'p self, present: &'p [FieldRef]) -> &'p [FieldRef] {
        match self {
            Self::Full { .. } => present,
            Self::Fields { fields, .. } => fields,
        }
    }

    /// What the schema line calls it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => Profile::Full.name(),
            Self::Fields { name, .. } => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_profiles_contain_the_shorter_ones() {
        assert!(SUMMARY.starts_with(MINIMAL));
        assert!(BRIEF.starts_with(SUMMARY));
        assert!(SUMMARY_OF_CHECKS.starts_with(MINIMAL_OF_CHECKS));
        assert!(BRIEF_OF_CHECKS.starts_with(SUMMARY_OF_CHECKS));
    }

    #[test]
    fn a_profile_has_no_field_of_the_other_kind() {
        for (profile, kind) in Profile::ALL.into_iter().flat_map(|profile| RecordKind::ALL.map(|kind| (profile, kind)))
        {
            for field in profile.fields(kind).unwrap_or_default() {
                assert!(field.kind().is_none_or(|of| of == kind), "{profile} {kind} {}", field.name());
            }
        }
    }

    #[test]
    fn custom_fields_are_shown_once_each() {
        let names = ["cve", " CVE ", "new-one", ""].map(str::to_owned);
        let Projection::Fields { name, fields } = Projection::custom(&names, "fields").unwrap() else { panic!() };
        assert_eq!(name, "custom");
        assert_eq!(fields.iter().map(FieldRef::name).collect::<Vec<_>>(), ["cve", "new-one"]);
        assert!(matches!(Projection::custom(&[String::new()], "fields"), Err(ResultsError::NoFields { .. })));
    }

    #[test]
    fn lists_of_fields_have_a_limit() {
        let names = |count: usize| (0..count).map(|number| format!("field-{number}")).collect::<Vec<_>>();
        let brief = || Projection::of(Profile::Brief, RecordKind::Vulnerability);
        assert!(Projection::custom(&names(MOST_NAMES), "fields").is_ok());
        assert!(brief().with_extra(&names(MOST_NAMES), "extra_fields").is_ok());
        for list in [names(MOST_NAMES + 1), vec!["cve".to_owned(); 100_000], vec!["x".repeat(NAME_BYTES + 1)]] {
            for refused in [Projection::custom(&list, "fields"), brief().with_extra(&list, "fields")] {
                let message = refused.unwrap_err().to_string();
                assert!(message.starts_with("`fields` is invalid: ") && message.len() < 400, "{message}");
            }
        }
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        use crate::error::Classified;
        let error = "verbose".parse::<Profile>().unwrap_err();
        assert_eq!(error.hint().unwrap(), "profiles: minimal, summary, brief, triage, full");
    }
}
