//! The Lua scripts, and the commands that run them.
//!
//! Each step that touches more than one key is one script. It is called by its hash; a server that does not know it (a
//! new one, one that was restarted, another primary of a cluster) is sent the text, and knows it from then on.

use std::sync::LazyLock;

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

script!(ENQUEUE, "prelude.lua", "whole.lua", "enqueue.lua");
script!(AUDIT, "prelude.lua", "audit.lua");
script!(CLAIM, "prelude.lua", "due.lua", "dead.lua", "claim.lua");
script!(RAISE_FENCE, "prelude.lua", "raise_fence.lua");
script!(RENEW, "prelude.lua", "renew.lua");
script!(FINISH, "prelude.lua", "dead.lua", "finish.lua");
script!(REAP, "prelude.lua", "due.lua", "reap.lua");
script!(REMOVE, "prelude.lua", "find.lua", "remove.lua");
script!(RETRY_DEAD, "prelude.lua", "whole.lua", "dead.lua", "retry_dead.lua");
script!(STATS, "prelude.lua", "stats.lua");
script!(POSITION, "prelude.lua", "find.lua", "position.lua");
script!(STATE, "prelude.lua", "dead.lua", "state.lua");
script!(LEASES, "prelude.lua", "leases.lua");
script!(NEXT_DUE, "prelude.lua", "next_due.lua");
script!(RESUME, "prelude.lua", "resume.lua");
script!(ACQUIRE_SLOT, "acquire_slot.lua");
script!(SLOTS_IN_USE, "slots_in_use.lua");
script!(CLAIM_KEY, "claim_key.lua");
script!(PUBLISH_CIRCUIT, "circuit.lua", "publish_circuit.lua");
script!(CIRCUITS, "circuit.lua", "circuits.lua");

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
#[derive(Debug)]
pub(super) struct Invocation {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Invocation {
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
