//! The pools of this process: which scanners there are and what they can take.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{MockConfig, MockScanner, ScannerError, ScannerInterface};
#[cfg(feature = "nessus")]
use super::{NessusConfig, NessusScanner, TlsTrust};
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
        }
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

    /// The scanners that take new scans.
    pub fn enabled(&self) -> impl Iterator<Item = &ScannerInstance> {
        self.instances.iter().filter(|instance| instance.enabled)
    }

    /// The most scans its enabled scanners run at once.
    pub fn capacity(&self) -> u32 {
        self.enabled().map(|instance| instance.max_concurrent_scans).fold(0, u32::saturating_add)
    }
}

/// All pools of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScannerRegistry {
    pools: Arc<Vec<ScannerPool>>,
    by_name: Arc<HashMap<PoolName, usize>>,
    default_pool: usize,
}

impl ScannerRegistry {
    /// A registry of these pools; the one named `nessus`, else the first, serves requests that name none.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when there is no pool, or two of one name.
    pub fn new(pools: Vec<ScannerPool>) -> Result<Self, ScannerError> {
        if pools.is_empty() {
            return Err(ScannerError::Configuration("there is no pool".to_owned()));
        }
        let by_name: HashMap<_, _> = pools.iter().enumerate().map(|(index, pool)| (pool.name.clone(), index)).collect();
        if by_name.len() != pools.len() {
            return Err(ScannerError::Configuration("two pools have the same name".to_owned()));
        }
        let default_pool = pools.iter().position(|pool| pool.name.as_str() == "nessus").unwrap_or(0);
        Ok(Self { pools: Arc::new(pools), by_name: Arc::new(by_name), default_pool })
    }

    /// Builds the scanners of a configuration. Nothing is contacted.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] when a scanner cannot be built from its entry.
    pub fn from_config(config: &ScannersConfig) -> Result<Self, ScannerError> {
        Self::new(config.pools.iter().map(build_pool).collect::<Result<_, _>>()?)
    }

    /// The pools, in the order of the configuration.
    pub fn pools(&self) -> &[ScannerPool] {
        &self.pools
    }

    /// The pool of this name.
    pub fn pool(&self, name: &PoolName) -> Option<&ScannerPool> {
        self.by_name.get(name).and_then(|index| self.pools.get(*index))
    }

    /// The pool of requests that name none.
    pub fn default_pool(&self) -> &ScannerPool {
        &self.pools[self.default_pool]
    }

    /// Logs out of all scanners, at once and for five seconds at the most.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        for instance in self.pools.iter().flat_map(|pool| &pool.instances) {
            let scanner = Arc::clone(&instance.scanner);
            closing.spawn(async move { scanner.close().await });
        }
        // A scanner that does not answer ends the session by itself.
        let _ = tokio::time::timeout(CLOSE_WAIT, closing.join_all()).await;
    }
}

fn build_pool(config: &PoolConfig) -> Result<ScannerPool, ScannerError> {
    let named = |instance: &InstanceConfig| {
        build_instance(instance).map_err(|error| match error {
            ScannerError::Configuration(reason) => {
                ScannerError::Configuration(format!("{}:{}: {reason}", config.name, instance.instance_id))
            }
            other => other,
        })
    };
    let instances = config.instances.iter().map(named).collect::<Result<_, _>>()?;
    Ok(ScannerPool::new(config.name.clone(), config.scanner_type.as_str(), instances))
}

fn build_instance(config: &InstanceConfig) -> Result<ScannerInstance, ScannerError> {
    Ok(ScannerInstance {
        instance_id: config.instance_id.clone(),
        name: config.name.clone(),
        url: config.url.clone(),
        enabled: config.enabled,
        max_concurrent_scans: config.max_concurrent_scans,
        scanner: build_scanner(config)?,
    })
}

fn build_scanner(config: &InstanceConfig) -> Result<Arc<dyn ScannerInterface>, ScannerError> {
    match config.scanner_type {
        ScannerType::Mock => Ok(Arc::new(MockScanner::new(MockConfig::new().scan_duration(config.scan_duration)))),
        #[cfg(feature = "nessus")]
        ScannerType::Nessus => {
            let trust = if config.verify_tls { TlsTrust::Verified } else { TlsTrust::AnyCertificate };
            let nessus = NessusConfig::new(&config.url, &config.username, config.password.clone()).tls_trust(trust);
            Ok(Arc::new(NessusScanner::new(nessus)?))
        }
        #[cfg(not(feature = "nessus"))]
        ScannerType::Nessus => Err(ScannerError::Configuration("this build has no Nessus backend".to_owned())),
    }
}
