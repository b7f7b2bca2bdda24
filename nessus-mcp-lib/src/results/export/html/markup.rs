//! What all parts of the report write alike.

use crate::results::{record::Severity, texts::untrusted};

/// The class of a severity, which has its colour in [`REPORT_STYLE`](super::REPORT_STYLE).
pub const fn severity_class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "high",
        Some(Severity::Medium) => "medium",
        Some(Severity::Low) => "low",
        Some(Severity::Info) => "info",
        None => "unknown",
    }
}

/// A text for HTML, between tags or in quotes, without characters that are not to be seen.
pub(super) fn escape(text: &str) -> String {
    let text = untrusted::clean(text);
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
