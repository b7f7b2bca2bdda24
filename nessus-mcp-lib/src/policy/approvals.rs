//! Whether a scan may begin as far as a person must agree to it, and who may say so.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    approval::AskedScan,
    approval_error::ApprovalError,
    approval_key::ApprovalKey,
    clients::{Client, Role},
    decision::{Approval, ApprovalRequest, Decision, Verdict},
    rules::{Policy, PolicyMode},
};
use crate::{secret::Secret, time::Timestamp};

/// How it stands with the approval of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalState {
    /// No rule holds the scan.
    NotNeeded,
    /// A person must agree first.
    Waiting(ApprovalRequest),
    /// A person has agreed, and the scan may begin.
    Approved(Decision),
    /// A person has refused.
    Denied(Decision),
    /// Nobody has agreed in time, or the scan did not begin in time; what is said of it.
    Expired(String),
}

impl ApprovalState {
    /// The code of a task that was refused.
    pub const DENIED: &'static str = "approval_denied";
    /// The code of a task that nobody has agreed to in time.
    pub const EXPIRED: &'static str = "approval_expired";

    /// The end of the task, if this is one: a stable code, and a sentence.
    pub fn end(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Denied(decision) => {
                let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                Some((Self::DENIED, format!("`{}` has not agreed to the scan{reason}", decision.by)))
            }
            Self::Expired(message) => Some((Self::EXPIRED, message.clone())),
            _ => None,
        }
    }
}

impl Policy {
    /// How it stands with the approval of a scan, by what is written down of it. Only what this policy says counts: of the rules
    /// that hold the scan, of who may decide, and by which key that is checked.
    pub fn approval(&self, scan: &AskedScan, written: Option<&Approval>, now: Timestamp) -> ApprovalState {
        if let (true, Some(Approval { request, .. })) = (self.is_unset(), written) {
            // Another process goes by a policy that wants a person to agree, and there is none here to check it by.
            return if now < request.expires_at {
                ApprovalState::Waiting(request.clone())
            } else {
                ApprovalState::Expired(format!("no policy could be asked who may agree, until {}", request.expires_at))
            };
        }
        if self.mode != PolicyMode::Enforce {
            return ApprovalState::NotNeeded;
        }
        let Some((rules, expires_after)) = self.approvals.of(scan, now) else {
            return ApprovalState::NotNeeded;
        };
        let ask = |why: Option<&str>| {
            let (asked, asked_anew) = (scan.digest.clone(), why.map(str::to_owned));
            let request = ApprovalRequest {
                asked,
                rules: rules.clone(),
                asked_at: now,
                expires_at: now.plus(expires_after),
                asked_anew,
            };
            ApprovalState::Waiting(request)
        };
        let Some(Approval { request, decision }) = written else { return ask(None) };
        if request.asked != scan.digest {
            return ask(Some("what is asked for is not what it was"));
        }
        let decided = decision.as_ref().filter(|decision| self.is_valid(decision, scan, now));
        // Whoever has agreed under more rules has agreed under these.
        let known = decided.map_or(&request.rules, |decision| &decision.rules);
        if !rules.iter().all(|rule| known.get_key_value(rule.0) == Some(rule)) {
            return ask(Some("the rules that hold it are not what they were"));
        }
        match decided {
            Some(denied) if denied.verdict == Verdict::Denied => ApprovalState::Denied(denied.clone()),
            Some(agreed) if now < agreed.expires_at => ApprovalState::Approved(agreed.clone()),
            Some(agreed) => ApprovalState::Expired(format!(
                "`{}` had agreed to the scan, which did not begin until {}",
                agreed.by, agreed.expires_at
            )),
            None if now < request.expires_at => ApprovalState::Waiting(request.clone()),
            None => ApprovalState::Expired(format!("nobody has agreed to the scan until {}", request.expires_at)),
        }
    }

    /// The rules that would hold a scan, if the policy were enforced.
    pub fn would_hold(&self, scan: &AskedScan, now: Timestamp) -> Option<String> {
        let is_dry_run = self.mode == PolicyMode::DryRun;
        let (rules, _) = self.approvals.of(scan, now).filter(|_| is_dry_run)?;
        Some(format!("a person would have to agree to it ({})", named(rules.keys())))
    }

    /// Whether there is no policy at all.
    fn is_unset(&self) -> bool {
        self.file.is_none() && *self == Self::default()
    }

    /// Whether a scan may have to wait for a person, of which this is written down.
    pub(crate) fn may_hold(&self, written: Option<&Approval>) -> bool {
        self.has_approvals() || (written.is_some() && self.is_unset())
    }

    /// Whether scans may have to wait for a person.
    pub fn has_approvals(&self) -> bool {
        self.mode == PolicyMode::Enforce && !self.approvals.0.is_empty()
    }

    /// The names of its approval rules, in the order of the file.
    pub fn approval_rules(&self) -> impl Iterator<Item = &str> {
        self.approvals.0.iter().map(|rule| rule.name.as_str())
    }

    /// Decides about a scan, in the name of whoever has the token.
    ///
    /// # Errors
    /// [`ApprovalError`]: the token is that of nobody who may decide, or nothing is to be decided.
    pub fn decide(
        &self,
        token: &Secret,
        (verdict, reason): (Verdict, Option<String>),
        (scan, written): (&AskedScan, Option<&Approval>),
        now: Timestamp,
    ) -> Result<Approval, ApprovalError> {
        let client = self.approver(token, now)?;
        if let Some(author) = scan.asked_by.iter().find(|author| self.are_one(author, &client.name)) {
            return Err(ApprovalError::Own { author: author.clone(), approver: client.name.to_string() });
        }
        let request = match self.approval(scan, written, now) {
            ApprovalState::Waiting(request) => request,
            ApprovalState::NotNeeded => return Err(ApprovalError::NotNeeded),
            ApprovalState::Approved(decision) | ApprovalState::Denied(decision) => {
                return Err(ApprovalError::Decided { by: decision.by, verdict: decision.verdict.as_str() });
            }
            ApprovalState::Expired(message) => return Err(ApprovalError::Expired { message }),
        };
        let expires_after = self.approvals.of(scan, now).map(|(_, expires_after)| expires_after);
        let until = now.plus(expires_after.unwrap_or_default());
        let decision = Decision::sign(token, (&client.name, verdict, reason), &request, (now, until));
        Ok(Approval { request, decision: Some(decision) })
    }

    /// Who has this token and may decide with it.
    fn approver(&self, token: &Secret, now: Timestamp) -> Result<&Client, ApprovalError> {
        let name = self.authenticate(token.expose(), now)?.name;
        let client = self.clients().iter().find(|client| client.name == name);
        let client = client.ok_or(ApprovalError::NoKey { client: name.to_string() })?;
        if !client.role.may(Role::Approve) {
            return Err(ApprovalError::Role { client: name.to_string(), role: client.role });
        }
        match client.approval_key {
            Some(key) if key == ApprovalKey::of(token) => Ok(client),
            _ => Err(ApprovalError::NoKey { client: name.to_string() }),
        }
    }

    /// Whether a decision was made by somebody who may make it, about this very scan.
    fn is_valid(&self, decision: &Decision, scan: &AskedScan, now: Timestamp) -> bool {
        let may_decide = |client: &&Client| client.is_approver(now) && *client.name == *decision.by;
        let key = self.clients().iter().find(may_decide).and_then(|client| client.approval_key);
        let is_own = scan.asked_by.iter().any(|author| self.are_one(author, &decision.by));
        !is_own && key.is_some_and(|key| decision.is_signed(&key, scan))
    }

    /// Whether two names are those of one person, as far as `also` of the clients tells.
    fn are_one(&self, one: &str, other: &str) -> bool {
        let mut names = BTreeSet::from([one]);
        loop {
            let before = names.len();
            for client in self.clients() {
                let theirs = || client.also.iter().map(Arc::as_ref).chain([&*client.name]);
                if theirs().any(|name| names.contains(name)) {
                    names.extend(theirs());
                }
            }
            if names.len() == before {
                return names.contains(other);
            }
        }
    }
}

/// The names of rules, in a sentence.
pub(crate) fn named<'a>(rules: impl ExactSizeIterator<Item = &'a String>) -> String {
    let word = if rules.len() == 1 { "rule" } else { "rules" };
    format!("{word} {}", rules.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
