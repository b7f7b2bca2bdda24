//! A simulated Nessus, the client over real HTTP, a worker and a queue in a file, in one process and in fast time.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use nessus_mcp_lib::{
    ScanService, ScannerInterface, Worker,
    config::{CircuitSettings, CredentialsConfig, SecretKey, WorkerSettings},
    credentials::{Credentials, Login},
    error::Classified as _,
    ids::{InstanceId, PoolName, ScanId, TaskId},
    policy::Scope,
    queue::sqlite::SqliteQueue,
    scanner::{
        Circuits, NessusConfig, NessusScanner, ScanCredential, ScanRequest, ScannerInstance, ScannerPool,
        ScannerRegistry,
    },
    secret::Secret,
    service::{ResultsRequest, ServiceParts, SubmitRequest, TaskView},
    task::{ScanType, TaskManager, TaskStatus},
    time::{Clock, Timestamp},
};
use nessus_mcp_tests::sim::{Fault, SimConfig, SimulatedNessus, Stats};
use tokio::{sync::oneshot, task::JoinHandle};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, fmt::writer::MakeWriterExt as _};

use crate::fast_time::FastTime;

pub(crate) const PASSWORD: &str = "planted-password";
/// The targets of a scan unless a test says otherwise: four hosts.
pub(crate) const TARGETS: &str = "192.0.2.1-192.0.2.4";
/// How fast time passes unless a test says otherwise.
const SPEED: u32 = 80;
/// How often a condition is looked at, and how many times before it is given up.
const LOOK: Duration = Duration::from_millis(400);
const LOOKS: u32 = 20_000;

/// Changes the configuration of the client, knowing the scanner.
type Configures = Box<dyn FnOnce(&SimulatedNessus, NessusConfig) -> NessusConfig>;

/// What a test wants to be other than usual.
pub(crate) struct Setup {
    sim: SimConfig,
    client: Configures,
    worker: WorkerSettings,
    circuits: CircuitSettings,
    scope: Scope,
    speed: u32,
    log: &'static str,
}

impl Setup {
    /// A scan takes 20 seconds, a worker looks every 2 seconds, a request may take 60.
    pub(crate) fn new() -> Self {
        Self {
            sim: SimConfig::new().scan_duration(Duration::from_secs(20)).findings_per_host(3),
            client: Box::new(|_, config| config),
            worker: WorkerSettings::default()
                .with_poll_interval(Duration::from_secs(2))
                .with_lease(Duration::from_secs(600))
                .with_health_interval(None),
            circuits: CircuitSettings::default(),
            scope: Scope::default(),
            speed: SPEED,
            log: "nessus_mcp_lib=debug",
        }
    }

    pub(crate) fn sim(mut self, change: impl FnOnce(SimConfig) -> SimConfig) -> Self {
        self.sim = change(self.sim);
        self
    }

    pub(crate) fn client(
        mut self,
        change: impl FnOnce(&SimulatedNessus, NessusConfig) -> NessusConfig + 'static,
    ) -> Self {
        self.client = Box::new(change);
        self
    }

    /// Puts something between the worker and the client.
    pub(crate) fn worker(mut self, change: impl FnOnce(WorkerSettings) -> WorkerSettings) -> Self {
        self.worker = change(self.worker);
        self
    }

    pub(crate) fn circuits(mut self, change: impl FnOnce(CircuitSettings) -> CircuitSettings) -> Self {
        self.circuits = change(self.circuits);
        self
    }

    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Time passes so many times as fast as on the wall.
    pub(crate) fn speed(mut self, speed: u32) -> Self {
        self.speed = speed;
        self
    }

    pub(crate) fn log(mut self, filter: &'static str) -> Self {
        self.log = filter;
        self
    }

    pub(crate) async fn start(self) -> Rig {
        let log = Log::default();
        let writer = {
            let log = log.clone();
            (move || log.clone()).and(tracing_subscriber::fmt::TestWriter::default())
        };
        let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(self.log)).with_ansi(false);
        let logged = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber.with_writer(writer).finish());
        let time = FastTime::start(self.speed);
        let sim = SimulatedNessus::start_with(self.sim.login("scan", PASSWORD).clock(time.of_scanner())).await;
        let config = NessusConfig::new(sim.url(), "scan", Secret::new(PASSWORD))
            .request_timeout(Duration::from_secs(60))
            .export_idle_timeout(Duration::from_secs(60))
            .retry_pause(Duration::from_millis(500));
        let config = (self.client)(&sim, config);
        let scanner = Arc::new(NessusScanner::new(config.clone()).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(time.clock());
        let tasks = TaskManager::open_with_clock(directory.path(), Arc::clone(&clock)).unwrap();
        let queue = SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::clone(&clock)).unwrap();
        let in_use: Arc<dyn ScannerInterface> = scanner.clone();
        let scanner_instance = ScannerInstance::new(instance(), 2, in_use);
        let scanners = ScannerRegistry::new(vec![ScannerPool::new(pool(), "nessus", vec![scanner_instance])]).unwrap();
        let key = SecretKey::new(&"0f".repeat(32)).unwrap();
        let parts = ServiceParts::new(directory.path(), tasks, Arc::new(queue), scanners)
            .with_circuits(Circuits::new(self.circuits).unwrap())
            .with_scope(self.scope)
            .with_credentials(Credentials::new(CredentialsConfig::default(), Some(key)))
            .with_clock(clock);
        let service = ScanService::new(parts).unwrap();
        let mut rig = Rig {
            sim,
            service,
            scanner,
            config,
            time,
            log,
            settings: self.worker,
            worker: None,
            directory,
            _logged: logged,
        };
        rig.start_worker();
        rig
    }
}

impl Setup {
    /// The same, with a fault that is set before anything happens.
    pub(crate) async fn start_with(self, fault: Fault) -> Rig {
        let rig = self.start().await;
        rig.sim.inject(fault);
        rig
    }
}

/// All of it, running.
pub(crate) struct Rig {
    pub(crate) sim: SimulatedNessus,
    pub(crate) service: ScanService,
    /// The client that the worker uses.
    pub(crate) scanner: Arc<NessusScanner>,
    pub(crate) config: NessusConfig,
    pub(crate) time: FastTime,
    pub(crate) log: Log,
    settings: WorkerSettings,
    worker: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    directory: tempfile::TempDir,
    _logged: DefaultGuard,
}

pub(crate) fn pool() -> PoolName {
    PoolName::new("nessus").unwrap()
}

pub(crate) fn instance() -> InstanceId {
    InstanceId::new("sim").unwrap()
}

impl Rig {
    /// A rig on which this fault is set before anything happens.
    pub(crate) async fn with(fault: Fault) -> Self {
        Setup::new().start_with(fault).await
    }

    pub(crate) fn start_worker(&mut self) {
        let worker = Worker::new(&self.service, self.settings.clone()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        self.worker = Some((stop, worker));
    }

    /// A client of its own for the same scanner, which knows neither session nor token yet.
    pub(crate) fn another_client(&self) -> NessusScanner {
        NessusScanner::new(self.config.clone()).unwrap()
    }

    /// Creates a scan of no task.
    pub(crate) async fn create(&self) -> ScanId {
        self.scanner.create(&ScanRequest::new("ne_of_no_task", "by hand", TARGETS)).await.unwrap()
    }

    /// Ends the worker in the middle of whatever it does, and starts another one.
    pub(crate) async fn crash_worker(&mut self) {
        if let Some((_stop, worker)) = self.worker.take() {
            worker.abort();
            let _ = worker.await;
        }
        self.start_worker();
    }

    pub(crate) async fn submit(&self) -> TaskId {
        self.submit_for(TARGETS).await
    }

    pub(crate) async fn submit_for(&self, targets: &str) -> TaskId {
        self.service.submit(SubmitRequest::untrusted("nightly", targets)).await.unwrap().task_id
    }

    /// Submits a scan that logs in to its targets.
    pub(crate) async fn submit_with(&self, scan_type: ScanType, login: ScanCredential) -> TaskId {
        let mut request = SubmitRequest::new(scan_type, "nightly", TARGETS);
        request.login = Some(Login::Inline(login));
        self.service.submit(request).await.unwrap().task_id
    }

    pub(crate) async fn view(&self, task: &TaskId) -> TaskView {
        self.service.status(task).await.unwrap()
    }

    /// Waits until `condition` has something.
    pub(crate) async fn until<T>(&self, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..LOOKS {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("waited in vain until {what}: {:#?}\n{}", self.sim.stats(), self.log.text());
    }

    /// Waits until a task's scan runs on the scanner; returns its id there.
    pub(crate) async fn running(&self, task: &TaskId) -> ScanId {
        self.until("the scan runs", async || {
            let view = self.view(task).await;
            assert!(!view.status.is_terminal(), "{view:#?}");
            view.nessus_scan_id.filter(|_| view.scan_state.as_deref() == Some("running"))
        })
        .await
    }

    /// Waits until a task has ended and the queue has forgotten it. The task's file and what an agent sees agree.
    pub(crate) async fn ended(&self, task: &TaskId) -> TaskView {
        self.until(&format!("{task} has ended"), async || {
            let leased = self.service.queue().stats(&pool()).await.unwrap().leased;
            (self.view(task).await.status.is_terminal() && leased == 0).then_some(())
        })
        .await;
        let (view, record) = (self.view(task).await, self.service.tasks().get(task).await.unwrap());
        assert_eq!(
            (view.status, &view.error_code, &view.error_message),
            (record.status, &record.error_code, &record.error_message)
        );
        let results = self.service.results(ResultsRequest::new(task.clone())).await;
        assert_eq!(results.is_ok(), view.results_available, "{results:?}");
        if let Err(refused) = results {
            assert_eq!(refused.code(), "no_results", "{refused}");
        }
        view
    }

    /// Waits until a task is complete, with findings on so many hosts; returns what an agent sees of it.
    pub(crate) async fn completed_with(&self, task: &TaskId, hosts: u64) -> TaskView {
        let view = self.ended(task).await;
        let seen = (view.status, view.error_code.as_deref(), view.progress, view.results_available);
        assert_eq!(seen, (TaskStatus::Completed, None, Some(100), true), "{view:#?}\n{}", self.log.text());
        assert_eq!(view.validation_stats.as_ref().unwrap()["hosts"], hosts, "{view:#?}");
        let findings = self.service.results(ResultsRequest::new(task.clone())).await.unwrap();
        assert_eq!(findings.contains("\"type\":\"vulnerability\""), hosts > 0, "{findings}");
        view
    }

    /// The same for the usual targets.
    pub(crate) async fn completed(&self, task: &TaskId) -> TaskView {
        self.completed_with(task, 4).await
    }

    /// Waits until a task has ended in this way, without results; returns its message.
    pub(crate) async fn ended_as(&self, task: &TaskId, status: TaskStatus, code: &str) -> String {
        let view = self.ended(task).await;
        let seen = (view.status, view.error_code.as_deref(), view.results_available);
        assert_eq!(seen, (status, Some(code), false), "{view:#?}\n{}", self.log.text());
        view.error_message.unwrap()
    }

    pub(crate) async fn failed(&self, task: &TaskId, code: &str) -> String {
        let message = self.ended_as(task, TaskStatus::Failed, code).await;
        let letters = self.service.queue().dead_letters(&pool(), 0, 10).await.unwrap();
        assert!(letters.iter().any(|letter| letter.reason.error_code == code), "{letters:?}");
        message
    }

    /// A scan from its submit to its completion; the fault is set already.
    pub(crate) async fn completes(self) -> Stats {
        // Boxed, because it is large.
        let run = async move {
            let task = self.submit().await;
            self.completes_as(&task).await
        };
        Box::pin(run).await
    }

    /// The same for a scan that was submitted already.
    pub(crate) async fn completes_as(self, task: &TaskId) -> Stats {
        Box::pin(self.completed(task)).await;
        let stats = self.close().await;
        assert_eq!((stats.total_creates, stats.total_launches), (1, 1), "{stats:#?}");
        stats
    }

    /// A scan from its submit to its failure with this code; returns the message as well.
    pub(crate) async fn fails(self, code: &str) -> (String, Stats) {
        let task = self.submit().await;
        let message = self.failed(&task, code).await;
        (message, self.close().await)
    }

    /// Stops the worker. Whatever happened: no scan was created or launched twice, and no session is left.
    pub(crate) async fn close(self) -> Stats {
        let log = self.log.clone();
        let stats = self.stop().await;
        assert_eq!(stats.sessions, 0, "{stats:#?}\n{}", log.text());
        stats
    }

    /// Stops the worker, where the scanner has a session that nobody can end. No scan was created or launched twice.
    pub(crate) async fn stop(mut self) -> Stats {
        // A logout has only seconds.
        self.time.speed(20);
        self.stop_worker().await;
        let stats = self.sim.stats();
        let once = |counts: &BTreeMap<String, u64>| counts.values().all(|count| *count == 1);
        assert!(once(&stats.creates) && once(&stats.launches), "{stats:#?}");
        stats
    }

    /// [`close`](Self::close), after calls that only the client made.
    pub(crate) async fn close_client(self) -> Stats {
        self.scanner.close().await;
        self.close().await
    }

    pub(crate) async fn stop_worker(&mut self) {
        if let Some((stop, worker)) = self.worker.take() {
            drop(stop);
            worker.await.unwrap();
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Where tasks and queue are kept.
    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }
}

/// How often a call was made.
pub(crate) fn calls(stats: &Stats, call: &str) -> u64 {
    stats.calls.get(call).copied().unwrap_or_default()
}

/// How often a fault has struck.
pub(crate) fn struck(stats: &Stats, fault: &str) -> u64 {
    stats.faults.get(fault).copied().unwrap_or_default()
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
