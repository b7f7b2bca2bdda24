//! What the terminal can show: how many columns, which characters, whether colour.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal as _},
    os::fd::AsFd,
};

/// Where text for people goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// How many columns a line may have; none where the reader is no terminal, and lines are as long as they are.
    pub(super) width: Option<usize>,
    /// Whether the locale is UTF-8. In any other only ASCII is written.
    pub(super) is_unicode: bool,
    pub(super) is_coloured: bool,
}

impl Terminal {
    /// Standard output.
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        Self::new(stdout.is_terminal().then(|| columns(stdout)), variable)
    }

    /// Standard error.
    pub(super) fn of_stderr() -> Self {
        let stderr = io::stderr();
        Self::new(stderr.is_terminal().then(|| columns(stderr)), variable)
    }

    /// How many columns a line may have; none where the reader is no terminal.
    pub(crate) const fn width(self) -> Option<usize> {
        self.width
    }

    /// Whether colours are shown.
    pub(crate) const fn shows_colours(self) -> bool {
        self.is_coloured
    }

    /// A reader that is no terminal.
    #[cfg(test)]
    pub(crate) const fn plain(is_unicode: bool) -> Self {
        Self { width: None, is_unicode, is_coloured: false }
    }

    /// A terminal of this width, if it is one, in an environment.
    fn new(width: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(&variable).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let is_plain = variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|name| name == "dumb");
        Self {
            width,
            is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
            is_coloured: width.is_some() && !is_plain,
        }
    }

    /// A text as one line that cannot pretend to be another: whoever named a task may want to be misread. Characters that a
    /// terminal does not show as they are, and those that the locale lacks, are escaped.
    pub(crate) fn visible<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.escaped(text, is_hidden)
    }

    /// A text of several lines that this program has written, without characters that the locale lacks.
    pub(super) fn printable<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.escaped(text, |_| false)
    }

    fn escaped<'a>(&self, text: &'a str, is_hidden: impl Fn(char) -> bool) -> Cow<'a, str> {
        let is_shown = |character: char| !is_hidden(character) && (self.is_unicode || character.is_ascii());
        if text.chars().all(is_shown) {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len() + 16);
        for character in text.chars() {
            match character {
                _ if is_shown(character) => shown.push(character),
                '…' => shown.push_str("..."),
                _ => shown.extend(character.escape_default()),
            }
        }
        Cow::Owned(shown)
    }
}

/// The value of a variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The columns of a terminal; 80 where it does not say.
fn columns(terminal: impl AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
    if size == 0 { 80 } else { usize::from(size) }
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(width: Option<usize>, variables: &[(&str, &str)]) -> Terminal {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Terminal::new(width, find)
    }

    #[test]
    fn colour_is_for_terminals_whose_user_wants_it() {
        assert!(terminal(Some(80), &[("TERM", "xterm")]).is_coloured);
        assert!(!terminal(None, &[("TERM", "xterm")]).is_coloured, "a pipe");
        assert!(!terminal(Some(80), &[("NO_COLOR", "1")]).is_coloured);
        assert!(!terminal(Some(80), &[("TERM", "dumb")]).is_coloured);
    }

    #[test]
    fn the_first_variable_of_the_locale_decides() {
        assert!(terminal(None, &[("LANG", "de_DE.UTF-8")]).is_unicode);
        assert!(terminal(None, &[("LC_ALL", "C.utf8"), ("LANG", "C")]).is_unicode);
        assert!(!terminal(None, &[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]).is_unicode);
        assert!(!terminal(None, &[]).is_unicode);
    }

    #[test]
    fn a_text_cannot_pretend_to_be_another() {
        let unicode = terminal(None, &[("LANG", "C.UTF-8")]);
        assert_eq!(unicode.visible("10.0.0.1\u{1b}[2K\r192.0.2.1"), "10.0.0.1\\u{1b}[2K\\r192.0.2.1");
        assert_eq!(unicode.visible("büro\u{202e}1.0.01"), "büro\\u{202e}1.0.01");
        let ascii = terminal(None, &[("LANG", "C")]);
        assert_eq!(ascii.visible("büro …"), "b\\u{fc}ro ...");
        assert_eq!(ascii.printable("büro\nkeller"), "b\\u{fc}ro\nkeller");
    }
}
