//! Which scanner of a pool takes the next scan: the least utilised, then the one that was used least recently.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::ScannerInstance;
use crate::ids::InstanceId;

/// Remembers when this process last gave each scanner a scan.
#[derive(Debug, Default)]
pub struct Selection {
    turns: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    next: u64,
    last_used: HashMap<InstanceId, u64>,
}

impl Selection {
    /// The scanners with a free slot, the best first; each comes with the number of scans it runs now.
    pub fn rank<'a>(
        &self,
        candidates: impl IntoIterator<Item = (&'a ScannerInstance, usize)>,
    ) -> Vec<&'a ScannerInstance> {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ranked: Vec<_> = candidates
            .into_iter()
            .filter(|(instance, active)| (*active as u64) < u64::from(instance.max_concurrent_scans))
            .map(|(instance, active)| {
                // Utilisation as parts of 10,000, so that it can be ordered.
                let utilisation = active as u64 * 10_000 / u64::from(instance.max_concurrent_scans.max(1));
                let last_used = turns.last_used.get(&instance.instance_id).copied().unwrap_or(0);
                (utilisation, last_used, instance)
            })
            .collect();
        ranked.sort_by_key(|(utilisation, last_used, _)| (*utilisation, *last_used));
        ranked.into_iter().map(|(_, _, instance)| instance).collect()
    }

    /// Notes that a scanner was given a scan.
    pub fn used(&self, instance_id: &InstanceId) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.next += 1;
        let turn = turns.next;
        turns.last_used.insert(instance_id.clone(), turn);
    }
}
