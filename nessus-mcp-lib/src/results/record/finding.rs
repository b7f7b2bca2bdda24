//! A finding: one item with its host, its fields typed.

use super::{
    compliance::{self, ComplianceResult},
    field_ref::FieldRef,
    fields::{Derived, FieldId, FieldSet, Kind, Origin, key_of_other},
    host::Host,
    identity::FindingKey,
    item::{Attribute, Item, Occurrence},
    kind::RecordKind,
    severity::Severity,
    spelling::decimal,
    value::{Value, typed},
};

/// One item with its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'r> {
    /// The host.
    pub host: &'r Host,
    /// The item.
    pub item: &'r Item,
}

impl<'r> Record<'r> {
    /// Calls `take` with every value of a field, until it returns true; whether it did.
    ///
    /// An absent truth value is false. What is empty is absent. A compliance check has no ratings.
    pub(crate) fn any(&self, id: FieldId, mut take: impl FnMut(Value<'r>) -> bool) -> bool {
        let field = id.field();
        if FieldSet::RATINGS.contains(id) && self.kind() == RecordKind::Compliance {
            return false;
        }
        match field.origin {
            Origin::Host => self.host.get(id).is_some_and(|text| take(typed(id, text))),
            Origin::HostList => self.host.listed_names().any(|name| take(Value::Text(name))),
            Origin::Derived(Derived::BestScore) => self.best_score().is_some_and(|score| take(Value::Number(score))),
            Origin::Derived(Derived::FindingKey) => take(Value::Key(self.key())),
            Origin::Attribute => match self.item.first(id) {
                Some(text) => take(typed(id, text)),
                None if id == FieldId::PluginName => {
                    self.item.first(FieldId::PluginNameElement).is_some_and(|text| take(Value::Text(text)))
                }
                None => false,
            },
            Origin::Element if field.kind == Kind::Boolean && !self.item.has(id) => take(Value::Boolean(false)),
            Origin::List if field.kind == Kind::Attachment => {
                self.item.occurrences(id).any(|occurrence| take(Value::Element(occurrence)))
            }
            Origin::Element | Origin::List => self.item.values(id).any(|text| take(typed(id, text))),
            Origin::Check if id == FieldId::ComplianceResult => {
                let word = compliance::result(self.item);
                word.is_some_and(|word| take(Value::Text(ComplianceResult::of(word).word().unwrap_or(word))))
            }
            Origin::Check => compliance::name(self.item).is_some_and(|name| take(Value::Text(name))),
            Origin::Lines => {
                let mut values = self.item.values(id).flat_map(str::lines).map(str::trim);
                values.any(|text| !text.is_empty() && take(Value::Text(text)))
            }
        }
    }

    /// The first value of a field.
    pub(crate) fn first(&self, id: FieldId) -> Option<Value<'r>> {
        let mut found = None;
        self.any(id, |value| {
            found = Some(value);
            true
        });
        found
    }

    /// Whether the item has an element or attribute that is not in the table of fields, with a text or without.
    pub(crate) fn has_other(&self, name: &str) -> bool {
        self.item.others().any(|other| is_called(self.item.name(other), name))
    }

    /// The texts of an element or attribute that is not in the table of fields.
    pub(crate) fn others<'n>(&self, name: &'n str) -> impl Iterator<Item = &'r str> + use<'r, 'n> {
        let item = self.item;
        let called = item.others().filter(move |other| is_called(item.name(other), name));
        called.map(|other| item.value(other)).filter(|text| !text.is_empty())
    }

    /// The first value of a declared or other field that says something; an attachment may have attributes only.
    pub(crate) fn first_of(&self, field: &FieldRef) -> Option<Value<'r>> {
        match field {
            FieldRef::Declared(id) => {
                let mut found = None;
                self.any(*id, |value| {
                    let is_silent = matches!(value, Value::Element(element) if self.item.value(element).is_empty());
                    found = Some(value).filter(|_| !is_silent);
                    !is_silent
                });
                found
            }
            FieldRef::Other(name) => self.others(name).next().map(Value::Text),
        }
    }

    /// The declared fields that the `full` profile shows of this record without being asked for them, but for those that are
    /// `known`.
    pub(crate) fn shown_beside(&self, known: FieldSet) -> FieldSet {
        /// Shown in every record.
        const ALWAYS: FieldSet = FieldSet::of(&[
            FieldId::Host,
            FieldId::Port,
            FieldId::PluginId,
            FieldId::Severity,
            FieldId::Cve,
            FieldId::ExploitAvailable,
        ]);
        const ALWAYS_OF_CHECK: FieldSet = FieldSet::of(&[
            FieldId::Host,
            FieldId::Port,
            FieldId::PluginId,
            FieldId::ComplianceResult,
            FieldId::ComplianceCheckName,
        ]);
        let (present, always, beside) = match self.kind() {
            RecordKind::Vulnerability => (self.item.present(), ALWAYS, FieldSet::BESIDE.without(FieldSet::OF_CHECKS)),
            RecordKind::Compliance => {
                (self.item.present().without(FieldSet::RATINGS), ALWAYS_OF_CHECK, FieldSet::BESIDE)
            }
        };
        let mut shown = always.union(present.intersection(FieldSet::SINGLE)).without(known);
        for id in present.union(beside).without(shown).without(known).iter().filter(|id| self.has_value(*id)) {
            shown.insert(id);
        }
        shown
    }

    /// Whether a field has a value that is shown.
    fn has_value(&self, id: FieldId) -> bool {
        match id {
            // Mostly it repeats the attribute.
            FieldId::PluginNameElement => {
                let attribute = self.item.first(FieldId::PluginName);
                attribute.is_some() && self.item.values(id).any(|text| Some(text) != attribute)
            }
            _ if id.field().origin == Origin::Host => self.host.get(id).is_some(),
            _ => self.first(id).is_some(),
        }
    }

    /// What the finding is known by in this and other exports.
    pub(crate) fn key(&self) -> FindingKey {
        FindingKey::of(self.item, self.host)
    }

    /// The number of the item's plugin, in digits without zeros before it.
    pub(crate) fn plugin(&self) -> Option<&'r str> {
        self.item.first(FieldId::PluginId)
    }

    /// What the item's plugin has to say; programs that write exports by hand call it `output`.
    pub(crate) fn output(&self) -> &'r str {
        let item = self.item;
        item.first(FieldId::PluginOutput).or_else(|| item.first(FieldId::Output)).unwrap_or_default()
    }

    /// The severity, when it is one; a compliance check has none.
    pub(crate) fn severity(&self) -> Option<Severity> {
        match self.first(FieldId::Severity) {
            Some(Value::Severity(severity)) => Some(severity),
            _ => None,
        }
    }

    /// The best CVSS base score present: version 4, else 3, else 2; exports of web application scans use other names. A
    /// compliance check has none.
    pub(crate) fn best_score(&self) -> Option<f64> {
        const SCORES: [FieldId; 5] =
            [FieldId::Cvss4BaseScore, FieldId::Cvss3BaseScore, FieldId::Cvssv3, FieldId::CvssBaseScore, FieldId::Cvss];
        let score = SCORES.into_iter().find_map(|id| decimal(self.item.first(id)?));
        score.filter(|_| self.kind() == RecordKind::Vulnerability)
    }

    /// Of what kind the item is.
    pub(crate) fn kind(&self) -> RecordKind {
        compliance::kind(self.item)
    }

    /// The name of a compliance check.
    pub(crate) fn compliance_check(&self) -> Option<&'r str> {
        compliance::name(self.item)
    }

    /// The result of a compliance check.
    pub(crate) fn compliance_result(&self) -> ComplianceResult {
        compliance::result(self.item).map_or(ComplianceResult::Other, ComplianceResult::of)
    }

    /// Calls `report` with each field whose value does not fit its type.
    pub(crate) fn type_mismatches(&self, mut report: impl FnMut(FieldId)) {
        for id in self.item.present().intersection(FieldSet::TYPED).iter() {
            self.any(id, |value| {
                if matches!(value, Value::TypeMismatch(_)) {
                    report(id);
                }
                false
            });
        }
        if !self.item.has(FieldId::Severity) && self.kind() == RecordKind::Vulnerability {
            report(FieldId::Severity);
        }
    }

    /// The attributes of an element.
    pub(crate) fn attributes(&self, occurrence: &'r Occurrence) -> impl ExactSizeIterator<Item = Attribute<'r>> {
        self.item.attributes(occurrence)
    }
}

/// Whether an undeclared element or attribute, `found` in the export, is meant by a name.
pub(crate) fn is_called(found: &str, name: &str) -> bool {
    // A key begins with the name; nearly all differ in that already.
    name.starts_with(found) && key_of_other(found) == name
}

#[cfg(test)]
mod field_tests;
