//! What is shown of the circuits of scanners, and an operator's commands.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ScanService, ServiceError, shorten, submit::instance_of};
use crate::{
    circuit_breaker::{CircuitCommand, CircuitState},
    ids::{InstanceId, PoolName},
    queue::{CircuitNotice, CircuitNoticeKind, CircuitReport, PostedNotice, ProcessCircuits},
    time::Timestamp,
};

/// Whether calls are made to a scanner, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CircuitStatus {
    /// closed: scans run there. open: it is not called for a while, too many calls failed. half_open: a few calls try
    /// whether it is back. isolated: an operator has forbidden it. unusable: it refused the login. Where processes differ,
    /// this is the worst of their states.
    pub state: CircuitState,
    /// Since when; absent while nothing ever happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// In how many seconds it is tried again; absent where nobody waits, or somebody has to do something first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Why, with the last failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The process or operator that says so; absent while nothing ever happened, and for whoever is no operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub changed_by: String,
    /// How often it opened, in the processes that run.
    pub opens: u64,
    /// How many calls failed, in the processes that run.
    pub failures: u64,
    /// How it stands in each process that runs; one that has ended is shown for a few seconds still. Only operators are told: the role
    /// `admin`, and whoever is on the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessCircuit>,
}

/// The circuit of a scanner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScannerCircuit {
    /// Its pool.
    pub scanner_pool: PoolName,
    /// The scanner.
    pub scanner_instance: InstanceId,
    /// How it stands.
    #[serde(flatten)]
    pub circuit: CircuitStatus,
}

/// How the circuit of a scanner stands in one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessCircuit {
    /// The process: a worker or a server.
    pub process: String,
    /// The state, as above.
    pub state: CircuitState,
    /// Since when; absent while nothing ever happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// In how many seconds the process tries it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How often it opened.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub opens: u64,
    /// How many calls failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ProcessCircuit {
    fn new(process: &ProcessCircuits, report: &CircuitReport, now: Timestamp) -> Self {
        let lasted = process.age + Duration::from_millis(report.lasted_ms);
        let left = Duration::from_millis(report.left_ms).saturating_sub(process.age);
        let is_timed = matches!(report.state, CircuitState::Open | CircuitState::HalfOpen);
        Self {
            process: shorten::text(&process.process),
            state: report.state,
            since: (!report.reason.is_empty()).then(|| now.minus(lasted)),
            retry_after_seconds: is_timed.then(|| left.as_secs() + u64::from(left.subsec_nanos() > 0)),
            reason: shorten::text(&report.reason),
            opens: report.opens,
            failures: report.failures,
        }
    }
}

impl CircuitStatus {
    /// Whether new scans are begun there, as far as the circuit decides.
    pub const fn lets_through(&self) -> bool {
        matches!(self.state, CircuitState::Closed | CircuitState::HalfOpen)
    }

    /// As it is told to whoever is no operator.
    pub(super) fn without_processes(self) -> Self {
        Self { changed_by: String::new(), processes: Vec::new(), ..self }
    }

    /// An isolation that stands holds for all processes; else the worst of what they say.
    fn of(posted: Option<PostedNotice>, processes: Vec<ProcessCircuit>) -> Self {
        let sum = |count: fn(&ProcessCircuit) -> u64| processes.iter().map(count).sum();
        let mut status = Self {
            state: CircuitState::Closed,
            since: None,
            retry_after_seconds: None,
            reason: String::new(),
            changed_by: String::new(),
            opens: sum(|circuit| circuit.opens),
            failures: sum(|circuit| circuit.failures),
            processes: Vec::new(),
        };
        // The first of the worst. One that is isolated while no isolation stands will notice within a second.
        let is_late = |circuit: &ProcessCircuit| circuit.state == CircuitState::Isolated && posted.is_some();
        let says = processes.iter().filter(|circuit| circuit.since.is_some() && !is_late(circuit));
        if let Some(circuit) = says.min_by_key(|circuit| Reverse(severity(circuit.state))) {
            status.state = circuit.state;
            status.since = circuit.since;
            status.retry_after_seconds = circuit.retry_after_seconds;
            status.reason.clone_from(&circuit.reason);
            status.changed_by.clone_from(&circuit.process);
        }
        if let Some(posted) = posted
            && (posted.isolates()
                || status.state == CircuitState::Closed && status.since.is_none_or(|since| since <= posted.at))
        {
            status.say(&posted);
        }
        status.processes = processes;
        status
    }

    /// Shows an operator's command; that a login was refused is shown by who was refused.
    fn say(&mut self, posted: &PostedNotice) {
        if let CircuitNoticeKind::Command(command) = posted.notice.kind {
            self.state = command.state();
            self.since = Some(posted.at);
            self.retry_after_seconds = None;
            self.reason = shorten::text(&posted.notice.reason);
            self.changed_by = shorten::text(&posted.notice.by);
        }
    }
}

/// The worse, the larger.
const fn severity(state: CircuitState) -> u8 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
        CircuitState::Unusable => 3,
        CircuitState::Isolated => 4,
    }
}

impl ScanService {
    /// How the circuits of these scanners stand in these processes, in the order of the scanners.
    pub(super) async fn circuit_statuses(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
        processes: &[ProcessCircuits],
    ) -> Result<Vec<CircuitStatus>, ServiceError> {
        let notices = self.queue.circuit_notices(pool, instances).await?;
        Ok(self.statuses_of(pool, instances, notices, processes))
    }

    /// The same as far as this process knows by itself.
    pub(super) fn own_circuit_statuses(&self, pool: &PoolName, instances: &[InstanceId]) -> Vec<CircuitStatus> {
        self.statuses_of(pool, instances, vec![None; instances.len()], &[self.circuits.report()])
    }

    fn statuses_of(
        &self,
        pool: &PoolName,
        instances: &[InstanceId],
        notices: Vec<Option<PostedNotice>>,
        processes: &[ProcessCircuits],
    ) -> Vec<CircuitStatus> {
        let now = self.clock.now();
        let statuses = instances.iter().zip(notices).map(|(instance, posted)| {
            let of_process = |process: &ProcessCircuits| {
                let is_of = |report: &&CircuitReport| (&report.pool, &report.instance) == (pool, instance);
                Some(ProcessCircuit::new(process, process.circuits.iter().find(is_of)?, now))
            };
            CircuitStatus::of(posted, processes.iter().filter_map(of_process).collect())
        });
        statuses.collect()
    }

    /// What the processes have published, this one as it stands now. One that calls no scanner publishes nothing.
    pub(super) async fn process_circuits(&self) -> Result<Vec<ProcessCircuits>, ServiceError> {
        let mut processes = self.queue.circuit_states().await?;
        let own = self.circuits.report();
        if let Some(published) = processes.iter_mut().find(|process| process.process == own.process) {
            *published = own;
        }
        Ok(processes)
    }

    /// How the circuits stand of these scanners, and of all others that a process has told of or an operator has isolated, by pool
    /// and scanner. Neither needs to be configured here.
    ///
    /// # Errors
    /// When queue or data directory cannot be read.
    pub async fn scanner_circuits(
        &self,
        scanners: &[(PoolName, Vec<InstanceId>)],
    ) -> Result<Vec<ScannerCircuit>, ServiceError> {
        let mut names: BTreeMap<PoolName, BTreeSet<InstanceId>> = BTreeMap::new();
        for (pool, instances) in scanners {
            names.entry(pool.clone()).or_default().extend(instances.iter().cloned());
        }
        for (pool, instances) in self.tasks.queue_file().await?.isolated {
            names.entry(pool).or_default().extend(instances.into_keys());
        }
        let processes = self.process_circuits().await?;
        for report in processes.iter().flat_map(|process| &process.circuits) {
            names.entry(report.pool.clone()).or_default().insert(report.instance.clone());
        }
        let mut circuits = Vec::new();
        for (pool, instances) in names {
            let instances: Vec<_> = instances.into_iter().collect();
            let statuses = self.circuit_statuses(&pool, &instances, &processes).await?;
            circuits.extend(instances.into_iter().zip(statuses).map(|(scanner_instance, circuit)| ScannerCircuit {
                scanner_pool: pool.clone(),
                scanner_instance,
                circuit,
            }));
        }
        Ok(circuits)
    }

    /// Isolates, closes or resets the circuit of a scanner, in every process; those that run notice within seconds.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] or [`ServiceError::UnknownInstance`] when it is not configured;
    /// [`ServiceError::Invalid`] to close the circuit of a scanner that has refused the login.
    pub async fn command_circuit(
        &self,
        pool: &str,
        instance: &str,
        command: CircuitCommand,
        reason: &str,
    ) -> Result<CircuitStatus, ServiceError> {
        let pool = self.pool_of(Some(pool))?;
        let id = instance_of(&pool, instance, |_| true)?;
        self.command_circuit_of(&pool.name, id, command, reason).await
    }

    /// As [`command_circuit`](Self::command_circuit), of a scanner that need not be configured here.
    ///
    /// # Errors
    /// As there, but for the names.
    pub async fn command_circuit_of(
        &self,
        pool: &PoolName,
        id: InstanceId,
        command: CircuitCommand,
        reason: &str,
    ) -> Result<CircuitStatus, ServiceError> {
        if command == CircuitCommand::Close {
            let processes = self.process_circuits().await?;
            let standing = self.circuit_statuses(pool, std::slice::from_ref(&id), &processes).await?;
            if standing.iter().any(|status| status.state == CircuitState::Unusable) {
                return Err(ServiceError::Invalid {
                    field: "instance",
                    message: "names a scanner that has refused the login: closing its circuit does not change that"
                        .to_owned(),
                    hint: Some("correct the user name and password, then reset the circuit".to_owned()),
                });
            }
        }
        let isolation = (command == CircuitCommand::Isolate).then_some(reason);
        self.index.record_isolation(pool, &id, isolation).await?;
        let notice = CircuitNotice::command(command, reason, self.actor());
        let posted = self.queue.post_circuit_notice(pool, &id, &notice).await?;
        self.circuits.exchange(self.queue.as_ref(), pool, std::slice::from_ref(&id)).await?;
        let mut statuses = self.circuit_statuses(pool, &[id], &self.process_circuits().await?).await?;
        let mut status = statuses.pop().unwrap_or_else(|| CircuitStatus::of(None, Vec::new()));
        // Other processes notice within a second.
        status.say(&posted);
        Ok(status)
    }
}
