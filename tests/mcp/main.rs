//! The MCP server as agents meet it: one process, real HTTP, mock scanners.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod access;
mod answers;
mod attacks;
mod audit;
mod bad_input;
mod browser;
mod choice;
mod chromium;
mod client;
mod connections;
mod control;
mod doors;
mod fixture;
mod hostile;
mod logins;
mod markup;
mod mounted;
mod npm_clients;
mod oauth;
mod oauth_provider;
mod operators;
mod policies;
mod progress;
mod questions;
mod report_view;
mod resources;
mod rights;
mod scans;
mod sizes;
mod tools;
mod traces;
mod ui;
mod ui_doors;
mod ui_in_chromium;
mod visibility;
