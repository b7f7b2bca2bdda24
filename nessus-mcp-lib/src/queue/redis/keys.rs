//! The names of the keys.
//!
//! Operators and older producers rely on them: `ZCARD nessus:queue:ready` is the depth of the pool `nessus`, and what is pushed to
//! `nessus:queue` is taken.

use crate::ids::{InstanceId, PoolName};

/// How a pool's name stands in its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// `nessus:queue`.
    Plain,
    /// `{nessus}:queue`: the braces put all keys of a pool into one slot of a cluster, so that a script may use them.
    Tagged,
}

impl Naming {
    /// The list that anybody may push bodies to.
    pub(super) fn queue(self, pool: &PoolName) -> String {
        match self {
            Self::Plain => format!("{pool}:queue"),
            Self::Tagged => format!("{{{pool}}}:queue"),
        }
    }

    /// A companion of [`Naming::queue`].
    pub(super) fn companion(self, pool: &PoolName, name: &str) -> String {
        format!("{}:{name}", self.queue(pool))
    }

    /// The leased slots of a scanner.
    pub(super) fn slots(self, pool: &PoolName, instance: &InstanceId) -> String {
        self.companion(pool, &format!("slots:{instance}"))
    }

    /// The keys that scripts on slots get.
    pub(super) fn timed_slots(self, pool: &PoolName, instance: &InstanceId) -> [String; 2] {
        let slots = self.slots(pool, instance);
        [slots.clone(), format!("{slots}:clock")]
    }

    /// The last notice about the circuit of a scanner.
    pub(super) fn circuit(self, pool: &PoolName, instance: &InstanceId) -> String {
        match self {
            Self::Plain => format!("nessus:circuit:{pool}:{instance}"),
            Self::Tagged => format!("nessus:circuit:{{{pool}}}:{instance}"),
        }
    }

    /// What counts against a limit: of a day, or until it is given back. In a cluster it lies in the slot of the binding.
    pub(super) fn charged(self, scope: &str, day: Option<&str>) -> String {
        let day = day.unwrap_or_default();
        match self {
            Self::Plain => format!("nessus:hosts:{scope}:{day}"),
            Self::Tagged => format!("{{{BINDING}}}:hosts:{scope}:{day}"),
        }
    }

    /// The keys of the catalogue of tasks, in the order of `catalogue.lua`. In a cluster they lie in the slot of the binding.
    pub(super) fn catalogue(self) -> [String; 3] {
        let records = match self {
            Self::Plain => "nessus:catalogue".to_owned(),
            Self::Tagged => format!("{{{BINDING}}}:catalogue"),
        };
        [records.clone(), format!("{records}:changes"), format!("{records}:unfinished")]
    }

    /// The keys that every script on entries gets, in the order of `prelude.lua`.
    pub(super) fn entries(self, pool: &PoolName) -> Vec<String> {
        let companions = COMPANIONS.iter().map(|name| self.companion(pool, name));
        std::iter::once(self.queue(pool)).chain(companions).collect()
    }
}

/// The names of the keys that stand beside [`Naming::queue`], in the order of `prelude.lua`.
const COMPANIONS: [&str; 21] = [
    "dead",
    "ids",
    "inflight",
    "leases",
    "owners",
    "attempts",
    "delayed",
    "paused",
    "fence",
    "wake",
    "losses",
    "clock",
    "ready",
    "ready:by_scanner",
    "bodies",
    "later",
    "later:places",
    "later:clock",
    "dead:by_task",
    "dead:cursor",
    "leases:length",
];

/// The key of the binding. It belongs to no pool, and lies in a slot of its own in a cluster.
pub(super) const BINDING: &str = "nessus:binding";

/// The key of how the circuits of processes stand. It belongs to no pool, and lies in a slot of its own in a cluster.
pub(super) const CIRCUIT_STATES: &str = "nessus:circuit-states";

/// The key of what workers tell of themselves. It belongs to no pool, and lies in a slot of its own in a cluster.
pub(super) const WORKERS: &str = "nessus:workers";

/// The key of an idempotency key. It belongs to no pool, and lies in a slot of its own in a cluster.
pub(super) fn idempotency(key: &str) -> String {
    format!("idemp:{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_documented_ones() {
        let (pool, instance) = (PoolName::new("nessus").unwrap(), InstanceId::new("scanner1").unwrap());
        let names = ["", ":dead", ":ids", ":inflight", ":leases", ":owners", ":attempts", ":delayed", ":paused"];
        for (naming, queue) in [(Naming::Plain, "nessus:queue"), (Naming::Tagged, "{nessus}:queue")] {
            let keys = naming.entries(&pool);
            assert_eq!(keys[..9], names.map(|name| format!("{queue}{name}")));
            let newer = [":ready", ":ready:by_scanner", ":bodies", ":later", ":later:places"];
            assert_eq!(keys[9..13], [":fence", ":wake", ":losses", ":clock"].map(|name| format!("{queue}{name}")));
            assert_eq!(keys[13..18], newer.map(|name| format!("{queue}{name}")));
            assert_eq!(naming.slots(&pool, &instance), format!("{queue}:slots:scanner1"));
        }
        assert_eq!(Naming::Plain.circuit(&pool, &instance), "nessus:circuit:nessus:scanner1");
        assert_eq!(Naming::Tagged.circuit(&pool, &instance), "nessus:circuit:{nessus}:scanner1");
        let day = Some("2026-11-20");
        assert_eq!(Naming::Plain.charged("all", day), "nessus:hosts:all:2026-11-20");
        assert_eq!(Naming::Tagged.charged("all", day), "{nessus:binding}:hosts:all:2026-11-20");
        assert_eq!(Naming::Plain.charged("max_scans_at_once:lab", None), "nessus:hosts:max_scans_at_once:lab:");
        assert_eq!(Naming::Plain.catalogue()[1..], ["nessus:catalogue:changes", "nessus:catalogue:unfinished"]);
        assert_eq!(Naming::Tagged.catalogue()[0], "{nessus:binding}:catalogue");
        assert_eq!(idempotency("a key"), "idemp:a key");
    }
}
