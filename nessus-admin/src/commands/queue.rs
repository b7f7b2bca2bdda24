//! Finding the queue and the pools that a command is about; `queue rebind`.

use std::{path::PathBuf, sync::Arc};

use nessus_mcp_lib::{
    Queue, ScanService,
    config::{ScannersConfig, Settings},
    error::{Classified, ErrorKind, Failure},
    housekeeping::{self, QueueIndex},
    ids::PoolName,
    queue::{self, QueueUrl},
    task::TaskManager,
    time::SystemClock,
};

use crate::{args::RebindArgs, output};

/// What nobody has made yet. It is not made by looking at it: an empty new queue in the wrong place would look like one that
/// has nothing to do.
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

/// The address of a queue that exists; whether one on Redis does shows when it is opened.
fn existing(settings: &Settings) -> Result<QueueUrl, Failure> {
    let url: QueueUrl = settings.queue_url.parse()?;
    match &url {
        QueueUrl::Sqlite(path) if !path.is_file() => Err(Missing::Queue(path.clone()).into()),
        _ => Ok(url),
    }
}

/// Opens the queue that exists, if it is that of the data directory. An operator's own machine may have no such directory.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn Queue>, Failure> {
    let queue = queue::open(&existing(settings)?).await?;
    if settings.data_dir.join("tasks").is_dir() {
        housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    }
    Ok(queue)
}

/// `queue rebind`: lets the queue belong to this data directory.
pub(crate) async fn rebind(args: &RebindArgs) -> Result<(), Failure> {
    let settings = args.common.settings();
    let queue = queue::open(&existing(&settings)?).await?;
    let before = queue.binding().await?;
    let index = index(&settings, queue)?;
    let id = index.rebind().await?.directory;
    let before = match before {
        Some(before) if before.directory == id => "it did before".to_owned(),
        Some(before) => format!("before to `{}`", before.directory),
        None => "before to none".to_owned(),
    };
    output::lines([format!("the queue belongs to {} (`{id}`), {before}", settings.data_dir.display())]);
    Ok(())
}

/// Opens what orders about pools are written to: the queue and its data directory, which exist.
pub(super) async fn open_index(settings: &Settings) -> Result<QueueIndex, Failure> {
    check_directory(settings).await?;
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    index(settings, queue)
}

fn index(settings: &Settings, queue: Arc<dyn Queue>) -> Result<QueueIndex, Failure> {
    Ok(QueueIndex::new(TaskManager::open(&settings.data_dir)?, queue, Arc::new(SystemClock)))
}

/// A queue that has just lost its data would be bound to a directory that is made by looking for it.
async fn check_directory(settings: &Settings) -> Result<(), Failure> {
    if settings.data_dir.is_dir() {
        return Ok(());
    }
    let queue = queue::open(&existing(settings)?).await?;
    housekeeping::binding_of(&settings.data_dir, queue.as_ref()).await?;
    Err(Missing::Directory(settings.data_dir.clone()).into())
}

/// Opens everything that commands on tasks need, of a deployment that exists.
pub(super) async fn open_service(settings: &Settings) -> Result<ScanService, Failure> {
    existing(settings)?;
    check_directory(settings).await?;
    Ok(ScanService::open(settings).await?)
}

/// The pools named on the command line, else those of the scanner configuration.
pub(super) fn pools(settings: &Settings, named: &[PoolName]) -> Result<Vec<PoolName>, Failure> {
    let configured = ScannersConfig::load(&settings.scanner_config)
        .map(|config| config.pools.into_iter().map(|pool| pool.name).collect::<Vec<_>>());
    if named.is_empty() {
        return Ok(configured?);
    }
    // A misspelt name would look like a pool without work. Where there is no configuration, names cannot be checked.
    if let Ok(known) = configured
        && let Some(unknown) = named.iter().find(|name| !known.contains(name))
    {
        let known = known.iter().map(PoolName::as_str).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("there is no pool `{unknown}`; the pools are: {known}")));
    }
    Ok(named.to_vec())
}
