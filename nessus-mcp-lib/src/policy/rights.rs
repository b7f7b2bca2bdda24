//! What a client may scan, within what may be scanned at all, and how much of it.

use std::path::Path;

use super::{
    limit::Limit,
    target_rules::{AllowList, TargetRules},
    tool_rights::{RawToolRights, ToolRights},
};
use crate::{
    config::{ConfigError, Reader, Scalar, is_blank_yaml, parse_yaml},
    ids::PoolName,
};

/// The words for types of scan.
const SCAN_TYPES: [&str; 3] = ["untrusted", "trusted", "privileged"];

/// What a client may do beyond its role: all of it lies within what the whole policy allows. The default restricts nothing.
///
/// They hold whatever the `mode` of the policy says: that is about its scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rights {
    /// The pools that it may use, and knows of; `None` for all.
    pub pools: Option<Vec<PoolName>>,
    pub(super) targets: TargetRules,
    /// The types of scan, as [`ScanType`](crate::task::ScanType) writes them; `None` for all.
    pub scan_types: Option<Vec<String>>,
    /// The templates; `None` for all.
    pub templates: Option<Vec<String>>,
    /// The policies that people made on the scanners, by name or id; `None` for all, or for none where templates are chosen.
    pub policies: Option<Vec<String>>,
    /// The logins of `credentials.yaml`, by id; `None` for all.
    pub credentials: Option<Vec<String>>,
    /// Whether a request may bring a login along; `None` for yes, or for no where credentials are chosen.
    pub inline_logins: Option<bool>,
    /// The most scans that were accepted and have not ended.
    pub max_scans_at_once: Option<u64>,
    /// The most scans of a day in UTC.
    pub max_scans_per_day: Option<u64>,
    /// The most hosts of the scans of a day in UTC.
    pub max_hosts_per_day: Option<u64>,
    /// The tools that it may use, and how often.
    pub tools: ToolRights,
}

/// The keys of [`Rights`] in an entry of `policy.yaml`.
#[derive(Debug, Default)]
pub(super) struct RawRights {
    pub(super) pools: Option<Vec<Scalar>>,
    pub(super) targets: Option<Vec<Scalar>>,
    pub(super) deny_targets: Option<Vec<Scalar>>,
    pub(super) scan_types: Option<Vec<Scalar>>,
    pub(super) templates: Option<Vec<Scalar>>,
    pub(super) policies: Option<Vec<Scalar>>,
    pub(super) credentials: Option<Vec<Scalar>>,
    pub(super) inline_logins: Option<Scalar>,
    pub(super) max_scans_at_once: Option<Scalar>,
    pub(super) max_scans_per_day: Option<Scalar>,
    pub(super) max_hosts_per_day: Option<Scalar>,
    pub(super) tools: RawToolRights,
}

/// Declares the keys of an entry of `policy.yaml` that has those of [`RawRights`] beside its own. (Serde's `flatten` would lose
/// the lines of the values, and could not refuse unknown keys.)
macro_rules! keys_with_rights {
    ($(#[$meta:meta])* struct $name:ident { $($key:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($key: $kind,)*
            pools: Option<Vec<Scalar>>,
            targets: Option<Vec<Scalar>>,
            deny_targets: Option<Vec<Scalar>>,
            scan_types: Option<Vec<Scalar>>,
            templates: Option<Vec<Scalar>>,
            policies: Option<Vec<Scalar>>,
            credentials: Option<Vec<Scalar>>,
            inline_logins: Option<Scalar>,
            max_scans_at_once: Option<Scalar>,
            max_scans_per_day: Option<Scalar>,
            max_hosts_per_day: Option<Scalar>,
            toolsets: Option<Vec<Scalar>>,
            tools: Option<Vec<Scalar>>,
            exclude_tools: Option<Vec<Scalar>>,
            calls_per_minute: Option<$crate::policy::tool_rights::RawCallLimits>,
        }

        impl $name {
            /// Takes the keys of the rights out of it.
            fn take_rights(&mut self) -> $crate::policy::rights::RawRights {
                $crate::policy::rights::RawRights {
                    pools: self.pools.take(),
                    targets: self.targets.take(),
                    deny_targets: self.deny_targets.take(),
                    scan_types: self.scan_types.take(),
                    templates: self.templates.take(),
                    policies: self.policies.take(),
                    credentials: self.credentials.take(),
                    inline_logins: self.inline_logins.take(),
                    max_scans_at_once: self.max_scans_at_once.take(),
                    max_scans_per_day: self.max_scans_per_day.take(),
                    max_hosts_per_day: self.max_hosts_per_day.take(),
                    tools: $crate::policy::tool_rights::RawToolRights {
                        toolsets: self.toolsets.take(),
                        tools: self.tools.take(),
                        exclude_tools: self.exclude_tools.take(),
                        calls_per_minute: self.calls_per_minute.take(),
                    },
                }
            }
        }
    };
}
pub(super) use keys_with_rights;

keys_with_rights! {
    /// The keys of rights that stand alone.
    struct RawRightsAlone {}
}

impl Rights {
    /// Reads the keys that say in an entry of `policy.yaml` what a client may do, for a program that knows its callers without such a file.
    /// `client` is what refusals call the caller. A key that is missing restricts nothing; values stand as they are, without variables.
    ///
    /// ```
    /// use nessus_mcp_lib::policy::{Principal, Rights, Role};
    /// let rights = Rights::parse("app:ann", "pools: [lab]\ntargets: [192.0.2.0/24]\nmax_scans_per_day: 20\n")?;
    /// let ann = Principal::new("app:ann", Role::Scan).with_rights(rights.into());
    /// assert_eq!(ann.rights.max_scans_per_day, Some(20));
    /// # Ok::<(), nessus_mcp_lib::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] with line and key, also when there is no key at all.
    pub fn parse(client: &str, keys: &str) -> Result<Self, ConfigError> {
        let path = Path::new("rights");
        if is_blank_yaml(keys) {
            let message = "there are no keys: leave the rights out for whoever may do all".to_owned();
            return Err(ConfigError::Syntax { path: path.to_owned(), line: 1, message });
        }
        let mut raw: RawRightsAlone = parse_yaml(keys, path)?;
        let reader = Reader { path, prefix: String::new(), lookup: &|_| None };
        reader.rights("rights", client, raw.take_rights())
    }

    /// Whether it may do whatever the whole policy allows.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.targets.is_empty() && *self == Self { targets: self.targets.clone(), ..Self::default() }
    }

    /// The most that there may be; `None` for any number.
    pub fn most(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::ScansAtOnce => self.max_scans_at_once,
            Limit::ScansPerDay => self.max_scans_per_day,
            Limit::HostsPerDay => self.max_hosts_per_day,
        }
    }

    /// What it restricts of scans, by the keys of `policy.yaml`: a line for each that has an effect.
    pub fn restrictions(&self) -> Vec<String> {
        let list = |key: &str, names: Option<Vec<String>>| {
            let names = names?;
            Some(format!("{key}: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") }))
        };
        let (allow, deny) = self.targets.texts();
        let policies = self.policies.clone().or_else(|| self.templates.as_ref().map(|_| Vec::new()));
        let lists = [
            list("pools", self.pools.as_ref().map(|pools| pools.iter().map(PoolName::to_string).collect())),
            list("targets", allow),
            list("deny_targets", deny),
            list("scan_types", self.scan_types.clone()),
            list("templates", self.templates.clone()),
            list("policies", policies),
            list("credentials", self.credentials.clone()),
            (!self.allows_inline_logins()).then(|| "inline_logins: false".to_owned()),
        ];
        let limits = Limit::ALL.into_iter().map(|limit| Some(format!("{limit}: {}", self.most(limit)?)));
        lists.into_iter().chain(limits).flatten().collect()
    }

    /// Whether it may use this pool, and know that it is there.
    pub fn allows_pool(&self, pool: &PoolName) -> bool {
        self.pools.as_ref().is_none_or(|pools| pools.contains(pool))
    }

    /// Whether there are targets in the scope that it may not scan.
    pub fn restricts_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Whether it may run scans of this type, as [`ScanType`](crate::task::ScanType) writes it.
    pub fn allows_scan_type(&self, scan_type: &str) -> bool {
        allows(self.scan_types.as_ref(), scan_type)
    }

    /// Whether it may run scans of this template.
    pub fn allows_template(&self, template: &str) -> bool {
        allows(self.templates.as_ref(), template)
    }

    /// Whether it may run scans of a policy that has this name and id on its scanner.
    pub fn allows_policy(&self, name: &str, id: &str) -> bool {
        match &self.policies {
            Some(allowed) => allowed.iter().any(|one| one == name || one == id),
            // Whoever chose the templates did not mean that a policy may do what another template does.
            None => self.templates.is_none(),
        }
    }

    /// Whether it may run scans of all templates and policies.
    pub fn allows_every_basis(&self) -> bool {
        self.templates.is_none() && self.policies.is_none()
    }

    /// Whether its scans may log in with what their policy has on the scanner.
    pub fn allows_logins_of_policies(&self) -> bool {
        // Whoever chose the credentials did not mean those that nobody named.
        self.credentials.is_none() || self.policies.is_some()
    }

    /// Whether it may use this login of `credentials.yaml`, and know that it is there.
    pub fn allows_credential(&self, id: &str) -> bool {
        allows(self.credentials.as_ref(), id)
    }

    /// Whether its requests may bring a login along.
    pub fn allows_inline_logins(&self) -> bool {
        self.inline_logins.unwrap_or(self.credentials.is_none())
    }
}

fn allows(list: Option<&Vec<String>>, name: &str) -> bool {
    list.is_none_or(|list| list.iter().any(|one| one == name))
}

impl Reader<'_> {
    /// The rights of an entry, whose key in the file is `entry`; `client` is what messages call whose they are.
    pub(super) fn rights(&self, entry: &str, client: &str, raw: RawRights) -> Result<Rights, ConfigError> {
        let key = |name: &str| format!("{entry}.{name}");
        let pool = |text: &str| PoolName::new(text).map_err(|error| format!("is no name of a pool: {error}"));
        let scan_type = |text: &str| {
            let known = SCAN_TYPES.into_iter().find(|word| *word == text).map(str::to_owned);
            known.ok_or_else(|| format!("must be one of {}", SCAN_TYPES.map(|word| format!("`{word}`")).join(", ")))
        };
        let name = |text: &str| match text {
            "" => Err("is empty".to_owned()),
            text => Ok(text.to_owned()),
        };
        let yes_or_no = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`".to_owned()),
        };
        Ok(Rights {
            pools: self.some_of(&key("pools"), raw.pools, pool)?,
            targets: TargetRules {
                client: Some(client.into()),
                allow: self.targets(&key("targets"), raw.targets)?.map(AllowList::new),
                deny: self.targets(&key("deny_targets"), raw.deny_targets)?.unwrap_or_default(),
            },
            scan_types: self.some_of(&key("scan_types"), raw.scan_types, scan_type)?,
            templates: self.some_of(&key("templates"), raw.templates, name)?,
            policies: self.any_of(&key("policies"), raw.policies, name)?,
            credentials: self.any_of(&key("credentials"), raw.credentials, name)?,
            inline_logins: self.value(&key("inline_logins"), raw.inline_logins, yes_or_no)?,
            max_scans_at_once: self.value(&key("max_scans_at_once"), raw.max_scans_at_once, parse_count)?,
            max_scans_per_day: self.value(&key("max_scans_per_day"), raw.max_scans_per_day, parse_count)?,
            max_hosts_per_day: self.value(&key("max_hosts_per_day"), raw.max_hosts_per_day, parse_count)?,
            tools: self.tool_rights(entry, raw.tools)?,
        })
    }

    /// A list that may be empty: then there is none of them.
    fn any_of<T>(
        &self,
        key: &str,
        raw: Option<Vec<Scalar>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let read = |raw: Vec<Scalar>| {
            let entries = raw.into_iter().enumerate();
            entries.filter_map(|(at, raw)| self.value(&format!("{key}[{at}]"), Some(raw), &parse).transpose()).collect()
        };
        raw.map(read).transpose()
    }

    /// A list without which nothing could be scanned: it has an entry.
    fn some_of<T>(
        &self,
        key: &str,
        raw: Option<Vec<Scalar>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        match self.any_of(key, raw, parse)? {
            Some(list) if list.is_empty() => Err(self.error(key, 1, "is empty: leave it out, or name some")),
            list => Ok(list),
        }
    }
}

/// A number of things that there may be.
pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a whole number from 1 on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_stand_alone_are_read_as_those_of_a_client() {
        let keys = "pools: [lab]\ntargets: [192.0.2.0/24]\ndeny_targets: [192.0.2.9]\ncredentials: []\nmax_scans_at_once: 2\ntools: [x]\n";
        let rights = Rights::parse("app:ann", keys).unwrap();
        assert_eq!(
            rights.restrictions(),
            [
                "pools: lab",
                "targets: 192.0.2.0/24",
                "deny_targets: 192.0.2.9",
                "credentials: none",
                "inline_logins: false",
                "max_scans_at_once: 2"
            ]
        );
        assert_eq!(rights.targets.client.as_deref(), Some("app:ann"));
        assert_eq!(rights.tools.tools.unwrap().len(), 1);
        for (keys, expected) in [
            ("", "rights:1: there are no keys"),
            ("pools: [lab]\nscan_types: [loud]\n", "rights:2: `rights.scan_types[0]` must be one of"),
            ("pool: [lab]\n", "rights:1: "),
            ("pools: ['${HOME}']\n", "rights:1: `rights.pools[0]` "),
        ] {
            let error = Rights::parse("ann", keys).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{keys}: {error}");
        }
    }
}
