//! `tasks`: commands on single tasks, and on all tasks that match.

pub(crate) mod list;
pub(crate) mod show;

use nessus_mcp_lib::error::Failure;

use super::acts::{self, Act, Order};
use crate::args::{CancelArgs, RetryTasksArgs};

pub(crate) async fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let order = Order { command: "cancel", act: Act::Cancel, reason: args.reason.clone() };
    acts::on_chosen(&args.chosen, order).await
}

pub(crate) async fn pause(args: &CancelArgs) -> Result<(), Failure> {
    let order = Order { command: "tasks pause", act: Act::Pause, reason: args.reason.clone() };
    acts::on_chosen(&args.chosen, order).await
}

pub(crate) async fn resume(args: &RetryTasksArgs) -> Result<(), Failure> {
    acts::on_chosen(&args.chosen, Order { command: "tasks resume", act: Act::Resume, reason: None }).await
}

pub(crate) async fn retry(args: &RetryTasksArgs) -> Result<(), Failure> {
    acts::on_chosen(&args.chosen, Order { command: "tasks retry", act: Act::Retry, reason: None }).await
}
