//! From text to pieces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    error::{MAX_PIECES, MAX_TEXT_BYTES, TargetError},
    ranges::low_bits,
};

/// A piece of a target text.
pub(super) enum Piece {
    V4(u32, u32),
    V6(u128, u128),
    Name(String),
    Pattern(String),
}

const PREFIX: &str = "after the `/` comes a prefix length (0 to 32, for IPv6 to 128) or an IPv4 mask";
const RANGE: &str = "a range is `first-last` with two addresses of one family, or with a last octet as in 10.0.0.1-20";
const BACKWARDS: &str = "the range ends before it begins";
const NOT_AN_ADDRESS: &str = "it looks like an address but is none; IPv4 has four decimal numbers from 0 to 255 without \
                              leading zeros, IPv6 is written like 2001:db8::1";
const NAME: &str = "it is neither an address, a network, a range nor a host name";
const NAME_CHARACTERS: &str =
    "a host name has only letters, digits, `-`, `_` and `.`; write international names as xn--";
const NAME_LENGTH: &str = "a host name has at most 253 characters, and at most 63 between two dots";
const LABEL: &str = "no part of a host name is empty or begins or ends with `-`";
const WILDCARD: &str = "wildcards are not allowed in targets";
const LINK6: &str = "Nessus reads a name that begins with `link6` as all hosts of its own network";
const ZONE: &str = "IPv6 zones (`%`) are not supported";

/// The pieces of a text, as they stand there.
pub(super) fn pieces(text: &str) -> Result<Vec<&str>, TargetError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TargetError::TooLong { bytes: text.len() });
    }
    let is_separator = |character: char| character == ',' || character.is_ascii_whitespace();
    let pieces: Vec<_> = text.split(is_separator).filter(|piece| !piece.is_empty()).take(MAX_PIECES + 1).collect();
    match pieces.len() {
        0 => Err(TargetError::Empty),
        count if count > MAX_PIECES => Err(TargetError::TooMany),
        _ => Ok(pieces),
    }
}

/// Reads a piece of an agent's targets.
pub(super) fn piece(text: &str) -> Result<Piece, TargetError> {
    read(text).map_err(|reason| TargetError::invalid(text, reason))
}

/// Reads a piece of a policy.
pub(super) fn policy_piece(text: &str) -> Result<Piece, TargetError> {
    if text == "*" {
        return Ok(Piece::Pattern(text.to_owned()));
    }
    match text.strip_prefix("*.") {
        Some(suffix) => host_name(suffix)
            .map(|suffix| Piece::Pattern(format!("*.{suffix}")))
            .map_err(|reason| TargetError::invalid(text, reason)),
        None => piece(text),
    }
}

fn read(text: &str) -> Result<Piece, &'static str> {
    if let Some((address, prefix)) = text.split_once('/') {
        return network(address, prefix);
    }
    if let Some(address) = address(text) {
        return Ok(match address {
            IpAddr::V4(address) => Piece::V4(address.to_bits(), address.to_bits()),
            IpAddr::V6(address) => Piece::V6(address.to_bits(), address.to_bits()),
        });
    }
    // A host name may hold hyphens, but none begins with an address and a hyphen here: that is a mistyped range.
    if let Some((first, last)) = text.split_once('-')
        && let Some(first) = address(first)
    {
        return range(first, last);
    }
    host_name(text).map(Piece::Name)
}

/// An address, IPv6 also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn network(text: &str, prefix: &str) -> Result<Piece, &'static str> {
    let address = address(text).ok_or(if text.contains('%') { ZONE } else { NOT_AN_ADDRESS })?;
    let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
    let host_bits = match decimal(prefix) {
        Some(length) => bits.checked_sub(length.into()).ok_or(PREFIX)?,
        None if address.is_ipv4() => {
            let mask = prefix.parse::<Ipv4Addr>().map_err(|_| PREFIX)?.to_bits();
            let host_bits = mask.trailing_zeros();
            (mask.leading_ones() + host_bits == 32).then_some(host_bits).ok_or("the mask has gaps")?
        }
        None => return Err(PREFIX),
    };
    let mask = low_bits(host_bits);
    Ok(match address {
        IpAddr::V4(address) => {
            #[expect(clippy::cast_possible_truncation, reason = "an IPv4 network has at most 32 host bits")]
            let mask = mask as u32;
            Piece::V4(address.to_bits() & !mask, address.to_bits() | mask)
        }
        IpAddr::V6(address) => Piece::V6(address.to_bits() & !mask, address.to_bits() | mask),
    })
}

fn range(first: IpAddr, last: &str) -> Result<Piece, &'static str> {
    let last = match (first, decimal(last)) {
        (IpAddr::V4(first), Some(octet)) => {
            let [a, b, c, _] = first.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, u8::try_from(octet).map_err(|_| RANGE)?))
        }
        _ => address(last).ok_or(RANGE)?,
    };
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Ok(Piece::V4(first.to_bits(), last.to_bits())),
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Ok(Piece::V6(first.to_bits(), last.to_bits())),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Err(BACKWARDS),
        _ => Err(RANGE),
    }
}

/// A number of one to three digits without leading zeros.
fn decimal(text: &str) -> Option<u16> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

/// A host name in lower case.
fn host_name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.contains('*') {
        return Err(WILDCARD);
    }
    if name.contains('%') {
        return Err(ZONE);
    }
    if name.contains([':', '[', ']']) {
        return Err(NOT_AN_ADDRESS);
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(NAME_CHARACTERS);
    }
    // Resolvers read a name that ends in a number as an address (`127.1`, `0x7f000001`, `2130706433`).
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let is_hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if !name.bytes().any(|b| b.is_ascii_alphabetic()) || last.bytes().all(|b| b.is_ascii_digit()) || is_hex {
        return Err(if name.bytes().any(|b| b.is_ascii_digit()) { NOT_AN_ADDRESS } else { NAME });
    }
    if name.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("link6")) {
        return Err(LINK6);
    }
    if name.len() > 253 || name.split('.').any(|label| label.len() > 63) {
        return Err(NAME_LENGTH);
    }
    if name.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-')) {
        return Err(LABEL);
    }
    Ok(name.to_ascii_lowercase())
}
