//! The ways in which scanners and mergers write the same value.

use super::table::Type;

/// Whether a text that should be a number or the like says that there is none.
pub(crate) fn is_nothing(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "" | "n/a" | "na" | "none" | "null" | "-")
}

/// The name of a severity.
pub(crate) fn severity(text: &str) -> Option<&'static str> {
    let names = ["Info", "Low", "Medium", "High", "Critical"];
    let number = text.parse::<i64>().ok().and_then(|number| usize::try_from(number).ok());
    let by_number = number.and_then(|number| names.get(number));
    let by_name = || match text.to_ascii_lowercase().as_str() {
        "none" | "informational" => Some(&names[0]),
        lower => names.iter().find(|name| name.to_ascii_lowercase() == lower),
    };
    by_number.or_else(by_name).copied()
}

/// A decimal number; one comma, between digits, is a point.
pub(crate) fn number(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(',').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let text = if parts.len() == 2 && parts.iter().all(is_number) { text.replace(',', ".") } else { text.to_owned() };
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A whole number, in some fields with the name of what it is a number of.
pub(crate) fn integer(name: &str, text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let names: &[&str] = match name {
        "cwe" => &["cweid", "cwe"],
        "bid" => &["bugtraqid", "bugtraq", "bid"],
        "osvdb" => &["osvdbid", "osvdb"],
        "edb_id" => &["edbid", "edb", "exploitdb"],
        _ => return None,
    };
    let is_mark = |found: char| matches!(found, '-' | '_' | ':' | '#' | '.' | ' ');
    let digits = text.trim_start_matches(|found: char| found.is_ascii_alphabetic() || is_mark(found));
    let register = text[..text.len() - digits.len()].replace(is_mark, "").to_ascii_lowercase();
    let digits = digits.trim_end_matches(':');
    let is_known = names.contains(&&*register) && digits.starts_with(|first: char| first.is_ascii_digit());
    if is_known { digits.parse().ok() } else { None }
}

/// The references that one element holds.
pub(crate) fn references(name: &str, kind: Type, text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    if name == "xref" && parts.iter().any(|part| !part.contains(':')) {
        return vec![text.to_owned()];
    }
    if kind == Type::Text && name != "cve" {
        return parts.into_iter().map(str::to_owned).collect();
    }
    let mut all = Vec::new();
    for part in parts {
        let mut words: Vec<&str> = Vec::new();
        let mut rest = part;
        while let Some(at) = rest.find(|found: char| found.is_ascii_whitespace()) {
            words.push(&rest[..=at]);
            rest = &rest[at + 1..];
        }
        words.push(rest);
        // A word without a digit belongs to the next.
        let mut whole = String::new();
        for word in words {
            whole.push_str(word);
            if word.contains(|found: char| found.is_ascii_digit()) {
                all.push(std::mem::take(&mut whole));
            }
        }
        all.push(whole);
    }
    let clean = |one: &String| if name == "cve" { one.trim().to_ascii_uppercase() } else { one.trim().to_owned() };
    all.iter().map(clean).filter(|one| !one.is_empty()).collect()
}
