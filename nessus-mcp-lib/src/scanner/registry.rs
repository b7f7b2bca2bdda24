//! The pools of this process: which scanners there are and what they can take.
//!
//! The pools are replaced as a whole when the configuration is read again. Whoever has taken a scanner out of the registry
//! keeps it to the end of its scan. `ARCHITECTURE.md`, "Pools that change", has the table of what a replacement changes for
//! it. Three types hold that:
//!
//! - a [`ScannerInstance`] is an entry: what people, slots and selection need of it;
//! - [`Guarded`] stands for one scanner and account: all who use it follow it to a new connection, such as one with a new
//!   password. Where the name becomes that of another scanner, its users keep the old one behind a circuit of its own;
//! - a connection is one way to reach a scanner: dropping the last one logs out.
//!
//! A removed scanner is remembered by name, without being in use, so that a task that is bound to it can be taken over by
//! another run of this process.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::ArcSwap;

#[cfg(feature = "nessus")]
use super::nessus::{NessusConfig, NessusScanner};
use super::{
    circuits::Circuits,
    connection::Connections,
    error::ScannerError,
    guarded::Guarded,
    interface::ScannerInterface,
    mock::{MockConfig, MockScanner},
    pool::{Pools, ScannerChanges, ScannerInstance, ScannerPool},
};
use crate::{
    config::{InstanceConfig, PoolConfig, ScannerType, ScannersConfig},
    ids::{InstanceId, PoolName},
};

/// All pools of a process. Cheap to clone; every clone sees the same pools, also after they were replaced.
#[derive(Debug, Clone)]
pub struct ScannerRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pools: ArcSwap<Pools>,
    /// Held while the pools are replaced.
    names: Mutex<Names>,
    connections: Arc<Connections>,
    /// The file the pools come from, if they do.
    file: Option<Arc<Path>>,
}

/// What is known of scanners by their names.
#[derive(Debug)]
struct Names {
    circuits: Circuits,
    /// Scanners that are not configured any more.
    removed: HashMap<(PoolName, InstanceId), Removed>,
}

/// A scanner that is not configured any more.
#[derive(Debug)]
struct Removed {
    /// With a guard of its own, so that it does not count as in use.
    instance: ScannerInstance,
    /// The guard of those who use it.
    guarded: Weak<Guarded>,
}

impl Removed {
    fn in_use(&self) -> Option<ScannerInstance> {
        Some(self.instance.behind(self.guarded.upgrade()?))
    }
}

impl ScannerRegistry {
    /// A registry of these pools; the one named `nessus`, else the first, serves requests that name none.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when there is no pool, or two of one name.
    pub fn new(pools: Vec<ScannerPool>) -> Result<Self, ScannerError> {
        Self::of(at_least_one(pools)?, None)
    }

    /// A registry without pools, for a program that runs no scans: [`reload`](Self::reload) and [`replace`](Self::replace) may
    /// give it some.
    pub fn without_pools() -> Self {
        Self::holding(Pools::default(), Circuits::default(), Arc::default(), None)
    }

    fn of(pools: Vec<ScannerPool>, file: Option<Arc<Path>>) -> Result<Self, ScannerError> {
        let (circuits, connections) = (Circuits::default(), Arc::<Connections>::default());
        let pools =
            Pools::new(pools, |pool, instance| put_behind_circuit(&circuits, &connections, pool, None, instance))?;
        Ok(Self::holding(pools, circuits, connections, file))
    }

    fn holding(pools: Pools, circuits: Circuits, connections: Arc<Connections>, file: Option<Arc<Path>>) -> Self {
        let names = Mutex::new(Names { circuits, removed: HashMap::new() });
        let shared = Shared { pools: ArcSwap::from_pointee(pools), names, connections, file };
        Self { shared: Arc::new(shared) }
    }

    /// Builds the scanners of a configuration. Nothing is contacted.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when a scanner cannot be built from its entry.
    pub fn from_config(config: &ScannersConfig) -> Result<Self, ScannerError> {
        Self::of(build_pools(config, None)?, config.file.as_deref().map(Arc::from))
    }

    /// The file the pools come from, if they do.
    pub(crate) fn file(&self) -> Option<&Arc<Path>> {
        self.shared.file.as_ref()
    }

    /// Replaces the pools by those of a configuration, all at once or, after an error, not at all. Nothing is contacted.
    ///
    /// A scanner whose entry has not changed, but for its name, `enabled` and `max_concurrent_scans`, stays the same
    /// value and keeps its session. Scans on one whose URL and user name have not changed go on with the new password,
    /// keys or certificates at once. Any other that has changed or is gone is closed when the last of its scans is done.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when a scanner cannot be built from its entry.
    pub fn reload(&self, config: &ScannersConfig) -> Result<ScannerChanges, ScannerError> {
        self.swap(&mut self.names(), |current| build_pools(config, Some(current)))
    }

    /// Puts each scanner behind its breaker of `circuits`, those to come as well.
    pub(crate) fn guard(&self, circuits: &Circuits) -> Result<(), ScannerError> {
        let mut names = self.names();
        names.circuits = circuits.clone();
        self.swap(&mut names, |current| Ok(current.all.iter().map(|pool| pool.as_ref().clone()).collect())).map(drop)
    }

    /// As [`reload`](Self::reload), with pools of the caller's: a scanner that is in both is the same value in both.
    ///
    /// # Errors
    /// As [`ScannerRegistry::new`].
    pub fn replace(&self, pools: Vec<ScannerPool>) -> Result<ScannerChanges, ScannerError> {
        self.swap(&mut self.names(), |_| at_least_one(pools))
    }

    fn swap(
        &self,
        Names { circuits, removed }: &mut Names,
        make: impl FnOnce(&Pools) -> Result<Vec<ScannerPool>, ScannerError>,
    ) -> Result<ScannerChanges, ScannerError> {
        let before = self.shared.pools.load_full();
        let key = |pool: &PoolName, instance: &ScannerInstance| (pool.clone(), instance.instance_id.clone());
        let after = Pools::new(make(&before)?, |pool, instance| {
            let known = before.instance(pool, &instance.instance_id).cloned();
            let known = known.or_else(|| removed.get(&key(pool, instance))?.in_use());
            let is_same_value = known.as_ref().is_some_and(|known| known.is_same_value(instance));
            put_behind_circuit(circuits, &self.shared.connections, pool, known.as_ref(), instance);
            if !is_same_value {
                // What was wrong with its address or login may be right now.
                circuits.breaker(pool, &instance.instance_id).reconfigured();
            }
        })?;
        let changes = ScannerChanges::between(&before, &after);
        // When it is enabled again, what was found before is long ago.
        let disabled = after.instances().filter(|(_, instance)| !instance.enabled);
        disabled.for_each(|(_, instance)| *instance.connection().health() = None);
        removed.retain(|(pool, id), _| after.instance(pool, id).is_none());
        for (pool, instance) in before.not_in(&after) {
            let breaker = circuits.breaker(pool, &instance.instance_id);
            let unused = Guarded::new(Arc::clone(instance.connection().scanner()), breaker);
            let guarded = Arc::downgrade(&instance.scanner);
            removed.insert(key(pool, instance), Removed { instance: instance.behind(Arc::new(unused)), guarded });
        }
        self.shared.pools.store(Arc::new(after));
        Ok(changes)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.shared.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pools as they are now, in the order of the configuration.
    pub fn pools(&self) -> Vec<Arc<ScannerPool>> {
        self.shared.pools.load().all.clone()
    }

    /// The pool of this name as it is now.
    pub fn pool(&self, name: &PoolName) -> Option<Arc<ScannerPool>> {
        self.shared.pools.load().pool(name).cloned()
    }

    /// The pool of requests that name none; `None` in a registry without pools.
    pub fn default_pool(&self) -> Option<Arc<ScannerPool>> {
        self.shared.pools.load().default.clone()
    }

    /// The scanner of this name for a task that is bound to it: also one that this process has known, but that is no
    /// longer configured, so that its scans are watched to their ends.
    pub fn bound_instance(&self, pool: &PoolName, id: &InstanceId) -> Option<ScannerInstance> {
        if let Some(instance) = self.shared.pools.load().instance(pool, id) {
            return Some(instance.clone());
        }
        let Names { circuits, removed } = &mut *self.names();
        let known = removed.get_mut(&(pool.clone(), id.clone()))?;
        Some(known.in_use().unwrap_or_else(|| {
            let connection = self.shared.connections.connect(known.instance.connection().scanner());
            let guarded = Arc::new(Guarded::on(connection, circuits.breaker(pool, id)).counted(circuits.calls()));
            known.guarded = Arc::downgrade(&guarded);
            known.instance.behind(guarded)
        }))
    }

    /// Logs out of all scanners, those that are no longer configured but in use or just being closed included, at once
    /// and for five seconds at the most.
    pub async fn close(&self) {
        self.shared.connections.close().await;
    }
}

fn at_least_one(pools: Vec<ScannerPool>) -> Result<Vec<ScannerPool>, ScannerError> {
    if pools.is_empty() { Err(ScannerError::Configuration("there is no pool".to_owned())) } else { Ok(pools) }
}

/// Puts the circuit of its name before an instance: with the guard of `known`, the last one of this name, where those
/// who use that can go on through this one, so that they do.
fn put_behind_circuit(
    circuits: &Circuits,
    connections: &Arc<Connections>,
    pool: &PoolName,
    known: Option<&ScannerInstance>,
    instance: &mut ScannerInstance,
) {
    let breaker = circuits.breaker(pool, &instance.instance_id);
    let connection = connections.connect(instance.connection().scanner());
    instance.scanner = match known.filter(|known| known.scanner.is_behind(&breaker)) {
        Some(known) if known.is_same_value(instance) => Arc::clone(&known.scanner),
        Some(known) if known.is_same_account(instance) => {
            known.scanner.exchange(connection);
            Arc::clone(&known.scanner)
        }
        other => {
            if let Some(known) = other {
                known.scanner.detach(circuits.former(pool, &instance.instance_id));
            }
            Arc::new(Guarded::on(connection, breaker).counted(circuits.calls()))
        }
    };
}

fn build_pools(config: &ScannersConfig, current: Option<&Pools>) -> Result<Vec<ScannerPool>, ScannerError> {
    config.pools.iter().map(|pool| build_pool(pool, current)).collect()
}

fn build_pool(config: &PoolConfig, current: Option<&Pools>) -> Result<ScannerPool, ScannerError> {
    let named = |instance: &InstanceConfig| {
        let known = current.and_then(|current| current.instance(&config.name, &instance.instance_id));
        build_instance(instance, known).map_err(|error| match error {
            ScannerError::Configuration(reason) => {
                ScannerError::Configuration(format!("{}:{}: {reason}", config.name, instance.instance_id))
            }
            other => other,
        })
    };
    let instances = config.instances.iter().map(named).collect::<Result<_, _>>()?;
    Ok(ScannerPool::new(config.name.clone(), config.scanner_type.as_str(), instances))
}

/// The scanner of an entry: that of `known`, the instance of this name so far, when the entry speaks to it in the same way.
fn build_instance(config: &InstanceConfig, known: Option<&ScannerInstance>) -> Result<ScannerInstance, ScannerError> {
    let is_same = |known: &&ScannerInstance| known.origin.as_ref().is_some_and(|origin| origin.is_same_scanner(config));
    let scanner = match known.filter(is_same) {
        Some(known) => Arc::clone(known.connection().scanner()),
        None => build_scanner(config)?,
    };
    Ok(ScannerInstance::of_entry(config, scanner))
}

fn build_scanner(config: &InstanceConfig) -> Result<Arc<dyn ScannerInterface>, ScannerError> {
    match config.scanner_type {
        ScannerType::Mock => {
            let mock = MockConfig::new().scan_duration(config.scan_duration);
            let kept = config.mock_directory.iter().fold(mock, MockConfig::keep_in);
            Ok(Arc::new(MockScanner::new(kept)))
        }
        #[cfg(feature = "nessus")]
        ScannerType::Nessus => Ok(Arc::new(NessusScanner::new(NessusConfig::from_instance(config))?)),
        #[cfg(not(feature = "nessus"))]
        ScannerType::Nessus => Err(ScannerError::Configuration("this build has no Nessus backend".to_owned())),
    }
}

#[cfg(test)]
#[cfg(all(feature = "testing", feature = "nessus"))]
mod tests;
