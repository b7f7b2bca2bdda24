//! What may be scanned, when, and who may ask for it. Only this module decides it: the service asks it at a submit, and the worker
//! again right before the scan begins.
//!
//! Unspecified, multicast, broadcast and link-local addresses are always refused, and so are more hosts than one scan may
//! have. [`Policy`] is what an operator's `policy.yaml` says beyond that, and [`Scope`] applies it: the rules to all targets, and
//! to the addresses that their names have at that moment, which a [`Resolver`] finds. Its windows say when scans
//! may run.
//!
//! Its [`Client`]s have tokens, roles and [`Rights`], [`OAuth`] says whose access tokens are taken as well; whoever comes in is a
//! [`Principal`].

mod clients;
mod error;
mod file;
mod limit;
mod oauth;
mod reserved;
mod resolver;
mod rights;
mod rules;
mod scope;
mod target_rules;
mod tool_rights;
mod visibility;
mod windows;

pub use self::{
    clients::{Client, LOCAL, Principal, Role, TokenError, TokenHash, client_name, new_token},
    error::ScopeError,
    limit::Limit,
    oauth::{Claims, OAuth, OAuthError, SigningAlgorithm},
    resolver::{Resolver, SystemResolver, TableResolver},
    rights::Rights,
    rules::{Policy, PolicyMode},
    scope::{Checked, Scope},
    tool_rights::{CallLimits, ListedName, RateClass, ToolRights},
    visibility::{Sight, Visibility},
    windows::{Closed, WindowState},
};
