//! Rules about targets: what must hold all of them, and what must not hold any. Nothing is looked up here.

use std::{net::IpAddr, sync::Arc};

use super::ScopeError;
use crate::{
    config::{ConfigError, Reader, Scalar},
    targets::{self, TargetPiece, TargetSet},
};

/// An entry of a list of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetRule {
    /// As it stands in the file.
    pub(super) text: String,
    pub(super) set: TargetSet,
}

/// The entries of a list that must hold all targets, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowList {
    entries: Vec<TargetRule>,
    /// All of them together.
    set: TargetSet,
    /// Whether there are names among them: then other names are refused. Where there are none, a name is judged by its
    /// addresses.
    has_names: bool,
    /// The same for addresses: where there are none, those of a name that is allowed are.
    has_addresses: bool,
}

impl AllowList {
    pub(super) fn new(entries: Vec<TargetRule>) -> Self {
        let set: TargetSet = entries.iter().map(|entry| entry.set.clone()).collect();
        let is_address = |piece| matches!(piece, TargetPiece::Addresses { .. });
        let (has_names, has_addresses) = (!set.pieces().all(is_address), set.pieces().any(is_address));
        Self { entries, set, has_names, has_addresses }
    }
}

/// What may be scanned: targets that `allow` holds and `deny` does not. The default allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TargetRules {
    /// The client whose rules they are; `None` for those of all.
    pub(super) client: Option<Arc<str>>,
    pub(super) allow: Option<AllowList>,
    pub(super) deny: Vec<TargetRule>,
}

impl TargetRules {
    /// Whether nothing is refused.
    pub(super) fn is_empty(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// What is refused of the targets as they were asked for, in their order. Addresses of names are asked for with
    /// [`check_address`](Self::check_address).
    pub(super) fn refusals<'a>(&'a self, targets: &'a TargetSet) -> impl Iterator<Item = ScopeError> + 'a {
        let pieces = (!self.is_empty()).then(|| targets.split());
        pieces.into_iter().flatten().filter_map(move |piece| {
            let is_judged_by_addresses = |allow: &AllowList| !allow.has_names && piece.names().next().is_some();
            self.check(&piece, is_judged_by_addresses).err()
        })
    }

    /// The entries of `allow` that hold a part of targets which are allowed, as they were asked for and with the addresses of names:
    /// each as a sentence.
    pub(super) fn allowing(&self, targets: &TargetSet, with_addresses: &TargetSet) -> Vec<String> {
        let entries = self.allow.iter().flat_map(|allow| &allow.entries);
        let decided = entries.filter(|entry| entry.set.overlaps(targets) || entry.set.overlaps(with_addresses));
        decided.map(|entry| format!("{} has `{}`", self.allow_name(), entry.text)).collect()
    }

    /// Refuses an address of a name, if it may not be scanned.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), ScopeError> {
        self.check(&TargetSet::from(address), |allow| !allow.has_addresses)
    }

    fn check(&self, piece: &TargetSet, is_exempt: impl Fn(&AllowList) -> bool) -> Result<(), ScopeError> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.set.overlaps(piece)) {
            let (target, list) = (piece.to_string(), self.name_of("deny", "deny_targets"));
            return Err(ScopeError::Denied { target, list, rule: rule.text.clone() });
        }
        match &self.allow {
            Some(allow) if !is_exempt(allow) && !allow.set.contains_set(piece) => Err(ScopeError::NotAllowed {
                target: piece.to_string(),
                list: self.allow_name(),
                allowed: targets::shortened(&allow.set.to_string()),
            }),
            _ => Ok(()),
        }
    }

    /// The entries of `allow`, if it is there, and of `deny`, if it has any, as they stand in the file.
    pub(super) fn texts(&self) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let texts = |rules: &[TargetRule]| rules.iter().map(|rule| rule.text.clone()).collect::<Vec<_>>();
        let deny = Some(texts(&self.deny)).filter(|deny| !deny.is_empty());
        (self.allow.as_ref().map(|allow| texts(&allow.entries)), deny)
    }

    /// What messages call the list `allow`.
    pub(super) fn allow_name(&self) -> String {
        self.name_of("allow", "targets")
    }

    fn name_of(&self, of_all: &str, of_client: &str) -> String {
        match &self.client {
            Some(client) => format!("`{of_client}` of `{client}`"),
            None => format!("`{of_all}`"),
        }
    }
}

impl Reader<'_> {
    /// The entries of a list of targets.
    pub(super) fn targets(&self, key: &str, raw: Option<Vec<Scalar>>) -> Result<Option<Vec<TargetRule>>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        if raw.is_empty() {
            let message = "is empty: leave it out, or name networks, ranges and host names";
            return Err(self.error(key, 1, message));
        }
        let read = |text: &str| {
            let set = TargetSet::policy(text).map_err(|error| format!("is no target: {error}"))?;
            Ok(TargetRule { text: text.to_owned(), set })
        };
        let rules = raw.into_iter().enumerate();
        let rules = rules.filter_map(|(at, raw)| self.value(&format!("{key}[{at}]"), Some(raw), read).transpose());
        rules.collect::<Result<Vec<_>, _>>().map(Some)
    }
}
