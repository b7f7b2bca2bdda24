//! Texts as JSON strings, eight bytes at a time.
//!
//! Escaping is a third of the time of a conversion when it looks at one byte after the other: texts of findings are
//! long, and most of what needs escaping is the line feeds.

/// Appends a text as a JSON string, quotes included, as serde_json writes it.
pub(super) fn text(line: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let at = plain_length(rest);
        line.extend_from_slice(&rest[..at]);
        let Some(special) = rest.get(at) else { break };
        match special {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
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
}

/// The number of bytes before the first that must be escaped.
fn plain_length(bytes: &[u8]) -> usize {
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        let found = specials(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = chunks.remainder();
    at + rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).unwrap_or(rest.len())
}

/// The highest bit of each byte that must be escaped; bits above the lowest one set may be wrong.
const fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    ((quotes.wrapping_sub(ONES) & !quotes) | (backslashes.wrapping_sub(ONES) & !backslashes) | controls) & HIGHS
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

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_does(text in "([\"\\\\\n\t\u{0}-\u{1f}\u{7f}é\u{1F600}]|[a-z ]{1,9}){0,30}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
