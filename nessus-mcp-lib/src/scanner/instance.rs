//! One scanner as the registry knows it.

use std::{
    fmt, ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{Guarded, ScannerHealth, ScannerInterface, leaving::InUse};
use crate::{config::InstanceConfig, ids::InstanceId};

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
    guard: Option<Guard>,
    /// The entry it was built from, if it was.
    pub(super) origin: Option<Arc<InstanceConfig>>,
    /// Shared by all who may use `scanner`.
    pub(super) life: Arc<Life>,
}

/// What stands behind `scanner` where the registry has put a guard there.
#[derive(Clone)]
struct Guard {
    /// The same value as `scanner`, unless somebody has replaced that.
    guarded: Arc<Guarded>,
    /// What it guarded when the instance was made.
    bare: Arc<dyn ScannerInterface>,
}

/// Lives as long as somebody may use a scanner: the registry, or a run that began before the pools were replaced.
#[derive(Debug, Default)]
pub(super) struct Life {
    in_use: InUse,
    health: Mutex<Option<ScannerHealth>>,
}

impl Life {
    /// Cancelled at its end.
    pub(super) fn over(&self) -> CancellationToken {
        self.in_use.over()
    }

    fn health(&self) -> MutexGuard<'_, Option<ScannerHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The scanner of an entry, with the life of the instance it goes on from.
    pub(super) fn of_entry(config: &InstanceConfig, scanner: Arc<dyn ScannerInterface>, life: Arc<Life>) -> Self {
        Self {
            name: config.name.clone(),
            url: config.url.clone(),
            enabled: config.enabled,
            origin: Some(Arc::new(config.clone())),
            life,
            ..Self::new(config.instance_id.clone(), config.max_concurrent_scans, scanner)
        }
    }

    /// The same with another life.
    pub(super) fn with_life(&self, life: Arc<Life>) -> Self {
        Self { life, ..self.clone() }
    }

    /// What the last health check found; `None` before the first one, and where none are made, as on a disabled scanner.
    pub fn health(&self) -> Option<ScannerHealth> {
        self.life.health().clone().filter(|_| self.enabled)
    }

    /// Remembers what a health check found, for all who use this scanner.
    pub(super) fn set_health(&self, health: ScannerHealth) {
        *self.life.health() = Some(health);
    }

    /// Forgets what was found: when it is enabled again that is long ago.
    pub(super) fn forget_health(&self) {
        *self.life.health() = None;
    }

    /// Whether the last health check found that the scanner cannot scan.
    pub fn is_unhealthy(&self) -> bool {
        self.health().is_some_and(|health| !health.is_healthy())
    }

    /// The scanner without the guard of the registry.
    pub(super) fn bare(&self) -> &Arc<dyn ScannerInterface> {
        self.intact_guard().map_or(&self.scanner, |guard| &guard.bare)
    }

    /// The guard of the registry, if there is one.
    pub(super) fn guarded(&self) -> Option<&Arc<Guarded>> {
        self.intact_guard().map(|guard| &guard.guarded)
    }

    fn intact_guard(&self) -> Option<&Guard> {
        self.guard.as_ref().filter(|guard| ptr::addr_eq(Arc::as_ptr(&guard.guarded), Arc::as_ptr(&self.scanner)))
    }

    /// Puts a guard that stands in front of [`bare`](Self::bare) there.
    pub(super) fn set_guard(&mut self, guarded: Arc<Guarded>) {
        let bare = Arc::clone(self.bare());
        self.scanner = Arc::clone(&guarded) as _;
        self.guard = Some(Guard { guarded, bare });
    }

    /// Whether the same guard stands before both: whoever uses one of them calls what is behind it now.
    pub(super) fn has_guard_of(&self, other: &Self) -> bool {
        matches!((self.guarded(), other.guarded()), (Some(ours), Some(theirs)) if Arc::ptr_eq(ours, theirs))
    }

    /// Whether `later`, an instance of the same name, is the same scanner as seen by the same account, so that what was
    /// begun through this one can go on through that one.
    pub(super) fn can_go_on_through(&self, later: &Self) -> bool {
        Arc::ptr_eq(self.bare(), later.bare())
            || matches!((&self.origin, &later.origin), (Some(ours), Some(theirs)) if ours.is_same_account(theirs))
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
