//! `convert`: an export in another format.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use nessus_mcp_lib::{
    durable::DurableFile,
    error::Failure,
    results::{ConversionSummary, Converter, Format, Page, Query, ResultsError},
};

use super::progress::Progress;
use crate::{
    args::ConvertArgs,
    output::{self, ConvertFailure},
};

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    if args.format != Format::JsonNl && args.max_chars.is_some() {
        return Err(Failure::new(
            "--max-chars is for --format jsonl only: other formats have no place to say that a page was cut",
        ));
    }
    let converter = Converter::new(query(args)?, args.format).lenient(args.lenient);
    let Some(path) = &args.output else {
        return output::unless_reader_left(convert(&converter, &args.file, output::stdout()).and_then(complete));
    };
    let unwritable = |error: io::Error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    // A device or a pipe is written to, not replaced; a link keeps pointing to what it points to.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let device = fs::OpenOptions::new().write(true).open(path).map_err(unwritable)?;
        return output::unless_reader_left(convert(&converter, &args.file, device).and_then(complete));
    }
    let mut file = DurableFile::create(path).map_err(unwritable)?;
    let summary = convert(&converter, &args.file, &mut file)?;
    file.commit().map_err(unwritable)?;
    Ok(complete(summary)?)
}

/// Part of an export is better than nothing, and still a failure.
fn complete(summary: ConversionSummary) -> Result<(), ConvertFailure> {
    let Some(damage) = summary.damage else { return Ok(()) };
    let (message, written) = (damage.message, summary.written);
    Err(Failure::new(format!("{message}; written are {written} findings that stand before (\"truncated\": true)"))
        .into())
}

fn query(args: &ConvertArgs) -> Result<Query, ResultsError> {
    let mut query = Query::builder().sort(args.sort.parse()?).page(Page::new(args.page, args.page_size)?);
    query = query.extra_fields(args.extra_fields.iter());
    if let Some(cursor) = &args.cursor {
        query = query.cursor(cursor);
    }
    if let Some(characters) = args.max_chars.or((args.format != Format::JsonNl).then_some(0)) {
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

fn convert(converter: &Converter, input: &Path, output: impl Write) -> Result<ConversionSummary, ConvertFailure> {
    if input == Path::new("-") {
        return Ok(converter.convert_stream(Progress::of_stream(io::stdin().lock()), output)?);
    }
    let unreadable = |error: io::Error| Failure::new(format!("cannot read `{}`: {error}", input.display()));
    let file = File::open(input).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    // A pipe has a name too, and cannot be read twice.
    Ok(if about.is_file() {
        converter.convert(Progress::of_file(file, about.len()), output)?
    } else {
        converter.convert_stream(Progress::of_stream(file), output)?
    })
}
