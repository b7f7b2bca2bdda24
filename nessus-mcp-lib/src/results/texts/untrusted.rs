//! Texts that a scanned machine has written.
//!
//! What a target answers is evidence, and it is also a way to talk to whoever reads the findings: a terminal, through
//! escape sequences, and a language model, through characters that a person does not see. Such texts are shown
//! without both, and the schema line names the fields. What they say in plain sight is left to the reader to distrust.

use std::borrow::Cow;

/// How far a terminal string, such as a window title, is looked for its end.
const STRING_CHARS: usize = 512;

/// The text without control characters (but line feeds and tabs), terminal escape sequences, and characters without
/// a width or that change the direction of writing.
///
/// XML has no ESC, so the reader has put U+FFFD in its place; what looks like the rest of a sequence behind one goes.
///
/// ```
/// use nessus_mcp_lib::results::visible_text;
/// assert_eq!(visible_text("a\u{1b}[31mb\u{202e}c"), "abc");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        // Every sequence begins with a character that is not plain.
        let plain = rest.bytes().position(|byte| !is_plain(&[byte])).unwrap_or(rest.len());
        cleaned.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(character) = rest.chars().next() else { break };
        let sequence = sequence(rest);
        if sequence == 0 && !is_hidden(character) {
            cleaned.push(character);
        }
        rest = &rest[sequence.max(character.len_utf8())..];
    }
    Cow::Owned(cleaned)
}

/// Whether there is nothing but printable ASCII, line feeds and tabs. Branch-free, so that it is done many bytes at
/// a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |found, byte| {
        found | u8::from(*byte >= 0x7F) | (u8::from(*byte < 0x20) & u8::from(*byte != b'\n') & u8::from(*byte != b'\t'))
    }) == 0
}

/// The length of the escape sequence at the start of `text`; 0 when there is none.
fn sequence(text: &str) -> usize {
    let escape = text.strip_prefix('\u{FFFD}').or_else(|| text.strip_prefix('\u{1B}'));
    let (rest, is_certain) = match escape {
        Some(rest) => (rest, text.starts_with('\u{1B}')),
        // The one-character forms of `ESC [` and `ESC ]`.
        None => match text.chars().next() {
            Some('\u{9B}') => return text.len() - control(&text[2..], true).unwrap_or(&text[2..]).len(),
            Some('\u{9D}') => return text.len() - string(&text[2..]).unwrap_or(&text[2..]).len(),
            _ => return 0,
        },
    };
    let after = match rest.as_bytes().first() {
        Some(b'[') => control(&rest[1..], is_certain),
        Some(b']') => string(&rest[1..]),
        // The choice of a character set, as in `ESC ( B`.
        Some(b'(' | b')') if rest.as_bytes().get(1).is_some_and(|set| b"0AB".contains(set)) => Some(&rest[2..]),
        _ => None,
    };
    after.map_or(0, |after| text.len() - after.len())
}

/// What follows a control sequence: parameters, intermediate bytes, and a final byte.
fn control(text: &str, is_certain: bool) -> Option<&str> {
    let parameters = text.trim_start_matches(|character| matches!(character, '0'..='?'));
    let end = parameters.trim_start_matches(|character| matches!(character, ' '..='/'));
    let last = end.chars().next().filter(|last| matches!(last, '@'..='~'))?;
    // Behind a character that was not an escape, a bracket and a word are just that.
    let looks_like_one = is_certain || parameters.len() < text.len() || "ABCDHJKmsu".contains(last);
    looks_like_one.then(|| &end[1..])
}

/// What follows an operating system command: a number, text, and a bell or string terminator.
fn string(text: &str) -> Option<&str> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let is_end = |character| matches!(character, '\u{7}' | '\u{1B}' | '\u{9C}' | '\u{FFFD}');
    let (at, end) = text.char_indices().take(STRING_CHARS).find(|(_, character)| is_end(*character))?;
    let rest = &text[at + end.len_utf8()..];
    Some(if matches!(end, '\u{1B}' | '\u{FFFD}') { rest.strip_prefix('\\').unwrap_or(rest) } else { rest })
}

/// Characters that say something to a program and nothing to a person.
pub(crate) fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Controls, and the soft hyphen.
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{AD}'
        // Joiners, fillers and separators without a width.
        | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        // Spaces and marks of direction, invisible operators, and line separators.
        | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        // Variation selectors and tags, which can carry whole texts.
        | '\u{FE00}'..='\u{FE0F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_person_does_not_see_is_left_out() {
        for (text, expected) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("Grüße, 東京 \u{1F600}", "Grüße, 東京 \u{1F600}"),
            ("a\u{FFFD}[31mred\u{FFFD}[0m b", "ared b"),
            ("\u{FFFD}[2J\u{FFFD}[1;1Htop", "top"),
            ("\u{FFFD}]0;owned\u{FFFD}title", "title"),
            ("\u{FFFD}]8;;https://x.example\u{FFFD}\\link\u{FFFD}]8;;\u{FFFD}\\", "link"),
            ("\u{9B}31mred\u{9D}0;t\u{9C}", "red"),
            ("\u{FFFD}(Bx", "x"),
            ("\u{FFFD}[error] and \u{FFFD} stay", "\u{FFFD}[error] and \u{FFFD} stay"),
            ("\u{FFFD}]not a command", "\u{FFFD}]not a command"),
            ("ig\u{200B}nore\u{2060} pre\u{FEFF}vious", "ignore previous"),
            ("\u{202E}txt.exe\u{202C}\u{2066}x\u{2069}", "txt.exex"),
            ("a\u{E0049}\u{E0067}b\u{FE0F}", "ab"),
            ("a\rb\u{7F}c\u{85}d", "abcd"),
            ("", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in "([a\u{FFFD}\u{1B}\u{9B}\u{9D}\\[\\]0;m\u{200B}é\u{7}]|\\PC){0,40}") {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(is_hidden));
            prop_assert!(cleaned.len() <= text.len());
        }
    }
}
