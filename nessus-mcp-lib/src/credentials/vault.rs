//! The logins of a deployment: which may be used, and which one a task's scan gets.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;

use super::{error::CredentialError, key::KeySource, seal};
use crate::{
    config::{ConfigError, CredentialsConfig, SecretKey, StoredCredential},
    error::{excerpt, nearest},
    ids::TaskId,
    login::ScanCredential,
    targets::{self, TargetSet},
    task::{CredentialReference, ScanType, Task},
};

/// How many names are suggested for one that is not known.
const MOST_NEAREST: usize = 5;

/// What a scan logs in with, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// A login of `credentials.yaml`, by its id.
    Stored(String),
    /// This one. It is sealed beside the task, and removed when the task ends.
    Inline(ScanCredential),
}

/// The logins of a deployment. Cheap to clone; every clone sees the same ones, also after they were read again.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    stored: Arc<ArcSwap<CredentialsConfig>>,
    key: KeySource,
}

/// What became of the stored logins when they were read again: their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialChanges {
    /// Those that were not there before.
    pub added: Vec<String>,
    /// Those that are not there any more.
    pub removed: Vec<String>,
    /// Those with another login or other targets.
    pub changed: Vec<String>,
}

impl Credentials {
    /// These stored logins, and the key for logins that come with a request. Without a key those are refused.
    pub fn new(stored: CredentialsConfig, key: Option<SecretKey>) -> Self {
        let key = key.map_or(KeySource::None, KeySource::Given);
        Self { stored: Arc::new(ArcSwap::from_pointee(stored)), key }
    }

    /// The same with a key of its own in the data directory, unless it has one.
    pub(crate) fn with_key_in(mut self, data_dir: &Path) -> Self {
        if matches!(self.key, KeySource::None) {
            self.key = KeySource::in_directory(data_dir);
        }
        self
    }

    /// Reads the file of the stored logins again, and goes by it from now on; after an error everything stays as it is.
    /// `None` where they did not come from a file: then nothing is read.
    pub(crate) fn reload(&self) -> Result<Option<CredentialChanges>, ConfigError> {
        let before = self.stored.load_full();
        let Some(file) = &before.file else { return Ok(None) };
        let after = CredentialsConfig::load(file)?;
        let ids = |of: &CredentialsConfig, chosen: &dyn Fn(&StoredCredential) -> bool| {
            of.credentials.iter().filter(|stored| chosen(stored)).map(|stored| stored.id.clone()).collect()
        };
        let changes = CredentialChanges {
            added: ids(&after, &|stored| before.get(&stored.id).is_none()),
            removed: ids(&before, &|stored| after.get(&stored.id).is_none()),
            changed: ids(&after, &|stored| before.get(&stored.id).is_some_and(|known| known != stored)),
        };
        self.stored.store(Arc::new(after));
        Ok(Some(changes))
    }

    /// Whether a scan of this type may log in so on these targets; returns what its task says of it. Stored logins that are not to be
    /// used (`may_use`, by id) do not exist.
    pub(crate) fn accept(
        &self,
        scan_type: ScanType,
        login: Option<&Login>,
        targets: &TargetSet,
        may_use: impl Fn(&str) -> bool,
    ) -> Result<Option<CredentialReference>, CredentialError> {
        match (scan_type, login) {
            (ScanType::Untrusted, None) => Ok(None),
            (ScanType::Untrusted, Some(_)) => Err(CredentialError::NotTaken),
            (_, None) => Err(CredentialError::Missing(scan_type)),
            (_, Some(Login::Inline(login))) => {
                login.check()?;
                fits(scan_type, login, "the login")?;
                self.key.to_seal()?;
                Ok(Some(reference(None, login)))
            }
            (_, Some(Login::Stored(id))) => {
                let login = self.stored(scan_type, id, targets, may_use)?;
                Ok(Some(reference(Some(id.clone()), &login)))
            }
        }
    }

    /// What the task of a repeated request says of its login, whether that may be used now or not. What stands of a stored
    /// login in the task that is there, `standing`, is what it was then.
    pub(crate) fn repeated(
        login: Option<&Login>,
        standing: Option<&CredentialReference>,
    ) -> Option<CredentialReference> {
        match login? {
            Login::Inline(login) => Some(reference(None, login)),
            Login::Stored(id) => {
                let same = standing.filter(|standing| standing.id.as_ref() == Some(id)).cloned();
                let other =
                    CredentialReference { id: Some(id.clone()), kind: None, username: None, escalation_method: None };
                Some(same.unwrap_or(other))
            }
        }
    }

    /// What may stand of a login in the hash of its request: nothing of one that the request names by its id.
    pub(crate) fn fingerprint(&self, login: Option<&Login>) -> Result<Option<String>, CredentialError> {
        match login {
            Some(Login::Inline(login)) => seal::fingerprint(&self.key.to_seal()?, login).map(Some),
            _ => Ok(None),
        }
    }

    /// What is to be kept beside a task, if anything.
    pub(crate) fn seal(&self, task_id: &TaskId, login: Option<&Login>) -> Result<Option<Vec<u8>>, CredentialError> {
        match login {
            Some(Login::Inline(login)) => seal::seal(&self.key.to_seal()?, task_id, login).map(Some),
            _ => Ok(None),
        }
    }

    /// What the scan of a task logs in with now; `sealed` is what was kept beside it.
    pub(crate) fn of_task(
        &self,
        task: &Task,
        sealed: Option<&[u8]>,
    ) -> Result<Option<ScanCredential>, CredentialError> {
        if task.scan_type == ScanType::Untrusted {
            return Ok(None);
        }
        let reference = task.payload.credential.as_ref().ok_or(CredentialError::Missing(task.scan_type))?;
        if let Some(id) = &reference.id {
            // What was written by us is read by us.
            let targets = task.payload.targets.parse().map_err(|_| CredentialError::Damaged)?;
            return self.stored(task.scan_type, id, &targets, |_| true).map(Some);
        }
        let login = seal::open(&self.key.to_open()?, &task.task_id, sealed.ok_or(CredentialError::Gone)?)?;
        fits(task.scan_type, &login, "the login")?;
        Ok(Some(login))
    }

    fn stored(
        &self,
        scan_type: ScanType,
        id: &str,
        targets: &TargetSet,
        may_use: impl Fn(&str) -> bool,
    ) -> Result<ScanCredential, CredentialError> {
        let all = self.stored.load();
        let stored = all.get(id).filter(|_| may_use(id)).ok_or_else(|| unknown(id, &all, may_use))?;
        if !stored.targets.contains_set(targets) {
            let allowed = targets::shortened(&stored.targets.to_string());
            return Err(CredentialError::NotAllowed { id: id.to_owned(), outside: outside(stored, targets), allowed });
        }
        fits(scan_type, &stored.credential, &format!("the credential `{id}`"))?;
        Ok(stored.credential.clone())
    }
}

/// The first piece of the targets that a login may not be used on.
fn outside(stored: &StoredCredential, targets: &TargetSet) -> String {
    let is_inside = |piece: &String| piece.parse().is_ok_and(|piece: TargetSet| stored.targets.contains_set(&piece));
    let mut pieces = targets.pieces().map(|piece| piece.to_string());
    pieces.find(|piece| !is_inside(piece)).map_or_else(|| "these targets".to_owned(), |piece| format!("`{piece}`"))
}

fn unknown(id: &str, all: &CredentialsConfig, may_use: impl Fn(&str) -> bool) -> CredentialError {
    let nearest = nearest(id, all.credentials.iter().map(|stored| stored.id.as_str()).filter(|id| may_use(id)));
    let nearest = nearest.into_iter().take(MOST_NEAREST).map(str::to_owned).collect();
    CredentialError::Unknown { id: excerpt(id).to_string(), nearest }
}

/// Whether a login takes more rights exactly where the scan is to.
fn fits(scan_type: ScanType, login: &ScanCredential, name: &str) -> Result<(), CredentialError> {
    match (scan_type, login.escalation()) {
        (ScanType::Privileged, None) => Err(CredentialError::DoesNotEscalate(name.to_owned())),
        (ScanType::Trusted, Some(_)) => Err(CredentialError::Escalates(name.to_owned())),
        _ => Ok(()),
    }
}

fn reference(id: Option<String>, login: &ScanCredential) -> CredentialReference {
    CredentialReference {
        id,
        kind: Some(login.kind().to_owned()),
        username: Some(login.username().to_owned()),
        escalation_method: login.escalation().map(|escalation| escalation.method.to_string()),
    }
}

#[cfg(test)]
mod tests;
