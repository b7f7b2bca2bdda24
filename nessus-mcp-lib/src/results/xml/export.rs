//! The structure of an export: what may stand where, and how it must end.

use std::{io::BufRead, rc::Rc};

use quick_xml::events::{BytesStart, Event};
use serde::{Deserialize, Serialize};

use super::{
    limits,
    plugin_set::PluginSetPrint,
    policy_scope::{self, PolicyScope, ScopeElement},
    repairs::RepairCounts,
    source::{Buffers, Source},
};
use crate::{
    error::excerpt,
    results::{
        error::ResultsError,
        record::{FieldId, Host, Item, Level, Repeats, meant, split},
    },
};

/// The longest text of the policy that is kept.
const SHORT_TEXT: usize = 512;

/// What [`ExportReader::next`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The start of a host: its name is known.
    HostStart,
    /// An item: it and its host's properties are known.
    Item,
    /// An item that repeats a finding of another block of the machine, where a reader [knows](ExportReader::knowing) it.
    Repeated,
    /// The end of a host.
    HostEnd,
    /// The end of the file, in order.
    End,
}

/// What an export says about itself outside its hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// `Report/@name`, usually the scan's name.
    pub report_name: Option<String>,
    /// `Report/@type`; `was` for scans of web applications.
    pub report_type: Option<String>,
    /// `Policy/policyName`.
    pub policy_name: Option<String>,
    /// How severities were derived: `cvss_v2`, `cvss_v3`, ...; written by recent versions.
    pub severity_basis: Option<String>,
    /// The plugins that were enabled, where the list is short.
    pub plugin_set: Option<String>,
    /// Which plugins were enabled, however many.
    pub plugin_set_print: Option<PluginSetPrint>,
    /// What the policy says about what the scan looks at, where somebody asked for it.
    #[serde(skip)]
    pub scope: Option<PolicyScope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Prolog,
    Root,
    Report,
    Host,
    Epilog,
}

/// The most that was seen under the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Nothing,
    Policy,
    Report,
}

/// Reads a whole export, item by item.
#[derive(Debug)]
pub(crate) struct ExportReader<R> {
    source: Source<R>,
    place: Place,
    /// Where the present host stands: in a `Report`, as it should, or right under the root.
    host_parent: Place,
    host: Host,
    host_items: u64,
    item: Item,
    in_item: bool,
    header: Header,
    content: Content,
    /// A self-closed host has its end still to be told.
    pending_end: bool,
    /// Whether items in their usual form are read the quick way; otherwise only in tests.
    is_quick: bool,
    repeats: Option<Rc<Repeats>>,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads UTF-8 without a byte order mark; the first byte of `input` is the one at `base` in the file.
    pub(crate) fn new(input: R, base: u64) -> Self {
        Self {
            source: Source::new(input, base, Buffers::default()),
            place: Place::Prolog,
            host_parent: Place::Report,
            host: Host::default(),
            host_items: 0,
            item: Item::default(),
            in_item: false,
            header: Header::default(),
            content: Content::Nothing,
            pending_end: false,
            is_quick: true,
            repeats: None,
        }
    }

    /// Reads a range of a file that was read before. It begins with an item of `host`, at `base` in the file.
    pub(crate) fn within(host: Host, input: R, base: u64) -> Self {
        let mut reader = Self::new(input, base);
        reader.source.allow_ends_only();
        reader.source.names.clone_from(&host.namespaces);
        Self { place: Place::Host, host, content: Content::Report, ..reader }
    }

    /// Also keeps what the policy says about what the scan looks at, where that `is_wanted`.
    pub(crate) fn with_scope(mut self, is_wanted: bool) -> Self {
        self.header.scope = is_wanted.then(PolicyScope::default);
        self
    }

    /// Knows which items repeat findings, and what keys say of hosts.
    pub(crate) fn knowing(mut self, repeats: Option<&Rc<Repeats>>) -> Self {
        self.source.repairs.findings_not_united = repeats.map_or(0, |repeats| repeats.not_compared);
        self.repeats = repeats.cloned();
        self
    }

    /// Reads every item in the general way, to compare.
    #[cfg(test)]
    pub(crate) fn slowly(self) -> Self {
        Self { is_quick: false, ..self }
    }

    /// The present host; its properties are complete once an item of it was read.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The item read last.
    pub(crate) fn item(&self) -> &Item {
        &self.item
    }

    /// What was found outside the hosts so far.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// What was repaired so far.
    pub(crate) fn repairs(&self) -> RepairCounts {
        self.source.repairs
    }

    /// Reads on to the next step; after [`Step::End`] or an error there is nothing more.
    ///
    /// # Errors
    /// Every defect of the file, with the host and plugin it lies in.
    pub(crate) fn next(&mut self) -> Result<Step, ResultsError> {
        let mut buffer = self.source.take_buffer();
        let step = self.advance(&mut buffer);
        self.source.give_buffer(buffer);
        step.map_err(|error| {
            let host = (self.place == Place::Host).then_some(&*self.host.name);
            let plugin = if self.in_item { self.item.first(FieldId::PluginId) } else { None };
            error.within(host, plugin)
        })
    }

    fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ResultsError> {
        self.in_item = false;
        if std::mem::take(&mut self.pending_end) {
            self.end_host();
            return Ok(Step::HostEnd);
        }
        loop {
            self.between()?;
            if self.is_quick && self.place == Place::Host && self.source.quick_item(&mut self.item) {
                return Ok(self.end_item());
            }
            let offset = self.source.position();
            let (element, empty) = match self.source.event(buffer)? {
                Event::Start(tag) => (self.open(&tag, offset)?, false),
                Event::Empty(tag) => (self.open(&tag, offset)?, true),
                Event::End(_) => match self.end_element() {
                    Some(step) => return Ok(step),
                    None => continue,
                },
                Event::Eof => return self.end_file(),
                Event::CData(_) => return Err(self.source.malformed("a CDATA section between elements")),
                _ => continue,
            };
            match element {
                Element::Item => {
                    if !empty {
                        self.source.item_children(&mut self.item, buffer)?;
                    }
                    self.item.length = self.source.position() - offset;
                    return Ok(self.end_item());
                }
                Element::Host => {
                    self.pending_end = empty;
                    return Ok(Step::HostStart);
                }
                Element::Container(place) if empty => {
                    if place == Place::Root {
                        self.place = Place::Epilog;
                    }
                }
                Element::Container(place) => self.place = place,
                Element::Properties if !empty => self.properties(buffer)?,
                Element::Policy if !empty => self.policy(buffer)?,
                Element::Unknown if !empty => self.source.skip_element(buffer)?,
                Element::Properties | Element::Policy | Element::Unknown => {}
            }
        }
    }

    fn end_item(&mut self) -> Step {
        self.host_items += 1;
        let is_repeated = self.repeats.as_ref().is_some_and(|repeats| repeats.has_item(self.item.offset));
        if is_repeated { Step::Repeated } else { Step::Item }
    }

    /// Text between elements must be white space, and what comes before the root decides what the file is.
    fn between(&mut self) -> Result<(), ResultsError> {
        if self.source.skip_text()? {
            return Ok(());
        }
        Err(match self.place {
            Place::Prolog => ResultsError::NotXml,
            Place::Epilog => self.source.malformed("text after the end of the root element"),
            _ => self.source.malformed("text between elements"),
        })
    }

    fn open(&mut self, tag: &BytesStart<'_>, offset: u64) -> Result<Element, ResultsError> {
        // What an element is, its place and its local name say; only in items there may be names of two kinds.
        let (_, name) = split(tag.name().into_inner());
        match (self.place, name) {
            (Place::Prolog, _) => {
                self.source.declare(tag, Level::Root)?;
                root(name)
            }
            (Place::Epilog, _) => Err(self.source.malformed("a second root element")),
            (Place::Root, "Policy") => {
                self.content = self.content.max(Content::Policy);
                Ok(Element::Policy)
            }
            (Place::Root, "Report") => {
                self.content = Content::Report;
                self.source.declare(tag, Level::Report)?;
                self.header.report_name = self.source.attribute(tag, "name")?;
                self.header.report_type = self.source.attribute(tag, "type")?;
                Ok(Element::Container(Place::Report))
            }
            // Some programs write hosts right under the root.
            (Place::Root | Place::Report, "ReportHost") => {
                self.content = Content::Report;
                self.source.declare(tag, Level::Host)?;
                self.host = Host::named(self.source.attribute(tag, "name")?.unwrap_or_default());
                self.host.namespaces.clone_from(&self.source.names);
                self.host.begin = offset;
                if let Some(part) = self.repeats.as_ref().and_then(|repeats| repeats.part_of(offset)) {
                    part.set(&mut self.host);
                }
                self.host_items = 0;
                self.host_parent = self.place;
                self.place = Place::Host;
                Ok(Element::Host)
            }
            (Place::Root | Place::Report, "ReportItem") => {
                Err(self.source.malformed("a `ReportItem` outside a `ReportHost`"))
            }
            (Place::Host, "HostProperties") => {
                self.source.repairs.late_properties += u64::from(self.host_items > 0);
                Ok(Element::Properties)
            }
            (Place::Host, "ReportItem") => {
                self.in_item = true;
                self.source.item_attributes(tag, &mut self.item, offset)?;
                Ok(Element::Item)
            }
            _ => Ok(Element::Unknown),
        }
    }

    fn end_element(&mut self) -> Option<Step> {
        match self.place {
            Place::Host => {
                self.end_host();
                return Some(Step::HostEnd);
            }
            Place::Report => {
                self.source.names.leave(Level::Report);
                self.place = Place::Root;
            }
            // quick-xml refuses an end tag without a start tag, so this is the root's.
            _ => self.place = Place::Epilog,
        }
        None
    }

    fn end_host(&mut self) {
        self.source.names.leave(Level::Host);
        self.place = self.host_parent;
    }

    fn end_file(&mut self) -> Result<Step, ResultsError> {
        match self.place {
            Place::Prolog => Err(ResultsError::Empty),
            Place::Epilog => match self.content {
                Content::Report => Ok(Step::End),
                Content::Policy => Err(ResultsError::PolicyOnly),
                Content::Nothing => Err(ResultsError::NoReport),
            },
            _ => Err(self.source.truncated()),
        }
    }

    /// Reads the tags of a host; keeps those that are fields and skips the others, which can be hundreds.
    fn properties(&mut self, buffer: &mut Vec<u8>) -> Result<(), ResultsError> {
        for _ in 0..limits::HOST_TAGS {
            self.source.skip_text()?;
            let (id, empty) = match self.source.event(buffer)? {
                Event::Start(tag) => (self.source.attribute(&tag, "name")?, false),
                Event::Empty(tag) => (self.source.attribute(&tag, "name")?, true),
                Event::End(_) => return Ok(()),
                Event::Eof => return Err(self.source.truncated()),
                _ => continue,
            };
            match id.as_deref().and_then(FieldId::of_host_tag) {
                Some(id) if !empty => {
                    let mut value = String::new();
                    self.source.element_text(&mut value, buffer, limits::HOST_VALUE_BYTES, "a host property")?;
                    // An empty property says as little as one that is not there; a name can still stand in for it.
                    let value = &value[meant(id.field().kind, &value)];
                    if !value.is_empty() {
                        self.host.set(id, value.to_owned());
                    }
                }
                None if !empty => self.source.skip_element(buffer)?,
                _ => {}
            }
        }
        Err(self.source.exceeded("the number of host properties", limits::HOST_TAGS as u64))
    }

    /// Skips the policy, which is most of a small export, but for a few short texts.
    fn policy(&mut self, buffer: &mut Vec<u8>) -> Result<(), ResultsError> {
        let mut depth = 1;
        let mut preference = String::new();
        while depth > 0 {
            self.source.skip_text()?;
            let wanted = match self.source.event(buffer)? {
                Event::Start(tag) => {
                    depth += 1;
                    match (depth, split(tag.name().into_inner()).1) {
                        (2, "policyName") => Wanted::PolicyName,
                        (5, "name") => Wanted::PreferenceName,
                        (5, "value") if preference == "severity_basis" => Wanted::SeverityBasis,
                        (5, "value") if preference == "plugin_set" => Wanted::PluginSet,
                        (depth, name) if self.header.scope.is_some() => {
                            ScopeElement::of(depth, name, &preference).map_or(Wanted::Nothing, Wanted::Scope)
                        }
                        _ => Wanted::Nothing,
                    }
                }
                Event::End(_) => {
                    depth -= 1;
                    Wanted::Nothing
                }
                Event::Eof => return Err(self.source.truncated()),
                _ => Wanted::Nothing,
            };
            if depth > limits::DEPTH {
                return Err(self.source.exceeded("the depth of elements", limits::DEPTH as u64));
            }
            if wanted == Wanted::Nothing {
                continue;
            }
            if wanted == Wanted::PluginSet {
                let mut print = PluginSetPrint::default();
                let scope = &mut self.header.scope;
                let mut each = |plugin| scope.iter_mut().for_each(|scope| scope.add_plugin(plugin));
                let text = self.source.short_text(buffer, SHORT_TEXT, |bytes| print.see(bytes, &mut each))?;
                self.header.plugin_set = text.filter(|text| !text.is_empty());
                self.header.plugin_set_print = print.finish(each);
                depth -= 1;
                continue;
            }
            if let Wanted::Scope(element) = wanted {
                let text = self.source.short_text(buffer, policy_scope::TEXT_BYTES, |_bytes| {})?;
                if let Some((scope, text)) = self.header.scope.as_mut().zip(text) {
                    scope.take(element, &preference, &text);
                }
                depth -= 1;
                continue;
            }
            let text = self.source.short_text(buffer, SHORT_TEXT, |_bytes| {})?.filter(|text| !text.is_empty());
            depth -= 1;
            match wanted {
                Wanted::PolicyName => self.header.policy_name = text,
                Wanted::SeverityBasis => self.header.severity_basis = text,
                Wanted::PreferenceName => preference = text.unwrap_or_default(),
                Wanted::PluginSet | Wanted::Scope(_) | Wanted::Nothing => {}
            }
        }
        self.header.scope.iter_mut().for_each(PolicyScope::finish);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Item,
    Host,
    Properties,
    Policy,
    Container(Place),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    PolicyName,
    PreferenceName,
    SeverityBasis,
    PluginSet,
    Scope(ScopeElement),
}

fn root(name: &str) -> Result<Element, ResultsError> {
    match name {
        "NessusClientData_v2" => Ok(Element::Container(Place::Root)),
        "NessusClientData" => Err(ResultsError::VersionOne),
        _ if name.eq_ignore_ascii_case("html") => Err(ResultsError::HtmlPage),
        _ => Err(ResultsError::UnknownRoot(excerpt(name).to_string())),
    }
}

/// Reads one `ReportItem` that begins at the source's first byte.
pub(super) fn read_single_item<R: BufRead>(source: &mut Source<R>, item: &mut Item) -> Result<(), ResultsError> {
    let mut buffer = source.take_buffer();
    let offset = source.position();
    let (tag, empty) = match source.event(&mut buffer)? {
        Event::Start(tag) => (tag, false),
        Event::Empty(tag) => (tag, true),
        _ => return Err(ResultsError::Changed),
    };
    // The bytes were an item when the file was first read.
    if split(tag.name().into_inner()).1 != "ReportItem" {
        return Err(ResultsError::Changed);
    }
    source.item_attributes(&tag, item, offset)?;
    if !empty {
        source.item_children(item, &mut buffer)?;
    }
    item.length = source.position() - offset;
    source.give_buffer(buffer);
    Ok(())
}
