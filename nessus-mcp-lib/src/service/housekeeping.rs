//! Housekeeping of what a service works on.

use std::sync::Arc;

use super::ScanService;
use crate::{
    config::{ConfigError, HousekeepingSettings},
    housekeeping::Housekeeping,
};

impl ScanService {
    /// What removes old tasks, their scans and what killed processes left, on the data directory, queue and scanners of this
    /// service. A worker does it by itself.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] when its settings cannot work.
    pub fn housekeeping(&self, settings: HousekeepingSettings) -> Result<Housekeeping, ConfigError> {
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.clock));
        let scanners = (self.scanners.clone(), self.circuits.clone());
        let keeper = Housekeeping::new(self.index.clone(), queue, scanners, clock, settings.check()?);
        Ok(keeper.counted_in(Arc::clone(&self.metrics)))
    }
}
