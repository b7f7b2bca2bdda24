//! The pools of this process: which scanners there are and what they can take.
//!
//! The pools are replaced as a whole when the configuration is read again. Who has taken a scanner out of the registry
//! keeps it: a scan is watched to its end by the value that began it. A scanner that is no longer configured is asked
//! to release its session when its last user is done, and may be used again afterwards for a task that is bound to it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Circuits, MockConfig, MockScanner, ScannerChanges, ScannerError, ScannerHealth, ScannerInterface};
#[cfg(feature = "nessus")]
use super::{NessusConfig, NessusScanner};
use crate::{
    config::{InstanceConfig, PoolConfig, ScannerType, ScannersConfig},
    ids::{InstanceId, PoolName},
};

/// How long logging out may take.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A scanner as the registry knows it.
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
    /// The scanner itself.
    pub scanner: Arc<dyn ScannerInterface>,
    /// What stands behind `scanner` where that is a guard of the registry: both, so that a replaced `scanner` is noticed.
    guard: Option<(Arc<dyn ScannerInterface>, Arc<dyn ScannerInterface>)>,
    /// The entry it was built from, if it was.
    origin: Option<Arc<InstanceConfig>>,
    /// Shared by all who may use `scanner`.
    life: Arc<Life>,
}

/// Lives as long as somebody may use a scanner: the registry, or a run that began before the pools were replaced.
#[derive(Debug, Default)]
struct Life {
    over: CancellationToken,
    health: Mutex<Option<ScannerHealth>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl ScannerInstance {
    /// An enabled scanner under this name.
    pub fn new(instance_id: InstanceId, max_concurrent_scans: u32, scanner: Arc<dyn ScannerInterface>) -> Self {
        Self {
            name: instance_id.to_string(),
            instance_id,
            url: String::new(),
            enabled: true,
            max_concurrent_scans,
            scanner,
            guard: None,
            origin: None,
            life: Arc::default(),
        }
    }

    /// What the last health check found; `None` before the first one, and where none are made.
    pub fn health(&self) -> Option<ScannerHealth> {
        self.life.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what a health check found, for all who use this scanner.
    pub(super) fn set_health(&self, health: ScannerHealth) {
        *self.life.health.lock().unwrap_or_else(PoisonError::into_inner) = Some(health);
    }

    /// The scanner without the guard of the registry.
    fn bare(&self) -> &Arc<dyn ScannerInterface> {
        match &self.guard {
            Some((guard, bare)) if Arc::ptr_eq(guard, &self.scanner) => bare,
            _ => &self.scanner,
        }
    }

    /// Whether the last health check found that the scanner cannot scan.
    pub fn is_unhealthy(&self) -> bool {
        self.health().is_some_and(|health| !health.is_healthy())
    }

    /// The keys in which `other`, an instance of the same name, differs; values are not told, they may be secret.
    pub(super) fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        if let (Some(ours), Some(theirs)) = (&self.origin, &other.origin) {
            return ours.changed_keys(theirs);
        }
        let keys = [
            ("name", self.name != other.name),
            ("url", self.url != other.url),
            ("enabled", self.enabled != other.enabled),
            ("max_concurrent_scans", self.max_concurrent_scans != other.max_concurrent_scans),
            ("scanner", !Arc::ptr_eq(self.bare(), other.bare())),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// Closes the scanner when nobody may use it any more. Outside a runtime it stays open until the registry is closed.
    fn close_after_use(&self) {
        let (over, scanner) = (self.life.over.clone(), Arc::clone(&self.scanner));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                over.cancelled().await;
                close(scanner.as_ref()).await;
            });
        }
    }
}

/// Logs out, for as long as that may take. A scanner that does not answer ends the session by itself.
async fn close(scanner: &dyn ScannerInterface) {
    let _ = tokio::time::timeout(CLOSE_WAIT, scanner.close()).await;
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
    fn new(pools: Vec<ScannerPool>) -> Result<Self, ScannerError> {
        let names: HashSet<_> = pools.iter().map(|pool| pool.name.clone()).collect();
        if names.len() != pools.len() {
            return Err(ScannerError::Configuration("two pools have the same name".to_owned()));
        }
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
        let shared = Shared {
            pools: ArcSwap::from_pointee(Pools::new(pools)?),
            circuits: Mutex::default(),
            retired: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Builds the scanners of a configuration. Nothing is contacted.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when a scanner cannot be built from its entry.
    pub fn from_config(config: &ScannersConfig) -> Result<Self, ScannerError> {
        Self::new(build_pools(config, None)?)
    }

    /// Replaces the pools by those of a configuration, all at once or, after an error, not at all. Nothing is contacted.
    ///
    /// A scanner whose entry has not changed, but for its name, `enabled` and `max_concurrent_scans`, stays the same
    /// value and keeps its session. One that has changed or is gone is closed when the last of its scans is done.
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
        let circuits = self.shared.circuits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for pool in &mut pools {
            for instance in &mut pool.instances {
                let bare = Arc::clone(instance.bare());
                let known = before.instance(&pool.name, &instance.instance_id);
                if let Some(circuits) = &circuits {
                    if known.is_none_or(|known| !Arc::ptr_eq(known.bare(), &bare)) {
                        // What was wrong with its address or login may be mended.
                        circuits.breaker(&pool.name, &instance.instance_id).reconfigured();
                    }
                    instance.scanner = circuits.guard(&pool.name, &instance.instance_id, Arc::clone(&bare));
                    instance.guard = Some((Arc::clone(&instance.scanner), bare));
                }
            }
        }
        let after = Arc::new(Pools::new(pools)?);
        let changes = ScannerChanges::between(&before.all, &after.all);
        retired.retain(|(pool, id), _| after.instance(pool, id).is_none());
        for (pool, instance) in before.instances() {
            let is_kept = |kept: &ScannerInstance| Arc::ptr_eq(kept.bare(), instance.bare());
            if !after.instances().any(|(_, kept)| is_kept(kept)) {
                instance.close_after_use();
            }
            if after.instance(pool, &instance.instance_id).is_none() {
                let life = Arc::downgrade(&instance.life);
                let instance = ScannerInstance { life: Arc::default(), ..instance.clone() };
                retired.insert((pool.clone(), instance.instance_id.clone()), Retired { instance, life });
            }
        }
        self.shared.pools.store(after);
        Ok(changes)
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
        let instance = ScannerInstance { life: used.unwrap_or_default(), ..known.instance.clone() };
        if is_new {
            known.life = Arc::downgrade(&instance.life);
            instance.close_after_use();
        }
        Some(instance)
    }

    /// Logs out of all scanners, those that are no longer configured but in use included, at once and for five seconds
    /// at the most.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        let mut add = |scanner: &Arc<dyn ScannerInterface>| {
            let scanner = Arc::clone(scanner);
            closing.spawn(async move { close(scanner.as_ref()).await });
        };
        for (_, instance) in self.shared.pools.load().instances() {
            add(&instance.scanner);
        }
        for known in self.retired().values().filter(|known| known.life.strong_count() > 0) {
            add(&known.instance.scanner);
        }
        closing.join_all().await;
    }
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
    Ok(ScannerInstance {
        instance_id: config.instance_id.clone(),
        name: config.name.clone(),
        url: config.url.clone(),
        enabled: config.enabled,
        max_concurrent_scans: config.max_concurrent_scans,
        scanner,
        guard: None,
        origin: Some(Arc::new(config.clone())),
        life,
    })
}

fn build_scanner(config: &InstanceConfig) -> Result<Arc<dyn ScannerInterface>, ScannerError> {
    match config.scanner_type {
        ScannerType::Mock => Ok(Arc::new(MockScanner::new(MockConfig::new().scan_duration(config.scan_duration)))),
        #[cfg(feature = "nessus")]
        ScannerType::Nessus => Ok(Arc::new(NessusScanner::new(NessusConfig::from_instance(config))?)),
        #[cfg(not(feature = "nessus"))]
        ScannerType::Nessus => Err(ScannerError::Configuration("this build has no Nessus backend".to_owned())),
    }
}

#[cfg(test)]
#[cfg(all(feature = "testing", feature = "nessus"))]
mod tests;
