//! What a task counts against limits: which of it does, and what is given back.

use super::{
    model::Task,
    records::{ChargedHosts, Charges, ClientCharge},
};

impl Task {
    /// The hosts that this attempt is charged.
    pub(crate) fn charge(&self) -> Option<&ChargedHosts> {
        self.charged_hosts.iter().find(|charged| charged.attempt == self.attempt)
    }

    /// What this attempt counts against limits of its principal.
    pub(crate) fn client_charges(&self) -> impl Iterator<Item = &ClientCharge> {
        self.charged_clients.iter().filter(|charged| charged.attempt == self.attempt)
    }

    /// Adds what this attempt counts.
    pub(crate) fn add_charges(&mut self, charges: Charges) {
        self.charged_hosts.extend(charges.hosts);
        self.charged_clients.extend(charges.client);
    }

    /// The hosts that count: those of attempts that have launched something or still may.
    pub(crate) fn standing_charges(&self) -> impl Iterator<Item = &ChargedHosts> {
        let free = self.charge_to_give_back();
        self.charged_hosts.iter().filter(move |charged| Some(*charged) != free)
    }

    /// What counts against limits of clients, in the same way.
    pub(crate) fn standing_client_charges(&self) -> impl Iterator<Item = &ClientCharge> {
        self.charged_clients.iter().filter(|charged| !self.is_to_give_back(charged))
    }

    /// The hosts that are to be given back: those of a task that has ended without launching anything.
    pub(crate) fn charge_to_give_back(&self) -> Option<&ChargedHosts> {
        self.charge().filter(|_| self.status.is_terminal() && !self.has_launched())
    }

    /// What of the limits of clients is to be given back when the task has ended: what counts until then, and what counts against a
    /// day if nothing was launched.
    pub(crate) fn client_charges_to_give_back(&self) -> impl Iterator<Item = &ClientCharge> {
        self.charged_clients.iter().filter(|charged| self.is_to_give_back(charged))
    }

    /// Whether the task has ended and counts something that is to be given back.
    pub(crate) fn has_charges_to_give_back(&self) -> bool {
        self.charge_to_give_back().is_some() || self.client_charges_to_give_back().next().is_some()
    }

    fn is_to_give_back(&self, charged: &ClientCharge) -> bool {
        let is_over = charged.attempt == self.attempt && self.status.is_terminal();
        is_over && (charged.day.is_none() || !self.has_launched())
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

    /// Keeps what counts of the attempt that has ended, and charges the next: what counts against a day only if it has to launch a scan.
    pub(super) fn charge_retry(&mut self, charges: Charges) {
        let (attempt, launches) = (self.attempt + 1, self.retry_launches());
        let hosts = charges.hosts.filter(|_| launches).map(|hosts| ChargedHosts { attempt, ..hosts });
        let client = charges.client.into_iter().filter(|charged| launches || charged.day.is_none());
        let client = client.map(|charged| ClientCharge { attempt, ..charged });
        self.charged_hosts = self.standing_charges().cloned().chain(hosts).collect();
        self.charged_clients = self.standing_client_charges().cloned().chain(client).collect();
    }

    /// Forgets what this attempt counts: a limit had no room for it.
    pub(crate) fn drop_charge(&mut self) {
        let attempt = self.attempt;
        self.charged_hosts.retain(|charged| charged.attempt != attempt);
        self.charged_clients.retain(|charged| charged.attempt != attempt);
    }
}
