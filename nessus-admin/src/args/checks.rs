//! The commands that check a deployment and change nothing.

use std::str::FromStr;

use clap::{Args, Subcommand};
use nessus_mcp_lib::{
    config::cli::{CommonArgs, GivenArgs},
    ids::{InstanceId, PoolName},
};

/// Commands on scanners.
#[derive(Debug, Subcommand)]
pub(crate) enum ScannersCommand {
    /// Check scanners step by step: name, port, certificate, readiness, login, edition, licence and age of the plugins
    ///
    /// Each scanner is logged in to once at most, and not at all where the queue knows that its login was refused. Ends with 69
    /// when one cannot scan, and with 78 when its entry is wrong.
    #[command(
        after_help = "Examples:\n  nessus-admin scanners check\n  nessus-admin scanners check nessus:scanner1 --json | jq .steps"
    )]
    Check(ScannersCheckArgs),
}

/// Options of `scanners check`.
#[derive(Debug, Args)]
pub(crate) struct ScannersCheckArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Only these pools or scanners [default: all that are enabled]
    #[arg(value_name = "POOL[:INSTANCE]")]
    pub(crate) scanners: Vec<Selected>,

    /// Log in although the login was refused before; Nessus locks accounts after a few refused logins
    #[arg(long)]
    pub(crate) try_login: bool,

    /// Write JSON, one object for each scanner
    #[arg(long)]
    pub(crate) json: bool,
}

/// A pool, or a scanner of it.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) pool: PoolName,
    pub(crate) instance: Option<InstanceId>,
}

impl FromStr for Selected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pool, instance) = text.split_once(':').map_or((text, None), |(pool, instance)| (pool, Some(instance)));
        Ok(Self {
            pool: PoolName::new(pool).map_err(|error| error.to_string())?,
            instance: instance.map(InstanceId::new).transpose().map_err(|error| error.to_string())?,
        })
    }
}

/// Commands on the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the effective value of every setting and where it comes from, and check settings and files
    ///
    /// Server and worker may be given the same variables and flags. Ends with 78 when something is wrong; all that is wrong is
    /// said at once. Passwords and keys are shown as set or not set.
    #[command(after_help = "Examples:\n  nessus-admin config check\n  nessus-admin config check --json | jq '.faults'")]
    Check(ConfigCheckArgs),
}

/// Options of `config check`.
#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,

    /// Do not contact the scanners
    #[arg(long)]
    pub(crate) no_scanners: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
