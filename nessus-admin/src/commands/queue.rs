//! Opens the queue and the tasks that a command acts on; `queue rebind`.

use std::{path::PathBuf, sync::Arc};

use nessus_mcp_lib::{
    Queue, ScanService,
    config::{DataUrl, Settings, cli},
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

/// A queue or tasks that do not exist. Commands never create one: an empty new queue in the wrong place would
/// look like a queue without work.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("there is no queue at `{}`", .0.display())]
    Queue(PathBuf),
    #[error("there is no data directory at `{}`", .0.display())]
    Directory(PathBuf),
    #[error("there are no tasks at `{0}`")]
    Bucket(DataUrl),
}

impl Missing {
    /// That nobody has kept tasks where the settings say that they are.
    fn tasks(settings: &Settings) -> Self {
        match &settings.data_url {
            DataUrl::Directory => Self::Directory(settings.data_dir.clone()),
            bucket => Self::Bucket(bucket.clone()),
        }
    }
}

impl Classified for Missing {
    fn code(&self) -> &'static str {
        match self {
            Self::Queue(_) => "no_queue",
            Self::Directory(_) => "no_data_directory",
            Self::Bucket(_) => "no_tasks",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Queue(_) => ErrorKind::Unavailable,
            Self::Directory(_) | Self::Bucket(_) => ErrorKind::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        let place = match self {
            Self::Queue(_) | Self::Directory(_) => {
                "the data directory of the server and its workers with `--data-dir` or `DATA_DIR`"
            }
            Self::Bucket(_) => {
                "the bucket and prefix of the server and its workers with `--data-url` or `DATA_URL`; a server that starts there makes it"
            }
        };
        Some(format!("name {place}"))
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

/// Opens the existing queue and checks that it belongs to the tasks, if there are any: an operator's own machine may have none.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn Queue>, Failure> {
    let queue = queue::open(&existing(settings)?).await?;
    if let Some(tasks) = TaskManager::to_read_for(settings).await? {
        housekeeping::binding_of(Some(&tasks), queue.as_ref()).await?;
    }
    Ok(queue)
}

/// Opens the existing queue, whichever tasks it belongs to.
pub(super) async fn open_any(settings: &Settings) -> Result<Arc<dyn Queue>, Failure> {
    Ok(queue::open(&existing(settings)?).await?)
}

/// The tasks, to be read only.
pub(super) async fn tasks(settings: &Settings) -> Result<TaskManager, Failure> {
    Ok(TaskManager::to_read_for(settings).await?.ok_or_else(|| Missing::tasks(settings))?)
}

/// Opens the service where there are tasks: an operator's own machine may reach only the queue.
pub(super) async fn open_service_if_any(settings: &Settings) -> Result<Option<ScanService>, Failure> {
    match TaskManager::to_read_for(settings).await? {
        Some(_) => Ok(Some(open_service(settings).await?)),
        None => Ok(None),
    }
}

/// `queue rebind`: binds the queue to these tasks.
pub(crate) async fn rebind(args: &RebindArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let queue = queue::open(&existing(&settings)?).await?;
    let before = queue.binding().await?;
    let index = index(&settings, queue).await?;
    let rebind = async { Ok(index.rebind().await?) };
    let place = match &settings.data_url {
        DataUrl::Directory => settings.data_dir.display().to_string(),
        bucket => bucket.to_string(),
    };
    let arguments = json!({ "data_dir": place });
    let id = Recorder::open(&settings).await?.run("queue rebind", arguments, None, rebind).await?.directory;
    if args.json {
        let before = before.map(|before| before.directory);
        return output::json(&json!({ "data_dir": place, "directory": id, "before": before }));
    }
    let before = match before {
        Some(before) if before.directory == id => "as before".to_owned(),
        Some(before) => format!("before it belonged to `{}`", before.directory),
        None => "before it belonged to none".to_owned(),
    };
    output::lines([format!("the queue belongs to {place} (`{id}`); {before}")]);
    Ok(())
}

/// Opens the existing queue together with its tasks: commands on pools are written to both.
pub(super) async fn open_index(settings: &Settings) -> Result<QueueIndex, Failure> {
    let tasks = check_place(settings).await?;
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(tasks.as_ref(), queue.as_ref()).await?;
    index(settings, queue).await
}

async fn index(settings: &Settings, queue: Arc<dyn Queue>) -> Result<QueueIndex, Failure> {
    let tasks = TaskManager::open_for(settings, Arc::new(SystemClock))
        .await?
        .with_webhooks(Scope::default().without_webhooks());
    let tasks = tasks.acting_as(cli::user_at_host());
    Ok(QueueIndex::new(tasks, queue, Arc::new(SystemClock)))
}

/// The tasks as they are. Fails if the place where they would be does not exist: making it here would bind a queue that has just lost
/// its data to an empty one.
async fn check_place(settings: &Settings) -> Result<Option<TaskManager>, Failure> {
    let tasks = TaskManager::to_read_for(settings).await?;
    if tasks.is_some() || settings.data_url == DataUrl::Directory && settings.data_dir.is_dir() {
        return Ok(tasks);
    }
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(None, queue.as_ref()).await?;
    Err(Missing::tasks(settings).into())
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
    check_place(settings).await?;
    let service = ScanService::open_with(settings, scanners, scope(settings).await?).await?;
    Ok(service.with_actor(&cli::user_at_host()))
}
