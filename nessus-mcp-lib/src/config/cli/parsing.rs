//! Reading the command line of a binary, and what it says when that is wrong.

use std::ffi::OsString;

use clap::{Arg, Command, Error, Parser, builder::Resettable, error::ErrorKind};

use crate::{error::excerpt, streams};

/// Parses the command line of a binary as [`Parser::parse`] does, but ignores empty variables. A usage error names the
/// variables that were read as well: what is wrong may stand in one of them.
pub fn parse<A: Parser>() -> A {
    let command = without_empty_variables(A::command());
    let matches = command.clone().try_get_matches();
    let parsed = matches.and_then(|matches| A::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| exit(&error, &command))
}

/// Ends the process with a usage error that clap's attributes cannot express, as [`parse`] does.
pub fn refuse<A: Parser>(kind: ErrorKind, message: &str) -> ! {
    let mut command = without_empty_variables(A::command());
    exit(&command.error(kind, message), &command)
}

#[expect(clippy::exit, reason = "as clap ends a process whose command line is wrong; nothing has been begun")]
fn exit(error: &Error, command: &Command) -> ! {
    // Nobody is left to be told.
    let _ = error.print();
    let set = variables(command, std::env::args_os().skip(1), |name| std::env::var_os(name));
    if error.use_stderr() && !set.is_empty() {
        streams::stderr().write(format!("\nset by the environment: {}\n", set.join(", ")).as_bytes());
        let _ = streams::stderr().finish(None);
    }
    std::process::exit(error.exit_code())
}

/// The variables that the command with these arguments has read, with their values unless they may be secret.
fn variables(
    command: &Command,
    arguments: impl Iterator<Item = OsString>,
    value_of: impl Fn(&str) -> Option<OsString>,
) -> Vec<String> {
    let mut command = command;
    let mut args: Vec<&Arg> = command.get_arguments().collect();
    for argument in arguments {
        if let Some(inner) = argument.to_str().and_then(|name| command.find_subcommand(name)) {
            command = inner;
            args.extend(command.get_arguments());
        }
    }
    let set = args.into_iter().filter_map(|arg| {
        let name = arg.get_env()?.to_str()?;
        let value = value_of(name).filter(|value| !value.is_empty())?;
        Some(match value.to_str() {
            Some(value) if !arg.is_hide_env_values_set() => format!("{name}={}", excerpt(value)),
            _ => name.to_owned(),
        })
    });
    set.collect()
}

/// The command and its subcommands, without the variables that are empty.
fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::<clap::builder::OsStr>::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_the_chosen_command_are_named_and_no_secret_is_shown() {
        let arg = |name: &'static str| Arg::new(name).long(name).env(name);
        let command = Command::new("x")
            .subcommand(Command::new("serve").args([
                arg("DATA_DIR"),
                arg("QUEUE_URL").hide_env_values(true),
                arg("EMPTY"),
            ]))
            .subcommand(Command::new("demo").arg(arg("LOG_LEVEL")));
        let value_of = |name: &str| match name {
            "EMPTY" => Some(OsString::new()),
            "QUEUE_URL" => Some("redis://:planted@host".into()),
            _ => Some("a\nb".into()),
        };
        let set = |arguments: &[&str]| variables(&command, arguments.iter().map(OsString::from), value_of);
        assert_eq!(set(&["serve", "--wrong"]), ["DATA_DIR=a\\nb", "QUEUE_URL"]);
        assert_eq!(set(&["demo"]), ["LOG_LEVEL=a\\nb"]);
        assert_eq!(set(&[]), [""; 0]);
    }
}
