//! `summary` groups one export; `diff` compares two.

use std::{fmt::Display, io::Seek as _, path::Path};

use nessus_mcp_lib::{
    error::Failure,
    results::{ScanDiff, ScanSummary, SummarySection},
};
use serde::Serialize;

use super::{export_file, validate::login};
use crate::{
    args::{DiffArgs, SummaryArgs, ViewArgs},
    output,
};

pub(crate) fn summary(args: &SummaryArgs) -> Result<(), Failure> {
    let summary = ScanSummary::read(export_file::open(&args.file)?, login(args.scan_type))?;
    let sections = args.sections.as_deref().unwrap_or(&SummarySection::ALL);
    show(&args.view, &summary.view_of(sections, args.view.max_chars))
}

pub(crate) fn diff(args: &DiffArgs) -> Result<(), Failure> {
    if args.before == Path::new("-") && args.after == Path::new("-") {
        return Err(Failure::new("standard input can be only one of the two exports"));
    }
    let unreadable = |error| Failure::new(format!("cannot read an export again: {error}"));
    let (mut before, mut after) = (export_file::open(&args.before)?, export_file::open(&args.after)?);
    let mut diff = ScanDiff::read(&before, &after)?;
    before.rewind().and_then(|()| after.rewind()).map_err(unreadable)?;
    diff.read_outputs(&before, &after)?;
    show(&args.view, &diff.view(args.view.max_chars))
}

fn show(args: &ViewArgs, view: &(impl Display + Serialize)) -> Result<(), Failure> {
    if args.json {
        return output::pretty(view);
    }
    output::lines([view.to_string().trim_end()]);
    Ok(())
}
