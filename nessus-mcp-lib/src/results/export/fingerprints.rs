//! Fingerprints of the findings of one report, each given once.
//!
//! Findings that nothing tells apart share a key. Behind it they get a running number, which is no part of the key: `/2`,
//! `/3` and so on, in the order of the report. To know which keys come again, without holding all, the first pass marks
//! a bit for each; only keys that meet a marked bit are counted in the second. A few of these are met by chance.

use std::collections::HashMap;

use crate::results::record::FindingKey;

/// Bits for keys: 2 MiB. Of a million findings, some thirty thousand meet the bit of another.
const BITS: usize = if cfg!(test) { 1 << 8 } else { 1 << 24 };

/// What the first pass knows of keys, and how often each of those that may come again was given.
#[derive(Debug)]
pub(super) struct Fingerprints {
    marked: Vec<u64>,
    given: HashMap<FindingKey, u64>,
}

impl Fingerprints {
    pub(super) fn new() -> Self {
        Self { marked: vec![0; BITS / 64], given: HashMap::new() }
    }

    /// Takes in a key, once for each finding that may be in the report.
    pub(super) fn expect(&mut self, key: FindingKey) {
        let Ok(bit) = usize::try_from(key.rank() % BITS as u64) else { return };
        let (word, bit) = (&mut self.marked[bit / 64], 1 << (bit % 64));
        if *word & bit == 0 {
            *word |= bit;
        } else {
            self.given.insert(key, 0);
        }
    }

    /// The fingerprint of the next finding with this key, which was expected.
    pub(super) fn next(&mut self, key: FindingKey) -> String {
        let Some(given) = self.given.get_mut(&key) else { return key.to_string() };
        *given += 1;
        if *given == 1 { key.to_string() } else { format!("{key}/{given}") }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_given_once(numbers in prop::collection::vec(0..400_u64, 0..600)) {
            let keys: Vec<FindingKey> = numbers.iter().map(|number| format!("v1:{number:016x}{number:016x}").parse().unwrap()).collect();
            let mut fingerprints = Fingerprints::new();
            for key in &keys {
                fingerprints.expect(*key);
            }
            let mut turned = fingerprints.given.clone();
            let given: Vec<String> = keys.iter().map(|key| fingerprints.next(*key)).collect();
            let set: BTreeSet<String> = given.iter().cloned().collect();
            prop_assert_eq!(set.len(), keys.len());
            for (key, fingerprint) in keys.iter().zip(&given) {
                prop_assert_eq!(fingerprint.split('/').next().unwrap(), key.to_string());
            }
            std::mem::swap(&mut fingerprints.given, &mut turned);
            let other: BTreeSet<String> = keys.iter().rev().map(|key| fingerprints.next(*key)).collect();
            prop_assert_eq!(other, set, "the same fingerprints in any order");
        }
    }
}
