//! What stands in a text, and in front of the first element.

/// Whether XML has no such character; it cannot be written as a reference either.
pub(crate) fn is_forbidden(found: char) -> bool {
    found < ' ' && !matches!(found, '\t' | '\n' | '\r')
}

/// The name of the root element.
pub(crate) fn root_name(text: &str) -> Result<&str, &'static str> {
    let mut rest = text.trim_ascii_start();
    loop {
        if let Some((start, end)) =
            [("<?", "?>"), ("<!--", "-->")].into_iter().find(|(start, _)| rest.starts_with(start))
        {
            let at = rest[start.len()..].find(end).ok_or("truncated_export")?;
            rest = rest[start.len() + at + end.len()..].trim_ascii_start();
            continue;
        }
        if rest.is_empty() {
            return Err("empty_export");
        }
        if let Some(name) = rest.strip_prefix("<!DOCTYPE") {
            let is_page = name.trim_start().to_ascii_lowercase().starts_with("html");
            return Err(if is_page { "not_a_nessus_export" } else { "doctype_refused" });
        }
        let name = rest.strip_prefix('<').ok_or("not_a_nessus_export")?;
        let end = name.find(|found: char| found.is_ascii_whitespace() || matches!(found, '/' | '>'));
        return end.map(|end| &name[..end]).ok_or("truncated_export");
    }
}

/// Whether a document ends within a tag, a comment, a CDATA section or a reference.
pub(crate) fn is_cut(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let long = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        let end = match long.into_iter().find(|(start, _)| rest.starts_with(start)) {
            Some((start, end)) => rest[start.len()..].find(end).map(|at| start.len() + at + end.len()),
            None => end_of_tag(rest),
        };
        let Some(end) = end else { return true };
        rest = &rest[end..];
    }
    rest.rfind('&').is_some_and(|at| !rest[at..].contains(';'))
}

fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, found) in text.char_indices() {
        match (quote, found) {
            (None, '>') => return Some(at + 1),
            (None, '\'' | '"') => quote = Some(found),
            (Some(open), _) if open == found => quote = None,
            _ => {}
        }
    }
    None
}

/// The text with a namespace for a prefix on its root element.
pub(crate) fn with_namespace(text: &str, prefix: &str) -> String {
    let at = text.find("NessusClientData_v2").expect("the root was found before") + "NessusClientData_v2".len();
    format!("{} xmlns:{prefix}=\"urn:unbound:{prefix}\"{}", &text[..at], &text[at..])
}

/// The calendar day that a text begins with, alone or before a time, as the number YYYYMMDD.
pub(crate) fn day(text: &str) -> Option<u32> {
    let date = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u32>().ok()).flatten()
    };
    let by = |separator| {
        let parts: Vec<&str> = date.split(separator).collect();
        let &[year, month, day] = parts.as_slice() else { return None };
        (year.len() == 4 && month.len() <= 2 && day.len() <= 2).then_some(())?;
        Some(number(year)? * 10_000 + number(month)? * 100 + number(day)?)
    };
    let whole = || if date.len() == 8 { number(date) } else { None };
    let day = by('/').or_else(|| by('-')).or_else(whole)?;
    ((1..=12).contains(&(day / 100 % 100)) && (1..=31).contains(&(day % 100))).then_some(day)
}

/// A text of a scanned machine as it is shown: without sequences for a terminal, control characters, and characters
/// that show nothing or change the direction of writing.
pub(crate) fn shown(text: &str) -> String {
    without_colours(text).chars().filter(|found| !is_hidden(*found)).collect()
}

/// Takes out what begins with an escape character, or with U+FFFD in its place, as long as it sets colours or moves a
/// cursor: a bracket, numbers, a letter.
fn without_colours(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{FFFD}[") {
        let parameters = &rest[at + '\u{FFFD}'.len_utf8() + 1..];
        let end = parameters.trim_start_matches(|found: char| found.is_ascii_digit() || matches!(found, ';' | '?'));
        let is_sequence = end.starts_with(|found: char| found.is_ascii_alphabetic())
            && (end.len() < parameters.len() || end.starts_with(['A', 'B', 'C', 'D', 'H', 'J', 'K', 'm', 's', 'u']));
        left.push_str(&rest[..at]);
        if is_sequence {
            rest = &end[1..];
        } else {
            left.push_str("\u{FFFD}[");
            rest = parameters;
        }
    }
    left + rest
}

/// Unicode's controls, what it lets programs ignore when they show a text, and separators and marks of direction.
fn is_hidden(found: char) -> bool {
    const DEFAULT_IGNORABLE: [(u32, u32); 17] = [
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    ];
    (found.is_control() && !matches!(found, '\n' | '\t'))
        || matches!(found, '\u{2028}' | '\u{2029}' | '\u{FFF9}'..='\u{FFFB}')
        || DEFAULT_IGNORABLE.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(found)))
}
