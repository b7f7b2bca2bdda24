//! Events and texts with their limits, and the elements that look the same wherever they stand.

use std::io::{self, BufRead};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    capped::Capped,
    limits, quick,
    repairs::RepairCounts,
    text::{self, Piece},
};
use crate::results::record::{FieldId, Item, Kind, Level, NAMESPACE_BYTES, Namespaces, Opened, is_declaration, split};
use crate::{
    error::excerpt,
    results::error::{Location, ResultsError},
};

/// A buffer larger than this is given back after the event that needed it.
const KEPT_BUFFER: usize = 256 << 10;

/// Buffers that outlive a [`Source`], so that reading an item allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    event: Vec<u8>,
    text: Vec<u8>,
}

/// What comes after a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextEnd {
    Markup,
    File,
}

/// quick-xml over a reader, with limits and errors that say where.
#[derive(Debug)]
pub(super) struct Source<R> {
    xml: Reader<Capped<R>>,
    base: u64,
    text: Vec<u8>,
    event: Vec<u8>,
    pub(super) repairs: RepairCounts,
    /// What names mean at the place reached.
    pub(super) names: Namespaces,
    /// The prefix of the present item's name.
    item_prefix: String,
}

impl<R: BufRead> Source<R> {
    /// Reads from `inner`, whose first byte is the one at `base` in the file.
    pub(super) fn new(inner: R, base: u64, buffers: Buffers) -> Self {
        let xml = Reader::from_reader(Capped::new(inner));
        Self {
            xml,
            base,
            text: buffers.text,
            event: buffers.event,
            repairs: RepairCounts::default(),
            names: Namespaces::default(),
            item_prefix: String::new(),
        }
    }

    /// Allows ends of elements whose starts were before the first byte.
    pub(super) fn allow_ends_only(&mut self) {
        self.xml.config_mut().allow_unmatched_ends = true;
    }

    pub(super) fn into_buffers(self) -> Buffers {
        Buffers { event: self.event, text: self.text }
    }

    /// The buffer for [`Source::event`], taken out so that an event can be held while the source goes on.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.event)
    }

    /// Gives the buffer back.
    pub(super) fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.event = buffer;
    }

    /// Bytes from the start of the file to the next unread one.
    pub(super) fn position(&self) -> u64 {
        self.base + self.xml.buffer_position()
    }

    /// An error at the place reached.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> ResultsError {
        ResultsError::Malformed { at: Location::at(self.position()), reason: reason.into() }
    }

    /// An error at the place reached: the file ends where it must not.
    pub(super) fn truncated(&self) -> ResultsError {
        ResultsError::Truncated(Location::at(self.position()))
    }

    /// An error at the place reached: `what` is over its limit.
    pub(super) fn exceeded(&self, what: &'static str, limit: u64) -> ResultsError {
        ResultsError::LimitExceeded { at: Location::at(self.position()), what, limit }
    }

    /// The next tag, comment, CDATA section, processing instruction or end; a DOCTYPE is an error.
    ///
    /// Text must have been read before, with [`Source::text`] or [`Source::skip_text`].
    pub(super) fn event<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, ResultsError> {
        buffer.clear();
        buffer.shrink_to(KEPT_BUFFER);
        self.xml.get_mut().refill(limits::EVENT_BYTES);
        match self.xml.read_event_into(buffer) {
            Ok(Event::DocType(name)) => Err(if name.trim_start().to_ascii_lowercase().starts_with("html") {
                ResultsError::HtmlPage
            } else {
                ResultsError::DoctypeRefused(Location::at(self.position()))
            }),
            Ok(Event::Start(tag) | Event::Empty(tag)) if tag.len() > limits::TAG_BYTES => {
                Err(self.exceeded("a start tag", limits::TAG_BYTES as u64))
            }
            Ok(event) => Ok(event),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn failure(&mut self, error: quick_xml::Error) -> ResultsError {
        use quick_xml::errors::SyntaxError;
        match error {
            quick_xml::Error::Io(_) if self.xml.get_ref().is_exceeded() => {
                self.exceeded("a tag, comment or CDATA section", limits::EVENT_BYTES)
            }
            // The error is shared inside quick-xml; its kind and text are all that can be taken over.
            quick_xml::Error::Io(error) => ResultsError::Read(io::Error::new(error.kind(), error.to_string())),
            // The file may also end within `<!--` or `<![CDATA[`.
            quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) if !self.is_at_end() => {
                self.malformed("unknown markup after `<!`")
            }
            // All others say that the input ended within a tag, comment or the like.
            quick_xml::Error::Syntax(_) => self.truncated(),
            other => self.malformed(excerpt(&other.to_string()).to_string()),
        }
    }

    fn is_at_end(&mut self) -> bool {
        matches!(self.xml.stream().fill_buf(), Ok([]))
    }

    /// Reads text up to the next `<`, which must come, and appends the characters it stands for.
    pub(super) fn text(&mut self, target: &mut String) -> Result<(), ResultsError> {
        self.text.shrink_to(KEPT_BUFFER);
        let mut raw = std::mem::take(&mut self.text);
        raw.clear();
        let read = self.raw_text(limits::EVENT_BYTES, |bytes| raw.extend_from_slice(bytes));
        let pushed = read.and_then(|end| match end {
            TextEnd::Markup => self.push(target, &raw, Piece::Text),
            // Half a character or reference at the end of the file is not what is wrong with it.
            TextEnd::File => Err(self.truncated()),
        });
        self.text = raw;
        pushed
    }

    /// Skips text up to the next `<`; whether it was only white space.
    pub(super) fn skip_text(&mut self) -> Result<bool, ResultsError> {
        let mut blank = true;
        self.raw_text(limits::SKIPPED_BYTES, |bytes| blank = blank && bytes.iter().all(u8::is_ascii_whitespace))?;
        Ok(blank)
    }

    /// Reads the text of an element whose start tag was read, up to its end tag, and keeps it without white space around it
    /// if it has no more than `most` bytes. Shows `see` all bytes, kept or not.
    pub(super) fn short_text(
        &mut self,
        buffer: &mut Vec<u8>,
        most: usize,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Option<String>, ResultsError> {
        let (mut text, mut total) = (String::new(), 0);
        loop {
            let mut raw = Vec::new();
            let mut take = |bytes: &[u8]| {
                see(bytes);
                total += bytes.len();
                if total <= most {
                    raw.extend_from_slice(bytes);
                }
            };
            if self.raw_text(limits::SKIPPED_BYTES, &mut take)? == TextEnd::File {
                return Err(self.truncated());
            }
            let mut is_nested = false;
            let (section, is_end) = match self.event(buffer)? {
                Event::CData(section) => {
                    take(section.as_bytes());
                    (section.len(), false)
                }
                Event::End(_) => (0, true),
                Event::Eof => return Err(self.truncated()),
                Event::Start(_) => {
                    is_nested = true;
                    (0, false)
                }
                _ => (0, false),
            };
            if total <= most {
                // A section has no references.
                let (referring, plain) = raw.split_at(raw.len() - section);
                self.push(&mut text, referring, Piece::Text)?;
                self.push(&mut text, plain, Piece::CData)?;
            }
            if is_end {
                return Ok((total <= most).then(|| text.trim().to_owned()));
            }
            if is_nested {
                self.skip_element(buffer)?;
            }
        }
    }

    fn raw_text(&mut self, limit: u64, mut take: impl FnMut(&[u8])) -> Result<TextEnd, ResultsError> {
        self.xml.get_mut().refill(limit);
        let mut stream = self.xml.stream();
        let failed = loop {
            let available = match stream.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break error,
            };
            if let Some(end) = memchr::memchr(b'<', available) {
                take(&available[..end]);
                stream.consume(end);
                return Ok(TextEnd::Markup);
            }
            let count = available.len();
            if count == 0 {
                return Ok(TextEnd::File);
            }
            take(available);
            stream.consume(count);
        };
        if self.xml.get_ref().is_exceeded() {
            return Err(self.exceeded("a text", limit));
        }
        Err(ResultsError::Read(failed))
    }

    pub(super) fn push(&mut self, target: &mut String, raw: &[u8], piece: Piece) -> Result<(), ResultsError> {
        text::push(target, raw, piece, &mut self.repairs).map_err(|reason| self.malformed(reason))
    }

    /// Calls `take` with the name and value of each attribute.
    pub(super) fn attributes(
        &mut self,
        tag: &BytesStart<'_>,
        mut take: impl FnMut(&mut Self, &str, &[u8]) -> Result<(), ResultsError>,
    ) -> Result<(), ResultsError> {
        for (count, attribute) in tag.attributes().enumerate() {
            if count >= limits::ATTRIBUTES {
                return Err(self.exceeded("the number of attributes", limits::ATTRIBUTES as u64));
            }
            let attribute = attribute
                .map_err(|error| self.malformed(format!("in a start tag: {}", excerpt(&error.to_string()))))?;
            take(self, attribute.key.into_inner(), attribute.value.as_bytes())?;
        }
        Ok(())
    }

    /// The value of one attribute, without white space around it, unless it is empty.
    pub(super) fn attribute(&mut self, tag: &BytesStart<'_>, wanted: &str) -> Result<Option<String>, ResultsError> {
        let mut found = String::new();
        self.attributes(tag, |source, name, raw| {
            if split(name).1 == wanted && !is_declaration(name) && found.is_empty() {
                source.push(&mut found, raw, Piece::Attribute)?;
            }
            Ok(())
        })?;
        let found = found.trim();
        Ok((!found.is_empty()).then(|| found.to_owned()))
    }

    /// Takes the namespaces that a start tag declares, in place of those of elements at its level before.
    pub(super) fn declare(&mut self, tag: &BytesStart<'_>, level: Level) -> Result<(), ResultsError> {
        self.names.leave(level);
        if !tag.attributes_raw().contains("xmlns") {
            return Ok(());
        }
        self.attributes(tag, |source, name, raw| {
            if !is_declaration(name) {
                return Ok(());
            }
            let mut uri = String::new();
            source.push(&mut uri, raw, Piece::Attribute)?;
            if source.names.declare(level, name, &uri) {
                return Ok(());
            }
            Err(source.exceeded("the declarations of namespaces", NAMESPACE_BYTES as u64))
        })
    }

    /// Skips the rest of an element whose start tag was read, and everything in it.
    pub(super) fn skip_element(&mut self, buffer: &mut Vec<u8>) -> Result<(), ResultsError> {
        let mut depth = 1;
        while depth > 0 {
            self.skip_text()?;
            match self.event(buffer)? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(self.truncated()),
                _ => {}
            }
            if depth > limits::DEPTH {
                return Err(self.exceeded("the depth of elements", limits::DEPTH as u64));
            }
        }
        Ok(())
    }

    /// Appends the text of an element whose start tag was read, up to its end tag.
    ///
    /// Comments inside are left out and the text around them is joined; elements inside are left out and counted.
    pub(super) fn element_text(
        &mut self,
        target: &mut String,
        buffer: &mut Vec<u8>,
        most: u64,
        what: &'static str,
    ) -> Result<(), ResultsError> {
        let begin = self.position();
        loop {
            self.text(target)?;
            let nested = match self.event(buffer)? {
                Event::End(_) => return Ok(()),
                Event::CData(section) => {
                    self.push(target, section.as_bytes(), Piece::CData)?;
                    false
                }
                Event::Start(_) => {
                    self.repairs.nested_elements += 1;
                    true
                }
                Event::Empty(_) => {
                    self.repairs.nested_elements += 1;
                    false
                }
                Event::Eof => return Err(self.truncated()),
                _ => false,
            };
            if nested {
                self.skip_element(buffer)?;
            }
            if self.position() - begin > most {
                return Err(self.exceeded(what, most));
            }
        }
    }

    /// Reads an item that begins here and is in its usual form; whether it did. If not, nothing was read.
    pub(super) fn quick_item(&mut self, item: &mut Item) -> bool {
        let offset = self.position();
        let mut stream = self.xml.stream();
        // An error comes again when the item is read in the general way.
        let Ok(available) = stream.fill_buf() else { return false };
        let available = &available[..available.len().min(quick::MOST_BYTES)];
        let Some(length) = quick::read(available, offset, item, &mut self.names, &mut self.repairs) else {
            return false;
        };
        stream.consume(length);
        true
    }

    /// Reads the attributes of a `ReportItem` whose start tag begins at `offset`.
    pub(super) fn item_attributes(
        &mut self,
        tag: &BytesStart<'_>,
        item: &mut Item,
        offset: u64,
    ) -> Result<(), ResultsError> {
        item.clear(offset);
        self.declare(tag, Level::Item)?;
        self.item_prefix.clear();
        self.item_prefix.push_str(split(tag.name().into_inner()).0);
        self.attributes(tag, |source, name, raw| {
            if is_declaration(name) {
                return Ok(());
            }
            let name = source.names.attribute(name, &source.item_prefix);
            let opened = item.open(FieldId::of_attribute(name), name);
            let begin = item.begin();
            source.push(item.text_mut(), raw, Piece::Attribute)?;
            item.end(opened, begin);
            Ok(())
        })
    }

    /// Reads the children of a `ReportItem` up to its end tag.
    pub(super) fn item_children(&mut self, item: &mut Item, buffer: &mut Vec<u8>) -> Result<(), ResultsError> {
        loop {
            if !self.skip_text()? {
                self.repairs.stray_texts += 1;
            }
            let (child, empty) = match self.event(buffer)? {
                Event::Start(tag) => (self.open_child(item, &tag)?, false),
                Event::Empty(tag) => (self.open_child(item, &tag)?, true),
                Event::End(_) => break,
                Event::Eof => return Err(self.truncated()),
                Event::CData(_) => {
                    self.repairs.stray_texts += 1;
                    continue;
                }
                _ => continue,
            };
            let begin = item.begin();
            if !empty {
                self.element_text(item.text_mut(), buffer, limits::EVENT_BYTES, "a text")?;
            }
            item.end(child, begin);
            if self.position() - item.offset > limits::ITEM_BYTES {
                return Err(self.exceeded("an item", limits::ITEM_BYTES));
            }
        }
        Ok(())
    }

    fn open_child(&mut self, item: &mut Item, tag: &BytesStart<'_>) -> Result<Opened, ResultsError> {
        if item.len() >= limits::CHILDREN {
            return Err(self.exceeded("the number of elements in an item", limits::CHILDREN as u64));
        }
        let has_attributes = tag.attributes_raw().bytes().any(|byte| !byte.is_ascii_whitespace());
        if has_attributes {
            self.declare(tag, Level::Child)?;
        }
        let (id, name) = self.names.child(tag.name().into_inner(), &self.item_prefix);
        self.names.leave(Level::Child);
        let opened = item.open(id, &name);
        let shown = id.is_none_or(|id| id.field().kind == Kind::Attachment);
        if has_attributes {
            self.attributes(tag, |source, name, raw| {
                if is_declaration(name) {
                    return Ok(());
                }
                if !shown {
                    source.repairs.left_out_attributes += 1;
                    return Ok(());
                }
                let begin = item.begin();
                source.push(item.text_mut(), raw, Piece::Attribute)?;
                item.end_attribute(name, begin);
                Ok(())
            })?;
        }
        Ok(opened)
    }
}
