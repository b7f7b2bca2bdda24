//! The table in `docs/faults.md` says what these tests do.

use std::{collections::BTreeSet, fs, path::Path};

/// The texts in backticks of a cell.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_table_has_every_row_and_every_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(here.join("../docs/faults.md")).unwrap();
    let mut tests = BTreeSet::new();
    for file in fs::read_dir(here.join("faults")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        let after_fn = source.split("async fn ").skip(1).map(|text| text.split('(').next().unwrap().to_owned());
        tests.extend(after_fn.filter(|name| name.starts_with("row_")));
    }
    let (mut rows, mut listed) = (Vec::new(), BTreeSet::new());
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(row) = cells.get(1).and_then(|cell| cell.parse::<u32>().ok()) else { continue };
        assert_eq!(cells.len(), 8, "{line}");
        rows.push(row);
        for name in named(cells[6]) {
            assert!(name.starts_with(&format!("row_{row:02}_")), "{name} in row {row}");
            listed.insert(name.to_owned());
        }
        assert!(named(cells[6]).next().is_some(), "row {row} has no test");
    }
    rows.sort_unstable();
    assert_eq!(rows, (1..=56).collect::<Vec<_>>());
    assert_eq!(listed, tests);
}

/// A name that the simulator does not know would be a fault that is not injected.
#[tokio::test]
async fn the_faults_of_the_table_are_those_of_the_simulator() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")).unwrap();
    let sim = nessus_mcp_tests::sim::SimulatedNessus::start().await;
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.get(1).is_none_or(|cell| cell.parse::<u32>().is_err()) {
            continue;
        }
        for name in named(cells[3]).filter(|name| !matches!(*name, "_undone" | "starting")) {
            assert_eq!(sim.try_inject(nessus_mcp_tests::sim::Fault::new(name)), Ok(()), "in {line}");
        }
    }
}
