//! `cancel`, `pause-pool` and `resume-pool`.

use nessus_mcp_lib::{ScanService, error::Failure};
use serde_json::json;

use super::{queue, recorded::Recorder};
use crate::{
    args::{CancelArgs, PausePoolArgs, ResumePoolArgs},
    output,
};

pub(crate) async fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let service = queue::open_service(&settings).await?;
    let task = ScanService::parse_task_id(&args.task)?;
    let cancel = async { Ok(service.cancel(&task, args.reason.as_deref()).await?) };
    let arguments = json!({ "task": args.task, "reason": args.reason });
    let view = Recorder::open(&settings).await?.run("cancel", arguments, Some(task.as_str()), cancel).await?;
    output::lines([format!("{}  {}: {}", view.task_id, view.status, view.message)]);
    Ok(())
}

pub(crate) async fn pause_pool(args: &PausePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let pools = queue::pools(&settings, std::slice::from_ref(&args.pool))?;
    let index = queue::open_index(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    for pool in pools {
        let pause = async { Ok(index.pause_pool(&pool, &args.reason).await?) };
        let arguments = json!({ "pool": pool, "reason": args.reason });
        recorder.run("pause-pool", arguments, None, pause).await?;
        output::lines([format!("pool {pool} is paused: {}", args.reason)]);
    }
    Ok(())
}

pub(crate) async fn resume_pool(args: &ResumePoolArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let pools = queue::pools(&settings, std::slice::from_ref(&args.pool))?;
    let index = queue::open_index(&settings).await?;
    let recorder = Recorder::open(&settings).await?;
    for pool in pools {
        let resume = async { Ok(index.resume_pool(&pool).await?) };
        recorder.run("resume-pool", json!({ "pool": pool }), None, resume).await?;
        output::lines([format!("pool {pool} takes tasks")]);
    }
    Ok(())
}
