//! `cancel`, `pause-pool` and `resume-pool`.

use nessus_mcp_lib::{ScanService, error::Failure};

use super::queue;
use crate::{
    args::{CancelArgs, PausePoolArgs, ResumePoolArgs},
    output,
};

pub(crate) async fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let service = queue::open_service(&args.common.settings()).await?;
    let task = ScanService::parse_task_id(&args.task)?;
    let view = service.cancel(&task, args.reason.as_deref()).await?;
    output::lines([format!("{}  {}: {}", view.task_id, view.status, view.message)]);
    Ok(())
}

pub(crate) async fn pause_pool(args: &PausePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let pools = queue::pools(&settings, std::slice::from_ref(&args.pool))?;
    let index = queue::open_index(&settings).await?;
    for pool in pools {
        index.pause_pool(&pool, &args.reason).await?;
        output::lines([format!("pool {pool} is paused: {}", args.reason)]);
    }
    Ok(())
}

pub(crate) async fn resume_pool(args: &ResumePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let pools = queue::pools(&settings, std::slice::from_ref(&args.pool))?;
    let index = queue::open_index(&settings).await?;
    for pool in pools {
        index.resume_pool(&pool).await?;
        output::lines([format!("pool {pool} takes tasks")]);
    }
    Ok(())
}
