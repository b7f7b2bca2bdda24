//! How much of somebody's texts goes into an answer: it must not grow with a scan's names, errors or warnings.
//!
//! Lists of targets have [a function of their own](crate::targets::shortened). The whole stays in `task.json`.

use crate::task::Task;

/// The most characters of a text.
const TEXT_CHARS: usize = 1000;
/// The most texts of a list.
const ENTRIES: usize = 20;

/// The beginning of a text; `…` says that there is more.
pub(super) fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first texts of a list, and how many more there are.
pub(super) fn list(texts: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = texts.iter().take(ENTRIES).map(|one| text(one)).collect();
    if texts.len() > ENTRIES {
        shown.push(format!("… and {} more", texts.len() - ENTRIES));
    }
    shown
}

/// What the scope policy would have refused of a task, if it were enforced.
pub(super) fn scope_warning(task: &Task) -> Option<String> {
    let refused = refusals(task)?;
    Some(text(&format!("the scope policy is not enforced yet, and would refuse this scan: {refused}")))
}

/// All that it would have refused, in one line.
pub(super) fn refusals(task: &Task) -> Option<String> {
    let of_targets = task.scope.iter().flat_map(|scope| scope.would_refuse.iter().map(String::as_str));
    let refused: Vec<_> = of_targets.chain(task.host_refusal()).collect();
    (!refused.is_empty()).then(|| refused.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(text("short"), "short");
        assert_eq!(text(&"é".repeat(5000)), format!("{}…", "é".repeat(TEXT_CHARS)));
        let texts: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        assert_eq!(list(&texts[..ENTRIES]), texts[..ENTRIES]);
        let shown = list(&texts);
        assert_eq!((shown.len(), &*shown[ENTRIES]), (ENTRIES + 1, "… and 30 more"));
    }
}
