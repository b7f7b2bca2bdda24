//! Texts of an export made fit for one line of a view.
//!
//! Names, solutions and accounts come from scanners and their targets. In a view they stand between the program's own
//! words, on a terminal or before a language model, so what could pass for more than text is taken out.

use super::untrusted;

/// The most characters of a name in a view.
pub(crate) const NAME_CHARS: usize = 200;

/// One line as [`untrusted::clean`] leaves it, cut after `most` characters with `…`.
pub(crate) fn clean(text: &str, most: usize) -> String {
    // First, because line ends are among the controls that are left out, and they part words.
    let spaced: String = text.chars().map(|found| if found.is_whitespace() { ' ' } else { found }).collect();
    let cleaned = untrusted::clean(&spaced);
    let mut line = String::with_capacity(cleaned.len().min(most + 4));
    let mut chars = 0;
    let mut gap = false;
    for character in cleaned.chars() {
        if character == ' ' {
            gap = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_line_is_left() {
        for (text, expected) in [
            ("  two\n\n words ", "two words"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{fffd}[2J\u{fffd}]0;owned\u{fffd}title", "title"),
            ("a\rb\u{2028}c\u{85}d", "a b c d"),
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
