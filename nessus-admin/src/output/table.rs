//! Tables and lists of values for people, as wide as the terminal.
//!
//! Nothing is cut off. A table that is too wide gives its wide columns less room, and wraps what stands there. Where that does not
//! suffice, each row becomes a block of lines, one value in each.

use unicode_width::UnicodeWidthStr as _;

use super::{colour::Colour, terminal::Terminal};

/// The room between two columns.
const GAP: usize = 2;
/// A word that is longer is broken, where there is no room for it.
const LONG_WORD: usize = 16;

/// A table. The first line names its columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    title: &'static str,
    is_right: bool,
    is_wide: bool,
}

impl Column {
    /// Words and names; they are never broken.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, is_right: false, is_wide: false }
    }

    /// Numbers.
    pub(crate) const fn right(title: &'static str) -> Self {
        Self { title, is_right: true, is_wide: false }
    }

    /// Text, which is wrapped where the terminal is too narrow.
    pub(crate) const fn wide(title: &'static str) -> Self {
        Self { title, is_right: false, is_wide: true }
    }
}

/// One value.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    /// A value in its usual form.
    #[expect(clippy::needless_pass_by_value, reason = "rows are written with values and with references")]
    pub(crate) fn new(value: impl ToString) -> Self {
        Self { text: value.to_string(), colour: Colour::Plain }
    }

    /// A value that may be missing.
    pub(crate) fn optional(value: Option<impl ToString>) -> Self {
        value.map(Self::new).unwrap_or_default()
    }

    /// The same in this colour.
    pub(crate) fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row, which has a value for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines for this terminal.
    pub(crate) fn lines(&self, terminal: Terminal) -> Vec<String> {
        let rows: Vec<Vec<(String, Colour)>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| (terminal.visible(&cell.text).into_owned(), cell.colour)).collect())
            .collect();
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let widest = rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| text.width()).max();
                widest.unwrap_or(0).max(column.title.width())
            })
            .collect();
        if let Some(widths) = self.fitting(&rows, &natural, terminal.width) {
            let titles = self.columns.iter().map(|column| (column.title.to_owned(), Colour::Title)).collect();
            return std::iter::once(&titles)
                .chain(&rows)
                .flat_map(|row| self.grid_lines(row, &widths, terminal))
                .collect();
        }
        let mut lines = Vec::new();
        for row in rows {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(block(self.columns.iter().map(|column| column.title).zip(row).collect(), terminal));
        }
        lines
    }

    /// How wide each column is in a terminal of this width; none where the table does not fit. A wide column has room for its longest
    /// word at least, as far as that is not very long.
    fn fitting(&self, rows: &[Vec<(String, Colour)>], natural: &[usize], most: Option<usize>) -> Option<Vec<usize>> {
        let gaps = GAP * natural.len().saturating_sub(1);
        let Some(most) = most else { return Some(natural.to_vec()) };
        let least = |at: usize| {
            let words = rows.iter().filter_map(|row| row.get(at)).flat_map(|(text, _)| text.split(' '));
            words.map(str::width).max().unwrap_or(0).min(LONG_WORD).max(self.columns[at].title.width())
        };
        let is_wide = |at: &usize| self.columns[*at].is_wide;
        let mut widths: Vec<_> =
            (0..natural.len()).map(|at| if is_wide(&at) { least(at).min(natural[at]) } else { natural[at] }).collect();
        let mut left = most.checked_sub(gaps + widths.iter().sum::<usize>())?;
        let mut wide: Vec<usize> = (0..natural.len()).filter(is_wide).collect();
        wide.sort_by_key(|at| natural[*at] - widths[*at]);
        // Those that need the least first: what they leave is for the others.
        for (place, at) in wide.iter().enumerate() {
            let more = (natural[*at] - widths[*at]).min(left / (wide.len() - place));
            widths[*at] += more;
            left -= more;
        }
        Some(widths)
    }

    fn grid_lines(&self, row: &[(String, Colour)], widths: &[usize], terminal: Terminal) -> Vec<String> {
        let cells: Vec<Vec<String>> =
            row.iter().zip(widths).map(|((text, _), width)| wrapped(text, *width, true)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let line = |number: usize| {
            let mut line = String::new();
            // Spaces that nothing follows are not written.
            let mut owed = 0;
            for (at, cell) in cells.iter().enumerate() {
                let text = cell.get(number).map_or("", String::as_str);
                let room = widths[at].saturating_sub(text.width());
                let (before, after) = if self.columns[at].is_right { (room, 0) } else { (0, room) };
                if text.is_empty() {
                    owed += room + GAP;
                } else {
                    line.extend(std::iter::repeat_n(' ', owed + before));
                    line.push_str(&row[at].1.paint(text, terminal));
                    owed = after + GAP;
                }
            }
            line
        };
        (0..height).map(line).collect()
    }
}

/// Values with their names, one below the other.
pub(crate) fn details(rows: impl IntoIterator<Item = (&'static str, Cell)>, terminal: Terminal) -> Vec<String> {
    let visible = |cell: Cell| (terminal.visible(&cell.text).into_owned(), cell.colour);
    block(rows.into_iter().map(|(name, cell)| (name, visible(cell))).collect(), terminal)
}

/// The lines of a block; values that are empty have none.
fn block(rows: Vec<(&'static str, (String, Colour))>, terminal: Terminal) -> Vec<String> {
    let rows: Vec<_> = rows.into_iter().filter(|(_, (text, _))| !text.is_empty()).collect();
    let names = rows.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let most = terminal.width.unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    for (name, (text, colour)) in rows {
        let longest = text.split(' ').map(str::width).max().unwrap_or(0);
        // A name or number that has no room beside its name gets a line of its own: it is to be copied.
        let is_beside = names + GAP + longest.max(LONG_WORD.min(text.width())) <= most;
        let indent = if is_beside { names + GAP } else { GAP };
        let mut title = Colour::Title.paint(name, terminal);
        if is_beside {
            title.extend(std::iter::repeat_n(' ', indent - name.width()));
        } else {
            lines.push(std::mem::take(&mut title));
            title.extend(std::iter::repeat_n(' ', indent));
        }
        for part in wrapped(&text, most.saturating_sub(indent).max(1), false) {
            lines.push(format!("{title}{}", colour.paint(&part, terminal)));
            title = " ".repeat(indent);
        }
    }
    lines
}

/// A text in lines of at most this width, at least one. A word that is longer is broken, or else has a line of its own.
fn wrapped(text: &str, width: usize, breaks_words: bool) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        for part in if breaks_words { parts(word, width) } else { vec![word] } {
            let Some(line) = lines.last_mut() else { continue };
            let space = usize::from(!line.is_empty());
            if line.width() + space + part.width() <= width || line.is_empty() {
                line.extend(std::iter::repeat_n(' ', space));
                line.push_str(part);
            } else {
                lines.push(part.to_owned());
            }
        }
    }
    lines
}

/// The pieces of a word that each have at most this width, or one character.
fn parts(word: &str, width: usize) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, character) in word.char_indices() {
        if at > from && word[from..at + character.len_utf8()].width() > width {
            parts.push(&word[from..at]);
            from = at;
        }
    }
    parts.push(&word[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "ne_lab_20261129_011910_a1b2c3d4";

    fn terminal(width: Option<usize>) -> Terminal {
        Terminal { width, is_unicode: true, is_coloured: false }
    }

    fn letters() -> Table {
        let mut table = Table::new([Column::new("task"), Column::right("tries"), Column::wide("error")]);
        table.row([
            Cell::new(TASK),
            Cell::new(12),
            Cell::new("the scanner has refused the login of Zoë: 日本語のホスト名 is wrong"),
        ]);
        table.row([Cell::new(TASK), Cell::new(3), Cell::new("too long").coloured(Colour::Bad)]);
        table
    }

    #[track_caller]
    fn widest(lines: &[String]) -> usize {
        lines.iter().map(|line| line.width()).max().unwrap()
    }

    #[test]
    fn what_fits_is_a_table() {
        let expected = "\
task                             tries  error
ne_lab_20261129_011910_a1b2c3d4     12  the scanner has refused the login of Zoë: 日本語のホスト名 is wrong
ne_lab_20261129_011910_a1b2c3d4      3  too long";
        assert_eq!(letters().lines(terminal(Some(200))).join("\n"), expected);
        assert_eq!(letters().lines(terminal(None)).join("\n"), expected, "a pipe has no width");
    }

    #[test]
    fn text_is_wrapped_where_there_is_less_room() {
        let lines = letters().lines(terminal(Some(80)));
        let expected = "\
task                             tries  error
ne_lab_20261129_011910_a1b2c3d4     12  the scanner has refused the login of
                                        Zoë: 日本語のホスト名 is wrong
ne_lab_20261129_011910_a1b2c3d4      3  too long";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn rows_become_blocks_where_there_is_hardly_any() {
        let lines = letters().lines(terminal(Some(40)));
        let expected = "\
task   ne_lab_20261129_011910_a1b2c3d4
tries  12
error  the scanner has refused the login
       of Zoë: 日本語のホスト名 is wrong

task   ne_lab_20261129_011910_a1b2c3d4
tries  3
error  too long";
        assert_eq!(lines.join("\n"), expected);
        assert!(letters().lines(terminal(Some(34))).starts_with(&["task".to_owned(), format!("  {TASK}")]));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut table = letters();
        table.row([Cell::new("x"), Cell::new(1), Cell::new("-".repeat(500))]);
        for width in 40..=220 {
            let lines = table.lines(terminal(Some(width)));
            // In a block a word that cannot be broken stands alone.
            let lines: Vec<_> = lines.into_iter().filter(|line| !line.trim().starts_with("--")).collect();
            assert!(widest(&lines) <= width, "{width}: {lines:#?}");
        }
    }

    #[test]
    fn a_locale_without_unicode_gets_ascii() {
        let ascii = Terminal { is_unicode: false, ..terminal(Some(80)) };
        let lines = letters().lines(ascii);
        assert!(lines.iter().all(|line| line.is_ascii() && line.width() <= 80), "{lines:#?}");
        assert!(lines.join("\n").contains("Zo\\u{eb}"), "{lines:#?}");
    }

    #[test]
    fn colours_take_no_room() {
        let coloured = Terminal { is_coloured: true, ..terminal(Some(200)) };
        let lines = letters().lines(coloured);
        assert_eq!(lines[2], format!("{TASK}      3  \u{1b}[31mtoo long\u{1b}[0m"));
    }

    #[test]
    fn a_value_cannot_pretend_to_be_a_row() {
        let mut table = Table::new([Column::new("pool"), Column::wide("reason")]);
        table.row([Cell::new("lab"), Cell::new("x\noffice  fine\u{1b}[2K")]);
        assert_eq!(table.lines(terminal(None))[1], "lab   x\\noffice  fine\\u{1b}[2K");
    }

    #[test]
    fn values_stand_beside_their_names() {
        let rows =
            || [("task", Cell::new(TASK)), ("reason", Cell::optional(None::<&str>)), ("error code", Cell::new("x"))];
        assert_eq!(details(rows(), terminal(Some(80))), [format!("task        {TASK}"), "error code  x".to_owned()]);
        assert_eq!(details(rows(), terminal(Some(40)))[..2], ["task".to_owned(), format!("  {TASK}")]);
    }
}
