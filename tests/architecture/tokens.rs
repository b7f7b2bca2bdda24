//! Reads a source as words and signs, which is enough to know the paths in it.

/// A word, a sign or `::`.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The tokens of a source without comments, texts and what is compiled for tests only.
pub(crate) fn read(source: &str) -> Vec<Token> {
    code(source).into_iter().filter(|token| !is_quoted(&token.text)).collect()
}

/// The texts in a source, with their quotes, but for those that are compiled for tests only.
pub(crate) fn texts(source: &str) -> Vec<Token> {
    code(source).into_iter().filter(|token| is_quoted(&token.text)).collect()
}

/// Both, in their order.
pub(crate) fn code(source: &str) -> Vec<Token> {
    without_tests(&all(source))
}

pub(crate) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn all(source: &str) -> Vec<Token> {
    let (mut tokens, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(first) = rest.chars().next() {
        let length = length_of(rest, first);
        let text = &rest[..length];
        let is_code = !(first.is_whitespace() || text.starts_with("//") || text.starts_with("/*"));
        if is_code {
            tokens.push(Token { line, text: text.to_owned() });
        }
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn is_quoted(text: &str) -> bool {
    text.len() > 1 && text.ends_with(['"', '\'', '#']) && text.contains(['"', '\''])
}

/// How many bytes belong to the token, comment, text or space that a rest of a source begins with.
fn length_of(rest: &str, first: char) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return until("\n", 2);
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    if rest.starts_with("::") {
        return 2;
    }
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let prefix = &rest[..word];
    let after = &rest[word..];
    let quote = after.trim_start_matches('#');
    if matches!(prefix, "r" | "br" | "cr") && quote.starts_with('"') {
        let marks = after.len() - quote.len();
        return until(&format!("\"{}", "#".repeat(marks)), word + marks + 1);
    }
    if matches!(prefix, "" | "b" | "c") && after.starts_with('"') {
        return word + quoted(after, '"');
    }
    if matches!(prefix, "" | "b") && after.starts_with('\'') && is_character(after) {
        return word + quoted(after, '\'');
    }
    if word > 0 { word } else { first.len_utf8() }
}

/// Whether a quote begins a character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if !is_escaped && character == quote {
            return at + 1;
        }
        is_escaped = !is_escaped && character == '\\';
    }
    text.len()
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let begin: String = tokens[at..].iter().take(6).map(|token| token.text.as_str()).collect();
        if begin.starts_with("#[cfg(test)") || begin.starts_with("#[cfg(all(test") {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item ends that begins with this attribute.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let (mut depth, mut was_attribute) = (0_usize, false);
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "#" if depth == 0 => was_attribute = true,
            "{" | "[" | "(" => depth += 1,
            "]" if depth == 1 && was_attribute => (depth, was_attribute) = (0, false),
            "}" if depth == 1 => return at + 1 + usize::from(tokens.get(at + 1).is_some_and(|next| next.text == ";")),
            "}" | "]" | ")" => depth -= 1,
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}
