//! Opens the queue, the data directory and the pools that a command acts on; `queue rebind`.

use std::{path::PathBuf, sync::Arc};

use nessus_mcp_lib::{
    Queue, ScanService,
    config::{Settings, cli},
    error::{Classified, ErrorKind, Failure},
    housekeeping::{self, QueueIndex},
    policy::Scope,
    queue::{self, QueueUrl},
    scanner::ScannerRegistry,
    task::TaskManager,
    time::SystemClock,
};

use serde_json::json;

use super::recorded::Recorder;
use crate::{args::RebindArgs, output};

/// A queue or data directory that does not exist. Commands never create one: an empty new queue in the wrong place would
/// look like a queue without work.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("there is no queue at `{}`", .0.display())]
    Queue(PathBuf),
    #[error("there is no data directory at `{}`", .0.display())]
    Directory(PathBuf),
}

impl Classified for Missing {
    fn code(&self) -> &'static str {
        match self {
            Self::Queue(_) => "no_queue",
            Self::Directory(_) => "no_data_directory",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Queue(_) => ErrorKind::Unavailable,
            Self::Directory(_) => ErrorKind::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        Some("name the data directory of the server and its workers with `--data-dir` or `DATA_DIR`".to_owned())
    }
}

/// The URL of the queue, if it exists. Whether one on Redis exists is known only when it is opened.
fn existing(settings: &Settings) -> Result<QueueUrl, Failure> {
    let url: QueueUrl = settings.queue_url.parse()?;
    match &url {
        QueueUrl::Sqlite(path) if !path.is_file() => Err(Missing::Queue(path.clone()).into()),
        _ => Ok(url),
    }
}

/// Opens the existing queue and checks that it belongs to the data directory, if there is one: an operator's own machine may
/// have none.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn Queue>, Failure> {
    let queue = queue::open(&existing(settings)?).await?;
    if settings.data_dir.join("tasks").is_dir() {
        housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    }
    Ok(queue)
}

/// Opens the existing queue, whichever data directory it belongs to.
pub(super) async fn open_any(settings: &Settings) -> Result<Arc<dyn Queue>, Failure> {
    Ok(queue::open(&existing(settings)?).await?)
}

/// The tasks of the data directory, to be read only.
pub(super) fn tasks(settings: &Settings) -> Result<TaskManager, Failure> {
    if settings.data_dir.join("tasks").is_dir() {
        Ok(TaskManager::to_read(&settings.data_dir))
    } else {
        Err(Missing::Directory(settings.data_dir.clone()).into())
    }
}

/// `queue rebind`: binds the queue to this data directory.
pub(crate) async fn rebind(args: &RebindArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let queue = queue::open(&existing(&settings)?).await?;
    let before = queue.binding().await?;
    let index = index(&settings, queue)?;
    let rebind = async { Ok(index.rebind().await?) };
    let arguments = json!({ "data_dir": settings.data_dir.display().to_string() });
    let id = Recorder::open(&settings).await?.run("queue rebind", arguments, None, rebind).await?.directory;
    if args.json {
        let before = before.map(|before| before.directory);
        return output::json(&json!({ "data_dir": settings.data_dir, "directory": id, "before": before }));
    }
    let before = match before {
        Some(before) if before.directory == id => "as before".to_owned(),
        Some(before) => format!("before it belonged to `{}`", before.directory),
        None => "before it belonged to none".to_owned(),
    };
    output::lines([format!("the queue belongs to {} (`{id}`); {before}", settings.data_dir.display())]);
    Ok(())
}

/// Opens the existing queue together with its data directory: commands on pools are written to both.
pub(super) async fn open_index(settings: &Settings) -> Result<QueueIndex, Failure> {
    check_directory(settings).await?;
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    index(settings, queue)
}

fn index(settings: &Settings, queue: Arc<dyn Queue>) -> Result<QueueIndex, Failure> {
    let tasks = TaskManager::open(&settings.data_dir)?.with_webhooks(Scope::default().without_webhooks());
    let tasks = tasks.acting_as(cli::user_at_host());
    Ok(QueueIndex::new(tasks, queue, Arc::new(SystemClock)))
}

/// Fails if the data directory does not exist. Creating it here would bind a queue that has just lost its data to an empty
/// directory.
async fn check_directory(settings: &Settings) -> Result<(), Failure> {
    if settings.data_dir.is_dir() {
        return Ok(());
    }
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    Err(Missing::Directory(settings.data_dir.clone()).into())
}

/// The policy of the settings. Without one, this command does not know the webhooks of server and workers.
async fn scope(settings: &Settings) -> Result<Scope, Failure> {
    let scope = ScanService::load_scope(settings).await?;
    Ok(if scope.file().is_none() { scope.without_webhooks() } else { scope })
}

/// Opens the service of an existing deployment, for commands on tasks: neither scanners nor their passwords are needed for it, so
/// it knows no pool and no scanner.
pub(super) async fn open_service(settings: &Settings) -> Result<ScanService, Failure> {
    open_service_with(settings, ScannerRegistry::without_pools()).await
}

/// As [`open_service`], with these scanners.
pub(super) async fn open_service_with(settings: &Settings, scanners: ScannerRegistry) -> Result<ScanService, Failure> {
    existing(settings)?;
    check_directory(settings).await?;
    let service = ScanService::open_with(settings, scanners, scope(settings).await?).await?;
    Ok(service.with_actor(&cli::user_at_host()))
}
