//! `completions` and `man`: made from the same description as `--help`.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory as _};
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_mangen::Man;
use nessus_mcp_lib::{
    durable,
    error::{Failure, counted},
};

use crate::{
    args::{Cli, CompletionsArgs, ManArgs, Shell},
    output,
};

/// The section of the manual for programs of administrators.
const SECTION: &str = "8";

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => clap_complete::generate(Bash, &mut command, name, &mut script),
        Shell::Zsh => clap_complete::generate(Zsh, &mut command, name, &mut script),
        Shell::Fish => clap_complete::generate(Fish, &mut command, name, &mut script),
    }
    let script = String::from_utf8(script).map_err(|error| Failure::new(error.to_string()))?;
    output::lines([script.trim_end()]);
    Ok(())
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = &args.output else {
        output::lines([String::from_utf8_lossy(&page(&command, command.get_name())?).trim_end()]);
        return Ok(());
    };
    let unwritable = |error: io::Error| Failure::new(format!("cannot write to `{}`: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(unwritable)?;
    let written = pages(&command, command.get_name(), directory).map_err(unwritable)?;
    let pages = counted(written, "page", "pages");
    output::say(format!("{pages} in {}; look at one with `man -l`", directory.display()));
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name).section(SECTION).render(&mut page)?;
    Ok(page)
}

/// Writes the page of a command and of those below it; returns how many.
fn pages(command: &Command, name: &str, directory: &Path) -> io::Result<usize> {
    durable::replace(&directory.join(format!("{name}.{SECTION}")), &page(command, name)?)?;
    let below = command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set());
    let mut written = 1;
    for below in below {
        written += pages(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(written)
}
