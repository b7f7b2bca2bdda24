//! Tokens and ids that nobody can guess or keep.
//!
//! They never come from the seed: a token of a scanner's earlier life must not be valid in its next.

use std::{collections::HashMap, time::Duration};

use crate::time::Timestamp;
use uuid::Uuid;

/// The open sessions; each dies when it was idle for too long.
pub(super) struct Sessions {
    idle: Duration,
    last_used: HashMap<String, Timestamp>,
    /// Every token there ever was.
    given: Vec<String>,
}

impl Sessions {
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, last_used: HashMap::new(), given: Vec::new() }
    }

    /// Opens one; returns its token.
    pub(super) fn create(&mut self, now: Timestamp) -> String {
        let token = random_hex(48);
        self.last_used.insert(token.clone(), now);
        self.given.push(token.clone());
        token
    }

    /// Whether the session lives; if it does, its idle time begins anew.
    pub(super) fn touch(&mut self, token: &str, now: Timestamp) -> bool {
        self.expire(now);
        match self.last_used.get_mut(token) {
            Some(last_used) => {
                *last_used = now;
                true
            }
            None => false,
        }
    }

    /// How many are open.
    pub(super) fn open(&mut self, now: Timestamp) -> usize {
        self.expire(now);
        self.last_used.len()
    }

    /// The tokens of all sessions so far, those that have ended included.
    pub(super) fn given(&self) -> &[String] {
        &self.given
    }

    /// Ends one.
    pub(super) fn close(&mut self, token: &str) {
        self.last_used.remove(token);
    }

    /// Ends all.
    pub(super) fn clear(&mut self) {
        self.last_used.clear();
    }

    fn expire(&mut self, now: Timestamp) {
        self.last_used.retain(|_, last_used| now.since(*last_used) <= self.idle);
    }
}

/// A new `X-API-Token`.
pub(super) fn fresh_api_token() -> String {
    Uuid::new_v4().to_string().to_uppercase()
}

/// `count` random lower-case hex digits.
pub(super) fn random_hex(count: usize) -> String {
    let mut hex = String::new();
    while hex.len() < count {
        hex.push_str(&Uuid::new_v4().simple().to_string());
    }
    hex.truncate(count);
    hex
}

/// An id in the scanner's own shape: 8-4-4-4-28 hex digits.
pub(super) fn long_uuid() -> String {
    let hex = random_hex(48);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
