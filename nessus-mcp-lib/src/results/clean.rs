//! Texts of an export made fit for one line of a view.
//!
//! Names, solutions and accounts come from scanners and their targets. In a view they stand between the program's own
//! words, on a terminal or before a language model, so what could pass for more than text is taken out.

/// The most characters of a name in a view.
pub(super) const NAME_CHARS: usize = 200;

/// One line without control, zero-width and direction characters, cut after `most` characters with `…`.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut line = String::with_capacity(text.len().min(most + 4));
    let mut chars = 0;
    let mut gap = false;
    for character in text.chars() {
        if character.is_whitespace() {
            gap = true;
            continue;
        }
        if character.is_control() || is_invisible(character) {
            continue;
        }
        if chars >= most {
            line.push('…');
            break;
        }
        if std::mem::take(&mut gap) && !line.is_empty() {
            line.push(' ');
            chars += 1;
        }
        line.push(character);
        chars += 1;
    }
    line
}

/// Characters that show nothing or turn the direction of what follows (Unicode categories Cf and the like).
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_line_is_left() {
        for (text, expected) in [
            ("  two\n\n words ", "two words"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred[0m"),
            ("a\u{200b}b\u{202e}c\u{feff}", "abc"),
            ("\u{e0041}hidden", "hidden"),
            ("", ""),
            ("12345", "12345"),
            ("123456", "12345…"),
        ] {
            assert_eq!(clean(text, 5.max(expected.chars().count() - usize::from(expected.ends_with('…')))), expected);
        }
    }
}
