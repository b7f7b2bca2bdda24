//! Opens the export that the command line names.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use nessus_mcp_lib::error::Failure;

/// Opens the file, or copies standard input to a temporary one for `-`: to be read more than once.
pub(super) fn open_to_reread(path: &Path) -> Result<File, Failure> {
    if path != Path::new("-") {
        return open_file(path);
    }
    let copy = || -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        file.rewind()?;
        Ok(file)
    };
    copy().map_err(|error| Failure::new(format!("cannot copy standard input to a temporary file: {error}")))
}

/// Opens the file, or standard input for `-`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    open_file(path).map(|file| Box::new(file) as Box<dyn Read>)
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}
