//! Opens the export that the command line names.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use nessus_mcp_lib::error::Failure;

/// Opens the file, or standard input for `-`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path);
    file.map(|file| Box::new(file) as Box<dyn Read>)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}
