//! The hosts of a task that count against a day: which do, and which are given back.

use super::{model::Task, records::ChargedHosts};

impl Task {
    /// What this attempt is charged.
    pub(crate) fn charge(&self) -> Option<&ChargedHosts> {
        self.charged_hosts.iter().find(|charged| charged.attempt == self.attempt)
    }

    /// The charges that count: those of attempts that have launched something or still may.
    pub(crate) fn standing_charges(&self) -> impl Iterator<Item = &ChargedHosts> {
        let free = self.charge_to_give_back();
        self.charged_hosts.iter().filter(move |charged| Some(*charged) != free)
    }

    /// What is to be given back: the charge of a task that has ended without launching anything.
    pub(crate) fn charge_to_give_back(&self) -> Option<&ChargedHosts> {
        self.charge().filter(|_| self.status.is_terminal() && !self.has_launched())
    }

    /// What the policy would have refused of its hosts, in a dry run.
    pub(crate) fn host_refusal(&self) -> Option<&str> {
        self.charge()?.would_refuse.as_deref()
    }

    /// Whether this attempt has launched a scan, as far as its scanner may know. What was seen of the scan counts as well: an
    /// older version of the program writes nothing else down.
    pub(crate) fn has_launched(&self) -> bool {
        let noted = self.charge().is_some_and(|charged| charged.launched);
        noted || self.observation.is_some() || self.scan_uuid.is_some()
    }

    /// Writes down that a scan of this attempt is about to be launched, or that none was after all.
    pub(crate) fn note_launch(&mut self, launched: bool) {
        let attempt = self.attempt;
        for charged in self.charged_hosts.iter_mut().filter(|charged| charged.attempt == attempt) {
            charged.launched = launched;
        }
    }

    /// Whether a retry has to launch a scan: none goes on that this attempt has launched.
    pub(crate) fn retry_launches(&self) -> bool {
        let mut next = self.clone();
        next.pass_on_scan();
        next.nessus_scan_id.is_none() || !self.has_launched()
    }

    /// Keeps what counts of the attempt that has ended, and charges the next if it has to launch a scan.
    pub(super) fn charge_retry(&mut self, charge: Option<ChargedHosts>) {
        let next = charge.filter(|_| self.retry_launches());
        let next = next.map(|charge| ChargedHosts { attempt: self.attempt + 1, ..charge });
        self.charged_hosts = self.standing_charges().cloned().chain(next).collect();
    }

    /// Forgets the charge of this attempt: its day had no room for it.
    pub(crate) fn drop_charge(&mut self) {
        let attempt = self.attempt;
        self.charged_hosts.retain(|charged| charged.attempt != attempt);
    }
}
