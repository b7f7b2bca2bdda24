//! Opening the file, running steps on it, and telling what went wrong.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, config::DbConfig};

use super::{
    errors::describe,
    schema,
    steps::{Answer, Steps},
};
use crate::{durable, queue::error::QueueError};

/// How long a step waits for the steps of other processes, and how often it looks whether they have ended.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_LOOK: Duration = Duration::from_millis(1);

/// A process that writes without end lets others in for a moment, in which each that waits looks at least once.
const TURN: Duration = Duration::from_millis(50);
const BETWEEN_TURNS: Duration = Duration::from_millis(3);

/// How long opening waits for other processes that open the same new file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The queue's file, and the connections to the one that lies there now.
#[derive(Debug)]
pub(super) struct Store {
    location: String,
    path: PathBuf,
    open: RwLock<Arc<Connections>>,
    steps: Steps,
}

/// Runs the steps that wait. If it is dropped before, they are not run.
#[derive(Debug)]
pub(super) struct Lead {
    store: Arc<Store>,
    is_done: bool,
}

impl Lead {
    pub(super) fn run(mut self) {
        let mut began = Instant::now();
        while self.store.steps.go_on() {
            self.store.write_waiting();
            if began.elapsed() >= TURN {
                thread::sleep(BETWEEN_TURNS);
                began = Instant::now();
            }
        }
        self.is_done = true;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.is_done {
            self.store.steps.give_up();
        }
    }
}

#[derive(Debug)]
struct Connections {
    identity: Option<(u64, u64)>,
    writer: Mutex<Connection>,
    /// A second connection, so that looking does not wait for a writer's sync.
    reader: Mutex<Connection>,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, QueueError> {
        let location = path.display().to_string();
        create_private(path).map_err(|error| unusable(&location, "the file cannot be created", error))?;
        // Absolute, so that neither a later change of directory nor a name such as `file:x` misleads SQLite.
        let path = fs::canonicalize(path).map_err(|error| unusable(&location, "the file cannot be found", error))?;
        if path.is_dir() {
            return Err(QueueError::Unusable { location, problem: "it is a directory".to_owned(), source: None });
        }
        let open = RwLock::new(Arc::new(Connections::open(&path, &location)?));
        Ok(Self { location, path, open, steps: Steps::default() })
    }

    /// The path as it was given.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Adds a step to those that wait. Whoever gets a [`Lead`] with the answer's place has to run it, on a thread that may block.
    #[must_use]
    pub(super) fn add<T, F>(self: &Arc<Self>, step: F) -> (Answer<T>, Option<Lead>)
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, leads) = self.steps.add(step);
        (answer, leads.then(|| Lead { store: Arc::clone(self), is_done: false }))
    }

    /// Runs steps that wait, as many as share a transaction.
    fn write_waiting(&self) {
        match self.connections() {
            Ok(connections) => {
                let mut connection = connections.writer.lock().unwrap_or_else(PoisonError::into_inner);
                self.steps.run(&mut connection, |error| self.failed(error));
            }
            Err(error) => self.steps.fail(&error),
        }
    }

    /// Looks at one consistent state.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        let connections = self.connections()?;
        let mut connection = connections.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || look(&connection.transaction()?);
        run().map_err(|error| self.failed(error))
    }

    /// What a step reports. The file was opened before, so one that cannot be opened now lacks a descriptor, not a person.
    fn failed(&self, error: rusqlite::Error) -> QueueError {
        match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => QueueError::Unavailable {
                location: self.location.clone(),
                problem: "a file of it cannot be opened now".to_owned(),
                source: Some(error.into()),
            },
            _ => describe(&self.location, error),
        }
    }

    /// Whether the file is there and answers.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.read(|view| schema::version(view).map(drop))
    }

    /// Calls `set` with the connection that writes, to set limits on it.
    #[cfg(test)]
    pub(super) fn with_writer<T>(&self, set: impl FnOnce(&Connection) -> T) -> T {
        set(&self.connections().unwrap().writer.lock().unwrap())
    }

    /// Whether no step waits and none is run.
    #[cfg(test)]
    pub(super) fn nobody_writes(&self) -> bool {
        !self.steps.are_led()
    }

    /// The connections to the file that lies at the path now. SQLite goes on writing into a file that was moved away or
    /// deleted, and everything written there is lost; so the one in its place is opened, or made.
    fn connections(&self) -> Result<Arc<Connections>, QueueError> {
        let open = Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner));
        if identity(&self.path) == open.identity {
            return Ok(open);
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if identity(&self.path) != open.identity {
            let gone = |problem: &str, source| QueueError::Unavailable {
                location: self.location.clone(),
                problem: format!("the file was removed or replaced while it was open, and {problem}"),
                source,
            };
            // A directory that is not there may be on a disk that is not mounted.
            if !self.path.parent().is_some_and(Path::is_dir) {
                return Err(gone("its directory too", None));
            }
            create_private(&self.path).map_err(|error| gone("no new one can be made", Some(error.into())))?;
            *open = Arc::new(Connections::open(&self.path, &self.location)?);
            tracing::warn!(
                queue = self.location,
                "the file was removed or replaced while it was open; a new one is used"
            );
        }
        Ok(Arc::clone(&open))
    }
}

impl Connections {
    fn open(path: &Path, location: &str) -> Result<Self, QueueError> {
        let failed = |error| describe(location, error);
        let mut writer = connect(path).map_err(failed)?;
        switch_to_wal(&writer, location)?;
        schema::install(&mut writer, location)?;
        let reader = connect(path).map_err(failed)?;
        reader.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Self { identity: identity(path), writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }
}

fn unusable(location: &str, problem: &str, error: io::Error) -> QueueError {
    QueueError::Unusable {
        location: location.to_owned(),
        problem: format!("{problem}: {error}"),
        source: Some(error.into()),
    }
}

/// Device and inode, where there are such.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<(u64, u64)> {
    None
}

/// Creates the file and its directory unless they are there.
///
/// Of several processes one makes the file, and it clears away what lies beside it of a file that was moved: others may
/// still have that open, and SQLite would take its log for the new one's.
fn create_private(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        durable::create_directory(directory)?;
    }
    // Dropped, and the lock with it, when the file is there.
    let locked = File::open(directory)?;
    locked.lock()?;
    if path.exists() {
        return Ok(());
    }
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    // Only ever a new file: closing a second handle on an open database would drop SQLite's locks on it.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    durable::sync_directory(directory)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // One connection is never used by two threads at once: it is behind a mutex of ours.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_while_busy))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    // A plan that looked at the values it is given would be made anew with each new value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Called while others hold the lock, with how often it was called before; whether to look again. SQLite's own way of waiting
/// looks ever less often, and does not find the moment in which another process lets it in.
fn wait_while_busy(looks: i32) -> bool {
    thread::sleep(BUSY_LOOK);
    u128::try_from(looks).is_ok_and(|looks| looks * BUSY_LOOK.as_millis() < BUSY_TIMEOUT.as_millis())
}

/// SQLite does not wait when two connections change the journal mode of a new file at once: it fails one of them.
fn switch_to_wal(connection: &Connection, location: &str) -> Result<(), QueueError> {
    let deadline = Instant::now() + OPEN_TIMEOUT;
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(QueueError::Unusable {
                    location: location.to_owned(),
                    problem: format!("it stays in journal mode `{mode}`, a local disk is needed for WAL"),
                    source: None,
                });
            }
            Err(error) if is_busy(&error) && Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(describe(location, error)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
