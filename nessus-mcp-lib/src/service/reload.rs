//! Reading the configuration again while scans run.

use std::{path::Path, sync::Arc};

use tracing::{error, info, warn};

use super::{ScanService, error::ServiceError};
use crate::{
    blocking,
    config::{CredentialsConfig, ScannersConfig, Settings},
    credentials::{CredentialChanges, Credentials},
    error::chain,
    policy::{Policy, Scope},
    scanner::{ScannerChanges, ScannerRegistry},
};

/// What is said where there is no policy file.
pub(super) const NO_SCOPE: &str =
    "no scope is set: everything that can be reached may be scanned; a policy file limits that";

/// Where mock scanners keep their scans, in the data directory.
const MOCK_DIRECTORY: &str = "mock";

impl ScanService {
    /// Reads the file again that [`open`](Self::open) took the scanners from, and goes by it from now on, a worker of this
    /// service included. What changed is logged, by the names of scanners and keys, and counted.
    ///
    /// The file is checked as a whole: when anything in it is wrong, everything stays as it is. Scans that run keep the
    /// scanner that runs them until they end. What is removed is best disabled first, until no scan runs on it: a worker
    /// that starts later does not know the scanner, and the tasks with scans on it wait until it is configured again.
    ///
    /// # Errors
    /// [`ServiceError::Config`] with file, line and key, [`ServiceError::Scanner`] when a scanner cannot be built from its
    /// entry, [`ServiceError::Invalid`] for a service whose scanners do not come from a file.
    pub async fn reload_scanners(&self) -> Result<ScannerChanges, ServiceError> {
        let outcome = self.read_scanners_again().await;
        self.note_reload("scanners", &outcome).await;
        match &outcome {
            Ok(changes) => self.tell(changes),
            Err(error) => {
                self.metrics.config_refused();
                error!(error = chain(error), "the scanner configuration is refused; everything stays as it was");
            }
        }
        outcome
    }

    /// Reads the scanner configuration and builds its scanners. Nothing is contacted, opened or made.
    ///
    /// # Errors
    /// As [`ScanService::open`].
    pub async fn load_scanners(settings: &Settings) -> Result<ScannerRegistry, ServiceError> {
        let config = load(&settings.scanner_config.clone().into(), &settings.data_dir).await?;
        Ok(ScannerRegistry::from_config(&config)?)
    }

    /// Reads the policy that the settings name, if they name one. Nothing else is done.
    ///
    /// # Errors
    /// [`ServiceError::Config`] with file, line and key.
    pub async fn load_scope(settings: &Settings) -> Result<Scope, ServiceError> {
        let policy = match &settings.policy_config {
            Some(path) => load_policy(path.as_path().into()).await?,
            None => Policy::default(),
        };
        Ok(Scope::new(policy).with_max_hosts_per_scan(settings.max_hosts_per_scan))
    }

    /// Reads the policy file again, if there is one, and goes by it from now on, a worker of this service included: for each scan
    /// that is submitted or begins later. When anything in it is wrong, everything stays as it is.
    ///
    /// # Errors
    /// [`ServiceError::Config`] with file, line and key.
    pub async fn reload_policy(&self) -> Result<(), ServiceError> {
        let Some(path) = self.scope.file() else { return Ok(()) };
        let loaded = load_policy(path).await.and_then(|policy| Ok(self.scope.accept(policy)?));
        self.note_reload("policy", &loaded).await;
        match loaded {
            Ok(policy) => {
                self.metrics.config_accepted();
                let before = self.scope.policy();
                self.scope.replace(policy);
                self.log_scope();
                if let Err(error) = self.let_go(&before).await {
                    warn!(error = chain(&error), "tasks that waited for a window are looked at some minutes later");
                }
                Ok(())
            }
            Err(error) => {
                self.metrics.config_refused();
                error!(error = chain(&error), "the scope policy is refused; everything stays as it was");
                Err(error)
            }
        }
    }

    /// Says by which scope this process goes.
    pub(super) fn log_scope(&self) {
        if let Some(file) = self.scope.file() {
            let policy = self.scope.policy();
            info!(mode = %policy.mode(), file = %file.display(), "scope policy read");
            for pool in policy.pools().filter(|pool| self.scanners.pool(pool).is_none()) {
                warn!(%pool, "the policy names a pool that is not configured");
            }
        } else {
            info!("{NO_SCOPE}");
        }
    }

    /// Reads the stored logins of the settings. Nothing is contacted, opened or made.
    pub(super) async fn load_credentials(settings: &Settings) -> Result<Credentials, ServiceError> {
        let Settings { credential_config, secret_key, .. } = settings.clone();
        let load = move || credential_config.as_deref().map(CredentialsConfig::load).transpose();
        let stored = blocking::run(load).await.map_err(ServiceError::stopping)??;
        Ok(Credentials::new(stored.unwrap_or_default(), secret_key))
    }

    /// Reads the file of the stored logins again, if there is one, and goes by it from now on, a worker of this service included. The file is
    /// checked as a whole: when anything in it is wrong, everything stays as it is. A scan that was created keeps its login.
    ///
    /// # Errors
    /// [`ServiceError::Config`] with file, line and key.
    pub async fn reload_credentials(&self) -> Result<CredentialChanges, ServiceError> {
        let credentials = self.credentials.clone();
        let changes = blocking::run(move || credentials.reload()).await.map_err(ServiceError::stopping)?;
        if !matches!(changes, Ok(None)) {
            self.note_reload("credentials", &changes).await;
        }
        match &changes {
            Ok(None) => {}
            Ok(Some(changes)) => {
                self.metrics.config_accepted();
                info!(
                    added = changes.added.join(", "),
                    removed = changes.removed.join(", "),
                    changed = changes.changed.join(", "),
                    "credentials read again"
                );
            }
            Err(error) => {
                self.metrics.config_refused();
                error!(error = chain(error), "the credentials are refused; everything stays as it was");
            }
        }
        Ok(changes?.unwrap_or_default())
    }

    async fn read_scanners_again(&self) -> Result<ScannerChanges, ServiceError> {
        let Some(path) = self.scanners.file() else {
            return Err(ServiceError::invalid("scanner_config", "is not a file here", None));
        };
        let changes = self.scanners.reload(&load(path, &self.data_dir).await?)?;
        Ok(changes)
    }

    fn tell(&self, changes: &ScannerChanges) {
        let other: Vec<_> =
            changes.changed.iter().map(|change| format!("{} ({})", change.scanner, change.keys.join(", "))).collect();
        self.metrics.config_accepted();
        self.metrics.scanners_changed("added", changes.added.len());
        self.metrics.scanners_changed("removed", changes.removed.len());
        self.metrics.scanners_changed("changed", other.len());
        info!(
            added = changes.added.join(", "),
            removed = changes.removed.join(", "),
            changed = other.join(", "),
            unchanged = changes.unchanged,
            "scanner configuration read again"
        );
        for pool in &changes.removed_pools {
            warn!(%pool, "the pool is not configured any more: the tasks that wait in it wait until it is");
        }
    }
}

async fn load_policy(path: Arc<Path>) -> Result<Policy, ServiceError> {
    Ok(blocking::run(move || Policy::load(&path)).await.map_err(ServiceError::stopping)??)
}

/// Reads `scanners.yaml`. Mock scanners keep their scans in the data directory.
async fn load(path: &Arc<Path>, data_dir: &Path) -> Result<ScannersConfig, ServiceError> {
    let path = Arc::clone(path);
    let config = blocking::run(move || ScannersConfig::load(&path)).await.map_err(ServiceError::stopping)??;
    Ok(config.keep_mock_scans_in(&data_dir.join(MOCK_DIRECTORY)))
}
