//! What may be scanned, when, and who may ask for it. Only this module decides it: the service asks it at a submit, and the worker
//! again right before the scan begins.
//!
//! Unspecified, multicast, broadcast and link-local addresses are always refused, and so are more hosts than one scan may
//! have. [`Policy`] is what an operator's `policy.yaml` says beyond that, and [`Scope`] applies it: the rules to all targets, and
//! to the addresses that their names have at that moment, which a [`Resolver`] finds. Its windows say when scans
//! may run.
//!
//! Its [`Client`]s have tokens, roles and [`Rights`], [`OAuth`] says whose access tokens are taken as well; whoever comes in is a
//! [`Principal`]. Some scans wait until a person agrees ([`ApprovalState`]): whoever has the token of a client that may do so,
//! which signs the [`Decision`]. A [`Webhook`] is told what happens to tasks.

mod approval;
mod approval_error;
mod approval_file;
mod approval_key;
mod approvals;
mod clients;
mod decision;
mod error;
mod file;
mod limit;
mod oauth;
mod reserved;
mod resolver;
mod revoke;
mod rights;
mod rules;
mod scope;
mod target_rules;
mod tool_rights;
mod values;
mod visibility;
mod webhook;
mod webhook_address;
mod webhook_file;
mod windows;

pub(crate) use self::approvals::named;
#[cfg(feature = "webhooks")]
pub(crate) use self::webhook_address::forbidden;
pub use self::{
    approval::{AskedLogin, AskedScan, HoldingRules},
    approval_error::ApprovalError,
    approval_key::ApprovalKey,
    approvals::ApprovalState,
    clients::{Client, LOCAL, Principal, Role, TokenError, TokenHash, client_name, new_token},
    decision::{Approval, ApprovalRequest, Decision, Verdict},
    error::ScopeError,
    limit::Limit,
    oauth::{Claims, OAuth, OAuthError, SigningAlgorithm},
    resolver::{Resolver, SystemResolver, TableResolver},
    revoke::{RevokeError, revoke},
    rights::Rights,
    rules::{Policy, PolicyMode},
    scope::{Checked, Scope},
    tool_rights::{CallLimits, ListedName, RateClass, ToolRights},
    visibility::{Sight, Visibility},
    webhook::{HookEvent, NoKey, Webhook},
    windows::{Closed, WindowState},
};
