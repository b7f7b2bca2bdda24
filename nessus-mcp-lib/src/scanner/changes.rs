//! What a new configuration changes, in words that may be logged.

use std::{collections::BTreeSet, sync::Arc};

use super::registry::ScannerPool;
use crate::ids::{PoolName, scanner_name};

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
    pub(super) fn between(before: &[Arc<ScannerPool>], after: &[Arc<ScannerPool>]) -> Self {
        let mut changes = Self::default();
        let find = |pools: &[Arc<ScannerPool>], name: &PoolName| pools.iter().find(|pool| pool.name == *name).cloned();
        for pool in after {
            let earlier = find(before, &pool.name);
            for instance in &pool.instances {
                let scanner = scanner_name(&pool.name, &instance.instance_id);
                match earlier.as_ref().and_then(|earlier| earlier.instance(&instance.instance_id)) {
                    None => changes.added.push(scanner),
                    Some(known) => match known.changed_keys(instance) {
                        keys if keys.is_empty() => changes.unchanged += 1,
                        keys => changes.changed.push(ChangedScanner { scanner, keys }),
                    },
                }
            }
        }
        for pool in before {
            let later = find(after, &pool.name);
            let kept: BTreeSet<_> =
                later.iter().flat_map(|later| &later.instances).map(|kept| &kept.instance_id).collect();
            let gone = pool.instances.iter().filter(|instance| !kept.contains(&instance.instance_id));
            changes.removed.extend(gone.map(|instance| scanner_name(&pool.name, &instance.instance_id)));
            if later.is_none() {
                changes.removed_pools.push(pool.name.clone());
            }
        }
        changes
    }

    /// Whether everything is as it was.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
