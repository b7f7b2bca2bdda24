//! What the documents say of the faults.

use std::fmt::Write as _;

use nessus_sim::known_faults;

#[test]
fn the_readme_has_every_fault() {
    let mut table = String::new();
    for fault in known_faults() {
        let mark = if fault.needs_own_server { "yes" } else { "" };
        writeln!(table, "| `{}` | {} | {mark} |", fault.name, fault.what).unwrap();
    }
    let readme = include_str!("../../README.md");
    assert!(readme.ends_with(&table), "README.md must end with these rows:\n{table}");
}
