//! Pools and their scanners as they are configured, and in what two configurations differ.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::{
    connection::Connection,
    error::ScannerError,
    facts::ScannerHealth,
    guarded::Guarded,
    interface::ScannerInterface,
    offer::{ScanBasis, ScanOffer},
};
use crate::{
    circuit_breaker::CircuitBreaker,
    config::{CircuitSettings, InstanceConfig},
    ids::{InstanceId, PoolName, scanner_name},
};

/// How long what a scanner offers is taken to stay as it was found.
pub(crate) const OFFER_KEPT: Duration = Duration::from_secs(60);

/// A scanner of a pool. Whoever holds a clone may use the scanner, also after the pools were replaced.
#[derive(Clone)]
#[non_exhaustive]
pub struct ScannerInstance {
    /// Its name within the pool.
    pub instance_id: InstanceId,
    /// Its name for people.
    pub name: String,
    /// Its address, for people; empty for a mock.
    pub url: String,
    /// A disabled scanner is listed but not used for new scans.
    pub enabled: bool,
    /// The most scans it runs at once, over all workers.
    pub max_concurrent_scans: u32,
    /// The scanner behind its circuit breaker. A registry puts it behind the breaker of its pool and name.
    pub scanner: Arc<Guarded>,
    /// The entry it was built from, if it was.
    pub(super) origin: Option<Arc<InstanceConfig>>,
}

impl ScannerInstance {
    /// An enabled scanner under this name.
    pub fn new(instance_id: InstanceId, max_concurrent_scans: u32, scanner: Arc<dyn ScannerInterface>) -> Self {
        let breaker = CircuitBreaker::with_checked(instance_id.to_string(), CircuitSettings::default());
        Self {
            name: instance_id.to_string(),
            instance_id,
            url: String::new(),
            enabled: true,
            max_concurrent_scans,
            scanner: Arc::new(Guarded::new(scanner, breaker)),
            origin: None,
        }
    }

    /// The scanner of an entry.
    pub(super) fn of_entry(config: &InstanceConfig, scanner: Arc<dyn ScannerInterface>) -> Self {
        Self {
            name: config.name.clone(),
            url: config.url.clone(),
            enabled: config.enabled,
            origin: Some(Arc::new(config.clone())),
            ..Self::new(config.instance_id.clone(), config.max_concurrent_scans, scanner)
        }
    }

    /// The same behind another guard.
    pub(super) fn behind(&self, guarded: Arc<Guarded>) -> Self {
        Self { scanner: guarded, ..self.clone() }
    }

    /// What the last health check found; `None` before the first one, and where none are made, as on a disabled scanner.
    pub fn health(&self) -> Option<ScannerHealth> {
        let connection = self.connection();
        let health = connection.health().clone();
        health.filter(|_| self.enabled)
    }

    /// Whether the last health check found that the scanner cannot scan.
    pub fn is_unhealthy(&self) -> bool {
        self.health().is_some_and(|health| !health.is_healthy())
    }

    /// The way in which the scanner is reached now.
    pub(super) fn connection(&self) -> Arc<Connection> {
        self.scanner.connection()
    }

    /// What the scanner offers, as it was at most `max_age` ago.
    ///
    /// # Errors
    /// Those of [`ScannerInterface::offer`].
    pub async fn offer(&self, max_age: Duration) -> Result<Arc<ScanOffer>, ScannerError> {
        let connection = self.connection();
        connection.offer(max_age, self.scanner.as_ref()).await
    }

    /// Whether both are the same value now.
    pub(super) fn is_same_value(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.connection().scanner(), other.connection().scanner())
    }

    /// Whether `other`, an instance of the same name, is the same Nessus with the same user, who sees the same scans.
    pub(super) fn is_same_account(&self, other: &Self) -> bool {
        matches!((&self.origin, &other.origin), (Some(ours), Some(theirs)) if ours.is_same_account(theirs))
    }

    /// The keys in which `other`, an instance of the same name, differs. Their values may be secret.
    fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        if let (Some(ours), Some(theirs)) = (&self.origin, &other.origin) {
            return ours.changed_keys(theirs);
        }
        let keys = [
            ("name", self.name != other.name),
            ("url", self.url != other.url),
            ("enabled", self.enabled != other.enabled),
            ("max_concurrent_scans", self.max_concurrent_scans != other.max_concurrent_scans),
            ("scanner", !self.is_same_value(other)),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

impl fmt::Debug for ScannerInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScannerInstance")
            .field("instance_id", &self.instance_id)
            .field("enabled", &self.enabled)
            .field("max_concurrent_scans", &self.max_concurrent_scans)
            .finish_non_exhaustive()
    }
}

/// Scanners of one type that stand in for each other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScannerPool {
    /// Its name.
    pub name: PoolName,
    /// The type of its scanners, such as `nessus`.
    pub scanner_type: String,
    /// Its scanners.
    pub instances: Vec<ScannerInstance>,
}

impl ScannerPool {
    /// A pool of these scanners.
    pub fn new(name: PoolName, scanner_type: impl Into<String>, instances: Vec<ScannerInstance>) -> Self {
        Self { name, scanner_type: scanner_type.into(), instances }
    }

    /// The scanner of this name.
    pub fn instance(&self, instance_id: &InstanceId) -> Option<&ScannerInstance> {
        self.instances.iter().find(|instance| instance.instance_id == *instance_id)
    }

    /// The names of its scanners.
    pub(crate) fn instance_ids(&self) -> Vec<InstanceId> {
        self.instances.iter().map(|instance| instance.instance_id.clone()).collect()
    }

    /// The scanners that take new scans.
    pub fn enabled(&self) -> impl Iterator<Item = &ScannerInstance> {
        self.instances.iter().filter(|instance| instance.enabled)
    }

    /// What its enabled scanners offer, or the one of this name, as it was at most `max_age` ago. All are asked at once, and those
    /// that have not answered after `patience` are not waited for.
    pub(crate) async fn offers(
        &self,
        pinned: Option<&InstanceId>,
        max_age: Duration,
        patience: Duration,
    ) -> Vec<(InstanceId, Result<Arc<ScanOffer>, ScannerError>)> {
        let mut asked = JoinSet::new();
        for instance in self.enabled().filter(|instance| pinned.is_none_or(|id| *id == instance.instance_id)).cloned() {
            asked.spawn(async move {
                let offer = timeout(patience, instance.offer(max_age)).await;
                let late = |_| Err(ScannerError::TimedOut { what: "what it offers".to_owned(), waited: patience });
                (instance.instance_id, offer.unwrap_or_else(late))
            });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(id, _)| self.instances.iter().position(|instance| instance.instance_id == *id));
        answers
    }

    /// The most scans its enabled scanners run at once.
    pub fn capacity(&self) -> u32 {
        self.enabled().map(|instance| instance.max_concurrent_scans).fold(0, u32::saturating_add)
    }
}

/// Which scanners of a pool can make a scan of something.
#[derive(Debug, Default)]
pub(crate) struct Offering {
    /// Those that can, with the name of the policy there, if it is one.
    pub(crate) able: Vec<(InstanceId, Option<String>)>,
    /// Why the others cannot: the most telling of their reasons.
    pub(crate) refused: Option<ScannerError>,
    /// Those of which it is not known, and why.
    pub(crate) unasked: Vec<(InstanceId, ScannerError)>,
}

impl Offering {
    /// What these answers of scanners to [`ScannerPool::offers`] say of a scan that is to be made of this.
    pub(crate) fn of(offers: Vec<(InstanceId, Result<Arc<ScanOffer>, ScannerError>)>, basis: &ScanBasis) -> Self {
        let mut offering = Self::default();
        for (id, offer) in offers {
            match offer.as_ref().map(|offer| offer.check(basis)) {
                Ok(Ok(policy)) => offering.able.push((id, policy.map(str::to_owned))),
                // That one does not have it says less than why one that has it cannot use it.
                Ok(Err(refused)) if offering.refused.as_ref().is_none_or(ScannerError::is_unknown_basis) => {
                    offering.refused = Some(refused);
                }
                Ok(Err(_)) => {}
                // It decides when the scan is created.
                Err(ScannerError::Unsupported(_)) => offering.able.push((id, None)),
                Err(failure) => offering.unasked.push((id, failure.clone())),
            }
        }
        offering
    }
}

/// The pools between two replacements.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) all: Vec<Arc<ScannerPool>>,
    pub(super) default: Option<Arc<ScannerPool>>,
}

impl Pools {
    /// These pools, after each of their scanners was given to `take_in`; after an error none was.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when two pools have one name.
    pub(super) fn new(
        mut pools: Vec<ScannerPool>,
        mut take_in: impl FnMut(&PoolName, &mut ScannerInstance),
    ) -> Result<Self, ScannerError> {
        let names: HashSet<_> = pools.iter().map(|pool| &pool.name).collect();
        if names.len() < pools.len() {
            return Err(ScannerError::Configuration("two pools have the same name".to_owned()));
        }
        for pool in &mut pools {
            pool.instances.iter_mut().for_each(|instance| take_in(&pool.name, instance));
        }
        let all: Vec<_> = pools.into_iter().map(Arc::new).collect();
        let default = all.iter().find(|pool| pool.name.as_str() == "nessus").or_else(|| all.first()).cloned();
        Ok(Self { all, default })
    }

    pub(super) fn pool(&self, name: &PoolName) -> Option<&Arc<ScannerPool>> {
        self.all.iter().find(|pool| pool.name == *name)
    }

    pub(super) fn instance(&self, pool: &PoolName, id: &InstanceId) -> Option<&ScannerInstance> {
        self.pool(pool)?.instance(id)
    }

    /// Each scanner with its pool.
    pub(super) fn instances(&self) -> impl Iterator<Item = (&PoolName, &ScannerInstance)> {
        self.all.iter().flat_map(|pool| pool.instances.iter().map(|instance| (&pool.name, instance)))
    }

    /// Those of these scanners whose names `other` does not have.
    pub(super) fn not_in(&self, other: &Self) -> impl Iterator<Item = (&PoolName, &ScannerInstance)> {
        self.instances().filter(|(pool, instance)| other.instance(pool, &instance.instance_id).is_none())
    }
}

/// What changed when the pools were replaced. Scanners are named `pool:instance`; no value of an entry is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannerChanges {
    /// Scanners that are new.
    pub added: Vec<String>,
    /// Scanners that are not configured any more: the scans on them are watched to their ends.
    pub removed: Vec<String>,
    /// Scanners that are configured otherwise.
    pub changed: Vec<ChangedScanner>,
    /// How many are as they were.
    pub unchanged: usize,
    /// Pools that are not configured any more: the tasks that wait in them go on waiting.
    pub removed_pools: Vec<PoolName>,
}

/// A scanner that is configured otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedScanner {
    /// `pool:instance`.
    pub scanner: String,
    /// The keys of its entry that have other values.
    pub keys: Vec<&'static str>,
}

impl ScannerChanges {
    pub(super) fn between(before: &Pools, after: &Pools) -> Self {
        let named = |(pool, instance): (&PoolName, &ScannerInstance)| scanner_name(pool, &instance.instance_id);
        let removed_pools = before.all.iter().map(|pool| &pool.name).filter(|name| after.pool(name).is_none());
        let mut changes = Self {
            added: after.not_in(before).map(named).collect(),
            removed: before.not_in(after).map(named).collect(),
            removed_pools: removed_pools.cloned().collect(),
            ..Self::default()
        };
        for (pool, instance) in after.instances() {
            match before.instance(pool, &instance.instance_id).map(|known| known.changed_keys(instance)) {
                None => {}
                Some(keys) if keys.is_empty() => changes.unchanged += 1,
                Some(keys) => changes.changed.push(ChangedScanner { scanner: named((pool, instance)), keys }),
            }
        }
        changes
    }

    /// Whether everything is as it was.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
