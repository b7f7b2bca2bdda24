//! What a caller may use, and how it is refused what it may not.
//!
//! A pool or a login that it may not use does not exist for it: its name would tell something. Nor does a policy that somebody
//! made on a scanner. Types of scan and templates are known to everybody, so a refusal says which there are for it.

use std::sync::Arc;

use super::{ScanService, error::ServiceError};
use crate::{
    blocking,
    ids::PoolName,
    policy::{Rights, Role, ScopeError},
    scanner::{DEFAULT_TEMPLATE, ScanOffer, ScannerPool},
    targets::TargetSet,
    task::{CredentialReference, ScanType, Task},
};

impl ScanService {
    /// Refuses a caller whose role is to look only. A door may refuse it before, with words of its own.
    pub(super) fn check_may_change(&self) -> Result<(), ScopeError> {
        match self.caller().filter(|caller| !caller.role.may(Role::Scan)) {
            Some(caller) => Err(ScopeError::RoleTooLow { client: caller.name.to_string(), role: caller.role.as_str() }),
            None => Ok(()),
        }
    }

    /// What the caller may scan.
    pub(super) fn rights(&self) -> Arc<Rights> {
        self.caller().map(|caller| Arc::clone(&caller.rights)).unwrap_or_default()
    }

    /// The pools that the caller may use, in the order of the configuration.
    pub(super) fn usable_pools(&self) -> Vec<Arc<ScannerPool>> {
        let rights = self.rights();
        self.scanners.pools().into_iter().filter(|pool| rights.allows_pool(&pool.name)).collect()
    }

    /// The pool of this name, or the default pool: for a caller that may not use that, the first that it may.
    pub(super) fn pool_of(&self, name: Option<&str>) -> Result<Arc<ScannerPool>, ServiceError> {
        let rights = self.rights();
        let Some(name) = name else {
            let default = self.scanners.default_pool().filter(|pool| rights.allows_pool(&pool.name));
            let found = default.or_else(|| self.usable_pools().into_iter().next());
            return found.ok_or_else(|| self.refused("any pool that is configured", rights.pools.as_deref()).into());
        };
        let known = PoolName::new(name).ok().filter(|name| rights.allows_pool(name));
        known.and_then(|name| self.scanners.pool(&name)).ok_or_else(|| {
            let available: Vec<_> = self.usable_pools().iter().map(|pool| pool.name.to_string()).collect();
            ServiceError::unknown_pool(name, &available)
        })
    }

    /// Refuses a pool that is not there for the caller. A service without scanners, as that of an operator's program, takes any:
    /// it does not know which there are.
    pub(super) fn check_pool(&self, name: &str) -> Result<(), ServiceError> {
        if self.caller().is_none() && self.scanners.default_pool().is_none() {
            return Ok(());
        }
        self.pool_of(Some(name)).map(drop)
    }

    /// What of a scanner's offer the caller may use.
    pub(super) fn usable(&self, offer: Arc<ScanOffer>) -> Arc<ScanOffer> {
        let rights = self.rights();
        if rights.allows_every_basis() {
            return offer;
        }
        let templates = offer.templates.iter().filter(|template| rights.allows_template(&template.name));
        let policies = offer.policies.iter().filter(|policy| rights.allows_policy(&policy.name, &policy.id));
        Arc::new(ScanOffer::new(templates.cloned().collect(), policies.cloned().collect()))
    }

    /// Whether the caller may run the scan of a task once more: it does so under its own rights.
    pub(super) async fn check_retry(&self, task: &Task) -> Result<(), ServiceError> {
        self.check_pool(task.scanner_pool.as_str())?;
        let Some(caller) = self.caller() else { return Ok(()) };
        check_rights(task, &caller.name, &caller.rights)?;
        if !caller.rights.allows_every_basis() {
            self.check_basis(&mut task.clone()).await?;
        }
        if caller.rights.restricts_targets() {
            let read = task.clone();
            let targets = blocking::run(move || read.payload.targets.parse::<TargetSet>());
            let targets = targets.await.map_err(ServiceError::stopping)??;
            self.scope.check(&targets, &caller.rights).await?;
        }
        Ok(())
    }

    fn refused<T: ToString>(&self, what: &str, allowed: Option<&[T]>) -> ScopeError {
        let client = self.caller().map(|caller| caller.name.to_string()).unwrap_or_default();
        ScopeError::not_permitted(&client, what, allowed)
    }
}

/// Whether somebody with these rights may run the scan of a task, its targets and limits left out. Of a policy that is asked for it is not
/// known here what it is called on its scanner.
pub(crate) fn check_rights(task: &Task, client: &str, rights: &Rights) -> Result<(), ScopeError> {
    let scan_type = task.scan_type.as_str();
    if !rights.allows_pool(&task.scanner_pool) {
        return Err(ScopeError::not_permitted(
            client,
            &format!("the pool `{}`", task.scanner_pool),
            rights.pools.as_deref(),
        ));
    }
    if !rights.allows_scan_type(scan_type) {
        return Err(ScopeError::not_permitted(
            client,
            &format!("scans of the type `{scan_type}`"),
            rights.scan_types.as_deref(),
        ));
    }
    let template = task.payload.template.as_deref().unwrap_or(DEFAULT_TEMPLATE);
    if task.payload.policy.is_none() && !rights.allows_template(template) {
        let what = format!("the template `{template}`");
        return Err(ScopeError::not_permitted(client, &what, rights.templates.as_deref()));
    }
    let (is_allowed, what) = match &task.payload.credential {
        Some(CredentialReference { id: Some(id), .. }) => {
            (rights.allows_credential(id), format!("the credential `{id}`"))
        }
        Some(_) => (rights.allows_inline_logins(), "a login that comes with the request".to_owned()),
        None => {
            let logs_in = task.scan_type != ScanType::Untrusted;
            (!logs_in || rights.allows_logins_of_policies(), "the logins that policies have".to_owned())
        }
    };
    if is_allowed { Ok(()) } else { Err(ScopeError::not_permitted(client, &what, rights.credentials.as_deref())) }
}
