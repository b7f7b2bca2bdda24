//! What a policy says about targets. Nothing is looked up here.

use std::{fmt, net::IpAddr, path::Path, str::FromStr, sync::Arc};

use super::{
    ScopeError,
    clients::{Client, Clients, Principal, Role, TokenError},
    visibility::{Sight, Visibility},
    windows::{Closed, Windows},
};
use crate::{
    ids::PoolName,
    targets::{self, NameAddresses, TargetPiece, TargetSet},
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

/// An entry of `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DenyRule {
    /// As it stands in the file.
    pub(super) text: String,
    pub(super) set: TargetSet,
}

/// The entries of `allow` together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowList {
    entries: Vec<DenyRule>,
    /// All of them together.
    set: TargetSet,
    /// Whether there are names among them: then other names are refused. Where there are none, a name is judged by its
    /// addresses.
    has_names: bool,
    /// The same for addresses: where there are none, those of a name that is allowed are.
    has_addresses: bool,
}

impl AllowList {
    pub(super) fn new(entries: Vec<DenyRule>) -> Self {
        let set: TargetSet = entries.iter().map(|entry| entry.set.clone()).collect();
        let is_address = |piece| matches!(piece, TargetPiece::Addresses { .. });
        let (has_names, has_addresses) = (!set.pieces().all(is_address), set.pieces().any(is_address));
        Self { entries, set, has_names, has_addresses }
    }
}

/// `policy.yaml`, as it was read. The default has no rules: no scope is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub(super) mode: PolicyMode,
    pub(super) allow: Option<AllowList>,
    pub(super) deny: Vec<DenyRule>,
    pub(super) max_hosts_per_scan: Option<u64>,
    pub(super) max_hosts_per_day: Option<u64>,
    pub(super) clients: Clients,
    pub(super) local: Option<Role>,
    pub(super) visibility: Visibility,
    pub(super) windows: Windows,
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

    /// The clients that have a token.
    pub fn clients(&self) -> &[Client] {
        self.clients.all()
    }

    /// Who has this token.
    ///
    /// # Errors
    /// [`TokenError`] when no client has it, or its time is over.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        self.clients.find(token, now)
    }

    /// What somebody on this machine may do without a token: everything where there are no clients, else what `local` says.
    pub fn local_role(&self) -> Option<Role> {
        if self.clients().is_empty() { Some(self.local.unwrap_or(Role::Scan)) } else { self.local }
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

    /// The pools that its windows name.
    pub fn pools(&self) -> impl Iterator<Item = &PoolName> {
        self.windows.pools()
    }

    /// What is refused of the targets as they were asked for, in their order. Addresses of names are asked for with
    /// [`check_address`](Self::check_address).
    pub(super) fn refusals<'a>(&'a self, targets: &'a TargetSet) -> impl Iterator<Item = ScopeError> + 'a {
        targets.split().filter_map(|piece| {
            let is_judged_by_addresses = |allow: &AllowList| !allow.has_names && piece.names().next().is_some();
            self.check(&piece, is_judged_by_addresses).err()
        })
    }

    /// The entries of `allow` that hold a part of targets which are allowed, as they were asked for and with the addresses of names.
    pub(super) fn allowing(&self, targets: &TargetSet, with_addresses: &TargetSet) -> Vec<String> {
        let entries = self.allow.iter().flat_map(|allow| &allow.entries);
        let decided = entries.filter(|entry| entry.set.overlaps(targets) || entry.set.overlaps(with_addresses));
        decided.map(|entry| entry.text.clone()).collect()
    }

    /// Refuses an address of a name, if it may not be scanned.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), ScopeError> {
        self.check(&TargetSet::from(address), |allow| !allow.has_addresses)
    }

    fn check(&self, piece: &TargetSet, is_exempt: impl Fn(&AllowList) -> bool) -> Result<(), ScopeError> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.set.overlaps(piece)) {
            return Err(ScopeError::Denied { target: piece.to_string(), rule: rule.text.clone() });
        }
        match &self.allow {
            Some(allow) if !is_exempt(allow) && !allow.set.contains_set(piece) => Err(ScopeError::NotAllowed {
                target: piece.to_string(),
                allowed: targets::shortened(&allow.set.to_string()),
            }),
            _ => Ok(()),
        }
    }
}
