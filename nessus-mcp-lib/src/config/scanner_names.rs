//! What `scanners.yaml` calls its pools and scanners, for programs that speak to none of them.

use std::path::Path;

use serde::Deserialize;

use super::{
    ConfigError,
    expand::expand,
    reader::read,
    scanners::ScannersConfig,
    yaml::{self, Ordered, Scalar},
};
use crate::ids::{InstanceId, PoolName};

/// The names of a scanner configuration. Neither passwords nor addresses are needed to know them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScannerNames {
    /// Each pool with its scanners, in the order of the file.
    pub pools: Vec<(PoolName, Vec<InstanceId>)>,
    /// Why a server or worker could not use the file in this environment; some names may be missing then.
    pub flaw: Option<ConfigError>,
}

/// What is looked at of an entry. Whatever else stands there may be wrong.
#[derive(Debug, Deserialize)]
struct Named {
    instance_id: Option<Scalar>,
}

impl ScannerNames {
    /// Reads the names in a file, as far as they can be read, with variables from the environment.
    pub fn load(path: &Path) -> Self {
        match ScannersConfig::load(path) {
            Ok(config) => Self { pools: config.pools.into_iter().map(names_of).collect(), flaw: None },
            Err(flaw) => {
                let text = read(path).unwrap_or_default();
                Self { pools: Self::in_text(&text, path, &|name| std::env::var(name).ok()), flaw: Some(flaw) }
            }
        }
    }

    fn in_text(text: &str, path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<(PoolName, Vec<InstanceId>)> {
        // What is no YAML at all has no names.
        let Ok(Ordered(entries)) = yaml::parse::<Ordered<Vec<Named>>>(text, path) else { return Vec::new() };
        let pools = entries.into_iter().filter_map(|(name, scanners)| {
            let names = scanners.into_iter().filter_map(|scanner| {
                let name = expand(&scanner.instance_id?.text, lookup).ok()?;
                InstanceId::new(name.trim()).ok()
            });
            Some((PoolName::new(name.text).ok()?, names.collect()))
        });
        pools.collect()
    }
}

fn names_of(pool: super::PoolConfig) -> (PoolName, Vec<InstanceId>) {
    (pool.name, pool.instances.into_iter().map(|instance| instance.instance_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let lookup = |name: &str| (name == "ID").then(|| "two".to_owned());
        let pools = ScannerNames::in_text(text, Path::new("scanners.yaml"), &lookup);
        pools.into_iter().map(|(pool, scanners)| format!("{pool}: {scanners:?}")).collect()
    }

    #[test]
    fn names_are_found_in_a_file_that_nobody_could_scan_with() {
        let text = "lab:\n  - {instance_id: one, password: '${NOT_SET}', urll: x}\n  - {instance_id: '${ID}', enabled: 7}\n\
                    office: []\nbad name: []\n";
        assert_eq!(named(text), [r#"lab: [InstanceId("one"), InstanceId("two")]"#, "office: []"]);
        assert_eq!(named("lab: [unclosed"), [""; 0]);
    }

    #[test]
    fn a_flaw_is_said_beside_the_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scanners.yaml");
        assert!(matches!(ScannerNames::load(&path).flaw, Some(ConfigError::Unreadable { .. })));
        crate::durable::replace(&path, b"lab:\n  - {instance_id: one, type: mock, enabled: perhaps}\n").unwrap();
        let names = ScannerNames::load(&path);
        assert_eq!((names.pools.len(), names.flaw.unwrap().to_string().contains("enabled")), (1, true));
    }
}
