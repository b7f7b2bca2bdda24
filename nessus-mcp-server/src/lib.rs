//! MCP server that gives AI agents safe, asynchronous use of Nessus scanners.

mod access;
mod answer;
mod app;
mod args;
mod client_address;
mod completion;
mod demo;
mod http;
mod output;
mod progress;
mod prompts;
mod resources;
mod schema;
mod serve;
mod stdio;
mod tls;
mod tools;
mod trace;
mod ui;

use std::process::ExitCode;

use nessus_mcp_lib::config::cli;

use crate::args::{Arguments, Command};

/// The program `nessus-mcp-server`, for its binary alone.
#[doc(hidden)]
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    output::exit_code(cli::block_on(async {
        match arguments.command {
            Command::Serve(command) => serve::run(command).await,
            Command::Stdio(command) => stdio::run(command).await,
            Command::Demo(command) => demo::run(command).await,
        }
    }))
}
