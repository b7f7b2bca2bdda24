//! Names by namespace, whatever prefix the file has for it.

use roxmltree::{Attribute, Node};

/// The namespace of compliance elements, and where hand-written files do not declare it.
const COMPLIANCE: [&str; 2] = ["http://www.nessus.org/cm", "urn:unbound:cm"];

/// The name of an element outside of items.
pub(crate) fn of<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

/// The name of an element in an item, and whether Nessus could mean one of its own elements by it.
pub(crate) fn in_item(node: Node<'_, '_>, item: Node<'_, '_>) -> (String, bool) {
    let tag = node.tag_name();
    let input = &node.document().input_text()[node.range().start + 1..];
    let end = input.find(|found: char| found.is_ascii_whitespace() || matches!(found, '/' | '>')).unwrap();
    let written = &input[..end];
    let is_own = !written.contains(':') || tag.namespace() == item.tag_name().namespace();
    if tag.namespace().is_some_and(|uri| COMPLIANCE.contains(&uri.trim()))
        && (!is_own || tag.name().starts_with("compliance-"))
    {
        (format!("cm:{}", tag.name()), true)
    } else if is_own {
        (tag.name().to_owned(), true)
    } else {
        (written.to_owned(), false)
    }
}

/// The attributes of an element, without declarations of namespaces and without white space around the values.
pub(crate) fn attributes<'a>(node: Node<'a, '_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let input = node.document().input_text();
    let name = move |attribute: &Attribute<'a, '_>| {
        let is_own = attribute.namespace().is_some() && attribute.namespace() == node.tag_name().namespace();
        if is_own { attribute.name() } else { &input[attribute.range_qname()] }
    };
    node.attributes().map(move |attribute| (name(&attribute), attribute.value().trim()))
}

/// One attribute, unless it is empty.
pub(crate) fn attribute(node: Node<'_, '_>, wanted: &str) -> Option<String> {
    let mut named = node.attributes().filter(|attribute| attribute.name() == wanted);
    named.find(|attribute| !attribute.value().trim().is_empty()).map(|attribute| attribute.value().trim().to_owned())
}

/// The text of an element; what stands in elements inside it is left out.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    let all: String = node.children().filter(Node::is_text).filter_map(|child| child.text()).collect();
    all.trim().to_owned()
}
