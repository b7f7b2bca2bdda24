//! Items in their usual form, read without quick-xml.
//!
//! Nearly every item that a scanner writes is a start tag, child elements with nothing but text in them, and an end
//! tag. Such an item is read here in one go from the bytes that are in the buffer anyway, at several times the speed
//! of a general reader: texts that stand for themselves are not copied one by one, and the names of elements are
//! found by what came next the last time.
//!
//! Whatever is not in that form (comments, CDATA sections, attributes on child elements, an item that reaches beyond
//! the buffer) or is wrong in any way is left to the general reader, which begins again at the same byte. So this
//! reader has no errors and no limits of its own, and both give the same items: a test holds them together.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;

use super::{
    limits,
    repairs::RepairCounts,
    text::{self, Piece},
};
use crate::results::{
    record::{FieldId, Item, Level, Namespaces, Place, is_declaration},
    texts::words,
};

/// Items beyond this are left to the general reader, whose limits on texts and tags lie above it.
pub(super) const MOST_BYTES: usize = limits::TAG_BYTES;
/// Attributes beyond this are left to the general reader.
const ATTRIBUTES: usize = 16;
const START: &[u8] = b"<ReportItem";
const END: &[u8] = b"</ReportItem>";
/// Made once: to make one takes as long as to find the end of a short item.
static END_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(END));

/// Reads an item whose first byte is that of `bytes` and stands at `offset` in the file; gives its length.
///
/// `None` says nothing about the item but that it is to be read in the general way; `item` holds nothing of use then.
pub(super) fn read(
    bytes: &[u8],
    offset: u64,
    item: &mut Item,
    names: &mut Namespaces,
    repairs: &mut RepairCounts,
) -> Option<usize> {
    let tag = Tag::read(bytes)?;
    let children = tag.length..tag.length + if tag.is_empty { 0 } else { END_FINDER.find(bytes.get(tag.length..)?)? };
    let length = children.end + if tag.is_empty { 0 } else { END.len() };
    let bytes = &bytes[..length];
    let text = simdutf8::basic::from_utf8(bytes).ok()?;
    item.clear(offset);
    names.leave(Level::Item);
    item.text_mut().push_str(text);
    let mut values = Values::new(text, tag.length);
    for (name, value) in tag.attributes.iter().take(tag.count).cloned() {
        let shown = &text[name.clone()];
        if is_declaration(shown) {
            declare(names, shown, &text[value])?;
            continue;
        }
        let id = item.look_up(shown, FieldId::of_attribute, Place::Attribute);
        let value = values.attribute(value, item)?;
        item.add(id, name, value);
    }
    // A name with a prefix may mean another one where namespaces are declared.
    if !names.is_usual() && tag.has_prefixes(text) {
        return None;
    }
    read_children(text, children, item, names, &mut values)?;
    item.set_as_written(length);
    repairs.control_characters += values.repairs.control_characters;
    Some(length)
}

/// Takes a declaration in the start tag.
fn declare(names: &mut Namespaces, attribute: &str, uri: &str) -> Option<()> {
    let is_plain = uri.bytes().all(|byte| byte > b' ' && byte != b'&' && byte != b'<');
    (is_plain && names.declare(Level::Item, attribute, uri)).then_some(())
}

fn read_children(
    text: &str,
    mut rest: Range<usize>,
    item: &mut Item,
    names: &Namespaces,
    values: &mut Values<'_>,
) -> Option<()> {
    let bytes = text.as_bytes();
    let is_usual = names.is_usual();
    loop {
        while rest.start < rest.end && is_space(bytes[rest.start]) {
            rest.start += 1;
        }
        if rest.is_empty() {
            return Some(());
        }
        if bytes[rest.start] != b'<' || item.len() >= limits::CHILDREN {
            return None;
        }
        let begin = rest.start + 1;
        // There is an end tag behind the range, so there are bytes to look at.
        let expected = item.expected(Place::Child, |id| {
            let name = id.field().xml.as_bytes();
            let end = begin + name.len();
            bytes.get(end) == Some(&b'>')
                && words::is_same(&bytes[begin..end], name)
                && (is_usual || !name.starts_with(b"cm:"))
        });
        let (id, name, meant) = if let Some(id) = expected {
            item.take(id, Place::Child);
            let name = begin..begin + id.field().xml.len();
            (Some(id), name.clone(), name)
        } else if is_usual {
            let name = name(bytes, begin)?;
            (item.look_up(&text[name.clone()], FieldId::of_element, Place::Child), name.clone(), name)
        } else {
            let name = name(bytes, begin)?;
            let (id, meant) = names.child(&text[name.clone()], "");
            let begin = item.begin();
            if id.is_some() {
                item.look_up(&meant, |_| id, Place::Child);
            } else {
                item.text_mut().push_str(&meant);
            }
            (id, name, begin..item.begin())
        };
        let (value, end) = match bytes.get(name.end..)? {
            [b'>', ..] => {
                let begin = name.end + 1;
                let end = begin + find(b'<', bytes.get(begin..)?)?;
                let [b'<', b'/', tag @ ..] = bytes.get(end..)? else { return None };
                if *tag.get(name.len())? != b'>' || !words::is_same(&tag[..name.len()], &bytes[name.clone()]) {
                    return None;
                }
                (begin..end, end + name.len() + 3)
            }
            [b'/', b'>', ..] => (name.end..name.end, name.end + 2),
            _ => return None,
        };
        let value = values.text(value, item)?;
        item.add(id, meant, value);
        rest.start = end;
        if rest.start > rest.end {
            return None;
        }
    }
}

/// Finds the characters that a range of an item stands for: its own, or those of a copy behind the item.
///
/// What is looked for in every value is looked for in the whole item at once.
struct Values<'b> {
    text: &'b str,
    /// Whether no value in the start tag needs a copy.
    is_plain_tag: bool,
    has_controls: bool,
    /// The place of the next reference that is not before the value looked at.
    reference: usize,
    repairs: RepairCounts,
}

impl<'b> Values<'b> {
    fn new(text: &'b str, tag: usize) -> Self {
        let bytes = text.as_bytes();
        let start = bytes.get(1..tag).unwrap_or_default();
        let is_plain_tag = memchr::memchr2(b'&', b'<', start).is_none() && !text::has_controls(start, Piece::Attribute);
        let has_controls = text::has_controls(bytes.get(tag..).unwrap_or_default(), Piece::Text);
        Self { text, is_plain_tag, has_controls, reference: 0, repairs: RepairCounts::default() }
    }

    fn attribute(&mut self, raw: Range<usize>, item: &mut Item) -> Option<Range<usize>> {
        if self.is_plain_tag {
            return Some(raw);
        }
        // What a start tag may hold beside this is for the general reader to judge.
        let raw = &self.text[raw];
        if raw.contains('<') {
            return None;
        }
        let has_controls = text::has_controls(raw.as_bytes(), Piece::Attribute);
        self.copy(raw, Piece::Attribute, has_controls, item)
    }

    fn text(&mut self, raw: Range<usize>, item: &mut Item) -> Option<Range<usize>> {
        if self.reference < raw.start {
            let next = memchr::memchr(b'&', &self.text.as_bytes()[raw.start..]);
            self.reference = next.map_or(usize::MAX, |at| raw.start + at);
        }
        if raw.end <= self.reference && !self.has_controls {
            return Some(raw);
        }
        self.copy(&self.text[raw], Piece::Text, self.has_controls, item)
    }

    fn copy(&mut self, raw: &str, piece: Piece, has_controls: bool, item: &mut Item) -> Option<Range<usize>> {
        let begin = item.begin();
        text::push_str(item.text_mut(), raw, piece, has_controls, &mut self.repairs).ok()?;
        Some(begin..item.begin())
    }
}

/// A start tag of an item.
struct Tag {
    /// Names and values.
    attributes: [(Range<usize>, Range<usize>); ATTRIBUTES],
    count: usize,
    is_empty: bool,
    length: usize,
}

impl Tag {
    /// Whether an attribute that declares nothing has a prefix.
    fn has_prefixes(&self, text: &str) -> bool {
        let mut names = self.attributes.iter().take(self.count).map(|(name, _)| &text[name.clone()]);
        names.any(|name| name.contains(':') && !is_declaration(name))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(START) {
            return None;
        }
        let mut tag =
            Self { attributes: std::array::from_fn(|_| (0..0, 0..0)), count: 0, is_empty: false, length: START.len() };
        loop {
            let before = tag.length;
            while is_space(*bytes.get(tag.length)?) {
                tag.length += 1;
            }
            match bytes.get(tag.length..)? {
                [b'>', ..] => {
                    tag.length += 1;
                    return Some(tag);
                }
                [b'/', b'>', ..] => {
                    tag.length += 2;
                    tag.is_empty = true;
                    return Some(tag);
                }
                _ if before == tag.length => return None,
                _ => tag.attribute(bytes)?,
            }
        }
    }

    fn attribute(&mut self, bytes: &[u8]) -> Option<()> {
        let name = name(bytes, self.length)?;
        let [b'=', quote @ (b'"' | b'\''), ..] = bytes.get(name.end..)? else { return None };
        let begin = name.end + 2;
        let end = begin + find(*quote, bytes.get(begin..)?)?;
        let known = self.attributes.get(..self.count)?;
        if known.iter().any(|(known, _)| words::is_same(&bytes[known.clone()], &bytes[name.clone()])) {
            return None;
        }
        *self.attributes.get_mut(self.count)? = (name, begin..end);
        self.count += 1;
        self.length = end + 1;
        Some(())
    }
}

/// The name that begins at `begin`; not every name that XML allows.
fn name(bytes: &[u8], begin: usize) -> Option<Range<usize>> {
    let rest = bytes.get(begin..)?;
    let length = rest.iter().position(|byte| !IS_NAME[usize::from(*byte)])?;
    (length > 0).then_some(begin..begin + length)
}

/// Letters, digits and the marks that names of Nessus have.
static IS_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.');
        byte += 1;
    }
    table
};

/// The place of a byte. Most values are so short that it is found in their first words, without a call.
fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for chunk in chunks.iter().take(2) {
        if let Some(found) = words::first(words::equal(u64::from_le_bytes(*chunk), byte)) {
            return Some(at + found);
        }
        at += 8;
    }
    memchr::memchr(byte, &bytes[at..]).map(|found| at + found)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;
    use crate::results::record::ALL;
    use crate::results::xml::{ExportReader, Step};

    const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));

    /// Everything that is read of an export, and how it ends.
    fn read_all(input: &[u8], chunk: usize, slowly: bool) -> (Vec<String>, RepairCounts) {
        let mut reader = ExportReader::new(BufReader::with_capacity(chunk, input), 0);
        if slowly {
            reader = reader.slowly();
        }
        let mut seen = Vec::new();
        loop {
            match reader.next() {
                Ok(Step::End) => break,
                Ok(Step::Item) => seen.push(everything(reader.item())),
                Ok(step) => seen.push(format!("{step:?} {:?}", reader.host())),
                Err(error) => {
                    seen.push(error.to_string());
                    return (seen, RepairCounts::default());
                }
            }
        }
        (seen, reader.repairs())
    }

    fn everything(item: &Item) -> String {
        let mut seen = vec![format!("{} {}", item.offset, item.length)];
        for id in ALL.iter().copied() {
            for one in item.occurrences(id) {
                let attributes: Vec<_> = item.attributes(one).collect();
                seen.push(format!("{id:?}={:?}{attributes:?}", item.value(one)));
            }
            assert_eq!(item.occurrences(id).count() > 0, item.present().iter().any(|present| present == id));
        }
        for one in item.others() {
            let attributes: Vec<_> = item.attributes(one).collect();
            seen.push(format!("{}={:?}{attributes:?}", item.name(one), item.value(one)));
        }
        seen.join(" ")
    }

    #[test]
    fn the_usual_form_is_read_the_quick_way() {
        let (mut item, mut names, mut repairs) = (Item::default(), Namespaces::default(), RepairCounts::default());
        for (xml, quick) in [
            ("<ReportItem/>", true),
            ("<ReportItem port='1' a=\"x>y\" >\n<cve>A</cve> <cve/><x.y>a &lt; b\r\n</x.y></ReportItem>", true),
            ("<ReportItem><cve>\u{1}</cve></ReportItem>", true),
            ("<ReportItem", false),
            ("<ReportItem>", false),
            ("<ReportItems/>", false),
            ("<ReportItem><cve>A</cve ></ReportItem>", false),
            ("<ReportItem><cve a='b'>A</cve></ReportItem>", false),
            ("<ReportItem><cve>A<!-- --></cve></ReportItem>", false),
            ("<ReportItem><cve><![CDATA[</ReportItem>]]></cve></ReportItem>", false),
            ("<ReportItem><cve>&x;</cve></ReportItem>", false),
            ("<ReportItem><cve></bid></ReportItem>", false),
            ("<ReportItem><cve>A</ReportItem>", false),
            ("<ReportItem>text</ReportItem>", false),
            ("<ReportItem port='1' port='2'/>", false),
            ("<ReportItem port='1'a='2'/>", false),
            ("<ReportItem port='<'/>", false),
        ] {
            let length = read(xml.as_bytes(), 0, &mut item, &mut names, &mut repairs);
            assert_eq!(length, quick.then_some(xml.len()), "{xml}");
        }
        assert_eq!(repairs.control_characters, 1);
    }

    /// Pieces of items, well-formed or not.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "<ReportItem port='0' severity=\"3\" pluginID='5'>",
            "<ReportItem port=\"0\" pluginName='a &lt; b &gt; c'>",
            "<ReportItem/>",
            "<ReportItem xmlns:cm='x' cve='c' plugin_name='n' svc_name='a\nb'/>",
            "</ReportItem>",
            "</ReportItem>\n",
            "<cve>CVE-1</cve>",
            "<cve>CVE-2</cve>\n",
            "<plugin_output>a\r\nb &amp; c\u{1b}[0m</plugin_output>",
            "<plugin_output>\u{e9}]]></plugin_output>",
            "<new>x</new>",
            "<cm:compliance-result>PASSED</cm:compliance-result>",
            "<ReportItem xmlns:n='http://www.nessus.org/cm' n:port='1' port='2'>",
            "<ReportItem xmlns='http://www.nessus.org/cm'>",
            "<ReportItem xmlns:cm='http://www.nessus.org/cm' severity=' 1 '>",
            "<n:compliance-result> PASSED\n</n:compliance-result>",
            "<compliance-result xmlns='http://www.nessus.org/cm'>PASSED</compliance-result>",
            "<compliance-result>PASSED</compliance-result>",
            "<cwe>CWE-20, 79</cwe>",
            "<cve>cve-1 cve-2</cve>",
            "<n:cve>CVE-3</n:cve>",
            "<port>1</port>",
            "<attachment name='n' type='t'>h</attachment>",
            "<empty/>",
            "<b><i>x</i></b>",
            "<!-- c -->",
            "<![CDATA[ x ]]>",
            "text",
            "&bad;",
            "<x>",
            "</x>",
            " ",
        ]);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(
            inner in pieces(),
            declared in prop::sample::select(vec!["", " xmlns:n='http://www.nessus.org/cm'", " xmlns:cm='urn:x'", " xmlns:n='urn:x'"]),
            chunk in 16..600_usize,
        ) {
            let xml = format!("<NessusClientData_v2><Report{declared}><ReportHost name='h'>{inner}</ReportHost></Report></NessusClientData_v2>");
            prop_assert_eq!(read_all(xml.as_bytes(), chunk, false), read_all(xml.as_bytes(), chunk, true));
        }

        #[test]
        fn both_ways_read_damaged_exports_the_same(
            at in 0..OFFICE.len(),
            cut in 0..40_usize,
            put in prop_oneof![prop::collection::vec(any::<u8>(), 0..20), "[<>/&;'\" =a]{0,8}".prop_map(String::into_bytes)],
            chunk in 16..100_000_usize,
        ) {
            let mut damaged = OFFICE.to_vec();
            damaged.splice(at..(at + cut).min(OFFICE.len()), put);
            prop_assert_eq!(read_all(&damaged, chunk, false), read_all(&damaged, chunk, true));
        }
    }
}
