//! Target sets: what a scan is aimed at, and what it may be aimed at.
//!
//! An agent's text becomes a [`TargetSet`] of address ranges and host names, and scope policies are sets too, so that
//! "is all of this allowed" is one comparison of ranges and not of texts. It fails closed: a text that some resolver
//! might read as an address without being one (`10.1`, `0x7f000001`, `167772161`, `010.0.0.1`) is an error, never a
//! host name, and an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is that IPv4 address.
//!
//! Names are compared as names. Nothing is resolved here: a policy of addresses does not contain any name.

mod error;
mod parse;
mod ranges;
mod shortened;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

pub use self::{
    error::{MAX_IPV6_ADDRESSES, MAX_PIECES, MAX_TEXT_BYTES, TargetError},
    shortened::shortened,
};
use self::{parse::Piece, ranges::Ranges};

/// A set of IPv4 and IPv6 addresses and host names, without overlaps and in order.
///
/// The text form is a list separated by commas, white space or line ends, of
///
/// | piece | example |
/// |---|---|
/// | address, IPv6 also in brackets | `10.0.0.1`, `2001:db8::1`, `[2001:db8::1]` |
/// | network by prefix or mask; host bits may be set | `10.0.0.0/24`, `10.0.0.9/255.255.255.0`, `2001:db8::/64` |
/// | range | `10.0.0.1-10.0.3.255`, `2001:db8::1-2001:db8::ff` |
/// | range of last octets | `10.0.0.1-20` |
/// | host name | `db-1.corp.example` |
///
/// A host name has at most 253 letters, digits, hyphens, dots and underscores (RFC 1123; the underscore is not in
/// there but in many networks), is compared without regard to case, and may end in a dot, which is dropped. Its last
/// label is not a number. International names are written in their `xn--` form. Names that begin with `link6` are
/// refused: Nessus takes them for a scan of all hosts on its own link (Tenable documentation, "Scan Targets").
///
/// ```
/// use nessus_mcp_lib::targets::TargetSet;
/// let asked: TargetSet = "10.0.0.0/25, 10.0.0.128-10.0.0.255".parse()?;
/// let allowed = TargetSet::policy("10.0.0.0/8 *.corp.example")?;
/// assert_eq!(asked.to_string(), "10.0.0.0/24");
/// assert_eq!(asked.host_count(), 256);
/// assert!(allowed.contains_set(&asked));
/// assert!(allowed.contains_set(&"db.corp.example".parse()?));
/// assert!(!allowed.contains_set(&"10.255.255.255-11.0.0.0".parse()?));
/// # Ok::<(), nessus_mcp_lib::targets::TargetError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetSet {
    v4: Ranges,
    v6: Ranges,
    /// Lower case.
    names: BTreeSet<String>,
    /// `*` or `*.suffix`, lower case; in policies only.
    patterns: BTreeSet<String>,
}

/// Host names, each with the addresses that it stands for.
pub type NameAddresses = BTreeMap<String, Vec<IpAddr>>;

/// One piece of a set in its normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetPiece<'a> {
    /// All addresses from `first` to `last`, which are of one family.
    Addresses {
        /// The first address.
        first: IpAddr,
        /// The last address; the same for a single one.
        last: IpAddr,
    },
    /// A host name in lower case.
    Name(&'a str),
    /// A pattern of a policy: `*.suffix`, or `*` for every name.
    Pattern(&'a str),
}

impl TargetSet {
    /// Reads a policy: like an agent's targets, but patterns such as `*.corp.example` are allowed.
    ///
    /// A pattern stands for all names that end in its suffix, at any depth, but not for the suffix itself; `*` stands
    /// for every name. An IPv6 range that reaches beyond the block of IPv4-mapped addresses says nothing about IPv4:
    /// `::/0` is all of IPv6 and no IPv4 address.
    ///
    /// # Errors
    /// As for parsing: see [`TargetError`].
    pub fn policy(text: &str) -> Result<Self, TargetError> {
        let pieces = parse::pieces(text)?.into_iter().map(parse::policy_piece);
        Self::collect(pieces, MappedBlock::IsIpv4Only)
    }

    /// How many hosts there are: each address once, and each name as one. [`u128::MAX`] when there are more.
    pub fn host_count(&self) -> u128 {
        let names = (self.names.len() + self.patterns.len()) as u128;
        self.v4.count().saturating_add(self.v6.count()).saturating_add(names)
    }

    /// Whether there is nothing in it, as in the default; no text is read as an empty set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && self.names.is_empty() && self.patterns.is_empty()
    }

    /// Whether this address is in it; an IPv4-mapped one is the IPv4 address.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits().into()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// What is left without some addresses and the names for which `is_there` is true.
    #[must_use]
    pub fn without(&self, addresses: impl IntoIterator<Item = IpAddr>, is_there: impl Fn(&str) -> bool) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address.to_canonical() {
                IpAddr::V4(address) => v4.push(address.to_bits().into()),
                IpAddr::V6(address) => v6.push(address.to_bits()),
            }
        }
        Self {
            v4: self.v4.without(v4),
            v6: self.v6.without(v6),
            names: self.names.iter().filter(|name| !is_there(name)).cloned().collect(),
            patterns: self.patterns.clone(),
        }
    }

    /// Whether every address and every name of `other` is in this set.
    pub fn contains_set(&self, other: &Self) -> bool {
        self.v4.contains_all(&other.v4)
            && self.v6.contains_all(&other.v6)
            && other.names.iter().all(|name| self.has_name(name))
            && other.patterns.iter().all(|pattern| {
                self.patterns.contains(pattern) || self.patterns.iter().any(|wider| covers(wider, pattern))
            })
    }

    /// Whether the sets share an address or a name.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.v4.intersects(&other.v4)
            || self.v6.intersects(&other.v6)
            || other.names.iter().any(|name| self.has_name(name))
            || self.names.iter().any(|name| other.has_name(name))
            || self.patterns.iter().any(|ours| {
                other.patterns.iter().any(|theirs| ours == theirs || covers(ours, theirs) || covers(theirs, ours))
            })
    }

    /// The host names, in order; patterns are none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Every address, each once: IPv4, then IPv6. What they are of, a network, a range or a list, makes no difference. There may
    /// be very many: ask [`host_count`](Self::host_count) before.
    ///
    /// ```
    /// use nessus_mcp_lib::targets::TargetSet;
    /// let targets: TargetSet = "10.0.0.8/31, 10.0.0.1-10.0.0.2, 10.0.0.1, db.corp.example".parse()?;
    /// let hosts: Vec<_> = targets.addresses().map(|address| address.to_string()).chain(targets.names().map(str::to_owned)).collect();
    /// assert_eq!(hosts, ["10.0.0.1", "10.0.0.2", "10.0.0.8", "10.0.0.9", "db.corp.example"]);
    /// # Ok::<(), nessus_mcp_lib::targets::TargetError>(())
    /// ```
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4
            .iter()
            .flat_map(|(first, last)| (first..=last).map(v4))
            .chain(self.v6.iter().flat_map(|(first, last)| (first..=last).map(v6)))
    }

    /// This set with the addresses of these names in their place. Names that `addresses` does not have stay.
    ///
    /// ```
    /// use nessus_mcp_lib::targets::{NameAddresses, TargetSet};
    /// let asked: TargetSet = "10.0.0.1, db.corp.example".parse()?;
    /// let addresses = NameAddresses::from([("db.corp.example".to_owned(), vec!["10.0.0.2".parse().unwrap()])]);
    /// assert_eq!(asked.with_addresses(&addresses).to_string(), "10.0.0.1-10.0.0.2");
    /// assert_eq!(asked.for_scanner_with(&addresses)?, "10.0.0.1,db.corp.example[10.0.0.2]");
    /// # Ok::<(), nessus_mcp_lib::targets::TargetError>(())
    /// ```
    pub fn with_addresses(&self, addresses: &NameAddresses) -> Self {
        let known = self.names().filter_map(|name| addresses.get(name)).flatten();
        std::iter::once(self.without_names(addresses)).chain(known.copied().map(Self::from)).collect()
    }

    /// As [`for_scanner`](Self::for_scanner), with `name[address]` for each address of these names: for scanners that take
    /// this form and then do not resolve the name again.
    ///
    /// # Errors
    /// As [`for_scanner`](Self::for_scanner).
    pub fn for_scanner_with(&self, addresses: &NameAddresses) -> Result<String, TargetError> {
        self.with_addresses(addresses).for_scanner()?;
        let mut texts = vec![self.without_names(addresses).for_scanner()?];
        texts.retain(|text| !text.is_empty());
        for (name, addresses) in self.names().filter_map(|name| addresses.get_key_value(name)) {
            texts.extend(addresses.iter().map(|address| format!("{name}[{}]", address.to_canonical())));
        }
        Ok(texts.join(","))
    }

    fn without_names(&self, known: &NameAddresses) -> Self {
        let names = self.names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
        Self { names, ..self.clone() }
    }

    /// The pieces in order: IPv4, IPv6, names, patterns.
    pub fn pieces(&self) -> impl Iterator<Item = TargetPiece<'_>> {
        let v4 = self.v4.iter().map(|(first, last)| TargetPiece::Addresses { first: v4(first), last: v4(last) });
        let v6 = self.v6.iter().map(|(first, last)| TargetPiece::Addresses { first: v6(first), last: v6(last) });
        let names = self.names.iter().map(|name| TargetPiece::Name(name));
        v4.chain(v6).chain(names).chain(self.patterns.iter().map(|pattern| TargetPiece::Pattern(pattern)))
    }

    /// Its pieces in the same order, each as a set of its own.
    pub fn split(&self) -> impl Iterator<Item = Self> {
        let v4 = self.v4.iter().map(|range| Self { v4: Ranges::merge(vec![range]), ..Self::default() });
        let v6 = self.v6.iter().map(|range| Self { v6: Ranges::merge(vec![range]), ..Self::default() });
        let names = self.names.iter().map(|name| Self { names: BTreeSet::from([name.clone()]), ..Self::default() });
        let pattern = |pattern: &String| Self { patterns: BTreeSet::from([pattern.clone()]), ..Self::default() };
        v4.chain(v6).chain(names).chain(self.patterns.iter().map(pattern))
    }

    /// The form that scanners read: the normal form, with IPv6 addresses one by one. Tenable documents networks and ranges
    /// for IPv4 only (Tenable documentation, "Scan Targets").
    ///
    /// # Errors
    /// [`TargetError::TooManyIpv6`] when there are more than [`MAX_IPV6_ADDRESSES`] of them.
    pub fn for_scanner(&self) -> Result<String, TargetError> {
        if self.v6.count() > MAX_IPV6_ADDRESSES {
            return Err(TargetError::TooManyIpv6);
        }
        let mut texts = Vec::new();
        for piece in self.pieces() {
            match piece {
                TargetPiece::Addresses { first: IpAddr::V6(first), last: IpAddr::V6(last) } => {
                    let single = |bits| Ipv6Addr::from_bits(bits).to_string();
                    texts.extend((first.to_bits()..=last.to_bits()).map(single));
                }
                other => texts.push(other.to_string()),
            }
        }
        Ok(texts.join(","))
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.contains(name) || self.patterns.iter().any(|pattern| covers(pattern, name))
    }

    fn collect(
        pieces: impl Iterator<Item = Result<Piece, TargetError>>,
        mapped: MappedBlock,
    ) -> Result<Self, TargetError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut set = Self::default();
        for piece in pieces {
            match piece? {
                Piece::V4(first, last) => v4.push((first.into(), last.into())),
                Piece::V6(first, last) => split_v6(first, last, mapped, &mut v4, &mut v6),
                Piece::Name(name) => drop(set.names.insert(name)),
                Piece::Pattern(pattern) => drop(set.patterns.insert(pattern)),
            }
        }
        set.v4 = Ranges::merge(v4);
        set.v6 = Ranges::merge(v6);
        Ok(set)
    }
}

/// The address that a value of the IPv4 ranges stands for.
#[expect(clippy::cast_possible_truncation, reason = "the IPv4 ranges hold 32-bit values")]
fn v4(value: u128) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(value as u32))
}

/// The address that a value of the IPv6 ranges stands for.
fn v6(value: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(value))
}

/// `::ffff:0:0/96`.
const MAPPED_BLOCK: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// What a range such as `::/0` says about the IPv4 addresses that are mapped into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MappedBlock {
    /// A scan of it may reach them, so they are targets.
    IsIncluded,
    /// Nothing: who allows or forbids IPv6 did not speak of IPv4.
    IsIpv4Only,
}

/// Keeps IPv4-mapped addresses as IPv4, so that no policy for IPv4 can be walked around through them.
fn split_v6(first: u128, last: u128, mapped: MappedBlock, v4: &mut Vec<(u128, u128)>, v6: &mut Vec<(u128, u128)>) {
    let (block_first, block_last) = MAPPED_BLOCK;
    let (from, to) = (first.max(block_first), last.min(block_last));
    if from > to {
        v6.push((first, last));
        return;
    }
    let inside_only = first >= block_first && last <= block_last;
    if inside_only || mapped == MappedBlock::IsIncluded {
        v4.push((from - block_first, to - block_first));
    }
    if first < block_first {
        v6.push((first, block_first - 1));
    }
    if last > block_last {
        v6.push((block_last + 1, last));
    }
}

/// Whether `pattern` stands for `name`, or for all that the pattern `name` stands for.
fn covers(pattern: &str, name: &str) -> bool {
    let suffix = pattern.trim_start_matches('*');
    suffix.is_empty() || (name.len() > suffix.len() && name.ends_with(suffix) && name != pattern)
}

impl From<IpAddr> for TargetSet {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self {
                v4: Ranges::merge(vec![(address.to_bits().into(), address.to_bits().into())]),
                ..Self::default()
            },
            IpAddr::V6(address) => {
                Self { v6: Ranges::merge(vec![(address.to_bits(), address.to_bits())]), ..Self::default() }
            }
        }
    }
}

impl FromIterator<Self> for TargetSet {
    /// All of them together.
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        let (mut v4, mut v6, mut all) = (Vec::new(), Vec::new(), Self::default());
        for set in sets {
            v4.extend(set.v4.iter());
            v6.extend(set.v6.iter());
            all.names.extend(set.names);
            all.patterns.extend(set.patterns);
        }
        Self { v4: Ranges::merge(v4), v6: Ranges::merge(v6), ..all }
    }
}

impl FromStr for TargetSet {
    type Err = TargetError;

    /// Reads an agent's targets; patterns are refused.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let pieces = parse::pieces(text)?.into_iter().map(parse::piece);
        Self::collect(pieces, MappedBlock::IsIncluded)
    }
}

impl fmt::Display for TargetSet {
    /// The normal form: the pieces in order, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, piece) in self.pieces().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            piece.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for TargetPiece<'_> {
    /// A single address, else a network where the range is one, else `first-last`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Pattern(text) => f.write_str(text),
            Self::Addresses { first, last } if first == last => first.fmt(f),
            Self::Addresses { first, last } => {
                let prefix = match (first, last) {
                    (IpAddr::V4(first), IpAddr::V4(last)) => {
                        ranges::prefix_length(first.to_bits().into(), last.to_bits().into(), 32)
                    }
                    (IpAddr::V6(first), IpAddr::V6(last)) => {
                        ranges::prefix_length(first.to_bits(), last.to_bits(), 128)
                    }
                    _ => None,
                };
                match prefix {
                    Some(prefix) => write!(f, "{first}/{prefix}"),
                    None => write!(f, "{first}-{last}"),
                }
            }
        }
    }
}
