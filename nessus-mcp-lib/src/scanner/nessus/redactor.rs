//! Removing the secrets of one scanner from whatever it, or anybody on the way, says.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::{
    error::excerpt,
    secret::{REDACTED, Secret},
};

/// How many tokens are remembered: a scanner may still mention the one before.
const REMEMBERED: usize = 8;
/// How much of a text is looked at: more than an excerpt, so that a secret at its edge is still removed whole.
const LOOKED_AT: usize = 4096;

/// What must never be shown: what the configuration says, and what the scanner has handed out since.
#[derive(Debug)]
pub(super) struct Redactor {
    configured: Vec<Secret>,
    learnt: Mutex<VecDeque<Secret>>,
}

impl Redactor {
    pub(super) fn new(configured: impl IntoIterator<Item = Secret>) -> Self {
        Self { configured: configured.into_iter().collect(), learnt: Mutex::default() }
    }

    /// Remembers a token.
    pub(super) fn learn(&self, secret: &Secret) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if !learnt.contains(secret) {
            learnt.truncate(REMEMBERED - 1);
            learnt.push_front(secret.clone());
        }
    }

    /// The text made fit for a message: secrets removed, these `further` ones too, short, printable.
    pub(super) fn shown(&self, text: &[u8], further: &[Secret]) -> String {
        let mut text = String::from_utf8_lossy(&text[..text.len().min(LOOKED_AT)]).into_owned();
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secrets: Vec<&str> =
            self.configured.iter().chain(&*learnt).chain(further).map(Secret::expose).collect();
        // One may be a part of another: the longer first, so that no rest of it stays.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, REDACTED);
            // As it stands in JSON that somebody echoes.
            let quoted = serde_json::Value::from(secret).to_string();
            let escaped = quoted.trim_matches('"');
            if escaped != secret && !escaped.is_empty() {
                text = text.replace(escaped, REDACTED);
            }
        }
        excerpt(text.trim()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed_however_they_are_written() {
        let redactor = Redactor::new([Secret::new("planted"), Secret::new(""), Secret::new("pla\"n\\ted")]);
        redactor.learn(&Secret::new("planted-session"));
        let further = [Secret::new("line\nline")];
        let said = br#"a planted, planted-session, {"password":"pla\"n\\ted","key":"line\nline"}"#;
        let shown = redactor.shown(said, &further);
        assert_eq!(shown, r#"a [redacted], [redacted], {"password":"[redacted]","key":"[redacted]"}"#);
    }

    #[test]
    fn the_last_tokens_are_remembered() {
        let redactor = Redactor::new([]);
        for number in 0..20 {
            redactor.learn(&Secret::new(format!("token-{number};")));
        }
        assert_eq!(redactor.shown(b"token-19; token-12; token-0;", &[]), "[redacted] [redacted] token-0;");
    }
}
