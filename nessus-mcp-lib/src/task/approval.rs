//! What a task asks a person to agree to.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::model::{CredentialReference, ScanPayload, ScanType, Task};
use crate::{
    hex,
    policy::{AskedLogin, AskedScan, Principal},
};

impl Task {
    /// What was asked for, as the rules of `approvals` go by it. `default_template` is that of a scan that names none.
    pub(crate) fn asked(&self, default_template: &str) -> AskedScan {
        let ScanPayload { template, policy, policy_name, credential, .. } = &self.payload;
        let mut asked = AskedScan::new(
            self.asked_digest(),
            self.scan_type.as_str(),
            self.scanner_pool.clone(),
            &self.payload.targets,
        );
        let names = self.submitted_by.iter().chain(&self.principal);
        // Whoever comes in by another entry of the policy is the same person.
        asked.asked_by = names.map(|name| Principal::name_in(name).to_owned()).collect();
        asked.asked_by.dedup();
        asked.team.clone_from(&self.team);
        asked.policy = policy.iter().chain(policy_name).cloned().collect();
        asked.template = policy.is_none().then(|| template.as_deref().unwrap_or(default_template).to_owned());
        asked.login = match credential {
            Some(CredentialReference { id: Some(id), .. }) => AskedLogin::Stored(id.clone()),
            Some(_) => AskedLogin::Inline,
            None if self.logs_in_by_policy() && self.scan_type != ScanType::Untrusted => AskedLogin::OfPolicy,
            None => AskedLogin::None,
        };
        asked.addresses = self.scope.as_ref().map(|scope| scope.addresses.clone()).unwrap_or_default();
        asked
    }

    /// The digest of all that was asked for, of who asked, and of this attempt.
    fn asked_digest(&self) -> String {
        let asked = json!([
            "nessus-mcp scan, version 1",
            self.task_id,
            self.attempt,
            self.submitted_by,
            self.principal,
            self.team,
            self.scan_type,
            self.scanner_type,
            self.scanner_pool,
            self.pinned_instance_id,
            self.payload,
        ]);
        hex::encode(&Sha256::digest(asked.to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{InstanceId, PoolName, TaskId, TraceId},
        time::Timestamp,
    };

    #[test]
    fn whatever_is_changed_of_what_was_asked_for_changes_its_digest() {
        let now = Timestamp::from_millis(0);
        let pool = PoolName::new("lab").unwrap();
        let id = TaskId::generate("mock", "lab", now);
        let payload = ScanPayload::new("office", "192.0.2.1");
        let mut task = Task::new(id, TraceId::generate(), ScanType::Trusted, "mock", pool, payload, now);
        task.submitted_by = Some("ci".to_owned());
        let credential = CredentialReference {
            id: None,
            kind: Some("ssh".to_owned()),
            username: Some("root".to_owned()),
            escalation_method: None,
        };
        task.payload.credential = Some(credential);
        let changes: [&dyn Fn(&mut Task); 14] = [
            &|task| task.task_id = TaskId::generate("mock", "lab", now),
            &|task| task.attempt += 1,
            &|task| task.submitted_by = None,
            &|task| task.principal = Some("desk".to_owned()),
            &|task| task.team = Some("red".into()),
            &|task| task.scan_type = ScanType::Untrusted,
            &|task| task.scanner_pool = PoolName::new("other").unwrap(),
            &|task| task.pin(InstanceId::new("one").unwrap()),
            &|task| task.payload.targets = "192.0.2.2".to_owned(),
            &|task| task.payload.name = "other".to_owned(),
            &|task| task.payload.template = Some("advanced".to_owned()),
            &|task| task.payload.policy = Some("PCI".to_owned()),
            &|task| task.payload.credential = None,
            &|task| task.payload.credential.as_mut().unwrap().username = Some("admin".to_owned()),
        ];
        let before = task.asked("basic");
        assert_eq!((before.login, before.template.as_deref()), (AskedLogin::Inline, Some("basic")));
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = task.clone();
            change(&mut other);
            assert_ne!(other.asked("basic").digest, before.digest, "{number}");
        }
        // What becomes of it on its way is not asked for.
        let mut on_its_way = task.clone();
        on_its_way.scanner_instance_id = Some(InstanceId::new("one").unwrap());
        on_its_way.started_at = Some(now);
        assert_eq!(on_its_way.asked("basic").digest, before.digest);
        let read: Task = serde_json::from_str(&serde_json::to_string(&task).unwrap()).unwrap();
        assert_eq!(read.asked("basic").digest, before.digest);
    }
}
