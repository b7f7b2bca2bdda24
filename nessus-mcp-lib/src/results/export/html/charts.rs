//! Charts as inline SVG. Their texts are texts, so they can be searched, copied and read aloud.

use std::io::{self, Write};

use super::markup::{escape, severity_class};
use crate::{
    error::counted,
    results::{judge::SeverityCounts, record::Severity, texts::clean},
};

/// The width of a chart, in its own units.
const WIDTH: u64 = 640;
/// The height of a row.
const ROW: u64 = 26;
/// The height of a bar.
const BAR: u64 = 16;
/// The room for the longest number.
const NUMBER: u64 = 76;
/// The characters of a host's name.
const NAME: usize = 26;

/// A bar for each severity.
pub(super) fn severities(counts: &SeverityCounts, output: &mut impl Write) -> io::Result<()> {
    let rows: Vec<Option<Severity>> = Severity::ALL.into_iter().rev().map(Some).chain([None]).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| row.is_some() || counts.unknown > 0).collect();
    let most = rows.iter().map(|row| counts.of(*row)).max().unwrap_or_default();
    let said: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.map_or("Unknown", Severity::name), counts.of(*row))).collect();
    open("Findings by severity", &said.join(", "), rows.len(), output)?;
    for (at, row) in rows.iter().enumerate() {
        let name = row.map_or("Unknown", Severity::name);
        let count = counts.of(*row);
        let (left, top) = (84, at as u64 * ROW);
        let width = scaled(count, most, WIDTH - left - NUMBER);
        label(name, left, top, output)?;
        bar(severity_class(*row), left, top, width, &format!("{name}: {count}"), output)?;
        number(count, left + width, top, output)?;
    }
    output.write_all(b"</svg></figure>\n")
}

/// A bar for each host, with a part for each severity above `Info`.
pub(super) fn hosts(
    hosts: &[(&str, SeverityCounts)],
    left_out: usize,
    has_more: bool,
    output: &mut impl Write,
) -> io::Result<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    let most = hosts.iter().map(|(_, counts)| counts.above_info()).max().unwrap_or_default();
    let said: Vec<String> =
        hosts.iter().map(|(name, counts)| format!("{} {}", clean(name, NAME), counts.above_info())).collect();
    open("Hosts with the worst findings, without Info", &said.join(", "), hosts.len(), output)?;
    for (at, (name, counts)) in hosts.iter().enumerate() {
        let (mut left, top) = (200, at as u64 * ROW);
        let room = WIDTH - left - NUMBER;
        label(&clean(name, NAME), left, top, output)?;
        for severity in Severity::ALL.into_iter().rev().filter(|severity| *severity > Severity::Info) {
            let count = counts.of(Some(severity));
            if count > 0 {
                let width = scaled(count, most, room);
                let title = format!("{}: {count} {}", clean(name, NAME), severity.name());
                bar(severity_class(Some(severity)), left, top, width, &title, output)?;
                left += width;
            }
        }
        number(counts.above_info(), left, top, output)?;
    }
    output.write_all(b"</svg>")?;
    if left_out > 0 || has_more {
        let more = if has_more { "more than " } else { "" };
        let hosts = counted(left_out as u64, "other host has findings", "other hosts have findings");
        write!(output, "<p class=\"note\">{more}{hosts} above Info.</p>")?;
    }
    output.write_all(b"</figure>\n")
}

fn open(title: &str, said: &str, rows: usize, output: &mut impl Write) -> io::Result<()> {
    writeln!(
        output,
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}: {}\">",
        rows as u64 * ROW,
        escape(said)
    )
}

fn label(text: &str, right: u64, top: u64, output: &mut impl Write) -> io::Result<()> {
    let (x, y) = (right - 8, top + 17);
    writeln!(output, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>", escape(text))
}

fn number(count: u64, left: u64, top: u64, output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "<text x=\"{}\" y=\"{}\" class=\"count\">{count}</text>", left + 6, top + 17)
}

fn bar(class: &str, left: u64, top: u64, width: u64, title: &str, output: &mut impl Write) -> io::Result<()> {
    let (y, title) = (top + (ROW - BAR) / 2, escape(title));
    writeln!(
        output,
        "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{BAR}\"><title>{title}</title></rect>"
    )
}

/// The length for a count, when `most` has all the room; what is there is seen.
fn scaled(count: u64, most: u64, room: u64) -> u64 {
    if count == 0 { 0 } else { (count.saturating_mul(room) / most.max(1)).max(2) }
}
