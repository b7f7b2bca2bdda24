//! In what order the modules of a crate stand, level by level.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Names, Package};

/// What stands side by side in a module and which of it uses which, each use with the files that show it.
pub(crate) type Level = BTreeMap<(String, String), Vec<String>>;

/// A module's own file, beside the modules in it.
const OWN_FILE: &str = "mod.rs";

/// The levels of a crate by the module that they are in.
pub(crate) fn levels(package: &Package) -> BTreeMap<Names, Level> {
    let mut levels: BTreeMap<Names, Level> = BTreeMap::new();
    for (from, to) in package.uses() {
        let common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        let name = |path: &Names| path.get(common).map_or(OWN_FILE, String::as_str).to_owned();
        let shown = format!("{} uses {}", package.modules[from].file, package.modules[to].file);
        let level = levels.entry(from[..common].to_vec()).or_default();
        level.entry((name(from), name(to))).or_default().push(shown);
    }
    levels
}

/// The uses that lie on a circle: those whose end leads back to their begin.
pub(crate) fn on_circles(level: &Level) -> Level {
    let leads_to = |begin: &String, end: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![begin]);
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(level.keys().filter(|(from, _)| from == name).map(|(_, to)| to));
            }
        }
        seen.contains(end)
    };
    level
        .iter()
        .filter(|((from, to), _)| leads_to(to, from))
        .map(|(use_, shown)| (use_.clone(), shown.clone()))
        .collect()
}

#[test]
fn only_what_leads_back_lies_on_a_circle() {
    let uses = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "d")];
    let level = uses.map(|(from, to)| ((from.to_owned(), to.to_owned()), Vec::new())).into();
    let found: Vec<_> = on_circles(&level).into_keys().map(|(from, to)| from + &to).collect();
    assert_eq!(found, ["bc", "cb", "de", "ef", "fd"]);
}
