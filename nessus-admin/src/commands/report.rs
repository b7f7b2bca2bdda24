//! `report`: the findings of a task as a file for people or programs.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use nessus_mcp_lib::{
    durable::DurableFile,
    error::{Failure, counted},
    ids::TaskId,
    results::{Converter, Format, Query},
    source::Source,
    task::{EXPORT_FILE, Task, TaskManager},
};

use tokio::task::block_in_place;

use super::queue;
use crate::{
    args::ReportArgs,
    output::{self, ConvertFailure},
};

/// The most tasks that are named where the beginning of an id is that of several.
const MOST_NAMED: usize = 10;

pub(crate) async fn run(args: &ReportArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let is_stdout = args.output == Path::new("-");
    let Some(format) = args.format.or_else(|| by_ending(&args.output)) else {
        return Err(Failure::usage(
            format!("the ending of `{}` is that of no format", args.output.display()),
            format!("give one of these with `--format`: {}", Format::names().join(", ")),
        ));
    };
    let tasks = queue::tasks(&settings).await?;
    let task = tasks.get(&find(&tasks, &args.task).await?).await?;
    let export = tasks.open_results(&task, EXPORT_FILE).await?.ok_or_else(|| Failure::new(without_results(&task)))?;
    let converter = Converter::new(Query::builder().profile(args.profile).build()?, format);
    if is_stdout {
        let written = block_in_place(|| converter.convert(export, output::stdout())).map(drop);
        output::unless_reader_left(written.map_err(ConvertFailure::from))?;
    } else {
        block_in_place(|| write(&converter, export, &args.output, args.force))?;
        output::note(&format!("the report of {} is in {}", task.task_id, args.output.display()));
    }
    for warning in &task.validation_warnings {
        output::warning(warning);
    }
    Ok(())
}

fn by_ending(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "htm" => Some(Format::Html),
        "ndjson" => Some(Format::JsonNl),
        ending => ending.parse().ok(),
    }
}

/// The task of an id, or of the only id that begins so.
async fn find(tasks: &TaskManager, text: &str) -> Result<TaskId, Failure> {
    let all = tasks.ids().await?;
    if let Some(id) = all.iter().find(|id| id.as_str() == text) {
        return Ok(id.clone());
    }
    let begins = |name: &&str| !text.is_empty() && name.starts_with(text);
    let mut found: Vec<_> = all.iter().map(TaskId::as_str).filter(begins).collect();
    found.sort_unstable();
    match &found[..] {
        [] => Err(Failure::new(format!("there is no task `{}`", nessus_mcp_lib::error::excerpt(text)))),
        [only] => TaskId::new(*only).map_err(|error| Failure::new(error.to_string())),
        several => {
            let some = several[..several.len().min(MOST_NAMED)].join(", ");
            Err(Failure::new(format!("{} with `{text}`: {some}", counted(several.len(), "task begins", "tasks begin"))))
        }
    }
}

fn without_results(task: &Task) -> String {
    let (id, status) = (&task.task_id, task.status);
    if !status.is_terminal() {
        return format!("{id} is {status}: there are results when it has ended");
    }
    let reason = match (&task.error_code, &task.error_message) {
        (Some(code), Some(message)) => format!(": {code}: {message}"),
        (Some(code), None) => format!(": {code}"),
        (None, Some(message)) => format!(": {message}"),
        (None, None) => ", and nothing says why".to_owned(),
    };
    format!("{id} has no results, it is {status}{reason}")
}

/// Writes the report under a temporary name, which becomes that of the file when it is whole.
fn write(converter: &Converter, export: Source, path: &Path, replaces: bool) -> Result<(), Failure> {
    let unwritable = |error: io::Error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    let exists = || Failure::usage(format!("`{}` exists", path.display()), "replace it with `--force`");
    // A device or a pipe is written to, not replaced. A symbolic link is followed, not replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let mut device = fs::OpenOptions::new().write(true).open(path).map_err(unwritable)?;
            converter.convert(export, &mut device)?;
            return device.flush().map_err(unwritable);
        }
        Ok(_) if !replaces => return Err(exists()),
        _ => {}
    }
    let mut file = DurableFile::create(path).map_err(unwritable)?;
    converter.convert(export, &mut file)?;
    match if replaces { file.commit() } else { file.commit_new() } {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
        written => written.map_err(unwritable),
    }
}
