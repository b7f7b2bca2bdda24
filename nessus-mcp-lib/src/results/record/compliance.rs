//! Compliance checks: which items are one, and what they say.

use super::{
    fields::{FieldId, FieldSet},
    item::Item,
    kind::RecordKind,
    spelling::boolean,
};

/// The outcome of a compliance check, what needs attention first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ComplianceResult {
    /// The setting is not as the audit requires.
    Failed,
    /// The check could not be done.
    Error,
    /// Needs a person's judgement.
    Warning,
    /// Any other word, or none.
    Other,
    /// The setting is as the audit requires.
    Passed,
}

impl ComplianceResult {
    /// The result that a word stands for, in any case.
    pub(crate) fn of(word: &str) -> Self {
        let is = |result: &Self| result.word().is_some_and(|known| known.eq_ignore_ascii_case(word));
        [Self::Failed, Self::Error, Self::Warning, Self::Passed].into_iter().find(is).unwrap_or(Self::Other)
    }

    /// The word, when there is one for it.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Failed => Some("FAILED"),
            Self::Error => Some("ERROR"),
            Self::Warning => Some("WARNING"),
            Self::Other => None,
            Self::Passed => Some("PASSED"),
        }
    }
}

/// Of which kind an item is.
#[inline]
pub(super) fn kind(item: &Item) -> RecordKind {
    // Most have nothing of all that.
    if !item.present().meets(FieldSet::SIGNS_OF_CHECK) {
        return RecordKind::Vulnerability;
    }
    let says = [FieldId::ComplianceResult, FieldId::ComplianceCheckName, FieldId::ComplianceCheckId];
    if is_marked(item) || says.into_iter().any(|id| item.has(id)) {
        RecordKind::Compliance
    } else {
        RecordKind::Vulnerability
    }
}

/// The name of the check.
pub(super) fn name(item: &Item) -> Option<&str> {
    item.first(FieldId::ComplianceCheckName).or_else(|| Some(first_line(item)?.0).filter(|name| !name.is_empty()))
}

/// The result as it is written.
pub(super) fn result(item: &Item) -> Option<&str> {
    item.first(FieldId::ComplianceResult).or_else(|| Some(first_line(item)?.1).filter(|word| !word.is_empty()))
}

/// The name and the result that Nessus 4 and 5 write before the description, as `"NAME" : [RESULT]`.
fn first_line(item: &Item) -> Option<(&str, &str)> {
    if !is_marked(item) {
        return None;
    }
    let (name, result) = item.first(FieldId::Description)?.lines().next()?.rsplit_once('[')?;
    let (result, _) = result.split_once(']')?;
    let name = name.trim().strip_suffix(':')?.trim();
    Some((name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name), result.trim()))
}

/// Whether it is marked as a check.
fn is_marked(item: &Item) -> bool {
    item.values(FieldId::Compliance).any(|text| boolean(text) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{record::Namespaces, xml::ItemReader};

    #[test]
    fn items_are_told_apart() {
        use RecordKind::{Compliance, Vulnerability};
        let (name, failed) = ("<cm:compliance-check-name>2.1 A</cm:compliance-check-name>", "cm:compliance-result");
        let result = |word: &str| format!("<{failed}>{word}</{failed}>");
        for (elements, kind, expected) in [
            (format!("<compliance>true</compliance>{name}{}", result("PASSED")), Compliance, "2.1 A|PASSED"),
            (format!("<compliance>false</compliance>{name}{}", result(" failed\n")), Compliance, "2.1 A|failed"),
            (result("WARNING"), Compliance, "|WARNING"),
            (name.to_owned(), Compliance, "2.1 A|"),
            ("<cm:compliance-check-id>ab12</cm:compliance-check-id>".to_owned(), Compliance, "|"),
            ("<compliance> True </compliance>".to_owned(), Compliance, "|"),
            (
                "<compliance>true</compliance><description>\n\"1.1 [x]: y\" : [ERROR]\n\nmore [z]</description>"
                    .to_owned(),
                Compliance,
                "1.1 [x]: y|ERROR",
            ),
            (
                "<compliance>true</compliance><description>1.1 : [PASSED]</description>".to_owned(),
                Compliance,
                "1.1|PASSED",
            ),
            ("<compliance>true</compliance><description>[1] no result</description>".to_owned(), Compliance, "|"),
            // Only what is marked as a check is read so.
            ("<description>\"1.1\" : [FAILED]</description>".to_owned(), Vulnerability, "|"),
            ("<compliance>false</compliance>".to_owned(), Vulnerability, "|"),
            (result(" "), Vulnerability, "|"),
            ("<cm:compliance-info>about</cm:compliance-info>".to_owned(), Vulnerability, "|"),
        ] {
            let written = format!(
                r#"<ReportItem pluginFamily="Policy Compliance" severity="3" pluginID="33929">{elements}</ReportItem>"#
            );
            let mut reader = ItemReader::default();
            let item = reader.read(written.as_bytes(), 0, &Namespaces::default()).unwrap();
            assert_eq!(super::kind(item), kind, "{elements}");
            let told = format!("{}|{}", super::name(item).unwrap_or_default(), super::result(item).unwrap_or_default());
            assert_eq!(told, expected, "{elements}");
        }
    }

    #[test]
    fn results_are_words_in_any_case() {
        for (word, result) in [
            ("FAILED", ComplianceResult::Failed),
            ("passed", ComplianceResult::Passed),
            ("Warning", ComplianceResult::Warning),
            ("ERROR", ComplianceResult::Error),
            ("SKIPPED", ComplianceResult::Other),
            ("", ComplianceResult::Other),
        ] {
            assert_eq!(ComplianceResult::of(word), result);
        }
    }
}
