//! The commands on webhooks.

use clap::{Args, Subcommand};
use nessus_mcp_lib::config::cli::CommonArgs;

use super::PolicyArgs;

/// Commands on the webhooks of the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// List who is told what happens to tasks, and how many tasks have something left to tell
    List(ListWebhooksArgs),
    /// Send an event `ping` to a webhook, once, from here
    ///
    /// Ends with 69 when it does not answer, and with 78 when it refuses, or may not have its address.
    Test(TestWebhookArgs),
    /// Try again what webhooks could not be told and was given up
    Retry(RetryWebhooksArgs),
}

/// Options of `webhooks list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin webhooks list --policy policy.yaml
  nessus-admin webhooks list --json | jq '.webhooks[].name'")]
pub(crate) struct ListWebhooksArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `webhooks test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin webhooks test tickets --policy policy.yaml")]
pub(crate) struct TestWebhookArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// The webhook, by its name in the policy
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `webhooks retry`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nessus-admin list-dlq --pool .webhooks
  nessus-admin webhooks retry ne_lab_20261129_011910_a1b2c3d4")]
pub(crate) struct RetryWebhooksArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The tasks, by task id or the beginning of one
    #[arg(value_name = "TASK", required = true)]
    pub(crate) tasks: Vec<String>,

    /// Write JSON, one object for each task
    #[arg(long)]
    pub(crate) json: bool,
}
