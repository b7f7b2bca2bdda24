//! The effective value of every setting of a deployment, where it comes from, and what is wrong with any of them.
//!
//! What the settings are, their flags say: a new one needs nothing here.

use std::{collections::BTreeSet, ffi::OsString, fs::File, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::Resettable,
    error::{ErrorKind, RichFormatter},
    parser::ValueSource,
};
use serde::Serialize;

use super::{
    CircuitArgs, CommonArgs, CredentialArgs, LogArgs, MetricsArgs, OLDER_QUEUE_URL, ResultsArgs, SECRET_KEY, ScopeArgs,
    WorkerArgs, in_operator_words,
    server::{BindArgs, TlsArgs, ToolArgs, WithWorkerArgs},
    setting,
};
use crate::{
    config::{ConfigError, Settings, WorkerSettings, secret_key::SECRET_KEY_FILE},
    error::{excerpt, nearest, resembles},
    secret::redact_url,
};

/// All flags of servers and workers.
#[derive(Debug, Clone, Args)]
struct DeploymentArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    bind: BindArgs,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    tools: ToolArgs,
    #[command(flatten)]
    with_worker: WithWorkerArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    results: ResultsArgs,
    #[command(flatten)]
    circuits: CircuitArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

impl DeploymentArgs {
    /// What is wrong with the values, each group for itself.
    fn faults(&self) -> Vec<ConfigError> {
        let settings = self.common.places();
        let tls = [("TLS_CERT", &self.tls.tls_cert), ("TLS_KEY", &self.tls.tls_key)];
        let unreadable = |(name, path): (&str, &Option<PathBuf>)| {
            let path = path.as_ref()?;
            let error = File::open(path).err()?;
            Some(setting(name, format!("names the file `{}`, which cannot be read: {error}", path.display())))
        };
        let checks = [
            self.common.stored(settings.clone()).err(),
            self.log.check().err(),
            self.bind.addresses().err().or_else(|| self.bind.check_pages(&self.tls).err()),
            self.bind.client_timeout().err(),
            self.bind.requests_per_client().err(),
            self.results.memory_mib().err(),
            self.circuits.settings().err(),
            self.scope.apply(settings.clone()).err(),
            self.worker.settings().err(),
            self.credentials.settings(settings).err(),
        ];
        checks.into_iter().flatten().chain(tls.into_iter().filter_map(unreadable)).collect()
    }
}

/// Flags of servers and workers that a command was given, whatever the variables say: [`effective`](Self::effective) looks at those.
#[derive(Debug, Clone)]
pub struct GivenArgs(ArgMatches);

impl Args for GivenArgs {
    fn augment_args(command: Command) -> Command {
        without_variables(DeploymentArgs::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GivenArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

fn without_variables(command: Command) -> Command {
    command.mut_args(|arg| arg.env(Resettable::<clap::builder::OsStr>::Reset))
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SettingSource {
    /// A flag of this command line.
    Flag,
    /// The environment.
    Variable,
    /// A file that another setting names.
    File,
    /// Nobody has said anything.
    Default,
}

/// A setting as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EffectiveSetting {
    /// The variable.
    pub name: String,
    /// The flag; absent where a flag would show a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The value, without passwords; absent when it is not set, or secret.
    pub value: Option<String>,
    /// Whether it is set, by whomever or by default.
    pub is_set: bool,
    /// Where it comes from.
    pub source: SettingSource,
    /// The variable it was read from, where that has another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_from: Option<&'static str>,
}

/// The settings of a deployment.
#[derive(Debug)]
#[non_exhaustive]
pub struct EffectiveSettings {
    /// All of them, in the order of the help.
    pub all: Vec<EffectiveSetting>,
    /// What is wrong with them.
    pub faults: Vec<ConfigError>,
    /// What processes agree on, as far as it can be used: where something of it is wrong, that is as by default.
    pub settings: Settings,
    /// Those of the worker; `None` when one of them is wrong.
    pub worker: Option<WorkerSettings>,
    /// The addresses of the server, each with the name of its variable; none when one of them is wrong.
    pub addresses: Vec<(&'static str, std::net::SocketAddr)>,
}

/// A setting, and what a command line would have for it.
struct Resolved {
    shown: EffectiveSetting,
    argument: Option<OsString>,
}

impl GivenArgs {
    /// The settings in effect in this environment.
    pub fn effective(&self, environment: &[(OsString, OsString)]) -> EffectiveSettings {
        let variable = |name: &str| {
            let value = environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            value.filter(|value| !value.to_string_lossy().trim().is_empty())
        };
        let command = DeploymentArgs::augment_args(Command::new("check").no_binary_name(true));
        let (mut resolved, mut faults) = (Vec::new(), Vec::new());
        for arg in command.get_arguments() {
            if let Some(name) = arg.get_env().and_then(|name| name.to_str()) {
                resolved.push(self.resolve(arg, name, &variable, &mut faults));
            }
        }
        faults.extend(half_of_a_pair(&mut resolved));
        let parsing = without_variables(command.clone());
        let given: Vec<&OsString> = resolved.iter().filter_map(|one| one.argument.as_ref()).collect();
        // Each for itself first, so that one fault hides no other.
        for argument in &given {
            faults.extend(faults_of(&parsing, [(*argument).clone()]).unwrap_or_else(|fault| fault));
        }
        faults.extend(faults_of(&parsing, given.iter().map(|given| (*given).clone())).unwrap_or_else(|fault| fault));
        let whole = parse(&parsing, given.into_iter().cloned()).ok();
        let settings = whole.as_ref().map_or_else(|| Settings::new("./data", "scanners.yaml"), settings_of);
        faults.extend(settings.clone().check().err().map(in_operator_words));
        let mut seen = BTreeSet::new();
        faults.retain(|fault| seen.insert(fault.to_string()));
        let mut all: Vec<_> = resolved.into_iter().map(|one| one.shown).collect();
        let unnamed = settings.credential_config().map(|path| path.display().to_string());
        if let Some(credentials) = all.iter_mut().find(|one| one.name == "CREDENTIAL_CONFIG" && !one.is_set) {
            (credentials.is_set, credentials.value) = (unnamed.is_some(), unnamed);
        }
        let key_source = match (variable(SECRET_KEY), variable(SECRET_KEY_FILE)) {
            (Some(_), _) => SettingSource::Variable,
            (None, Some(_)) => SettingSource::File,
            (None, None) => SettingSource::Default,
        };
        all.push(secret_key_setting(key_source));
        EffectiveSettings {
            all,
            faults,
            settings,
            worker: whole.as_ref().and_then(|args| args.worker.settings().ok()),
            addresses: whole.and_then(|args| args.bind.addresses().ok()).unwrap_or_default(),
        }
    }

    fn resolve(
        &self,
        arg: &Arg,
        name: &str,
        variable: &impl Fn(&str) -> Option<OsString>,
        faults: &mut Vec<ConfigError>,
    ) -> Resolved {
        let id = arg.get_id().as_str();
        let is_given = self.0.try_contains_id(id).is_ok() && self.0.value_source(id) == Some(ValueSource::CommandLine);
        let flag =
            is_given.then(|| self.0.try_get_raw(id).ok().flatten().and_then(|mut raw| raw.next()).map(OsString::from));
        let older = || variable(OLDER_QUEUE_URL).filter(|_| name == "QUEUE_URL");
        let default = || {
            arg.get_default_values().first().filter(|_| takes_value(arg)).map(|value| OsString::from(value.as_os_str()))
        };
        let (value, source, read_from) = match (flag.flatten(), variable(name)) {
            (Some(value), _) => (Some(value), SettingSource::Flag, None),
            (None, Some(value)) => (Some(value), SettingSource::Variable, None),
            (None, None) => match older() {
                Some(value) => (Some(value), SettingSource::Variable, Some(OLDER_QUEUE_URL)),
                None => (default(), SettingSource::Default, None),
            },
        };
        let long = format!("--{}", arg.get_long().unwrap_or(id));
        let mut argument = None;
        if let Some(value) = value.as_ref().filter(|_| source != SettingSource::Default) {
            if takes_value(arg) {
                let mut text = OsString::from(format!("{long}="));
                text.push(value);
                argument = Some(text);
            } else {
                match is_true(&value.to_string_lossy()) {
                    Some(true) => argument = Some(OsString::from(&long)),
                    Some(false) => {}
                    None => faults.push(setting(name, "must be `true` or `false`".to_owned())),
                }
            }
        }
        let is_set = value.is_some();
        let plain = |value: OsString| {
            let value = value.to_string_lossy();
            // What the help does not show is a URL, which may hold a password.
            let value = if arg.is_hide_env_values_set() { redact_url(&value) } else { value.into_owned() };
            excerpt(&value).to_string()
        };
        let shown = value.map(plain);
        let shown = shown.or_else(|| (!takes_value(arg)).then(|| "false".to_owned()));
        let shown =
            EffectiveSetting { name: name.to_owned(), flag: Some(long), value: shown, is_set, source, read_from };
        Resolved { shown, argument }
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// As clap reads a switch.
fn is_true(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn parse(command: &Command, arguments: impl IntoIterator<Item = OsString>) -> Result<DeploymentArgs, clap::Error> {
    let matches = command.clone().try_get_matches_from(arguments)?;
    DeploymentArgs::from_arg_matches(&matches)
}

/// What is wrong with these values, or why they cannot be read at all.
fn faults_of(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<ConfigError>, Vec<ConfigError>> {
    match parse(command, arguments) {
        Ok(args) => Ok(args.faults()),
        // A certificate and its key are given one alone here.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Ok(Vec::new()),
        Err(error) => {
            let text = error.apply::<RichFormatter>().to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(vec![setting("a flag", format!("cannot be read: {line}"))])
        }
    }
}

/// A certificate without its key, or the other way round: it cannot stand on a command line.
fn half_of_a_pair(resolved: &mut [Resolved]) -> Option<ConfigError> {
    const PAIR: [&str; 2] = ["TLS_CERT", "TLS_KEY"];
    let is_given = |name: &str| resolved.iter().any(|one| one.shown.name == name && one.argument.is_some());
    let (given, missing) = match PAIR.map(is_given) {
        [true, false] => (PAIR[0], PAIR[1]),
        [false, true] => (PAIR[1], PAIR[0]),
        _ => return None,
    };
    resolved.iter_mut().filter(|one| one.shown.name == given).for_each(|one| one.argument = None);
    Some(setting(missing, format!("is missing beside `{given}`")))
}

/// The settings that processes agree on; those of a group with a fault are left out.
fn settings_of(args: &DeploymentArgs) -> Settings {
    let places = args.common.places();
    let settings = args.common.stored(places.clone()).unwrap_or(places);
    let settings = args.scope.apply(settings.clone()).unwrap_or(settings);
    let settings = args.circuits.settings().map_or(settings.clone(), |circuits| settings.with_circuits(circuits));
    args.credentials.settings(settings.clone()).unwrap_or(settings)
}

/// The key that seals logins has no flag, and its value is never shown.
fn secret_key_setting(source: SettingSource) -> EffectiveSetting {
    let is_set = source != SettingSource::Default;
    EffectiveSetting { name: SECRET_KEY.to_owned(), flag: None, value: None, is_set, source, read_from: None }
}

impl EffectiveSettings {
    /// What somebody has probably not meant so in an environment: empty variables, and names like those of settings. `file_texts`
    /// are the texts of the configuration files, whose `${VARIABLE}` are names that somebody knows.
    pub fn warnings(&self, environment: &[(OsString, OsString)], file_texts: &[String]) -> Vec<String> {
        let known: Vec<&str> =
            self.all.iter().map(|one| one.name.as_str()).chain([OLDER_QUEUE_URL, SECRET_KEY_FILE]).collect();
        let referred = |name: &str| {
            let begins = [format!("${{{name}}}"), format!("${{{name}:-")];
            file_texts.iter().any(|text| begins.iter().any(|begin| text.contains(begin.as_str())))
        };
        let mut warnings = Vec::new();
        for (name, value) in environment {
            let name = name.to_string_lossy();
            if known.contains(&&*name) {
                if value.to_string_lossy().trim().is_empty() {
                    warnings.push(format!("`{name}` is set and empty, which counts as not set"));
                }
                continue;
            }
            if referred(&name) {
                continue;
            }
            let like = nearest(&name, known.iter().copied()).into_iter().next().unwrap_or_default();
            if resembles(&name, like) {
                warnings.push(format!("`{}` is no setting: did you mean `{like}`?", excerpt(&name)));
            } else if name.starts_with("NESSUS_") {
                let what = excerpt(&name);
                warnings.push(format!(
                    "`{what}` is no setting, and no file refers to it; the setting most like it is `{like}`"
                ));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Check {
        #[command(flatten)]
        given: GivenArgs,
    }

    fn effective(arguments: &[&str], environment: &[(&str, &str)]) -> EffectiveSettings {
        let given = Check::try_parse_from([&["check"], arguments].concat()).unwrap().given;
        given.effective(&variables(environment))
    }

    fn variables(environment: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        environment.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[track_caller]
    fn of<'a>(effective: &'a EffectiveSettings, name: &str) -> &'a EffectiveSetting {
        effective.all.iter().find(|one| one.name == name).unwrap()
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_a_default() {
        let found = effective(
            &["--poll-interval-seconds", "5"],
            &[
                ("POLL_INTERVAL_SECONDS", "7"),
                ("LEASE_SECONDS", "90"),
                ("DATA_DIR", ""),
                ("REDIS_URL", "redis://:planted@h"),
            ],
        );
        let source = |name| (of(&found, name).value.as_deref(), of(&found, name).source.clone());
        assert_eq!(source("POLL_INTERVAL_SECONDS"), (Some("5"), SettingSource::Flag));
        assert_eq!(source("LEASE_SECONDS"), (Some("90"), SettingSource::Variable));
        assert_eq!(source("DATA_DIR"), (Some("./data"), SettingSource::Default));
        assert_eq!(of(&found, "QUEUE_URL").read_from, Some("REDIS_URL"));
        assert!(!format!("{found:?}").contains("planted"), "{found:?}");
        assert!(found.faults.is_empty(), "{found:?}");
        let warnings = found.warnings(&variables(&[("DATA_DIR", ""), ("LEASE_SECONDS", "90")]), &[]);
        assert_eq!(warnings, ["`DATA_DIR` is set and empty, which counts as not set"]);
    }

    #[test]
    fn all_faults_are_found_in_one_go() {
        let found = effective(
            &[],
            &[
                ("POLL_INTERVAL_SECONDS", "soon"),
                ("LEASE_SECONDS", "0"),
                ("CIRCUIT_FAILURES", "none"),
                ("WITH_WORKER", "perhaps"),
                ("MCP_BIND", "nowhere"),
                ("TLS_CERT", "/no/such/file"),
                ("LOG_LEVEL", "loud"),
                ("DATA_URL", "https://planted@x"),
            ],
        );
        let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
        for name in [
            "POLL_INTERVAL",
            "LEASE_SECONDS",
            "CIRCUIT_FAILURES",
            "WITH_WORKER",
            "MCP_BIND",
            "TLS_KEY",
            "LOG_LEVEL",
            "DATA_URL",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(name)), "{name}: {faults:#?}");
        }
    }

    #[test]
    fn an_object_store_is_looked_at_with_the_queue_it_stands_beside() {
        let stored = ("DATA_URL", "s3://scans/production");
        let alone = effective(&[], &[stored]);
        assert!(matches!(&alone.faults[..], [ConfigError::EmbeddedQueue]), "{:?}", alone.faults);
        let beside = effective(&["--queue-url", "redis://h"], &[stored, ("CACHE_MAX_GB", "20")]);
        assert!(beside.faults.is_empty(), "{:?}", beside.faults);
        assert_eq!(of(&beside, "DATA_URL").value.as_deref(), Some("s3://scans/production"));
        assert_eq!(beside.settings.cache_max_bytes(), 20_000_000_000);
        let wrong = effective(&[], &[("DATA_URL", "s3://key:planted@scans"), ("CACHE_MAX_GB", "lots")]);
        let faults: Vec<_> = wrong.faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.starts_with("`DATA_URL` must have no credentials")), "{faults:?}");
        assert!(!format!("{wrong:?}").contains("planted"), "{wrong:?}");
    }

    #[test]
    fn a_misspelt_variable_is_told_from_one_of_others() {
        let environment = variables(&[
            ("QUEUE_URl", "x"),
            ("DATADIR", "x"),
            ("NESSUS_PASSWORD", "referred to"),
            ("NESSUS_POLL_TIME", "x"),
            ("HOME", "/root"),
            ("PATH", "/bin"),
        ]);
        let warnings = effective(&[], &[]).warnings(&environment, &["password: ${NESSUS_PASSWORD:-x}".to_owned()]);
        assert_eq!(warnings.len(), 3, "{warnings:#?}");
        assert!(warnings[0].contains("`QUEUE_URL`") && warnings[1].contains("`DATA_DIR`"), "{warnings:#?}");
        assert!(warnings[2].contains("no file refers to it"), "{warnings:#?}");
    }
}
