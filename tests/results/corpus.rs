//! Whole files: those of this repository, and whatever else there is.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use crate::compare::{Agreed, compare};

/// A directory with exports, in any depth, that may not be part of this repository.
const CORPUS: &str = "NESSUS_MCP_CORPUS";

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Compares every file, and fails with all differences.
fn compare_files(folder: &Path) -> BTreeMap<String, Agreed> {
    let (mut agreed, mut differences) = (BTreeMap::new(), Vec::new());
    for file in files_below(folder) {
        let name = file.strip_prefix(folder).unwrap().display().to_string();
        match compare(&fs::read(&file).unwrap()) {
            Ok(found) => {
                agreed.insert(name, found);
            }
            Err(difference) => differences.push(format!("{name}: {difference}")),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    agreed
}

#[test]
fn the_fixtures_are_read_as_by_the_reference() {
    let agreed = compare_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures"));
    let refused = |name: &str| agreed[name].refused;
    assert_eq!(agreed["exports/office.nessus"].items, 23);
    assert_eq!(agreed["exports/compliance.nessus"].items, 16);
    assert_eq!(refused("exports/truncated.nessus"), Some("truncated_export"));
    assert_eq!(refused("exports/version1.nessus"), Some("unsupported_export_version"));
    assert_eq!(refused("exports/policy_only.nessus"), Some("policy_only_export"));
    assert_eq!(refused("exports/login_page.html"), Some("not_a_nessus_export"));
}

/// Prints a table, which `--nocapture` shows.
#[test]
fn the_corpus_is_read_as_by_the_reference() {
    let Some(folder) = env::var_os(CORPUS) else {
        println!("skipped: {CORPUS} names no directory with exports");
        return;
    };
    let agreed = compare_files(Path::new(&folder));
    println!("{:>6} {:>7}  file", "items", "fields");
    for (name, found) in &agreed {
        println!("{:>6} {:>7}  {name} {}", found.items, found.fields, found.refused.unwrap_or_default());
    }
    let (items, fields): (Vec<_>, Vec<_>) = agreed.values().map(|found| (found.items, found.fields)).unzip();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for code in agreed.values().filter_map(|found| found.refused) {
        *refused.entry(code).or_default() += 1;
    }
    println!(
        "{} files, {} items, {} fields alike; refused by both: {refused:?}",
        agreed.len(),
        items.iter().sum::<usize>(),
        fields.iter().sum::<usize>()
    );
    assert!(items.iter().sum::<usize>() > 0, "no file in {} is an export", Path::new(&folder).display());
}
