//! Target texts for people, who do not read ten thousand names.

/// The most characters of the targets that are shown.
const SHOWN_CHARS: usize = 500;

/// The first targets of a list that is separated by commas, in at most 500 characters, and how many more there are.
///
/// ```
/// use nessus_mcp_lib::targets::shortened;
/// assert_eq!(shortened("10.0.0.0/24,db.corp.example"), "10.0.0.0/24,db.corp.example");
/// let many: Vec<String> = (0..100).map(|number| format!("host-{number:02}")).collect();
/// assert!(shortened(&many.join(",")).ends_with("host-61 … and 38 more"));
/// ```
pub fn shortened(targets: &str) -> String {
    let Some((end, _)) = targets.char_indices().nth(SHOWN_CHARS) else { return targets.to_owned() };
    let head = &targets[..end];
    // No piece is cut into another target; only one that alone is longer than all of them may be.
    let shown = head.rfind(',').map_or(head, |comma| &head[..comma]);
    let count = |text: &str| text.bytes().filter(|byte| *byte == b',').count() + 1;
    match count(targets) - count(shown) {
        0 => format!("{shown}…"),
        more => format!("{shown} … and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_targets_are_shown_and_the_rest_is_counted() {
        let exactly = "x".repeat(SHOWN_CHARS);
        assert_eq!(shortened(&exactly), exactly);
        assert_eq!(shortened(&format!("{exactly}é")), format!("{exactly}…"));
        assert_eq!(shortened(&format!("{exactly},a,b")), format!("{exactly} … and 2 more"));
        for length in [1, 7, 60, 253] {
            let names: Vec<String> = (0..9_999).map(|number| format!("{number:0length$}")).collect();
            let text = shortened(&names.join(","));
            assert!(text.chars().count() <= SHOWN_CHARS + " … and 9999 more".chars().count(), "{text}");
            let (shown, more) = text.split_once(" … and ").unwrap();
            let shown: Vec<&str> = shown.split(',').collect();
            assert_eq!(shown, names[..shown.len()]);
            assert_eq!(more, format!("{} more", names.len() - shown.len()));
        }
    }
}
