//! Opens the export that the command line names.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use nessus_mcp_lib::error::Failure;

/// Opens an export, which may be read more than once. Standard input and pipes are copied to a temporary file.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let copied = |input: &mut dyn Read| -> io::Result<File> {
        let mut copy = tempfile::tempfile()?;
        io::copy(input, &mut copy)?;
        copy.rewind()?;
        Ok(copy)
    };
    let failed = |error| Failure::new(format!("cannot copy `{}` to a temporary file: {error}", path.display()));
    if path == Path::new("-") {
        return copied(&mut io::stdin().lock()).map_err(failed);
    }
    let mut file = open_file(path)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(file);
    }
    copied(&mut file).map_err(failed)
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}
