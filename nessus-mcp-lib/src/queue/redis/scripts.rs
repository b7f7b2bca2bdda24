//! The Lua scripts, and the commands that run them.
//!
//! Each step that touches more than one key is one script. It is called by its hash; a server that does not know it (a
//! new one, one that was restarted, another primary of a cluster) is sent the text, and knows it from then on.

use std::{sync::LazyLock, time::Duration};

use redis::Cmd;

/// A script: its text and the hash of it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

/// Declares a script that is put together from files.
macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!(concat!("../../../lua/", $file)), "\n"),+)));
    };
}

/// Declares a script on the entries of a pool.
macro_rules! pool_script {
    ($name:ident, $($file:literal),+) => {
        script!($name, "clock.lua", "prelude.lua", $($file),+);
    };
}

/// Declares one that needs the order of the entries, and so empties the inbox first.
macro_rules! ordered_script {
    ($name:ident, $($file:literal),+) => {
        pool_script!($name, "place.lua", "later.lua", "dead.lua", "inbox.lua", $($file),+);
    };
}

ordered_script!(ENQUEUE, "follow_clock.lua", "heal.lua", "enqueue.lua");
ordered_script!(ENQUEUE_CHARGED, "charge.lua", "charge_first.lua", "follow_clock.lua", "heal.lua", "enqueue.lua");
ordered_script!(CLAIM, "follow_clock.lua", "due.lua", "claim.lua");
pool_script!(RAISE_FENCING_TOKEN, "raise_fencing_token.lua");
pool_script!(RENEW, "follow_clock.lua", "renew.lua");
pool_script!(NOTE_PROGRESS, "note_progress.lua");
pool_script!(SETTLE, "place.lua", "later.lua", "dead.lua", "settle.lua");
ordered_script!(REMOVE, "remove.lua");
ordered_script!(RETRY_DEAD, "letters.lua", "follow_clock.lua", "heal.lua", "retry_dead.lua");
ordered_script!(RESTORE_LETTER, "restore_letter.lua");
pool_script!(PURGE, "dead.lua", "letters.lua", "purge.lua");
pool_script!(STATS, "stats.lua");
ordered_script!(POSITION, "position.lua");
pool_script!(PEEK, "peek.lua");
ordered_script!(OUTLOOK, "outlook.lua");
ordered_script!(STATE, "letters.lua", "state.lua");
pool_script!(LEASES, "leases.lua");
pool_script!(NEXT_DUE, "later.lua", "follow_clock.lua", "next_due.lua");
pool_script!(RESUME, "resume.lua");
script!(ACQUIRE_SLOT, "clock.lua", "follow_clock.lua", "acquire_slot.lua");
script!(SLOTS_IN_USE, "clock.lua", "follow_clock.lua", "slots_in_use.lua");
script!(CHARGE, "clock.lua", "charge.lua", "charge_only.lua");
script!(GIVE_BACK, "clock.lua", "charge.lua", "give_back.lua");
script!(CHARGED, "clock.lua", "charge.lua", "charged.lua");
script!(RECORD_TASKS, "catalogue.lua", "record_tasks.lua");
script!(CATALOGUE_CHANGES, "catalogue.lua", "catalogue_changes.lua");
script!(UNFINISHED_RECORDS, "catalogue.lua", "unfinished_records.lua");
script!(CATALOGUE_STATE, "catalogue.lua", "catalogue_state.lua");
script!(BEGIN_CATALOGUE, "catalogue.lua", "begin_catalogue.lua");
script!(FINISH_CATALOGUE, "catalogue.lua", "finish_catalogue.lua");
script!(CLAIM_KEY, "claim_key.lua");
script!(FORGET_KEY, "forget_key.lua");
script!(BIND, "bind.lua");
script!(POST_CIRCUIT_NOTICE, "clock.lua", "circuit_notice.lua", "post_circuit_notice.lua");
script!(CIRCUIT_NOTICES, "circuit_notice.lua", "circuit_notices.lua");
script!(PUBLISH_CIRCUIT_STATES, "clock.lua", "circuit_state.lua", "publish_circuit_states.lua");
script!(CIRCUIT_STATES, "clock.lua", "circuit_state.lua", "circuit_states.lua");
script!(ANNOUNCE_WORKER, "clock.lua", "announce_worker.lua");
script!(WORKERS, "clock.lua", "workers.lua");

/// A duration as an argument: whole milliseconds, rounded up, and small enough to be added to a time exactly.
pub(super) fn millis(duration: Duration) -> String {
    duration.as_nanos().div_ceil(1_000_000).min(1 << 50).to_string()
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// The script on these keys and arguments.
    pub(super) fn on(&'static self, keys: impl Into<Vec<String>>, arguments: impl Into<Vec<String>>) -> Invocation {
        Invocation { script: self, keys: keys.into(), arguments: arguments.into() }
    }
}

/// A script with what it is to work on.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Invocation {
    /// Tells the script that enough was done of what has piled up of a kind.
    pub(super) fn say_enough(&mut self, kind: &str) {
        self.arguments.push(format!("enough {kind}"));
    }

    /// The call by hash.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// The call that brings the text along.
    pub(super) fn with_text(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}
