//! `convert`: an export as newline-delimited JSON.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use nessus_mcp_lib::{
    JsonNlConverter,
    durable::DurableFile,
    error::Failure,
    results::{Page, Query, ResultsError},
};

use crate::{
    args::ConvertArgs,
    output::{self, ConvertFailure},
};

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let converter = JsonNlConverter::new(query(args)?);
    let Some(path) = &args.output else {
        return output::unless_reader_left(convert(&converter, &args.file, output::stdout()));
    };
    let unwritable = |error: io::Error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    // A device or a pipe is written to, not replaced; a link keeps pointing to what it points to.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let device = fs::OpenOptions::new().write(true).open(path).map_err(unwritable)?;
        return output::unless_reader_left(convert(&converter, &args.file, device));
    }
    let mut file = DurableFile::create(path).map_err(unwritable)?;
    convert(&converter, &args.file, &mut file)?;
    file.commit().map_err(unwritable)
}

fn query(args: &ConvertArgs) -> Result<Query, ResultsError> {
    let mut query = Query::builder().sort(args.sort.parse()?).page(Page::new(args.page, args.page_size)?);
    query = query.extra_fields(args.extra_fields.iter());
    if let Some(cursor) = &args.cursor {
        query = query.cursor(cursor);
    }
    if let Some(characters) = args.max_chars {
        query = query.max_chars(characters);
    }
    if let Some(profile) = &args.profile {
        query = query.profile(profile.parse()?);
    }
    if let Some(fields) = &args.fields {
        query = query.fields(fields.iter().cloned());
    }
    if let Some(filters) = &args.filters {
        query = query.filters(filters.parse()?);
    }
    query.build()
}

fn convert(converter: &JsonNlConverter, input: &Path, output: impl Write) -> Result<(), ConvertFailure> {
    if input == Path::new("-") {
        converter.convert_stream(io::stdin().lock(), output)?;
        return Ok(());
    }
    let unreadable = |error: io::Error| Failure::new(format!("cannot read `{}`: {error}", input.display()));
    let file = File::open(input).map_err(unreadable)?;
    // A pipe has a name too, and cannot be read twice.
    if file.metadata().map_err(unreadable)?.is_file() {
        converter.convert(file, output)?;
    } else {
        converter.convert_stream(file, output)?;
    }
    Ok(())
}
