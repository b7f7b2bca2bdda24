//! The fail points that stand in the library's source.

use std::{collections::BTreeSet, fs, path::Path};

/// What tasks in a bucket pass in place of those in a directory: the same step has the same name there.
const OF_BUCKETS: [&str; 3] = ["bucket.rs", "objects.rs", "sweep.rs"];

/// The names in all `fail_point!("…")` of the library.
pub(crate) fn in_the_source() -> BTreeSet<String> {
    let (mut names, mut of_buckets) = (BTreeSet::new(), BTreeSet::new());
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../nessus-mcp-lib/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let is_of_buckets = OF_BUCKETS.iter().any(|file| path.ends_with(Path::new("task/store").join(file)));
                let names = if is_of_buckets { &mut of_buckets } else { &mut names };
                for name in text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(
                        names.insert(name.to_owned()),
                        "`{name}` stands twice, the second time in {}",
                        path.display()
                    );
                }
            }
        }
    }
    names.extend(of_buckets);
    names
}
