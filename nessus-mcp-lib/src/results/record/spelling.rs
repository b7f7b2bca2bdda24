//! What a text means, in whatever way it is written; `docs/values.md` has the rules.

use std::ops::Range;

use super::{
    fields::{FieldId, Kind},
    severity::severity,
};

/// Whether a text certainly is its [meaning](meant) in a field of text, and where that is not `of_text` in every other field
/// too: nearly all are.
#[inline]
pub(super) fn means_itself(of_text: bool, text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first(), text.last()) else { return false };
    first.is_ascii_graphic()
        && last.is_ascii_graphic()
        // What says that there is nothing begins so, and a number with what is left away before it.
        && (of_text || !matches!(first, b'0' | b'+' | b'-' | b'n' | b'N') || text == b"0")
}

/// The part of a text that is its meaning in a field of this kind: without white space around it, and without `+` and zeros
/// before a whole number. Empty where the text says that there is nothing.
pub(crate) fn meant(kind: Kind, text: &str) -> Range<usize> {
    let whole = trimmed(text);
    if matches!(kind, Kind::Text | Kind::Host | Kind::Name | Kind::Outcome | Kind::Attachment) {
        return whole;
    }
    let text = &text[whole.clone()];
    match text.as_bytes().first() {
        Some(b'0' | b'+') if kind == Kind::Integer => {
            let digits = text.strip_prefix('+').unwrap_or(text);
            // One that is too large is shown as it is written.
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<i64>().is_ok();
            let short = digits.trim_start_matches('0');
            // The last zero is the number.
            if is_number { whole.end - short.len().max(1)..whole.end } else { whole }
        }
        Some(b'0'..=b'9') => whole,
        _ if is_nothing(text) && !(kind == Kind::Severity && severity(text).is_some()) => whole.end..whole.end,
        _ => whole,
    }
}

/// A text without the white space around it.
fn trimmed(text: &str) -> Range<usize> {
    let bytes = text.as_bytes();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let begin = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes[begin..].iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| begin + last + 1);
    let is_ascii = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii);
    if is_ascii(bytes[begin..end].first()) && is_ascii(bytes[begin..end].last()) {
        return begin..end;
    }
    // There is white space beyond ASCII.
    let end = text.trim_end().len();
    end - text[..end].trim_start().len()..end
}

/// Whether a text stands where a number, date or the like would, to say that there is none.
fn is_nothing(text: &str) -> bool {
    text.is_empty() || ["n/a", "na", "none", "null", "-"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What stands between two values of a list, and small letters, which a CVE does not have.
const SEPARATOR: u8 = 1;
const SMALL_LETTER: u8 = 2;
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if matches!(byte, b',' | b';') || byte.is_ascii_whitespace() {
            classes[byte as usize] = SEPARATOR;
        } else if byte.is_ascii_lowercase() {
            classes[byte as usize] = SMALL_LETTER;
        }
        byte += 1;
    }
    classes
};

/// The classes of the bytes of a text.
#[inline]
fn classes(text: &[u8]) -> u8 {
    text.iter().fold(0, |found, byte| found | CLASSES[usize::from(*byte)])
}

/// Whether an element of a list has what stands between two values; most have not.
pub(super) fn may_hold_several(text: &[u8]) -> bool {
    classes(text) & SEPARATOR != 0
}

/// Whether an element of a list may be another text, or several, than is written; most are not.
#[inline]
pub(super) fn may_be_changed(id: FieldId, text: &[u8]) -> bool {
    let changing = if id == FieldId::Cve { SEPARATOR | SMALL_LETTER } else { SEPARATOR };
    classes(text) & changing != 0
}

/// The first of the values that an element of a list holds, and where what comes after it begins.
///
/// They are separated by `,`, `;` and line ends; those without spaces in them (numbers, CVEs) by white space too. Titles
/// among `xref` may have commas.
pub(super) fn each(id: FieldId, text: &str) -> Option<(Range<usize>, usize)> {
    const SEPARATORS: [char; 3] = [',', ';', '\n'];
    let kind = id.field().kind;
    let is_code = kind == Kind::Integer || id == FieldId::Cve;
    let is_whole =
        id == FieldId::Xref && !text.split(SEPARATORS).all(|part| part.contains(':') || part.trim().is_empty());
    let mut begin = 0;
    while begin < text.len() {
        let rest = &text[begin..];
        let mut end = if is_whole { rest.len() } else { rest.find(SEPARATORS).unwrap_or(rest.len()) };
        if is_code {
            end = end_of_code(&rest[..end]);
        }
        let value = meant(kind, &rest[..end]);
        let next = (begin + end + 1).min(text.len());
        if !value.is_empty() {
            return Some((begin + value.start..begin + value.end, next));
        }
        begin = next;
    }
    None
}

/// Where a number with the name of its register before it ends, which may be a word of its own: `CWE 20`.
fn end_of_code(text: &str) -> usize {
    let digit = text.find(|character: char| character.is_ascii_digit()).unwrap_or(text.len());
    text[digit..].find(|character: char| character.is_ascii_whitespace()).map_or(text.len(), |length| digit + length)
}

/// A whole number; in a list of references, the name of the register may stand before it: `20`, `CWE-20`, `CWE:20`.
pub(crate) fn integer(id: FieldId, text: &str) -> Option<i64> {
    let registers: &[&str] = match id {
        FieldId::Cwe => &["cwe", "cweid"],
        FieldId::Bid => &["bid", "bugtraq", "bugtraqid"],
        FieldId::Osvdb => &["osvdb", "osvdbid"],
        FieldId::EdbId => &["edb", "edbid", "exploitdb"],
        _ => &[],
    };
    text.parse().ok().or_else(|| {
        let (name, number) = text.split_at(text.find(|character: char| character.is_ascii_digit())?);
        let letters = || name.bytes().filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase());
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_:#. ".contains(&byte))
            && registers.iter().any(|register| letters().eq(register.bytes()));
        // A title may follow.
        if is_name { number.trim_end_matches(':').parse().ok() } else { None }
    })
}

/// A decimal number; `inf` and `nan` are none.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A score, which some write with a comma: `7.5`, `7,5`.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    number(text).or_else(|| {
        let (whole, part) = text.split_once(',')?;
        if is_digits(whole) && is_digits(part) { number(&format!("{whole}.{part}")) } else { None }
    })
}

/// `true`, `True`, `yes` or `1`, and their opposites.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => return Some(true),
        "false" => return Some(false),
        _ => {}
    }
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["true", "1", "yes"]) {
        Some(true)
    } else if is_one_of(["false", "0", "no"]) {
        Some(false)
    } else {
        None
    }
}

/// The calendar day of `YYYY/MM/DD`, `YYYY-MM-DD`, either without the zeros, `YYYYMMDD`, or an ISO 8601 time, as the number
/// YYYYMMDD.
///
/// A time of day and its offset are left aside: the day is the one that is written.
pub(crate) fn day(text: &str) -> Option<u32> {
    // As scanners write it.
    if let [y1, y2, y3, y4, b'/', m1, m2, b'/', d1, d2] = text.as_bytes()
        && [y1, y2, y3, y4, m1, m2, d1, d2].into_iter().all(u8::is_ascii_digit)
    {
        let two = |tens: &u8, ones: &u8| u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
        return calendar_day(two(y1, y2) * 100 + two(y3, y4), two(m1, m2), two(d1, d2));
    }
    let mut rest = text.as_bytes();
    let (year, 4) = digits(&mut rest, 4) else { return None };
    let separator = *rest.first()?;
    let (month, day) = if matches!(separator, b'/' | b'-') {
        rest = &rest[1..];
        let (month, _) = digits(&mut rest, 2);
        rest = rest.strip_prefix(&[separator])?;
        (month, digits(&mut rest, 2).0)
    } else {
        let ((month, 2), (day, 2)) = (digits(&mut rest, 2), digits(&mut rest, 2)) else { return None };
        (month, day)
    };
    if !matches!(rest.first(), None | Some(b'T' | b't' | b' ')) {
        return None;
    }
    calendar_day(year, month, day)
}

fn calendar_day(year: u32, month: u32, day: u32) -> Option<u32> {
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(year * 10_000 + month * 100 + day)
}

/// Takes a number of at most so many digits off the front; gives how many it has too.
fn digits(rest: &mut &[u8], most: usize) -> (u32, usize) {
    let count = rest.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(count);
    *rest = after;
    (number.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::results::record::{ALL, FieldSet};

    proptest! {
        #[test]
        fn what_goes_the_short_way_means_the_same(text in "[ \n\u{A0}]{0,2}[01+nNaA/é.-]{0,4}[ \n\u{3000}]{0,2}") {
            prop_assert_eq!(&text[trimmed(&text)], text.trim());
            for id in ALL.iter().copied() {
                if means_itself(FieldSet::TEXTS.contains(id), text.as_bytes()) {
                    prop_assert_eq!(&text[meant(id.field().kind, &text)], &*text, "{:?}", id);
                }
            }
        }
    }

    #[test]
    fn the_meaning_of_a_text_is_found_in_it() {
        for (kind, text, expected) in [
            (Kind::Text, "\n  High \u{A0}\t", "High"),
            (Kind::Text, " \n", ""),
            (Kind::Text, "N/A", "N/A"),
            (Kind::Integer, " +0443\n", "443"),
            (Kind::Integer, "000", "0"),
            (Kind::Integer, "0x1", "0x1"),
            (Kind::Integer, "+", "+"),
            (Kind::Number, " N/A ", ""),
            (Kind::Number, "0.0", "0.0"),
            (Kind::Date, "none", ""),
            (Kind::Severity, "None", "None"),
            (Kind::Severity, "n/a", ""),
            (Kind::Boolean, "-", ""),
        ] {
            assert_eq!(&text[meant(kind, text)], expected, "{kind:?} {text:?}");
        }
    }

    #[test]
    fn an_element_of_a_list_may_hold_several_values() {
        for (id, text, expected) in [
            (FieldId::Cwe, "CWE-20, 79\n", vec!["CWE-20", "79"]),
            (FieldId::Cwe, "20 CWE 79;;", vec!["20", "CWE 79"]),
            (FieldId::Cwe, "CWE-79: Cross-site Scripting", vec!["CWE-79:", "Cross-site Scripting"]),
            (FieldId::Cve, "CVE-1-1,CVE-1-2\n CVE-1-3", vec!["CVE-1-1", "CVE-1-2", "CVE-1-3"]),
            (FieldId::Mskb, "KB1; KB2", vec!["KB1", "KB2"]),
            (FieldId::Xref, "CWE:20, OSVDB:1", vec!["CWE:20", "OSVDB:1"]),
            (FieldId::Xref, "WASC:Abuse, of something", vec!["WASC:Abuse, of something"]),
            (FieldId::Bid, " , ", vec![]),
        ] {
            let (mut found, mut rest) = (Vec::new(), text);
            while let Some((value, end)) = each(id, rest) {
                found.push(&rest[value]);
                rest = &rest[end..];
            }
            assert_eq!(found, expected, "{id:?} {text:?}");
        }
    }
}
