//! `nessus-admin`: what an operator does with queues, tasks and exports.

mod args;
mod commands;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Convert(args) => commands::convert::run(&args),
    };
    output::exit_code(outcome)
}
