//! What changed in the outputs of the findings that are listed: for this both scans are read again.

use std::{
    collections::{HashMap, HashSet},
    io::Read,
};

use super::{
    changes::ChangedPart,
    compare::Outcome,
    finding::{Key, Output, output},
};
use crate::results::{
    error::ResultsError,
    record::{FindingPart, Record},
    texts::clean,
    xml::{Visit, walk},
};

/// Of so many findings the changed part is looked for.
const MOST_PARTS: usize = 256;
/// So many bytes of an output are compared.
const OUTPUT_BYTES: usize = 16 << 10;
/// So many characters of a line are shown.
const LINE_CHARS: usize = 120;
/// So many characters are shown before the first that differs.
const CONTEXT_CHARS: usize = 30;

/// Which places of the list an output belongs to.
type Wanted = HashMap<(Key, Output), Vec<usize>>;

/// Reads both scans again and looks for what changed in the first of the changed outputs.
pub(super) fn read_parts<B: Read, A: Read>(outcome: &mut Outcome, before: B, after: A) -> Result<(), ResultsError> {
    let listed = &outcome.changed_output.first[..outcome.changed_output.first.len().min(MOST_PARTS)];
    if listed.is_empty() {
        return Ok(());
    }
    let mut wanted = (Wanted::new(), Wanted::new());
    for (at, change) in listed.iter().enumerate() {
        wanted.0.entry((change.key, change.outputs.0)).or_default().push(at);
        wanted.1.entry((change.key, change.outputs.1)).or_default().push(at);
    }
    let mut had: Vec<Option<String>> = vec![None; listed.len()];
    read_outputs(before, &outcome.blocks.0, &wanted.0, |at, text| had[at] = Some(head(text).to_owned()))?;
    let mut parts: Vec<Option<ChangedPart>> = vec![None; listed.len()];
    read_outputs(after, &outcome.blocks.1, &wanted.1, |at, text| {
        if let Some(had) = had[at].take() {
            parts[at] = changed_part(&had, head(text));
        }
    })?;
    outcome.parts = parts;
    Ok(())
}

/// Shows `take` the outputs that are wanted, with their places in the list.
fn read_outputs<R: Read>(
    input: R,
    of_blocks: &[u32],
    wanted: &Wanted,
    mut take: impl FnMut(usize, &str),
) -> Result<(), ResultsError> {
    let plugins: HashSet<u32> = wanted.keys().map(|(key, _)| key.part.plugin).collect();
    let is_wanted = |record: &Record<'_>| {
        record.plugin().is_some_and(|plugin| plugin.parse().is_ok_and(|plugin| plugins.contains(&plugin)))
    };
    let mut blocks = of_blocks.iter();
    let mut host = None;
    walk(input, |visit| match visit {
        Visit::HostStart => host = blocks.next().copied(),
        Visit::Item(record) if is_wanted(&record) => {
            let text = record.output();
            let key = host.map(|host| Key { host, part: FindingPart::of(record.item, record.host) });
            if let Some(places) = key.and_then(|key| wanted.get(&(key, output(text)))) {
                for at in places {
                    take(*at, text);
                }
            }
        }
        _ => {}
    })
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(OUTPUT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first lines that differ, shortened; `None` when what is compared is the same.
fn changed_part(before: &str, after: &str) -> Option<ChangedPart> {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let (mut was, mut is) = (&before[..], &after[..]);
    while let (Some((one, was_rest)), Some((another, is_rest))) = (was.split_first(), is.split_first())
        && one == another
    {
        (was, is) = (was_rest, is_rest);
    }
    // Behind a line that came or went everything is as it was.
    while let (Some((one, was_rest)), Some((another, is_rest))) = (was.split_last(), is.split_last())
        && one == another
    {
        (was, is) = (was_rest, is_rest);
    }
    let (one, another) = (was.first().map(String::as_str), is.first().map(String::as_str));
    let from = one.zip(another).map_or(0, |(one, another)| {
        one.chars().zip(another.chars()).take_while(|(one, another)| one == another).count()
    });
    let shown = |line: &str| {
        let skipped = if from > 2 * CONTEXT_CHARS { from - CONTEXT_CHARS } else { 0 };
        let rest: String = line.chars().skip(skipped).collect();
        let mark = if skipped > 0 { "…" } else { "" };
        format!("{mark}{}", clean(&rest, LINE_CHARS))
    };
    (one.is_some() || another.is_some()).then(|| ChangedPart { before: one.map(shown), after: another.map(shown) })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: Option<(Option<&str>, Option<&str>)>) {
        let found = changed_part(before, after);
        let found = found.as_ref().map(|part| (part.before.as_deref(), part.after.as_deref()));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        check("a\nb\nc", "a\nx\nc", Some((Some("b"), Some("x"))));
        check("a\nc", "a\nb\nc", Some((None, Some("b"))));
        check("a\nb\nc", "a\nc", Some((Some("b"), None)));
        check("", "a", Some((None, Some("a"))));
        check("a\n\n b", "a \nb", None);
        let long = "x".repeat(500);
        let shown = format!("…{}", "x".repeat(CONTEXT_CHARS));
        let (before, after) = (format!("{shown}1"), format!("{shown}2"));
        check(&format!("{long}1"), &format!("{long}2"), Some((Some(&before), Some(&after))));
        check("\u{1b}[31mred", "\u{202e}blue", Some((Some("red"), Some("blue"))));
    }

    #[test]
    fn white_space_changes_no_output() {
        assert_eq!(output(" a  b\r\n c\n"), output("a b c"));
        assert_ne!(output("ab c"), output("a bc"));
        assert_ne!(output(""), output("a"));
    }
}
