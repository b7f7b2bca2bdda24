//! What a name in an export means, whatever prefix the program that wrote it has chosen.
//!
//! Nessus declares the namespace of compliance elements as `cm` on `Report`, and gives its other elements none. Programs
//! that merge exports declare it anywhere under any prefix (`ns0:`), or none at all, and some put a namespace on everything.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fields::FieldId;

/// The namespace of compliance elements.
const COMPLIANCE: &str = "http://www.nessus.org/cm";
/// What all elements in it begin with, and no others; so they are known from others that were put in it with them.
const COMPLIANCE_NAMES: &str = "compliance-";
/// Bytes of all declarations in force at once.
pub(crate) const NAMESPACE_BYTES: usize = 4 << 10;

/// An element that declares namespaces, from the outermost to the innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Level {
    Root,
    Report,
    Host,
    Item,
    Child,
}

/// The declarations in force at a place of an export; none where there is only the usual one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespaces(Vec<Declaration>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Declaration {
    level: Level,
    /// Empty for the namespace of names without a prefix.
    prefix: Box<str>,
    uri: Box<str>,
}

impl Namespaces {
    /// Whether names mean what they say.
    pub(crate) fn is_usual(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an attribute that declares a namespace; whether there was room for it.
    pub(crate) fn declare(&mut self, level: Level, attribute: &str, uri: &str) -> bool {
        let (prefix, uri) = (attribute.strip_prefix("xmlns:").unwrap_or_default(), uri.trim());
        let usual = if prefix == "cm" { COMPLIANCE } else { "" };
        if uri == usual && self.uri(prefix, level).is_none() {
            return true;
        }
        let bytes: usize = self.0.iter().map(|known| known.prefix.len() + known.uri.len()).sum();
        let has_room = bytes + prefix.len() + uri.len() <= NAMESPACE_BYTES;
        if has_room {
            self.0.push(Declaration { level, prefix: prefix.into(), uri: uri.into() });
        }
        has_room
    }

    /// Forgets what an element at this level, and those in it, have declared.
    pub(crate) fn leave(&mut self, level: Level) {
        while self.0.pop_if(|last| last.level >= level).is_some() {}
    }

    /// The namespace of a prefix for elements at a level, where it has been declared.
    fn uri(&self, prefix: &str, level: Level) -> Option<&str> {
        let mut known = self.0.iter().rev().filter(|known| known.level <= level);
        known.find(|known| *known.prefix == *prefix).map(|known| &*known.uri).filter(|uri| !uri.is_empty())
    }

    /// The field that a child element of an item fills, and else what the element is called; `item_prefix` is that of the
    /// item.
    ///
    /// - A name in the namespace of compliance elements is `cm:` and its local part. Without a declaration, `cm` stands for
    ///   it, as in files that were written by hand.
    /// - A name in the item's own namespace, or without a prefix, is its local part.
    /// - Others are called as they are written, and fill no field.
    pub(crate) fn child<'n>(&self, name: &'n str, item_prefix: &str) -> (Option<FieldId>, Cow<'n, str>) {
        let (prefix, local) = split(name);
        let uri = self.uri(prefix, Level::Child);
        let of_item = self.uri(item_prefix, Level::Item);
        let is_own = prefix.is_empty() || if uri.is_some() { uri == of_item } else { prefix == item_prefix };
        let is_compliance =
            uri.map_or(prefix == "cm", |uri| uri == COMPLIANCE) && (local.starts_with(COMPLIANCE_NAMES) || !is_own);
        let name = match (is_compliance, is_own) {
            (true, _) if prefix == "cm" => Cow::Borrowed(name),
            (true, _) => Cow::Owned(format!("cm:{local}")),
            (false, true) => Cow::Borrowed(local),
            (false, false) => return (None, Cow::Borrowed(name)),
        };
        (FieldId::of_element(&name), name)
    }

    /// What an attribute of an item is called: without its prefix, where that stands for the item's own namespace.
    pub(crate) fn attribute<'n>(&self, name: &'n str, item_prefix: &str) -> &'n str {
        let (prefix, local) = split(name);
        let uri = self.uri(prefix, Level::Item);
        let is_own = if uri.is_some() { uri == self.uri(item_prefix, Level::Item) } else { prefix == item_prefix };
        if is_own { local } else { name }
    }
}

/// Whether an attribute declares a namespace.
#[inline]
pub(crate) fn is_declaration(attribute: &str) -> bool {
    attribute.strip_prefix("xmlns").is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The prefix of a name, empty where there is none, and its local part.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a child is called under declarations, and whether it is a field.
    #[track_caller]
    fn check(declared: &[(Level, &str, &str)], item_prefix: &str, name: &str, expected: (&str, bool)) {
        let mut names = Namespaces::default();
        for (level, attribute, uri) in declared {
            assert!(names.declare(*level, attribute, uri));
        }
        let (id, found) = names.child(name, item_prefix);
        assert_eq!((&*found, id.is_some()), expected, "{declared:?} {name}");
    }

    #[test]
    fn a_name_is_known_by_its_namespace() {
        use Level::{Child, Host, Item, Report, Root};
        let result = ("cm:compliance-result", true);
        check(&[], "", "cm:compliance-result", result);
        check(&[(Report, "xmlns:cm", COMPLIANCE)], "", "cm:compliance-result", result);
        check(&[(Root, "xmlns:ns0", COMPLIANCE)], "", "ns0:compliance-result", result);
        check(&[(Root, "xmlns:ns0", COMPLIANCE)], "", "ns0:compliance-uname", ("cm:compliance-uname", false));
        check(&[(Item, "xmlns", COMPLIANCE)], "", "compliance-result", result);
        check(&[(Item, "xmlns", COMPLIANCE)], "", "description", ("description", true));
        check(&[(Child, "xmlns", COMPLIANCE)], "", "compliance-result", result);
        check(&[(Root, "xmlns:a", COMPLIANCE)], "a", "a:compliance-result", result);
        check(&[(Root, "xmlns:a", COMPLIANCE)], "a", "a:description", ("description", true));
        check(&[(Root, "xmlns:a", COMPLIANCE)], "", "a:new", ("cm:new", false));
        // Another namespace under the usual prefix, and back.
        let other = (Root, "xmlns:cm", "urn:x");
        check(&[other], "", "cm:compliance-result", ("cm:compliance-result", false));
        check(&[other, (Host, "xmlns:cm", COMPLIANCE)], "", "cm:compliance-result", result);
        check(&[other, (Host, "xmlns:ns1", COMPLIANCE)], "", "ns1:compliance-result", result);
        // A namespace for everything.
        check(&[(Root, "xmlns", "urn:x")], "", "description", ("description", true));
        check(&[(Root, "xmlns:n", "urn:x")], "n", "n:description", ("description", true));
        check(&[(Root, "xmlns:n", "urn:x"), (Root, "xmlns", "urn:x")], "", "n:description", ("description", true));
        check(&[(Root, "xmlns:n", "urn:x")], "", "n:description", ("n:description", false));
        check(&[], "n", "n:description", ("description", true));
        check(&[(Item, "xmlns:n", "urn:x"), (Child, "xmlns:n", "urn:y")], "n", "n:cve", ("n:cve", false));
    }

    #[test]
    fn declarations_end_with_their_element() {
        let mut names = Namespaces::default();
        assert!(names.declare(Level::Report, "xmlns:cm", COMPLIANCE) && names.declare(Level::Root, "xmlns", ""));
        assert!(names.is_usual(), "nothing that is not understood without it");
        assert!(names.declare(Level::Root, "xmlns:cm", "urn:x") && names.declare(Level::Item, "xmlns:cm", COMPLIANCE));
        names.leave(Level::Item);
        assert_eq!(names.child("cm:compliance-result", "").0, None);
        names.leave(Level::Root);
        assert!(names.is_usual());
    }

    #[test]
    fn there_is_not_room_for_any_number() {
        let mut names = Namespaces::default();
        let fits = (0..1000).take_while(|at| names.declare(Level::Item, &format!("xmlns:n{at}"), "urn:x")).count();
        assert!(fits > 100 && fits < 1000, "{fits}");
    }

    #[test]
    fn an_attribute_has_the_prefix_of_its_item_or_none() {
        let mut names = Namespaces::default();
        assert!(names.declare(Level::Root, "xmlns:n", "urn:x"));
        for (name, item_prefix, expected) in
            [("port", "n", "port"), ("n:port", "n", "port"), ("n:port", "", "n:port"), ("xml:lang", "", "xml:lang")]
        {
            assert_eq!(names.attribute(name, item_prefix), expected);
        }
    }
}
