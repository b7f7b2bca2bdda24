//! The example that a process writes when there is no `scanners.yaml`.

use std::{io, io::Write as _, path::Path};

use super::ConfigError;
use crate::durable::DurableFile;

/// A `scanners.yaml` in which everything is commented out, so that it has no effect until somebody edits it.
pub const EXAMPLE_SCANNERS: &str = include_str!("scanners.example.yaml");

/// Writes an example to the path of `scanners.yaml` if there is no file. Only its owner can read it.
///
/// # Errors
/// [`ConfigError::ExampleWritten`] when an example was written. When it cannot be written, this succeeds: reading the
/// missing file then fails with its own error.
pub(crate) fn write_example_if_missing(path: &Path) -> Result<(), ConfigError> {
    // A dangling link is a mistake of the operator's, not a missing file.
    let is_missing = path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let write = || {
        let mut file = DurableFile::create(path)?;
        file.write_all(EXAMPLE_SCANNERS.as_bytes())?;
        file.commit_new()
    };
    if is_missing && write().is_ok() {
        return Err(ConfigError::ExampleWritten { path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScannersConfig;

    fn parse(text: &str) -> Result<ScannersConfig, ConfigError> {
        ScannersConfig::parse(text, Path::new("scanners.yaml"), &|name| {
            name.starts_with("NESSUS_").then(|| "x".to_owned())
        })
    }

    #[test]
    fn the_example_has_no_effect_until_it_is_uncommented() {
        assert!(parse(EXAMPLE_SCANNERS).unwrap_err().to_string().contains("no pools"));
        let used = |line: &str| line.strip_prefix('#').filter(|line| !line.starts_with('#')).map(str::to_owned);
        let text = EXAMPLE_SCANNERS.lines().filter_map(used).collect::<Vec<_>>().join("\n");
        let config = parse(&text).unwrap();
        let names: Vec<_> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!((names, config.pools[0].instances[0].verify_tls), (vec!["nessus", "lab"], true));
    }

    #[test]
    fn an_example_is_written_once_and_never_overwrites_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scanners.yaml");
        let error = write_example_if_missing(&path).unwrap_err();
        assert!(matches!(&error, ConfigError::ExampleWritten { path: written } if *written == path), "{error}");
        let text = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(text(), EXAMPLE_SCANNERS);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        crate::durable::replace(&path, b"mine").unwrap();
        write_example_if_missing(&path).unwrap();
        assert_eq!(text(), "mine");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        write_example_if_missing(&directory.path().join("no/such/folder/scanners.yaml")).unwrap();
    }
}
