//! Draws a view into the space there is.
//!
//! Sections stand below each other, each with a title and a table. A table leaves columns out where there is no room for them, the
//! least important first. Only ASCII is drawn: what a name holds beyond that is escaped where the locale is not UTF-8.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, Wrap},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::model::View;
use crate::output::{Colour, Terminal};

/// The room between two columns.
const GAP: u16 = 2;

/// A column: its title, the width of the screen from which on it is shown, and its own width; 0 for what is left.
type Column = (&'static str, u16, u16);

/// A table with its title.
struct Section {
    title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Colour)>>,
}

impl Section {
    /// With its title, the line of columns, and an empty line behind it.
    fn height(&self) -> u16 {
        u16::try_from(self.rows.len()).unwrap_or(u16::MAX).saturating_add(if self.rows.is_empty() { 2 } else { 3 })
    }
}

/// How many lines a view needs to be shown whole.
pub(super) fn height(view: &View) -> u16 {
    sections(view).iter().fold(2_u16, |height, section| height.saturating_add(section.height()))
}

/// Draws a view, or why there is none.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, problem: Option<&str>, terminal: Terminal) {
    let sections = sections(view);
    let top = if problem.is_some() { 4 } else { 2 };
    let heights = heights(&sections, frame.area().height.saturating_sub(top));
    let areas = Layout::vertical([top].into_iter().chain(heights).map(Constraint::Length)).split(frame.area());
    frame.render_widget(head(view, problem, terminal), areas[0]);
    for (section, area) in sections.iter().zip(&areas[1..]) {
        if area.height > 0 {
            draw_section(frame, section, *area, terminal);
        }
    }
}

fn head(view: &View, problem: Option<&str>, terminal: Terminal) -> Paragraph<'static> {
    let at = view.at.map(|at| at.to_string());
    let at = at.as_deref().and_then(|at| at.get(11..19)).map_or_else(|| "never".to_owned(), |time| format!("{time}Z"));
    let title = Span::styled("nessus-admin top  ", style(Colour::Title, terminal));
    let rest = match problem {
        Some(_) => format!("as of {at}"),
        None => format!("{at}  q quits  queue {} ms", view.queue_latency_ms),
    };
    let problem = problem
        .map(|problem| Line::from(Span::styled(terminal.visible(problem).into_owned(), style(Colour::Bad, terminal))));
    let lines: Vec<_> = [Line::from(vec![title, Span::raw(rest)])].into_iter().chain(problem).collect();
    Paragraph::new(lines).wrap(Wrap { trim: true })
}

/// How many lines each section gets: what it needs, and where there are too few, each gives of what it has most.
fn heights(sections: &[Section], most: u16) -> Vec<u16> {
    let mut heights: Vec<u16> = sections.iter().map(Section::height).collect();
    while heights.iter().map(|height| u32::from(*height)).sum::<u32>() > u32::from(most) {
        match heights.iter_mut().max() {
            Some(longest) if *longest > 0 => *longest -= 1,
            _ => break,
        }
    }
    heights
}

fn draw_section(frame: &mut Frame<'_>, section: &Section, area: Rect, terminal: Terminal) {
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    // The last line is left empty, between two sections.
    let room = usize::from(rest.height.saturating_sub(2));
    let left_out = section.rows.len().saturating_sub(room);
    let more = if left_out > 0 { format!("  (+{left_out} more)") } else { String::new() };
    frame.render_widget(Span::styled(format!("{}{more}", section.title), style(Colour::Title, terminal)), title);
    if section.rows.is_empty() {
        return;
    }
    let shown: Vec<usize> = (0..section.columns.len()).filter(|at| area.width >= section.columns[*at].1).collect();
    let fixed: u16 = shown.iter().map(|at| section.columns[*at].2 + GAP).sum();
    let width = |at: usize| match section.columns[at].2 {
        0 => area.width.saturating_sub(fixed - GAP),
        width => width,
    };
    let header = Row::new(shown.iter().map(|at| section.columns[*at].0)).style(style(Colour::Quiet, terminal));
    let cell = |at: usize, (text, colour): &(String, Colour)| {
        Cell::new(cut(&terminal.visible(text), width(at).into())).style(style(*colour, terminal))
    };
    let rows = section.rows.iter().take(room);
    let rows = rows.map(|row| Row::new(shown.iter().map(|at| cell(*at, &row[*at]))));
    let widths = shown.iter().map(|at| Constraint::Length(width(*at)));
    frame.render_widget(Table::new(rows, widths).header(header).column_spacing(GAP), rest);
}

/// A text in at most this width; one that is cut says so.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if kept.width() + character.width().unwrap_or(0) >= width {
            break;
        }
        kept.push(character);
    }
    if width > 0 { format!("{kept}~") } else { kept }
}

fn style(colour: Colour, terminal: Terminal) -> Style {
    let style = Style::new();
    match colour {
        Colour::Title => style.add_modifier(Modifier::BOLD),
        _ if !terminal.shows_colours() => style,
        Colour::Plain => style,
        Colour::Good => style.fg(Color::Green),
        Colour::Warning => style.fg(Color::Yellow),
        Colour::Bad => style.fg(Color::Red),
        Colour::Quiet => style.add_modifier(Modifier::DIM),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is called with numbers and with references")]
fn plain(text: impl ToString) -> (String, Colour) {
    (text.to_string(), Colour::Plain)
}

fn sections(view: &View) -> Vec<Section> {
    vec![pools(view), workers(view), running(view), circuits(view), failures(view)]
}

fn pools(view: &View) -> Section {
    let rows = view.pools.iter().map(|pool| {
        let waits = pool.queued > 0;
        let served = match pool.workers {
            Some(0) => ("none".to_owned(), Colour::Bad),
            Some(workers) => plain(workers),
            None => plain("older"),
        };
        let oldest = pool.oldest_waiting_seconds.map(time).unwrap_or_default();
        let state = match &pool.paused {
            Some(reason) => (format!("paused: {reason}"), Colour::Warning),
            None if pool.workers == Some(0) && waits => ("nobody works here".to_owned(), Colour::Bad),
            None => plain(""),
        };
        vec![
            plain(&pool.pool),
            plain(pool.queued),
            plain(oldest),
            served,
            plain(pool.leased),
            plain(pool.delayed),
            (pool.dead.to_string(), if pool.dead > 0 { Colour::Warning } else { Colour::Plain }),
            state,
        ]
    });
    Section {
        title: "QUEUES".to_owned(),
        columns: vec![
            ("pool", 0, 12),
            ("waiting", 0, 7),
            ("oldest", 0, 7),
            ("workers", 0, 7),
            ("leased", 60, 6),
            ("delayed", 60, 7),
            ("dead", 60, 5),
            ("", 60, 0),
        ],
        rows: rows.collect(),
    }
}

fn workers(view: &View) -> Section {
    let alive = view.workers.iter().filter(|worker| worker.state == "alive").count();
    let rows = view.workers.iter().map(|worker| {
        let colour = match worker.state {
            "alive" => Colour::Good,
            "lost" => Colour::Bad,
            _ => Colour::Warning,
        };
        let pools = worker.pools.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        vec![
            plain(&worker.worker),
            (worker.state.to_owned(), colour),
            plain(worker.holds),
            plain(time(worker.heard_seconds)),
            plain(time(worker.up_seconds)),
            plain(format!("{}/{}", worker.host, worker.pid)),
            plain(&worker.version),
            plain(pools),
        ]
    });
    Section {
        title: format!("WORKERS  {alive} alive"),
        columns: vec![
            ("worker", 0, 16),
            ("state", 0, 8),
            ("holds", 0, 5),
            ("heard", 44, 6),
            ("up", 60, 7),
            ("host/pid", 60, 22),
            ("version", 120, 10),
            ("pools", 100, 0),
        ],
        rows: rows.collect(),
    }
}

fn running(view: &View) -> Section {
    let rows = view.running.iter().map(|scan| {
        let progress = scan.progress.map_or_else(|| "?".to_owned(), |progress| format!("{progress} %"));
        let error = scan.error.clone().map_or_else(|| plain(""), |error| (error, Colour::Bad));
        let bar = scan.progress.map(|progress| {
            let done = usize::from(progress.min(100)) / 5;
            format!("[{}{}]", "#".repeat(done), ".".repeat(20 - done))
        });
        vec![
            plain(&scan.task_id),
            plain(progress),
            plain(time(scan.running_seconds)),
            plain(&scan.scanner),
            plain(bar.unwrap_or_default()),
            plain(&scan.name),
            error,
        ]
    });
    Section {
        title: format!("RUNNING  {}", view.running_total),
        columns: vec![
            ("task", 0, 32),
            ("done", 0, 5),
            ("for", 60, 7),
            ("scanner", 80, 22),
            ("", 140, 22),
            ("name", 120, 24),
            ("error", 140, 0),
        ],
        rows: rows.collect(),
    }
}

fn circuits(view: &View) -> Section {
    let rows = view.circuits.iter().map(|circuit| {
        let state = (circuit.state.as_str().to_owned(), Colour::Bad);
        vec![plain(&circuit.scanner), state, plain(&circuit.process), plain(&circuit.reason)]
    });
    let title = if view.circuits.is_empty() { "CIRCUITS  all closed" } else { "CIRCUITS" };
    Section {
        title: title.to_owned(),
        columns: vec![("scanner", 0, 24), ("state", 0, 10), ("by", 120, 30), ("reason", 60, 0)],
        rows: rows.collect(),
    }
}

fn failures(view: &View) -> Section {
    let now = view.at;
    let rows = view.failures.iter().map(|failure| {
        let task = failure.task_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let ago = now.map(|now| time(now.since(failure.failed_at).as_secs())).unwrap_or_default();
        vec![
            plain(task),
            plain(ago),
            (failure.error_code.clone(), Colour::Warning),
            plain(&failure.pool),
            plain(&failure.error),
        ]
    });
    let title = if view.failures.is_empty() { "FAILURES  none" } else { "FAILURES" };
    Section {
        title: title.to_owned(),
        columns: vec![("task", 0, 32), ("ago", 0, 6), ("error", 60, 25), ("pool", 100, 12), ("", 120, 0)],
        rows: rows.collect(),
    }
}

/// A time in its largest unit.
fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
