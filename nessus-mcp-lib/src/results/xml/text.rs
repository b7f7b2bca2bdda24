//! Character data: line ends, references, forbidden characters.

use super::repairs::RepairCounts;

/// What kind of character data a piece is; the rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text between tags.
    Text,
    /// An attribute's value: white space becomes spaces.
    Attribute,
    /// A CDATA section: no references.
    CData,
}

/// Appends the characters that `raw` stands for.
///
/// Line ends become `\n` (XML 1.0, 2.11), the five predefined entities and character references are resolved, and
/// characters that XML forbids become U+FFFD, counted in `repairs`.
///
/// # Errors
/// The reason, when `raw` is not UTF-8, or holds a reference to an entity or to a forbidden character.
pub(super) fn push(target: &mut String, raw: &[u8], piece: Piece, repairs: &mut RepairCounts) -> Result<(), String> {
    let text = simdutf8::compat::from_utf8(raw).map_err(|invalid| {
        let bytes = |count: usize| crate::error::counted(count, "byte", "bytes");
        format!("text is not valid UTF-8 ({} into a text of {})", bytes(invalid.valid_up_to()), bytes(raw.len()))
    })?;
    push_str(target, text, piece, has_controls(raw, piece), repairs)
}

/// As [`push`], of a text of which is known whether it [has](has_controls) what is replaced.
///
/// # Errors
/// The reason, when it holds a reference to an entity or to a forbidden character.
pub(super) fn push_str(
    target: &mut String,
    text: &str,
    piece: Piece,
    has_controls: bool,
    repairs: &mut RepairCounts,
) -> Result<(), String> {
    let mut rest = text;
    if !has_controls {
        if piece != Piece::CData {
            while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
                target.push_str(&rest[..at]);
                let (character, length) = reference(&rest[at + 1..])?;
                target.push(character);
                rest = &rest[at + 1 + length..];
            }
        }
        target.push_str(rest);
        return Ok(());
    }
    while let Some(at) = rest.bytes().position(|byte| is_special(byte, piece)) {
        target.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match special {
            b'&' => {
                let (character, length) = reference(rest)?;
                target.push(character);
                rest = &rest[length..];
            }
            b'\r' => {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
                target.push(if piece == Piece::Attribute { ' ' } else { '\n' });
            }
            b'\n' | b'\t' => target.push(' '),
            _ => {
                repairs.control_characters += 1;
                target.push('\u{FFFD}');
            }
        }
    }
    target.push_str(rest);
    Ok(())
}

/// Whether there is a character that is replaced, other than a reference. Branch-free, so that it is done many bytes
/// at a time.
pub(super) fn has_controls(raw: &[u8], piece: Piece) -> bool {
    let found = if piece == Piece::Attribute {
        raw.iter().fold(0, |found, byte| found | u8::from(*byte < 0x20))
    } else {
        raw.iter().fold(0, |found, byte| {
            found | (u8::from(*byte < 0x20) & u8::from(*byte != b'\n') & u8::from(*byte != b'\t'))
        })
    };
    found != 0
}

fn is_special(byte: u8, piece: Piece) -> bool {
    match byte {
        b'&' => piece != Piece::CData,
        b'\n' | b'\t' => piece == Piece::Attribute,
        _ => byte < 0x20,
    }
}

/// Resolves the reference whose `&` stands before `rest`; gives the character and the length up to and with `;`.
pub(super) fn reference(rest: &str) -> Result<(char, usize), String> {
    // Nearly all are of these.
    match rest.as_bytes() {
        [b'l', b't', b';', ..] => return Ok(('<', 3)),
        [b'g', b't', b';', ..] => return Ok(('>', 3)),
        [b'a', b'm', b'p', b';', ..] => return Ok(('&', 4)),
        [b'q', b'u', b'o', b't', b';', ..] => return Ok(('"', 5)),
        [b'a', b'p', b'o', b's', b';', ..] => return Ok(('\'', 5)),
        _ => {}
    }
    let end = rest.bytes().take(16).position(|byte| byte == b';');
    let Some(end) = end else { return Err("`&` does not begin a reference".to_owned()) };
    let name = &rest[..end];
    let Some(number) = name.strip_prefix('#') else {
        return Err(format!("the entity `&{};` is not defined", crate::error::excerpt(name)));
    };
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    let character = code.ok().and_then(char::from_u32).filter(|character| is_legal(*character));
    let illegal = || format!("`&{};` refers to no character", crate::error::excerpt(name));
    character.map(|character| (character, end + 1)).ok_or_else(illegal)
}

/// The production `Char` of XML 1.0.
fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(raw: &[u8], piece: Piece) -> (Result<String, String>, u64) {
        let (mut target, mut repairs) = (String::new(), RepairCounts::default());
        let result = push(&mut target, raw, piece, &mut repairs);
        (result.map(|()| target), repairs.control_characters)
    }

    #[test]
    fn references_and_line_ends_are_resolved() {
        for (raw, piece, expected) in [
            ("a &lt; b &amp;&amp; c", Piece::Text, "a < b && c"),
            ("&#65;&#x42;&#xd;&#10;", Piece::Text, "AB\r\n"),
            ("a\r\nb\rc\n\td", Piece::Text, "a\nb\nc\n\td"),
            ("a\r\nb\tc&#10;d", Piece::Attribute, "a b c\nd"),
            ("a &lt; b\r\n", Piece::CData, "a &lt; b\n"),
            ("caf\u{e9} \u{1F600}", Piece::Text, "caf\u{e9} \u{1F600}"),
            ("", Piece::Text, ""),
        ] {
            assert_eq!(pushed(raw.as_bytes(), piece), (Ok(expected.to_owned()), 0), "{raw:?}");
        }
    }

    #[test]
    fn forbidden_characters_are_replaced_and_counted() {
        assert_eq!(pushed(b"a\x01b\x1b[0m\x00", Piece::Text), (Ok("a\u{FFFD}b\u{FFFD}[0m\u{FFFD}".to_owned()), 3));
    }

    #[test]
    fn what_refers_to_nothing_is_an_error() {
        for raw in [
            "&xxe;",
            "&",
            "& ",
            "&#0;",
            "&#xD800;",
            "&#x110000;",
            "&#1;",
            "&;",
            "&#;",
            "&#x;",
            "&toolongtobeareference;",
        ] {
            assert!(pushed(raw.as_bytes(), Piece::Text).0.is_err(), "{raw}");
        }
        assert!(pushed(b"\xff", Piece::Text).0.unwrap_err().contains("UTF-8"));
    }
}
