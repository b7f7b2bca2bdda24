//! What a colour means.

use super::terminal::Terminal;

/// How a word is to be taken. A colour never says what the word does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Colour {
    /// Nothing is to be said about it.
    #[default]
    Plain,
    /// The name of a column or value.
    Title,
    /// As it should be.
    Good,
    /// Somebody may have to do something.
    Warning,
    /// Somebody has to do something.
    Bad,
    /// Of little interest.
    Quiet,
}

impl Colour {
    /// The text in this colour, where the terminal shows colours.
    pub(crate) fn paint(self, text: &str, terminal: Terminal) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Title => "1",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Quiet => "2",
        };
        if terminal.is_coloured && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_shows_colours_gets_them() {
        let coloured = Terminal { width: Some(80), is_unicode: true, is_coloured: true };
        assert_eq!(Colour::Bad.paint("open", coloured), "\u{1b}[31mopen\u{1b}[0m");
        assert_eq!(Colour::Plain.paint("open", coloured), "open");
        assert_eq!(Colour::Bad.paint("open", Terminal { is_coloured: false, ..coloured }), "open");
    }
}
