//! Which plugins a policy had enabled, told apart without keeping the list.
//!
//! The list is one text of up to 2 MB, `10001;10002;...`. Whether two scans used the same plugins needs only a sum
//! that does not depend on their order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text;

/// How many plugins there are, and a sum over them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PluginSetPrint {
    plugins: u64,
    sum: u64,
    /// The number being read: its digits may lie in two pieces.
    number: Option<u64>,
    /// The last bytes of the reference to a character that is being read.
    #[serde(skip)]
    reference: Option<[u8; 8]>,
}

impl PluginSetPrint {
    /// Takes in the next bytes of the list, and shows `each` the numbers that have ended.
    pub(super) fn see(&mut self, bytes: &[u8], mut each: impl FnMut(u64)) {
        let mut rest = bytes.iter();
        while let Some(byte) = rest.next() {
            // Nearly all are digits, which follow each other.
            if let (None, Some(mut number), b'0'..=b'9') = (self.reference, self.number, *byte) {
                number = with_digit(number, *byte);
                while let Some(byte) = rest.as_slice().first().filter(|byte| byte.is_ascii_digit()) {
                    number = with_digit(number, *byte);
                    rest.next();
                }
                self.number = Some(number);
                continue;
            }
            match &mut self.reference {
                Some(name) => {
                    name.rotate_left(1);
                    name[7] = *byte;
                    if *byte == b';' {
                        let name = String::from_utf8_lossy(name).trim_start_matches('\0').to_owned();
                        self.reference = None;
                        let character =
                            text::reference(&name).ok().and_then(|(character, _)| u8::try_from(character).ok());
                        self.character(character.unwrap_or_default(), &mut each);
                    }
                }
                None if *byte == b'&' => self.reference = Some([0; 8]),
                None => self.character(*byte, &mut each),
            }
        }
    }

    fn character(&mut self, character: u8, each: impl FnMut(u64)) {
        if character.is_ascii_digit() {
            self.number = Some(with_digit(self.number.unwrap_or(0), character));
        } else {
            self.end_number(each);
        }
    }

    /// The whole list was seen; `None` when no plugin was in it, as in `all`.
    pub(super) fn finish(mut self, each: impl FnMut(u64)) -> Option<Self> {
        self.end_number(each);
        (self.plugins > 0).then_some(self)
    }

    /// How many plugins there are.
    pub(crate) fn plugins(self) -> u64 {
        self.plugins
    }

    fn end_number(&mut self, mut each: impl FnMut(u64)) {
        let Some(number) = self.number.take() else { return };
        each(number);
        self.plugins += 1;
        self.sum = self.sum.wrapping_add(mixed(number));
    }
}

fn with_digit(number: u64, digit: u8) -> u64 {
    number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
}

/// The sum in hexadecimal digits.
impl fmt::Display for PluginSetPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.sum)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): near numbers become far ones, so that sums differ.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(pieces: &[&str]) -> Option<PluginSetPrint> {
        let mut print = PluginSetPrint::default();
        for piece in pieces {
            print.see(piece.as_bytes(), |_| {});
        }
        print.finish(|_| {})
    }

    #[test]
    fn order_and_pieces_do_not_matter_and_members_do() {
        let whole = print(&["10001;10002;10003"]);
        assert_eq!(whole, print(&["10003;100", "01;10002"]));
        assert_eq!(whole, print(&["\n1000&#x", "31; ;10002&#59;10003\n"]), "however it is spelled");
        assert_eq!(whole.map(PluginSetPrint::plugins), Some(3));
        for other in ["10001;10002", "10001;10002;10004", "10001;10001;10004", "10000;10003;10003"] {
            assert_ne!(whole, print(&[other]), "{other}");
        }
        assert_eq!(print(&["all"]), None);
    }
}
