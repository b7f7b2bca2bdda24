//! Reads a page as a browser does: elements, their attributes, and the text that is shown.

/// The beginning of an element.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// All elements of a page in their order. Every `<` begins one, as for a browser that is not within a script or a style.
pub(crate) fn elements(page: &str) -> Vec<Element> {
    pieces(page).0
}

/// The text of a page, with single spaces.
pub(crate) fn text_of(page: &str) -> String {
    pieces(page).1.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pieces(page: &str) -> (Vec<Element>, String) {
    let (mut elements, mut text, mut rest) = (Vec::new(), String::new(), page);
    while let Some(at) = rest.find('<') {
        text.push_str(&decoded(&rest[..at]));
        let (tag, behind) = tag(&rest[at + 1..]);
        // A piece of a line ends where an element does that is no part of it.
        let name =
            tag.trim_start_matches('/').split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        if !matches!(name, "a" | "code" | "span" | "strong" | "time" | "small") {
            text.push(' ');
        }
        if !tag.starts_with('/') {
            elements.push(Element { name: name.to_ascii_lowercase(), attributes: attributes(&tag[name.len()..]) });
        }
        rest = behind;
    }
    text.push_str(&decoded(rest));
    (elements, text)
}

/// What stands before the `>` of an element, and what stands behind it. A `>` in quotes is none.
fn tag(rest: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, character) in rest.char_indices() {
        match (quote, character) {
            (None, '>') => return (&rest[..at], &rest[at + 1..]),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    (rest, "")
}

fn attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
        if end == 0 {
            return found;
        }
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = String::new();
        if let Some(given) = rest.strip_prefix('=') {
            let given = given.trim_start();
            let quote = given.chars().next().filter(|first| matches!(first, '"' | '\''));
            let (whole, behind) = match quote {
                Some(quote) => given[1..].split_once(quote).unwrap_or((&given[1..], "")),
                None => given.split_at(given.find(char::is_whitespace).unwrap_or(given.len())),
            };
            (value, rest) = (decoded(whole), behind);
        }
        found.push((name, value));
    }
}

fn decoded(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[test]
fn a_page_is_read_as_a_browser_reads_it() {
    let page = "<p class=\"a>b\" hidden>x &lt;i&gt;<img src=x onerror='y'/>z</p>";
    let found: Vec<_> = elements(page).into_iter().map(|element| (element.name, element.attributes)).collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found[0], ("p".to_owned(), vec![pair("class", "a>b"), pair("hidden", "")]));
    assert_eq!(found[1], ("img".to_owned(), vec![pair("src", "x"), pair("onerror", "y")]));
    assert_eq!(text_of(page), "x <i> z");
}
