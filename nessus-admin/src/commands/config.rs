//! `config check`: every setting with its source, the configuration files, and all that is wrong with them.

use std::{env, fs, path::Path};

use nessus_mcp_lib::{
    ScanService, Worker,
    config::{
        ConfigError, CredentialsConfig, ScannersConfig,
        cli::{EffectiveSetting, EffectiveSettings, SettingSource},
    },
    error::{Classified, ErrorKind, Failure, chain, counted},
    scanner::ScannerRegistry,
};
use serde::Serialize;

use crate::{
    args::ConfigCheckArgs,
    output::{self, Cell, Colour, Column, Table, own_words},
};

/// A configuration with faults.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {}", counted(*.0, "fault", "faults"))]
struct Faulty(usize);

impl Classified for Faulty {
    fn code(&self) -> &'static str {
        "bad_configuration"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Configuration
    }
}

/// What is known of a configuration.
#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    settings: Vec<EffectiveSetting>,
    files: Vec<CheckedFile>,
    pub(super) warnings: Vec<String>,
    pub(super) faults: Vec<Fault>,
}

/// A configuration file.
#[derive(Debug, Serialize)]
struct CheckedFile {
    /// What it is for.
    kind: &'static str,
    /// Its path; absent where none is set.
    path: Option<String>,
    /// What it holds, or that something is wrong with it.
    holds: String,
}

/// Something that must be mended.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl<E: Classified> From<&E> for Fault {
    fn from(error: &E) -> Self {
        Self { message: own_words(&chain(error)), hint: error.hint().as_deref().map(own_words) }
    }
}

pub(crate) async fn check(args: &ConfigCheckArgs) -> Result<(), Failure> {
    let variables: Vec<_> = env::vars_os().collect();
    let configuration = examine(args.given.effective(&variables), &variables).await;
    if args.json {
        output::json(&configuration)?;
    } else {
        show(&configuration);
    }
    match configuration.faults.len() {
        0 => Ok(()),
        count => Err(Faulty(count).into()),
    }
}

/// Reads the files that the settings name, and finds all that is wrong.
pub(super) async fn examine(
    effective: EffectiveSettings,
    variables: &[(std::ffi::OsString, std::ffi::OsString)],
) -> Configuration {
    let mut faults: Vec<Fault> = effective.faults.iter().map(Fault::from).collect();
    let settings = &effective.settings;
    let mut files = vec![scanners(&effective, &mut faults)];
    files.push(match settings.credential_config() {
        None => CheckedFile { kind: "credentials", path: None, holds: "no stored logins".to_owned() },
        Some(path) => match CredentialsConfig::load(path) {
            Ok(config) => checked("credentials", path, counted(config.credentials.len(), "login", "logins")),
            Err(fault) => wrong("credentials", path, &fault, &mut faults),
        },
    });
    let (mut has_identities, mut is_known) = (false, true);
    files.push(match settings.policy_config() {
        None => {
            CheckedFile { kind: "policy", path: None, holds: "no scope is set: everything may be scanned".to_owned() }
        }
        Some(path) => match ScanService::load_scope(settings).await {
            Ok(scope) => {
                has_identities = scope.policy().has_identities();
                checked("policy", path, counted(scope.policy().clients().len(), "client", "clients"))
            }
            Err(fault) => {
                is_known = false;
                wrong("policy", path, &fault, &mut faults)
            }
        },
    });
    for (name, address) in &effective.addresses {
        if is_known && !has_identities && !address.ip().is_loopback() {
            let message =
                "lets other machines connect, which needs tokens, of `clients` or `oauth` in policy.yaml".to_owned();
            faults.push(Fault::from(&ConfigError::Setting { name: (*name).to_owned(), message }));
        }
    }
    let paths = [Some(settings.scanner_config.as_path()), settings.credential_config(), settings.policy_config()];
    let texts: Vec<String> = paths.into_iter().flatten().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let warnings = effective.warnings(variables, &texts);
    Configuration { settings: effective.all, files, warnings, faults }
}

fn scanners(effective: &EffectiveSettings, faults: &mut Vec<Fault>) -> CheckedFile {
    let path = &effective.settings.scanner_config;
    let examined = ScannersConfig::examine(path);
    if !examined.faults.is_empty() {
        faults.extend(examined.faults.iter().map(Fault::from));
        let holds = counted(examined.faults.len(), "fault", "faults");
        return checked("scanners", path, holds);
    }
    let registry = ScannersConfig::load(path).map_err(|fault| Fault::from(&fault)).and_then(|config| {
        let scanners = config.pools.iter().map(|pool| pool.instances.len()).sum::<usize>();
        let holds =
            format!("{}, {}", counted(config.pools.len(), "pool", "pools"), counted(scanners, "scanner", "scanners"));
        let registry = ScannerRegistry::from_config(&config).map_err(|fault| Fault::from(&fault))?;
        Ok((registry, holds))
    });
    match registry {
        Ok((registry, holds)) => {
            if let Some(Err(fault)) = effective.worker.as_ref().map(|worker| Worker::check_pools(&registry, worker)) {
                faults.push(Fault::from(&fault));
            }
            checked("scanners", path, holds)
        }
        Err(fault) => {
            let holds = "1 fault".to_owned();
            faults.push(fault);
            checked("scanners", path, holds)
        }
    }
}

fn checked(kind: &'static str, path: &Path, holds: String) -> CheckedFile {
    CheckedFile { kind, path: Some(path.display().to_string()), holds }
}

fn wrong(kind: &'static str, path: &Path, fault: &impl Classified, faults: &mut Vec<Fault>) -> CheckedFile {
    faults.push(Fault::from(fault));
    checked(kind, path, "1 fault".to_owned())
}

fn show(configuration: &Configuration) {
    let mut table = Table::new([Column::new("setting"), Column::wide("value"), Column::new("from")]);
    for setting in &configuration.settings {
        let value = match (&setting.value, setting.is_set) {
            (Some(value), _) => Cell::new(value),
            (None, true) => Cell::new("set"),
            (None, false) => Cell::new("not set").coloured(Colour::Quiet),
        };
        let from = match (&setting.source, &setting.flag, setting.read_from) {
            (SettingSource::Flag, Some(flag), _) => format!("flag {flag}"),
            (SettingSource::Variable, _, other) => format!("variable {}", other.unwrap_or(&setting.name)),
            (SettingSource::File, ..) => "file".to_owned(),
            _ => "default".to_owned(),
        };
        table.row([Cell::new(&setting.name), value, Cell::new(from)]);
    }
    output::table(&table);
    output::lines([""]);
    let mut table = Table::new([Column::new("file"), Column::wide("path"), Column::wide("holds")]);
    for file in &configuration.files {
        table.row([Cell::new(file.kind), Cell::new(file.path.as_deref().unwrap_or("-")), Cell::new(&file.holds)]);
    }
    output::table(&table);
    if !configuration.faults.is_empty() {
        output::lines([""]);
    }
    for fault in &configuration.faults {
        output::say(format!("wrong: {}", fault.message));
        if let Some(hint) = &fault.hint {
            output::say(format!("  hint: {hint}"));
        }
    }
    for warning in &configuration.warnings {
        output::warning(warning);
    }
}
