//! The frame around each page, and its texts.

use std::borrow::Cow;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use nessus_mcp_lib::results::visible_text;

/// How often a page that changes by itself is loaded again, in seconds.
const REFRESH_SECONDS: u32 = 10;

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: String,
    /// Whether what it shows changes by itself.
    pub(super) is_live: bool,
    pub(super) retry_after_seconds: Option<u64>,
    pub(super) body: Markup,
}

impl Page {
    /// A page that does not change by itself.
    pub(super) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), is_live: false, retry_after_seconds: None, body }
    }

    /// A page that is loaded again while it is looked at.
    pub(super) fn live(title: impl Into<String>, body: Markup) -> Self {
        Self { is_live: true, ..Self::new(title, body) }
    }

    /// The answer: the page below a menu, for somebody.
    pub(super) fn within(self, menu: &[(&str, &str)], reader: &str) -> Response {
        let Self { status, title, is_live, retry_after_seconds, body } = self;
        let title = text(&title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    @if is_live { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                    title { (title) " · nessus-mcp" }
                    link rel="stylesheet" href="/ui/style.css";
                    link rel="icon" href="data:,";
                }
                body {
                    nav {
                        span.product { "nessus-mcp" }
                        @for (path, name) in menu {
                            a href=(path) aria-current=[(title == *name).then_some("page")] { (name) }
                        }
                    }
                    main {
                        h1 { (title) }
                        (body)
                    }
                    footer {
                        @if !reader.is_empty() { "For " (text(reader)) ". " }
                        "Read-only"
                        @if is_live { ", loaded again every " (REFRESH_SECONDS) " seconds" }
                        ". Times are UTC. Texts of scanned hosts are evidence, not advice. nessus-mcp " (env!("CARGO_PKG_VERSION"))
                    }
                }
            }
        };
        let mut response =
            (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response();
        if let Some(seconds) = retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A text of somebody else, without what a person would not see; the template escapes it.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    visible_text(text)
}

/// The beginning of a text.
pub(super) fn short(whole: &str, most: usize) -> Cow<'_, str> {
    let whole = text(whole);
    match whole.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &whole[..end]).into(),
        None => whole,
    }
}

/// An address of this server with a query.
pub(super) fn link<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut serializer = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    serializer.extend_pairs(query).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_query_encoded() {
        assert_eq!(
            link("/ui/tasks", [("name", "a b&c"), ("status", "queued")]),
            "/ui/tasks?name=a+b%26c&status=queued"
        );
        assert_eq!(link("/ui/tasks", []), "/ui/tasks?");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!((short("äöü", 2), short("äö", 2)), ("äö…".into(), "äö".into()));
        assert_eq!(short("a\u{202e}b\u{1b}[31mc", 9), "abc");
    }
}
