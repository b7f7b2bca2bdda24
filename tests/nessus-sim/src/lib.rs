#![doc = include_str!("../README.md")]
//! # How it is made
//!
//! The modules, lowest first; each uses only those above it:
//! ```text
//! time      instants, and the clock                 targets   the hosts behind `text_targets`
//! plugins   texts of the findings                   findings  which finding stands on which host
//! authentication  how the logins on a host end      certificates  for https
//! config    what can be chosen                      reply     what comes back, and how it travels
//! wire      requests, free of any HTTP library      front, mounted  the own HTTP server, or one of wiremock
//! report    the .nessus and csv writers             files     export files that wait to be fetched
//! run       the life of one launch, computed from the clock
//! templates, tokens, stats                          state     everything remembered between requests
//! policies  what people made on the scanner, and what scans are made of
//! session server editor scans details export        the endpoints, one module for each kind
//! credentials  what scans log in with, and what of it may be seen
//! faults    everything that can go wrong
//! routes    the table of endpoints and who may call them
//! control   the second port, for tests in other processes
//! scanner   the handle that a test holds
//! ```
#![expect(
    clippy::unnecessary_wraps,
    reason = "the endpoints share one signature, whether or not each can fail, and so do the score constants"
)]

mod authentication;
mod certificates;
mod config;
mod control;
mod credentials;
mod details;
mod editor;
mod export;
mod faults;
mod files;
mod findings;
mod front;
#[cfg(feature = "wiremock")]
mod mounted;
mod plugins;
mod policies;
mod reply;
mod report;
mod routes;
mod run;
mod scanner;
mod scans;
mod server;
mod session;
mod state;
mod stats;
mod targets;
mod templates;
mod time;
mod tokens;
mod wire;

pub use self::{
    authentication::Authentication,
    certificates::Certificate,
    config::{Acknowledgement, BodyLength, DoubleLaunch, Edition, Exporting, SimConfig, Trust},
    credentials::SentCredential,
    faults::{Fault, FaultError, KnownFault, When, known_faults},
    findings::{Finding, findings},
    plugins::{Plugin, Score},
    scanner::SimulatedNessus,
    stats::{MadeOf, Stats},
};
