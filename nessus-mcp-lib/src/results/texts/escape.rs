//! Texts as JSON strings, eight bytes at a time.
//!
//! Escaping is a third of the time of a conversion when it looks at one byte after the other: texts of findings are
//! long, and most of what needs escaping is the line feeds.

use super::words;

/// Appends a text as a JSON string, quotes included, as serde_json writes it.
pub(crate) fn text(line: &mut Vec<u8>, text: &str) {
    write::<false>(line, text);
}

/// As [`text`], if the text is of printable ASCII, line feeds and tabs alone; whether it is. If not, nothing is appended.
pub(crate) fn plain_text(line: &mut Vec<u8>, text: &str) -> bool {
    let begin = line.len();
    let is_plain = write::<true>(line, text);
    if !is_plain {
        line.truncate(begin);
    }
    is_plain
}

fn write<const PLAIN: bool>(line: &mut Vec<u8>, text: &str) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.reserve(text.len() + 2);
    line.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let at = plain_length::<PLAIN>(rest);
        line.extend_from_slice(&rest[..at]);
        let Some(special) = rest.get(at) else { break };
        match special {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            _ if PLAIN => return false,
            b'\r' => line.extend_from_slice(b"\\r"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x0C => line.extend_from_slice(b"\\f"),
            other => {
                line.extend_from_slice(b"\\u00");
                line.extend_from_slice(&[HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    line.push(b'"');
    true
}

/// The number of bytes before the first that must be escaped, or is not plain where that is asked.
fn plain_length<const PLAIN: bool>(bytes: &[u8]) -> usize {
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        if let Some(found) = words::first(specials::<PLAIN>(word)) {
            return at + found;
        }
        at += 8;
    }
    let rest = chunks.remainder();
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\') || (PLAIN && *byte >= 0x7F);
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The bytes that [`plain_length`] looks for.
const fn specials<const PLAIN: bool>(word: u64) -> u64 {
    let escaped = words::equal(word, b'"') | words::equal(word, b'\\') | words::below(word, 0x20);
    if PLAIN { escaped | words::beyond_printable(word) } else { escaped }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(found: &str) -> String {
        let mut line = Vec::new();
        text(&mut line, found);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_character_is_written_as_serde_json_does() {
        for character in ('\0'..='\u{FF}').chain(['\u{2028}', '\u{FFFD}', '\u{1F600}']) {
            for before in 0..9 {
                let text = format!("{}{character}tail\u{1}", "x".repeat(before));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn only_plain_texts_are_written_as_such() {
        for character in ('\0'..='\u{FF}').chain(['\u{2028}', '\u{1F600}']) {
            let is_plain = matches!(character, '\n' | '\t' | ' '..='~');
            for before in 0..9 {
                let found = format!("{}{character}tail", "x".repeat(before));
                let mut line = b"before".to_vec();
                assert_eq!(plain_text(&mut line, &found), is_plain, "{found:?}");
                let expected = if is_plain { written(&found) } else { String::new() };
                assert_eq!(String::from_utf8(line).unwrap(), format!("before{expected}"));
            }
        }
    }

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_does(text in "([\"\\\\\n\t\u{0}-\u{1f}\u{7f}é\u{1F600}]|[a-z ]{1,9}){0,30}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
