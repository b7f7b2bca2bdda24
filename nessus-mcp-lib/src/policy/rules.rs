//! What a policy says about targets. Nothing is looked up here.

use std::{fmt, num::NonZeroU32, path::Path, str::FromStr, sync::Arc};

use super::{
    ScopeError,
    approval::Approvals,
    clients::{Client, Clients, LOCAL, Principal, Role, TokenError},
    oauth::OAuth,
    rights::Rights,
    target_rules::TargetRules,
    tool_rights::{CallLimits, RateClass, ToolRights},
    visibility::{Sight, Visibility},
    webhook::Webhook,
    windows::{Closed, Windows},
};
use crate::{
    ids::PoolName,
    targets::{NameAddresses, TargetSet},
    time::Timestamp,
};

/// Whether the rules of a policy are applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyMode {
    /// They are not looked at.
    #[default]
    Off,
    /// What they would refuse is accepted, logged and said in the answer.
    DryRun,
    /// What they refuse is refused.
    Enforce,
}

impl PolicyMode {
    /// The word in `policy.yaml`, `task.json` and `/health`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for PolicyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PolicyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let modes = [Self::Off, Self::DryRun, Self::Enforce];
        let found = modes.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| "must be `off`, `dry_run` or `enforce`".to_owned())
    }
}

/// `policy.yaml`, as it was read. The default has no rules: no scope is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub(super) mode: PolicyMode,
    pub(super) targets: TargetRules,
    pub(super) max_hosts_per_scan: Option<u64>,
    pub(super) max_hosts_per_day: Option<u64>,
    pub(super) clients: Clients,
    pub(super) local: Option<Role>,
    pub(super) visibility: Visibility,
    pub(super) calls_per_minute: CallLimits,
    pub(super) oauth: Option<Arc<OAuth>>,
    pub(super) windows: Windows,
    pub(super) approvals: Approvals,
    pub(super) webhooks: Vec<Webhook>,
    /// The file it was read from, if it was.
    pub(super) file: Option<Arc<Path>>,
}

impl Policy {
    /// Whether its rules are applied.
    pub const fn mode(&self) -> PolicyMode {
        self.mode
    }

    /// The tasks that a caller may see.
    pub fn sight_of(&self, caller: &Principal) -> Sight {
        self.visibility.sight_of(caller)
    }

    /// The most hosts of all scans of a day, unless the rules are not looked at.
    pub fn max_hosts_per_day(&self) -> Option<u64> {
        self.max_hosts_per_day.filter(|_| self.mode != PolicyMode::Off)
    }

    /// The most calls that a caller may make in a minute, by what is said of it or else of all; `None` for any number.
    pub fn calls_per_minute(&self, caller: &Principal, class: RateClass) -> Option<NonZeroU32> {
        caller.rights.tools.calls_per_minute.of(class).or(self.calls_per_minute.of(class))
    }

    /// What it says about tools, entry by entry.
    pub fn tool_rights(&self) -> impl Iterator<Item = &ToolRights> {
        self.all_rights().map(|rights| &rights.tools)
    }

    /// The clients that have a token.
    pub fn clients(&self) -> &[Client] {
        self.clients.all()
    }

    /// The identity provider whose access tokens are taken, if there is one.
    pub fn oauth(&self) -> Option<&Arc<OAuth>> {
        self.oauth.as_ref()
    }

    /// Whether anybody can be told from others: there are clients, or an identity provider.
    pub fn has_identities(&self) -> bool {
        !self.clients().is_empty() || self.oauth.is_some()
    }

    /// Who has this token.
    ///
    /// # Errors
    /// [`TokenError`] when no client has it, or its time is over.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        self.clients.find(token, now)
    }

    /// What somebody on this machine may do without a token: everything where nobody has an identity, else what `local` says.
    pub fn local_role(&self) -> Option<Role> {
        if self.has_identities() { self.local } else { Some(self.local.unwrap_or(Role::Scan)) }
    }

    /// Why a scan in this pool may not run at this moment, if so, and the mode. `targets` is asked only where a window names
    /// targets.
    pub(crate) fn closed(
        &self,
        pool: &PoolName,
        targets: impl FnOnce() -> Option<(TargetSet, NameAddresses)>,
        now: Timestamp,
    ) -> Option<(PolicyMode, Closed)> {
        if self.mode == PolicyMode::Off {
            return None;
        }
        Some((self.mode, self.windows.closed(pool, targets, now)?))
    }

    /// Who is told what happens to tasks, whatever the mode.
    pub fn webhooks(&self) -> &[Webhook] {
        &self.webhooks
    }

    /// The pools that its windows, its webhooks and the rights of its clients name.
    pub fn pools(&self) -> impl Iterator<Item = &PoolName> {
        let of_webhooks = self.webhooks.iter().flat_map(|webhook| webhook.pools.iter().flatten());
        self.windows
            .pools()
            .chain(of_webhooks)
            .chain(self.all_rights().filter_map(|rights| rights.pools.as_ref()).flatten())
    }

    /// The rights of all clients, and of all entries of `oauth.roles`.
    fn all_rights(&self) -> impl Iterator<Item = &Rights> {
        let of_clients = self.clients().iter().map(|client| &*client.rights);
        of_clients.chain(self.oauth.iter().flat_map(|oauth| oauth.rights()))
    }

    /// The rights, as they are now, of a principal under whose rights a scan was accepted. Only clients and entries of `oauth.roles` have
    /// any here; whoever comes in by another way may scan whatever the whole policy allows. Without a policy nobody knows of
    /// clients, and nothing is refused.
    ///
    /// # Errors
    /// [`ScopeError::ClientRevoked`] for a client or an entry that is not in it any more.
    pub fn rights_of(&self, principal: &str) -> Result<Arc<Rights>, ScopeError> {
        // A user of the system may have a slash in its name.
        let by_entry = principal.split_once('/').filter(|_| !principal.starts_with("user:"));
        let found = if let Some((_, entry)) = by_entry {
            self.oauth.as_ref().and_then(|oauth| oauth.rights_of(entry))
        } else {
            let is_it = |client: &&Client| &*client.name == principal && !client.is_revoked;
            self.clients().iter().find(is_it).map(|client| &client.rights)
        };
        // No client's name has a colon.
        let may_be_gone = by_entry.is_some() || (principal != LOCAL && !principal.contains(':'));
        match found {
            Some(rights) => Ok(Arc::clone(rights)),
            None if may_be_gone && *self != Self::default() => {
                Err(ScopeError::ClientRevoked { client: principal.to_owned() })
            }
            None => Ok(Arc::default()),
        }
    }
}
