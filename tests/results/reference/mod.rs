//! A reader of exports that takes its time: the whole document as a tree, then a walk through it.
//!
//! It is written after the format and the promises of the results engine, and shares no code with it. Where a file
//! cannot be converted, it says so with the code that the engine must give.

mod checks;
mod decode;
mod host;
mod item;
mod machines;
mod names;
mod spelling;
mod table;
mod text;

use std::collections::BTreeMap;

use roxmltree::{Document, Error, Node};
use serde_json::{Map, Value};

pub(crate) use self::{
    checks::is_of_checks,
    table::{Kind, kind},
    text::day,
};

use self::host::Host;

/// What an export holds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Export {
    /// Machines, not blocks.
    pub(crate) hosts: u64,
    /// In the order of the file.
    pub(crate) items: Vec<Item>,
    /// The machine of each block.
    pub(crate) machines: Vec<usize>,
}

/// An item of an export.
#[derive(Debug, Default, Clone)]
pub(crate) struct Item {
    /// The number of its block.
    pub(crate) block: usize,
    /// As the profile `full` shows it.
    pub(crate) fields: Map<String, Value>,
    /// How many values of each field do not fit its type; a missing severity counts.
    pub(crate) mismatches: BTreeMap<String, u64>,
}

/// Reads an export.
///
/// # Errors
/// The code of the error that the engine must give.
pub(crate) fn read(bytes: &[u8]) -> Result<Export, &'static str> {
    let mut text = decode::decode(bytes)?;
    // What a file is comes before what is wrong with it.
    match text::root_name(&text)?.rsplit(':').next().unwrap_or_default() {
        "NessusClientData_v2" => {}
        "NessusClientData" => return Err("unsupported_export_version"),
        _ => return Err("not_a_nessus_export"),
    }
    // XML 1.0, 2.11: this comes before everything else.
    text = text.replace("\r\n", "\n").replace('\r', "\n");
    // Characters that XML forbids are replaced, whoever has written them.
    text = text.chars().map(|found| if text::is_forbidden(found) { '\u{FFFD}' } else { found }).collect();
    loop {
        let error = match Document::parse(&text) {
            Ok(document) => return walk(&document),
            Err(error) => error,
        };
        match error {
            // Files written by hand use `cm:` without saying what it is.
            Error::UnknownNamespace(prefix, _) => text = text::with_namespace(&text, &prefix),
            Error::UnexpectedEndOfStream | Error::UnclosedRootNode => return Err("truncated_export"),
            Error::DtdDetected => return Err("doctype_refused"),
            _ if text::is_cut(&text) => return Err("truncated_export"),
            _ => return Err("malformed_export"),
        }
    }
}

fn walk(document: &Document<'_>) -> Result<Export, &'static str> {
    let mut export = Export::default();
    let mut hosts = Vec::new();
    let (mut has_policy, mut has_report) = (false, false);
    for child in children(document.root_element())? {
        match names::of(child) {
            "Policy" => has_policy = true,
            "Report" => {
                has_report = true;
                for child in children(child)? {
                    match names::of(child) {
                        "ReportHost" => hosts.push(read_host(child, hosts.len(), &mut export)?),
                        "ReportItem" => return Err("malformed_export"),
                        _ => {}
                    }
                }
            }
            "ReportHost" => {
                has_report = true;
                hosts.push(read_host(child, hosts.len(), &mut export)?);
            }
            "ReportItem" => return Err("malformed_export"),
            _ => {}
        }
    }
    export.machines = machines::of(&hosts);
    export.hosts = export.machines.iter().max().map_or(0, |last| *last as u64 + 1);
    match (has_report, has_policy) {
        (true, _) => Ok(export),
        (false, true) => Err("policy_only_export"),
        (false, false) => Err("not_a_nessus_export"),
    }
}

fn read_host(node: Node<'_, '_>, block: usize, export: &mut Export) -> Result<machines::Evidence, &'static str> {
    let mut host = Host::named(names::attribute(node, "name").unwrap_or_default());
    for child in children(node)? {
        match names::of(child) {
            // What comes after an item says nothing of that item.
            "HostProperties" => child.children().filter(Node::is_element).for_each(|tag| host.take(tag)),
            "ReportItem" => {
                let mut item = Item { block, ..Item::default() };
                item.fields = item::read(child, &host, &mut item.mismatches);
                export.items.push(item);
            }
            _ => {}
        }
    }
    Ok(host.evidence())
}

/// The elements in an element that may hold nothing else.
fn children<'a, 'input>(node: Node<'a, 'input>) -> Result<Vec<Node<'a, 'input>>, &'static str> {
    let is_stray = |child: &Node<'_, '_>| child.is_text() && !child.text().unwrap_or_default().trim_ascii().is_empty();
    if node.children().any(|child| is_stray(&child)) {
        return Err("malformed_export");
    }
    Ok(node.children().filter(Node::is_element).collect())
}
