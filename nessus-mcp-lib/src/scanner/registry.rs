//! The pools of this process: which scanners there are and what they can take.
//!
//! The pools are replaced as a whole when the configuration is read again. Who has taken a scanner out of the registry
//! keeps it to the end of its scan. Where only the way to the scanner has changed, such as a password, it goes on in the
//! new way; where its name is now that of another scanner or account, it goes on with the old one, and what becomes of
//! that says nothing about the new one. A scanner that is no longer configured is asked to release its session when its
//! last user is done, and may be used again afterwards for a task that is bound to it.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::ArcSwap;
use tokio::task::JoinSet;

use super::{
    Circuits, MockConfig, MockScanner, ScannerChanges, ScannerError, ScannerInstance, ScannerInterface,
    instance::Life,
    leaving::{CLOSE_WAIT, Leaving, close},
};
#[cfg(feature = "nessus")]
use super::{NessusConfig, NessusScanner};
use crate::{
    config::{InstanceConfig, PoolConfig, ScannerType, ScannersConfig},
    ids::{InstanceId, PoolName},
};

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

    /// The most scans its enabled scanners run at once.
    pub fn capacity(&self) -> u32 {
        self.enabled().map(|instance| instance.max_concurrent_scans).fold(0, u32::saturating_add)
    }
}

/// All pools of a process. Cheap to clone; every clone sees the same pools, also after they were replaced.
#[derive(Debug, Clone)]
pub struct ScannerRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pools: ArcSwap<Pools>,
    /// The breakers that stand before the scanners, once there are any.
    circuits: Mutex<Option<Circuits>>,
    /// Scanners that are no longer configured, by pool and name. Held while the pools are replaced.
    retired: Mutex<HashMap<(PoolName, InstanceId), Retired>>,
    leaving: Leaving,
    /// The file the pools come from, if they do.
    file: Option<Arc<Path>>,
}

/// The pools between two replacements.
#[derive(Debug)]
struct Pools {
    all: Vec<Arc<ScannerPool>>,
    default: Arc<ScannerPool>,
}

/// A scanner that is no longer configured, and who uses it still.
#[derive(Debug)]
struct Retired {
    /// With a life that means nothing.
    instance: ScannerInstance,
    life: Weak<Life>,
}

impl Pools {
    /// # Errors
    /// When there is none.
    fn new(pools: Vec<ScannerPool>) -> Result<Self, ScannerError> {
        let all: Vec<_> = pools.into_iter().map(Arc::new).collect();
        let default = all.iter().find(|pool| pool.name.as_str() == "nessus").or_else(|| all.first());
        let default = default.ok_or_else(|| ScannerError::Configuration("there is no pool".to_owned()))?;
        Ok(Self { default: Arc::clone(default), all })
    }

    fn pool(&self, name: &PoolName) -> Option<&Arc<ScannerPool>> {
        self.all.iter().find(|pool| pool.name == *name)
    }

    fn instance(&self, pool: &PoolName, id: &InstanceId) -> Option<&ScannerInstance> {
        self.pool(pool)?.instance(id)
    }

    fn instances(&self) -> impl Iterator<Item = (&PoolName, &ScannerInstance)> {
        self.all.iter().flat_map(|pool| pool.instances.iter().map(|instance| (&pool.name, instance)))
    }
}

impl ScannerRegistry {
    /// A registry of these pools; the one named `nessus`, else the first, serves requests that name none.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when there is no pool, or two of one name.
    pub fn new(pools: Vec<ScannerPool>) -> Result<Self, ScannerError> {
        Self::of(pools, None)
    }

    fn of(pools: Vec<ScannerPool>, file: Option<Arc<Path>>) -> Result<Self, ScannerError> {
        check_names(&pools)?;
        let shared = Shared {
            pools: ArcSwap::from_pointee(Pools::new(pools)?),
            circuits: Mutex::default(),
            retired: Mutex::default(),
            leaving: Leaving::default(),
            file,
        };
        Ok(Self { shared: Arc::new(shared) })
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
    /// value and keeps its session. In the service, scans on one whose URL and user name have not changed go on with the
    /// new password, keys or certificates at once. Any other that has changed or is gone is closed when the last of its
    /// scans is done.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when a scanner cannot be built from its entry.
    pub fn reload(&self, config: &ScannersConfig) -> Result<ScannerChanges, ScannerError> {
        self.swap(|current| build_pools(config, Some(current)))
    }

    /// Puts each scanner behind its breaker of `circuits`, those to come as well.
    pub(crate) fn guard(&self, circuits: &Circuits) -> Result<(), ScannerError> {
        *self.shared.circuits.lock().unwrap_or_else(PoisonError::into_inner) = Some(circuits.clone());
        self.swap(|current| Ok(current.all.iter().map(|pool| pool.as_ref().clone()).collect())).map(drop)
    }

    /// As [`reload`](Self::reload), with pools of the caller's: a scanner that is in both is the same value in both.
    ///
    /// # Errors
    /// As [`ScannerRegistry::new`].
    pub fn replace(&self, pools: Vec<ScannerPool>) -> Result<ScannerChanges, ScannerError> {
        self.swap(|_| Ok(pools))
    }

    fn swap(
        &self,
        make: impl FnOnce(&Pools) -> Result<Vec<ScannerPool>, ScannerError>,
    ) -> Result<ScannerChanges, ScannerError> {
        // One at a time.
        let mut retired = self.retired();
        let before = self.shared.pools.load_full();
        let mut pools = make(&before)?;
        check_names(&pools)?;
        let circuits = self.shared.circuits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(circuits) = circuits {
            for pool in &mut pools {
                for instance in &mut pool.instances {
                    let known = before.instance(&pool.name, &instance.instance_id).or_else(|| {
                        let key = (pool.name.clone(), instance.instance_id.clone());
                        retired.get(&key).map(|known| &known.instance)
                    });
                    self.put_guard(&circuits, &pool.name, known, instance);
                }
            }
        }
        let after = Arc::new(Pools::new(pools)?);
        let changes = ScannerChanges::between(&before.all, &after.all);
        after.instances().filter(|(_, instance)| !instance.enabled).for_each(|(_, instance)| instance.forget_health());
        retired.retain(|(pool, id), _| after.instance(pool, id).is_none());
        for (pool, instance) in before.instances() {
            let later = after.instance(pool, &instance.instance_id);
            let is_kept = |kept: &ScannerInstance| Arc::ptr_eq(kept.bare(), instance.bare());
            let goes_on = later.is_some_and(|later| later.has_guard_of(instance));
            if !goes_on && !after.instances().any(|(_, kept)| is_kept(kept)) {
                self.shared.leaving.close_when(instance.life.over(), Arc::clone(instance.bare()));
            }
            if later.is_none() {
                let life = Arc::downgrade(&instance.life);
                let instance = instance.with_life(Arc::default());
                retired.insert((pool.clone(), instance.instance_id.clone()), Retired { instance, life });
            }
        }
        self.shared.pools.store(after);
        Ok(changes)
    }

    /// Puts the circuit of its name before an instance: with the guard of `known`, the last one of this name, where those
    /// who use that can go on through the new one, so that they do.
    fn put_guard(
        &self,
        circuits: &Circuits,
        pool: &PoolName,
        known: Option<&ScannerInstance>,
        instance: &mut ScannerInstance,
    ) {
        let breaker = circuits.breaker(pool, &instance.instance_id);
        let is_same = known.is_some_and(|known| Arc::ptr_eq(known.bare(), instance.bare()));
        let guard = known.and_then(|known| Some((known, known.guarded().filter(|guard| guard.is_behind(&breaker))?)));
        let guarded = match guard {
            Some((known, guarded)) if known.can_go_on_through(instance) => {
                if !is_same {
                    let unused = guarded.exchange(Arc::clone(instance.bare()));
                    self.shared.leaving.close_when(unused, Arc::clone(known.bare()));
                }
                Arc::clone(guarded)
            }
            other => {
                if let Some((_, guarded)) = other {
                    guarded.detach(circuits.former(pool, &instance.instance_id));
                }
                circuits.guard(pool, &instance.instance_id, Arc::clone(instance.bare()))
            }
        };
        if !is_same {
            // What was wrong with its address or login may be mended.
            breaker.reconfigured();
        }
        instance.set_guard(guarded);
    }

    fn retired(&self) -> MutexGuard<'_, HashMap<(PoolName, InstanceId), Retired>> {
        self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pools as they are now, in the order of the configuration.
    pub fn pools(&self) -> Vec<Arc<ScannerPool>> {
        self.shared.pools.load().all.clone()
    }

    /// The pool of this name as it is now.
    pub fn pool(&self, name: &PoolName) -> Option<Arc<ScannerPool>> {
        self.shared.pools.load().pool(name).cloned()
    }

    /// The pool of requests that name none.
    pub fn default_pool(&self) -> Arc<ScannerPool> {
        Arc::clone(&self.shared.pools.load().default)
    }

    /// The scanner of this name for a task that is bound to it: also one that this process has known, but that is no
    /// longer configured, so that the scans on it are not left alone.
    pub fn bound_instance(&self, pool: &PoolName, id: &InstanceId) -> Option<ScannerInstance> {
        if let Some(instance) = self.shared.pools.load().instance(pool, id) {
            return Some(instance.clone());
        }
        let mut retired = self.retired();
        let known = retired.get_mut(&(pool.clone(), id.clone()))?;
        let used = known.life.upgrade();
        let is_new = used.is_none();
        let instance = known.instance.with_life(used.unwrap_or_default());
        if is_new {
            known.life = Arc::downgrade(&instance.life);
            self.shared.leaving.close_when(instance.life.over(), Arc::clone(instance.bare()));
        }
        Some(instance)
    }

    /// Logs out of all scanners, those that are no longer configured but in use or just being closed included, at once
    /// and for five seconds at the most.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        for (_, instance) in self.shared.pools.load().instances() {
            let scanner = Arc::clone(&instance.scanner);
            closing.spawn(async move { close(scanner.as_ref()).await });
        }
        self.shared.leaving.close(&mut closing);
        let _ = tokio::time::timeout(CLOSE_WAIT, closing.join_all()).await;
    }
}

/// # Errors
/// [`ScannerError::Configuration`] when two pools have the same name.
fn check_names(pools: &[ScannerPool]) -> Result<(), ScannerError> {
    let names: HashSet<_> = pools.iter().map(|pool| &pool.name).collect();
    if names.len() == pools.len() {
        return Ok(());
    }
    Err(ScannerError::Configuration("two pools have the same name".to_owned()))
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
    let (scanner, life) = match known.filter(is_same) {
        Some(known) => (Arc::clone(known.bare()), Arc::clone(&known.life)),
        None => (build_scanner(config)?, Arc::default()),
    };
    Ok(ScannerInstance::of_entry(config, scanner, life))
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
