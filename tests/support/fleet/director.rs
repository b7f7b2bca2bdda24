//! Does the faults, one after the other, and keeps the processes running.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Fault, Plan, agents::Progress, stage::Stage};
use crate::{
    chaos::{
        Moments,
        evidence::{self, Logged},
    },
    s3::{self, BUCKET, FaultKind, Operation, S3Error},
};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// After how long without a step of any agent a worker is started again, as whoever looks after a fleet would do.
const STILL: Duration = Duration::from_secs(30);

/// What a run has left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) faults: BTreeMap<Fault, usize>,
    /// What was written by the processes, by task.
    pub(super) logged: BTreeMap<String, Logged>,
    /// The bucket after housekeeping, with what stands in the JSON files.
    pub(super) objects: BTreeMap<String, Option<Value>>,
    pub(super) findings: Vec<String>,
    /// Processes that were started again: they had ended because queue or store were away, or nothing moved.
    pub(super) started_again: usize,
    pub(super) directory: PathBuf,
    /// The files go when it is dropped, once they are not needed.
    pub(super) stage: Stage,
}

pub(super) struct Director {
    schedule: Vec<Fault>,
    /// How many steps the agents make in all.
    steps: usize,
    moments: Moments,
    stage: Stage,
    progress: Arc<Progress>,
    faults: BTreeMap<Fault, usize>,
    findings: Vec<String>,
    still_since: (usize, Instant),
    next_worker: usize,
}

impl Director {
    pub(super) fn new(plan: &Plan, stage: Stage, progress: Arc<Progress>) -> Self {
        let mut moments = Moments::new(plan.seed);
        Self {
            schedule: Fault::schedule(plan.faults, &mut moments),
            // A submit and an end each.
            steps: 2 * plan.scans,
            moments,
            stage,
            progress,
            faults: BTreeMap::new(),
            findings: Vec::new(),
            still_since: (0, Instant::now()),
            next_worker: 0,
        }
    }

    /// Until the agents are done.
    pub(super) fn run(mut self) -> Ended {
        let schedule = std::mem::take(&mut self.schedule);
        for (number, fault) in schedule.iter().enumerate() {
            // Spread over the whole run, and none after its last step.
            let step = self.steps * number / schedule.len();
            while self.progress.steps() < step && !self.progress.is_done() {
                self.look_after();
            }
            if self.progress.is_done() {
                break;
            }
            self.strike(*fault);
            *self.faults.entry(*fault).or_default() += 1;
        }
        while !self.progress.is_done() {
            self.look_after();
        }
        self.stage.s3.clear_faults();
        let stopped = self.stage.stop();
        self.findings.extend(stopped);
        self.findings.extend(self.stage.clean_up().err());
        let directory = self.stage.directory().to_owned();
        Ended {
            faults: self.faults,
            logged: evidence::gather(&directory),
            objects: self.stage.s3.objects(BUCKET),
            findings: self.findings,
            started_again: self.stage.started_again,
            directory,
            stage: self.stage,
        }
    }

    fn look_after(&mut self) {
        if let Err(finding) = self.stage.supervise() {
            self.findings.push(finding);
            // Once is enough: from now on the others do its work.
            thread::sleep(LOOK * 20);
        }
        let steps = self.progress.steps();
        if steps != self.still_since.0 {
            self.still_since = (steps, Instant::now());
        } else if self.still_since.1.elapsed() > STILL {
            self.still_since.1 = Instant::now();
            self.stage.started_again += 1;
            self.stage.kill_worker(self.next_worker);
            self.next_worker = (self.next_worker + 1) % self.stage.worker_count();
        }
        thread::sleep(LOOK);
    }

    /// Does a fault; returns when it is over, or when the next requests will show it.
    fn strike(&mut self, fault: Fault) {
        let seconds =
            |moments: &mut Moments, most| moments.next_in(&(Duration::from_millis(300)..Duration::from_secs(most)));
        match fault {
            Fault::WorkerKilled => {
                let worker = self.one_of(self.stage.worker_count());
                self.stage.kill_worker(worker);
            }
            Fault::ServerKilled => {
                let server = self.one_of(self.stage.server_count());
                self.stage.kill_server(server);
            }
            Fault::RedisKilled => {
                let away = seconds(&mut self.moments, 2);
                self.stage.redis.kill_primary(away);
            }
            Fault::S3Frozen => {
                self.stage.s3.process.freeze();
                thread::sleep(seconds(&mut self.moments, 6));
                self.stage.s3.process.thaw();
            }
            Fault::S3Cut => {
                self.stage.proxy.cut();
                thread::sleep(seconds(&mut self.moments, 3));
                self.stage.proxy.mend();
            }
            Fault::S3CutInBody => self.answers(s3::Fault::new(FaultKind::CutAfter(100)).on(Operation::Get), 4..20),
            Fault::S3RepliesLost => self.answers(s3::Fault::new(FaultKind::ReplyLost), 1..8),
            Fault::S3SlowDown => self.answers(s3::Fault::answer(S3Error::SlowDown), 4..40),
            Fault::S3Refuses => {
                let fault = s3::Fault::answer(S3Error::PreconditionFailed).on(Operation::Put).key("/task.json");
                self.answers(fault, 1..6);
            }
        }
    }

    /// Lets some of the next requests to the S3 server go wrong.
    fn answers(&mut self, fault: s3::Fault, count: std::ops::Range<u64>) {
        let counts: Vec<u64> = count.collect();
        let count = self.moments.pick(&counts).unwrap_or(1);
        self.stage.s3.inject(&fault.count(count));
    }

    fn one_of(&mut self, count: usize) -> usize {
        let all: Vec<usize> = (0..count).collect();
        self.moments.pick(&all).unwrap_or(0)
    }
}
