//! `convert`: writes an export in another format.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Write},
    path::Path,
};

use nessus_mcp_lib::{
    durable::DurableFile,
    error::{Failure, counted},
    results::{Caller, ConversionSummary, Converter, Format, GroupSort, Page, Query, ResultsError},
};

use super::progress::Progress;
use crate::{
    args::ConvertArgs,
    output::{self, ConvertFailure},
};

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let converter = Converter::new(query(args)?, args.format).lenient(args.lenient);
    let convert = |output: &mut dyn Write, is_shown| convert(&converter, &args.file, output, is_shown);
    let complete = |summary| complete(args.format, summary);
    let Some(path) = &args.output else {
        let is_shown = !io::stdout().is_terminal();
        return output::unless_reader_left(convert(&mut output::stdout(), is_shown).and_then(complete));
    };
    let unwritable = |error: io::Error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    // A device or a pipe is written to, not replaced. A symbolic link is followed, not replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut device = fs::OpenOptions::new().write(true).open(path).map_err(unwritable)?;
        return output::unless_reader_left(convert(&mut device, false).and_then(complete));
    }
    let mut file = DurableFile::create(path).map_err(unwritable)?;
    let summary = convert(&mut file, true)?;
    file.commit().map_err(unwritable)?;
    Ok(complete(summary)?)
}

/// Turns a conversion of a broken export (`--lenient`) into a failure that says what was written.
fn complete(format: Format, summary: ConversionSummary) -> Result<(), ConvertFailure> {
    let Some(failure) = summary.failure else { return Ok(()) };
    let written = counted(summary.written, "finding before that place is", "findings before that place are");
    let message = failure.message;
    let sign = match format {
        Format::JsonNl | Format::Sarif => "marked \"truncated\": true",
        Format::Html => "and the report says so",
        _ => "but the table cannot say that it is incomplete",
    };
    Err(Failure::new(format!("{message}; the {written} written, {sign}")).into())
}

fn query(args: &ConvertArgs) -> Result<Query, ResultsError> {
    let mut query = Query::builder().caller(Caller::CommandLine).kind(args.kind.parse()?);
    query = query.extra_fields(args.extra_fields.iter());
    if args.count_only {
        query = query.count_only();
    }
    if let Some(by) = &args.group_by {
        let sort = args.sort.as_ref().map_or(Ok(GroupSort::WORST), |sort| sort.parse())?;
        query = query.group_by(by.parse()?, sort);
    } else if let Some(sort) = &args.sort {
        query = query.sort(sort.parse()?);
    }
    if args.page.is_some() || args.page_size.is_some() {
        query = query.page(Page::new(args.page.unwrap_or_default(), args.page_size)?);
    }
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

fn convert(
    converter: &Converter,
    input: &Path,
    output: &mut dyn Write,
    is_shown: bool,
) -> Result<ConversionSummary, ConvertFailure> {
    if input == Path::new("-") {
        return Ok(converter.convert_stream(Progress::of_stream(io::stdin().lock(), is_shown), output)?);
    }
    let unreadable = |error: io::Error| Failure::new(format!("cannot read `{}`: {error}", input.display()));
    let file = File::open(input).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    // A named pipe cannot be read twice.
    Ok(if about.is_file() {
        converter.convert(Progress::of_file(file, about.len(), is_shown), output)?
    } else {
        converter.convert_stream(Progress::of_stream(file, is_shown), output)?
    })
}
