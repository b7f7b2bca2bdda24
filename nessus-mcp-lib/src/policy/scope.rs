//! The scope of this process: what scans may be aimed at.

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    ScopeError, reserved,
    resolver::{Resolver, SystemResolver, resolve_all},
    rights::Rights,
    rules::{Policy, PolicyMode},
    target_rules::TargetRules,
    webhook::HookEvent,
    windows::{Closed, WindowState},
};
use crate::{
    config::{ConfigError, Settings},
    ids::PoolName,
    targets::{NameAddresses, TargetSet},
    time::Timestamp,
};

/// How many refusals a dry run tells.
const MOST_TOLD: usize = 10;

/// What scans may be aimed at. Asked when a scan is submitted, and again right before it begins. Cheap to clone: all clones
/// go by the same policy, which can be replaced.
#[derive(Debug, Clone)]
pub struct Scope {
    policy: Arc<ArcSwap<Policy>>,
    resolver: Arc<dyn Resolver>,
    most_hosts: u64,
    /// Whether the policy says which webhooks server and workers have: an operator's shell may know of no policy.
    knows_webhooks: bool,
    /// What refuses a policy for what this module does not know, such as the names of tools.
    check: fn(&Policy) -> Result<(), ConfigError>,
}

/// Targets that may be scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Whether the rules of the policy were applied.
    pub mode: PolicyMode,
    /// The addresses of the names, all of which were checked: those that are to be scanned. Empty unless the scope is
    /// enforced, or the client's rights are about targets.
    pub addresses: NameAddresses,
    /// What the rules would have refused, one sentence each, in a dry run.
    pub would_refuse: Vec<String>,
    /// The entries that hold the targets, where it is these that decided, each with its list: of `allow`, and of the `targets` of
    /// the client.
    pub allowed_by: Vec<String>,
}

/// What is known of names: their addresses, or why there are none.
type Answers = BTreeMap<String, Result<Vec<IpAddr>, String>>;

impl Default for Scope {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl Scope {
    /// The scope of a policy. Names are looked up as the machine does.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            resolver: Arc::new(SystemResolver),
            most_hosts: Settings::DEFAULT_MAX_HOSTS_PER_SCAN,
            knows_webhooks: true,
            check: |_| Ok(()),
        }
    }

    /// The same scope in a process that does not know which webhooks server and workers have: it leaves to a worker whom to tell
    /// what it does.
    pub fn without_webhooks(mut self) -> Self {
        self.knows_webhooks = false;
        self
    }

    /// The webhooks that want to hear of an event of a task in this pool, which somebody has submitted, by name; one without a name
    /// where that is not known here.
    pub(crate) fn listeners(
        &self,
        event: HookEvent,
        pool: &PoolName,
        submitted_by: Option<&str>,
    ) -> Vec<Option<String>> {
        if !self.knows_webhooks {
            return vec![None];
        }
        let policy = self.policy.load();
        let wanting = policy.webhooks().iter().filter(|webhook| webhook.wants(event, pool, submitted_by));
        wanting.map(|webhook| Some(webhook.name.clone())).collect()
    }

    /// What looks names up.
    pub(crate) fn resolver(&self) -> &Arc<dyn Resolver> {
        &self.resolver
    }

    /// The same scope, whose policy `check` has taken, as it must take each that is read again from its file.
    ///
    /// # Errors
    /// What it says of the policy of now.
    pub fn checked_by(mut self, check: fn(&Policy) -> Result<(), ConfigError>) -> Result<Self, ConfigError> {
        check(&self.policy())?;
        self.check = check;
        Ok(self)
    }

    /// Checks a policy that was read again.
    pub(crate) fn accept(&self, policy: Policy) -> Result<Policy, ConfigError> {
        (self.check)(&policy)?;
        Ok(policy)
    }

    /// The same scope with another resolver.
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// The same scope with so many hosts for one scan. A policy that is applied may allow more.
    pub fn with_max_hosts_per_scan(mut self, hosts: u64) -> Self {
        self.most_hosts = hosts;
        self
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// The file that the policy was read from; `None` when no scope is set.
    pub fn file(&self) -> Option<Arc<Path>> {
        self.policy().file.clone()
    }

    /// Goes by another policy from now on.
    pub fn replace(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Checks targets, with the addresses that their names have now, for somebody with these rights. Names are looked up only for
    /// a policy that is applied, and for rights that are about targets.
    ///
    /// # Errors
    /// [`ScopeError`] with the first target that is refused.
    pub async fn check(&self, targets: &TargetSet, rights: &Rights) -> Result<Checked, ScopeError> {
        let policy = self.policy();
        // What is refused by the targets alone needs no lookup.
        let checked = self.decide(&policy, rights, targets, &Answers::new())?;
        if !names_matter(&policy, rights) || targets.names().next().is_none() {
            return Ok(checked);
        }
        let answers = resolve_all(&self.resolver, targets.names()).await;
        self.decide(&policy, rights, targets, &answers)
    }

    /// Checks the targets of a scan that was created with these addresses in the place of names.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when the names of targets are bound to their addresses and the scan has a name in it.
    pub fn check_created(
        &self,
        targets: &TargetSet,
        addresses: &NameAddresses,
        rights: &Rights,
    ) -> Result<(), ScopeError> {
        let policy = self.policy();
        let unchecked = targets.names().find(|name| !addresses.contains_key(*name));
        if let Some(name) = unchecked.filter(|_| binds_names(&policy, rights)) {
            return Err(ScopeError::Unchecked { name: name.to_owned() });
        }
        let known = addresses.iter().map(|(name, addresses)| (name.clone(), Ok(addresses.clone()))).collect();
        self.decide(&policy, rights, targets, &known).map(drop)
    }

    /// Why a scan in this pool may not run at this moment, if so, and the mode. `targets` is asked only where a window names
    /// targets: for them, and the addresses that are known of their names.
    pub fn closed(
        &self,
        pool: &PoolName,
        targets: impl FnOnce() -> Option<(TargetSet, NameAddresses)>,
        now: Timestamp,
    ) -> Option<(PolicyMode, Closed)> {
        self.policy().closed(pool, targets, now)
    }

    /// How the windows stand at a moment, in the order of the file.
    pub fn windows(&self, now: Timestamp) -> Vec<WindowState> {
        self.policy().windows.states(now)
    }

    /// Decides from what is known of the names; those that `answers` does not have are judged as names only.
    fn decide(
        &self,
        policy: &Policy,
        rights: &Rights,
        targets: &TargetSet,
        answers: &Answers,
    ) -> Result<Checked, ScopeError> {
        reserved::check(targets)?;
        let known = answers.iter().filter_map(|(name, answer)| Some((name.clone(), answer.as_ref().ok()?.clone())));
        let addresses: NameAddresses = known.collect();
        for (name, address) in each(&addresses) {
            reserved::check(&TargetSet::from(address)).map_err(|refused| of_name(name, address, refused))?;
        }
        let with_addresses = targets.with_addresses(&addresses);
        with_addresses.for_scanner()?;
        let hosts = with_addresses.host_count();
        let check_count = |(most, limit): (u64, &'static str)| match hosts {
            hosts if hosts > most.into() => Err(ScopeError::TooManyHosts { hosts, most, limit }),
            _ => Ok(()),
        };
        let by_policy = policy.max_hosts_per_scan.filter(|_| policy.mode != PolicyMode::Off);
        let by_policy = by_policy.map(|most| (most, "max_hosts_per_scan"));
        let by_setting = (self.most_hosts, "settings.max_hosts_per_scan");
        // A policy that allows more is an operator's leave, also in a dry run.
        check_count(by_policy.filter(|(most, _)| *most > self.most_hosts).unwrap_or(by_setting))?;
        let refused_by = |rules| refusals(rules, targets, answers, &addresses);
        // What a client may scan is no scope that somebody tries out: it holds in every mode.
        let of_client = &rights.targets;
        if rights.restricts_targets()
            && let Some(refused) = refused_by(of_client).next()
        {
            return Err(refused);
        }
        let mut checked = Checked { mode: policy.mode, ..Checked::default() };
        if policy.mode != PolicyMode::Off {
            let of_count = by_policy.and_then(|limit| check_count(limit).err());
            let mut refusals = refused_by(&policy.targets).chain(of_count);
            if policy.mode == PolicyMode::DryRun {
                checked.would_refuse = refusals.take(MOST_TOLD).map(|refused| refused.to_string()).collect();
            } else if let Some(refused) = refusals.next() {
                return Err(refused);
            }
        }
        let applied = [&policy.targets, of_client].into_iter().skip(usize::from(policy.mode == PolicyMode::Off));
        if checked.would_refuse.is_empty() {
            let deciding = |rules: &TargetRules| rules.allowing(targets, &with_addresses);
            checked.allowed_by = applied.flat_map(deciding).collect();
        }
        if binds_names(policy, rights) {
            checked.addresses.clone_from(&addresses);
        }
        Ok(checked)
    }
}

/// What rules refuse of targets, whose names have these addresses, or these answers to the question for them.
fn refusals<'a>(
    rules: &'a TargetRules,
    targets: &'a TargetSet,
    answers: &'a Answers,
    addresses: &'a NameAddresses,
) -> impl Iterator<Item = ScopeError> + 'a {
    let unresolved = answers.iter().filter_map(|(name, answer)| {
        let reason = answer.as_ref().err()?.clone();
        Some(ScopeError::Unresolved { name: name.clone(), reason })
    });
    let of_addresses = each(addresses).filter_map(|(name, address)| {
        rules.check_address(address).err().map(|refused| of_name(name, address, refused))
    });
    rules.refusals(targets).chain(unresolved).chain(of_addresses)
}

/// Whether the addresses of names are looked up.
fn names_matter(policy: &Policy, rights: &Rights) -> bool {
    policy.mode != PolicyMode::Off || rights.restricts_targets()
}

/// Whether a scan is of the addresses that were checked, in the place of the names.
fn binds_names(policy: &Policy, rights: &Rights) -> bool {
    policy.mode == PolicyMode::Enforce || rights.restricts_targets()
}

fn each(addresses: &NameAddresses) -> impl Iterator<Item = (&str, IpAddr)> {
    addresses.iter().flat_map(|(name, addresses)| addresses.iter().map(move |address| (name.as_str(), *address)))
}

fn of_name(name: &str, address: IpAddr, refused: ScopeError) -> ScopeError {
    ScopeError::AddressOfName { name: name.to_owned(), address, source: Box::new(refused) }
}

#[cfg(test)]
mod tests;
