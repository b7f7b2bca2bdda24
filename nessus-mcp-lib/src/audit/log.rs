//! The audit log of a process: callers hand lines over, one thread appends them, another one syncs.
//!
//! Whatever comes while a sync lasts shares the next one. What waits is bounded: who cannot hand a line over waits, and refusals
//! are counted instead.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::error;

use super::{
    chain::ChainKey,
    error::AuditError,
    file::{ChainFile, Draft, Position},
    joined::Joined,
    line::{Event, Kind},
    places::chain_name,
};
use crate::{
    blocking,
    config::Settings,
    error::chain,
    telemetry::Metrics,
    time::{Clock, SystemClock},
};

/// How many lines may wait to be appended.
const MOST_WAITING: usize = 1024;
/// How many are appended at once.
const MOST_AT_ONCE: usize = 256;
/// How long a line that nobody waits for may stay unsynced.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// The time between two looks when there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// What a process does: each of them has a chain of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessRole {
    /// `nessus-mcp-server`, over HTTP and stdio.
    Server,
    /// `nessus-worker`.
    Worker,
    /// `nessus-admin`.
    Admin,
}

impl ProcessRole {
    /// The word that its chain begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

/// The audit log of a process. Cheap to clone. Where it is off, nothing is written, and nothing fails.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Log>>);

#[derive(Debug)]
struct Log {
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    /// Refusals that there was no room for.
    dropped: Arc<AtomicU64>,
}

/// Something that was asked for: its line is written.
#[derive(Debug)]
#[must_use = "the line with the outcome must follow"]
pub struct Asked(Option<u64>);

type Reply = oneshot::Sender<Result<u64, AuditError>>;

#[derive(Debug)]
struct Job {
    work: Work,
    /// Who waits, and whether until it is synced.
    reply: Option<(Reply, bool)>,
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Work {
    Line(Draft),
    Refusal(Event),
    Flush,
}

impl Audit {
    /// No audit log.
    pub const fn off() -> Self {
        Self(None)
    }

    /// The audit log of this process, as the settings say: off without a policy file. For `nessus-admin` it is on as well where the
    /// directory is there.
    ///
    /// # Errors
    /// [`AuditError`] when it cannot be written.
    pub async fn open(
        settings: &Settings,
        role: ProcessRole,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, AuditError> {
        let directory = settings.audit_dir();
        if !Self::is_wanted(settings, role) {
            return Ok(Self::off());
        }
        let key = settings.secret_key.as_ref().map(ChainKey::new);
        let open =
            move || Self::open_chain(&directory.join(chain_name(role.as_str())), key, Arc::new(SystemClock), metrics);
        blocking::run(open).await.map_err(|_| AuditError::Closed)?
    }

    /// Whether such a process writes one: where the settings name a policy, and the command line also where there is one.
    pub fn is_wanted(settings: &Settings, role: ProcessRole) -> bool {
        settings.policy_config.is_some() || role == ProcessRole::Admin && settings.audit_dir().is_dir()
    }

    /// The chain in this directory.
    pub(super) fn open_chain(
        directory: &Path,
        key: Option<ChainKey>,
        clock: Arc<dyn Clock>,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, AuditError> {
        let chain = ChainFile::open(directory, key.clone(), clock)?;
        let (jobs, queue) = channel();
        let (room, dropped) = (Arc::new(Semaphore::new(MOST_WAITING)), Arc::new(AtomicU64::new(0)));
        let syncs = Arc::new(Syncs::default());
        let failures = Failures { directory: directory.to_owned(), metrics };
        let syncer = Syncer { syncs: Arc::clone(&syncs), key, failures: failures.clone() };
        let appender =
            Appender { chain, queue, syncs, joined: Joined::default(), dropped: Arc::clone(&dropped), failures };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(|error| AuditError::file(directory, &error))
        };
        spawn("audit-sync", Box::new(move || syncer.run()))?;
        spawn("audit", Box::new(move || appender.run()))?;
        Ok(Self(Some(Arc::new(Log { jobs, room, dropped }))))
    }

    /// Whether anything is written.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes that something is about to be done which changes something. It survives the death of this process.
    ///
    /// # Errors
    /// [`AuditError`] when it cannot be written: then it must not be done.
    pub async fn asked(&self, event: Event) -> Result<Asked, AuditError> {
        let draft = Draft { kind: Kind::Asked, asked: None, event };
        let asked = match &self.0 {
            None => None,
            Some(log) => Some(log.wait_for(Work::Line(draft), false).await?),
        };
        crate::fail_points::fail_point!("audit_asked_written");
        Ok(Asked(asked))
    }

    /// Writes what became of it, and waits until that is on the disk. If it cannot be written, what was done stays done: that is logged and
    /// counted.
    pub async fn done(&self, asked: Asked, event: Event) {
        crate::fail_points::fail_point!("audit_before_outcome");
        if let Some(log) = &self.0 {
            let draft = Draft { kind: Kind::Done, asked: asked.0, event };
            // The failure is logged where it happens.
            let _ = log.wait_for(Work::Line(draft), true).await;
        }
    }

    /// As [`done`](Self::done), where nobody can wait for it any more.
    #[expect(clippy::needless_pass_by_value, reason = "what was asked for has one outcome")]
    pub fn abandoned(&self, asked: Asked, event: Event) {
        self.send(Work::Line(Draft { kind: Kind::Done, asked: asked.0, event }));
    }

    /// Writes what happened and changed nothing. It is synced within a second; a failure is logged and counted.
    pub async fn note(&self, event: Event) {
        if let Some(log) = &self.0 {
            let draft = Draft { kind: Kind::Event, asked: None, event };
            log.hand_over(Work::Line(draft), None).await;
        }
    }

    /// Writes that something was refused. The same refusals within some seconds are joined into one line with their count.
    pub fn refused(&self, event: Event) {
        self.send(Work::Refusal(event));
    }

    /// Hands over without waiting. What there is no room for is counted.
    fn send(&self, work: Work) {
        let Some(log) = &self.0 else { return };
        match Arc::clone(&log.room).try_acquire_owned() {
            Ok(room) => drop(log.jobs.send(Job { work, reply: None, _room: Some(room) })),
            Err(_) => drop(log.dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Waits until everything is on the disk that was written before.
    pub async fn flush(&self) {
        if let Some(log) = &self.0 {
            let _ = log.wait_for(Work::Flush, true).await;
        }
    }
}

impl Log {
    async fn wait_for(&self, work: Work, synced: bool) -> Result<u64, AuditError> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(work, Some((reply, synced))).await;
        answer.await.unwrap_or(Err(AuditError::Closed))
    }

    async fn hand_over(&self, work: Work, reply: Option<(Reply, bool)>) {
        // It is never closed.
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        let _ = self.jobs.send(Job { work, reply, _room: room });
    }
}

/// Says that the log cannot be written.
#[derive(Debug, Clone)]
struct Failures {
    directory: PathBuf,
    metrics: Option<Arc<Metrics>>,
}

impl Failures {
    fn tell(&self, error: &AuditError) {
        if let Some(metrics) = &self.metrics {
            metrics.process().audit_failed();
        }
        error!(chain = %self.directory.display(), error = chain(error), "lines of the audit log are not written");
    }
}

/// The thread that appends.
struct Appender {
    chain: ChainFile,
    queue: Receiver<Job>,
    syncs: Arc<Syncs>,
    joined: Joined,
    dropped: Arc<AtomicU64>,
    failures: Failures,
}

impl Appender {
    fn run(mut self) {
        loop {
            let wait = self.joined.due().map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            let first = self.queue.recv_timeout(wait);
            let is_over = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut jobs: Vec<_> = first.into_iter().collect();
            jobs.extend(self.queue.try_iter().take(MOST_AT_ONCE));
            self.append(jobs, is_over);
            if is_over {
                self.syncs.end();
                return;
            }
        }
    }

    fn append(&mut self, jobs: Vec<Job>, is_over: bool) {
        let now = Instant::now();
        let (mut drafts, mut replies, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
        let plain = |event| Draft { kind: Kind::Event, asked: None, event };
        self.joined.add(self.dropped.swap(0, Ordering::Relaxed), now);
        let mut is_flushed = is_over || self.joined.due().is_some_and(|due| due <= now);
        for Job { work, reply, _room } in jobs {
            match work {
                Work::Line(draft) => {
                    replies.extend(reply.map(|(reply, synced)| (drafts.len() as u64, reply, synced)));
                    drafts.push(draft);
                }
                Work::Refusal(event) => drafts.extend(self.joined.take(event, now).map(plain)),
                Work::Flush => {
                    flushes.extend(reply.map(|(reply, _)| (0, reply)));
                    is_flushed = true;
                }
            }
        }
        if is_flushed {
            drafts.extend(self.joined.end().into_iter().map(plain));
        }
        if drafts.is_empty() {
            return self.syncs.add(None, flushes);
        }
        match self.chain.append(drafts) {
            Ok((position, first)) => {
                let (synced, appended): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(.., synced)| *synced);
                for (at, reply, _) in appended {
                    let _ = reply.send(Ok(first + at));
                }
                let synced = synced.into_iter().map(|(at, reply, _)| (first + at, reply));
                self.syncs.add(Some(position), synced.chain(flushes));
            }
            Err(error) => {
                self.failures.tell(&error);
                for reply in
                    replies.into_iter().map(|(_, reply, _)| reply).chain(flushes.into_iter().map(|(_, reply)| reply))
                {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// What is to be synced.
#[derive(Debug, Default)]
struct Syncs {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    /// The last line that was appended, and is not synced.
    last: Option<Position>,
    since: Option<Instant>,
    waiting: Vec<(u64, Reply)>,
    is_over: bool,
}

impl Syncs {
    fn add(&self, position: Option<Position>, waiting: impl IntoIterator<Item = (u64, Reply)>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if position.is_some() {
            pending.since.get_or_insert_with(Instant::now);
            pending.last = position;
        }
        let before = pending.waiting.len();
        pending.waiting.extend(waiting);
        if pending.waiting.len() > before || pending.last.is_some() {
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.changed.notify_one();
    }

    /// Waits until something is to be synced.
    fn next(&self) -> (Option<Position>, Vec<(u64, Reply)>, bool) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = pending.since.map(|since| (since + SYNC_WITHIN).saturating_duration_since(Instant::now()));
            if pending.is_over || !pending.waiting.is_empty() || left.is_some_and(|left| left.is_zero()) {
                pending.since = None;
                return (pending.last.take(), std::mem::take(&mut pending.waiting), pending.is_over);
            }
            let waited = self.changed.wait_timeout(pending, left.unwrap_or(IDLE));
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread that syncs.
struct Syncer {
    syncs: Arc<Syncs>,
    key: Option<ChainKey>,
    failures: Failures,
}

impl Syncer {
    fn run(self) {
        loop {
            let (position, waiting, is_over) = self.syncs.next();
            let file = |error: std::io::Error| AuditError::file(&self.failures.directory, &error);
            let synced = position.as_ref().map_or(Ok(()), |position| ChainFile::sync(position).map_err(file));
            let (lines, flushes): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(seq, _)| *seq > 0);
            for (seq, reply) in lines {
                let _ = reply.send(synced.clone().map(|()| seq));
            }
            let headed = synced.and_then(|()| {
                let head = position.map(|position| ChainFile::head(&position, self.key.as_ref()));
                head.map_or(Ok(()), |head| head.write(&self.failures.directory).map_err(file))
            });
            if let Err(error) = &headed {
                self.failures.tell(error);
            }
            // Whoever waits for all of it waits for the head as well.
            for (seq, reply) in flushes {
                let _ = reply.send(headed.clone().map(|()| seq));
            }
            if is_over {
                return;
            }
        }
    }
}
