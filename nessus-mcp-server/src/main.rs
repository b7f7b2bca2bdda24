//! MCP server that gives AI agents safe, asynchronous use of Nessus scanners: the program around this package's library.

use std::process::ExitCode;

fn main() -> ExitCode {
    nessus_mcp_server::main()
}
