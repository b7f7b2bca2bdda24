//! Names as the file writes them, prefix included; the tree knows them by namespace only.

use roxmltree::{Attribute, Node};

/// The name of an element.
pub(crate) fn of<'a>(node: Node<'a, '_>) -> &'a str {
    let tag = &node.document().input_text()[node.range().start + 1..];
    let end = tag.find(|found: char| found.is_ascii_whitespace() || matches!(found, '/' | '>')).unwrap();
    &tag[..end]
}

/// The attributes of an element, without declarations of namespaces.
pub(crate) fn attributes<'a>(node: Node<'a, '_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let input = node.document().input_text();
    let name = |attribute: &Attribute<'_, '_>| &input[attribute.range_qname()];
    node.attributes().map(move |attribute| (name(&attribute), attribute.value()))
}

/// One attribute.
pub(crate) fn attribute(node: Node<'_, '_>, wanted: &str) -> Option<String> {
    attributes(node).find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

/// The text of an element; what stands in elements inside it is left out.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}
