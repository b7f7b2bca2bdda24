use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::error::Classified;

fn set(text: &str) -> TargetSet {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn policy(text: &str) -> TargetSet {
    TargetSet::policy(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_have_one_normal_form() {
    for (text, normal) in [
        ("10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1,\n10.0.0.3\t10.0.0.2 ,, ", "10.0.0.1-10.0.0.3"),
        ("10.0.0.77/24", "10.0.0.0/24"),
        ("10.0.0.77/255.255.255.0", "10.0.0.0/24"),
        ("10.0.0.0/255.255.255.255", "10.0.0.0"),
        ("10.0.0.0/25 10.0.0.128/25", "10.0.0.0/24"),
        ("10.0.0.5-20", "10.0.0.5-10.0.0.20"),
        ("10.0.0.5-5", "10.0.0.5"),
        ("10.0.0.0-10.0.0.255", "10.0.0.0/24"),
        ("10.0.0.250-10.0.1.5", "10.0.0.250-10.0.1.5"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("1.1.1.1/32", "1.1.1.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("[2001:db8::1]/64", "2001:db8::/64"),
        ("2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"),
        ("[2001:db8::0]-[2001:db8::f]", "2001:db8::/124"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:a00:1", "10.0.0.1"),
        ("::ffff:10.0.0.0/120", "10.0.0.0/24"),
        ("::ffff:10.0.0.1-::ffff:10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("DB-1.Corp.Example.", "db-1.corp.example"),
        ("_dmarc.example.com,web_1", "_dmarc.example.com,web_1"),
        ("ip-10-0-0-1.internal", "ip-10-0-0-1.internal"),
        ("10-0-0-1.example", "10-0-0-1.example"),
        ("3com.example 0xfg", "0xfg,3com.example"),
        ("b.example,a.example,A.example,::1,9.9.9.9", "9.9.9.9,::1,a.example,b.example"),
    ] {
        assert_eq!(set(text).to_string(), normal, "{text}");
        assert_eq!(set(normal), set(text), "{normal}");
    }
}

#[test]
fn what_cannot_be_scanned_is_named_with_the_reason() {
    let long_label = format!("{}.example", "x".repeat(64));
    let long_name = "abcdefgh.".repeat(29);
    for (piece, reason) in [
        ("10.0.0.999", "looks like an address"),
        ("1.2.3", "looks like an address"),
        ("10.1", "looks like an address"),
        ("167772161", "looks like an address"),
        ("0x7f000001", "looks like an address"),
        ("0X7F.0x1", "looks like an address"),
        ("0x", "looks like an address"),
        ("example.0x7f", "looks like an address"),
        ("example.1", "looks like an address"),
        ("010.0.0.1", "looks like an address"),
        ("10.0.0.1.", "looks like an address"),
        ("10.0.0-5.1", "looks like an address"),
        ("10.0.0-5.1-254", "looks like an address"),
        ("2001:db8::g", "looks like an address"),
        ("[10.0.0.1]", "looks like an address"),
        ("www.example.com[10.0.0.1]", "looks like an address"),
        ("10.0.0.1:8834", "looks like an address"),
        ("fe80::1%eth0", "zones"),
        ("fe80::1%1/64", "zones"),
        ("10.0.0.0/33", "prefix length"),
        ("10.0.0.0/-1", "prefix length"),
        ("10.0.0.0/+8", "prefix length"),
        ("10.0.0.0/08", "prefix length"),
        ("10.0.0.0/", "prefix length"),
        ("10.0.0.0/8/8", "prefix length"),
        ("10.0.0.0/255.0.255.0", "gaps"),
        ("2001:db8::/129", "prefix length"),
        ("2001:db8::/255.0.0.0", "prefix length"),
        ("example.com/24", "looks like an address"),
        ("10.0.0.9-1", "ends before"),
        ("10.0.0.9-10.0.0.1", "ends before"),
        ("2001:db8::2-2001:db8::1", "ends before"),
        ("10.0.0.1-256", "a range is"),
        ("10.0.0.1-", "a range is"),
        ("10.0.0.1-10.0.0", "a range is"),
        ("10.0.0.1-::1", "a range is"),
        ("2001:db8::1-20", "a range is"),
        ("10.0.0.1-2-3", "a range is"),
        ("*.example.com", "wildcards"),
        ("10.0.0.*", "wildcards"),
        ("host;reboot", "only letters"),
        ("$(reboot)", "only letters"),
        ("host\u{0}", "only letters"),
        ("host\u{a0}name", "only letters"),
        ("bücher.example", "only letters"),
        ("ｅxample.com", "only letters"),
        ("link6", "begins with `link6`"),
        ("LINK6.example", "begins with `link6`"),
        ("link6%1", "zones"),
        ("a..b", "empty"),
        (".example", "empty"),
        ("-a.example", "begins or ends"),
        ("a-.example", "begins or ends"),
        ("-", "neither"),
        (".", "neither"),
        ("_", "neither"),
        (long_label.as_str(), "at most 253"),
        (long_name.as_str(), "at most 253"),
    ] {
        let error = format!("10.0.0.1,{piece},10.0.0.2").parse::<TargetSet>().unwrap_err();
        assert_eq!((error.code(), error.kind()), ("invalid_targets", crate::error::ErrorKind::InvalidInput));
        let TargetError::Invalid { piece: named, reason: said } = &error else { panic!("{piece}: {error:?}") };
        assert!(said.contains(reason), "{error}");
        assert_eq!(*named, crate::error::excerpt(piece).to_string());
    }
}

#[test]
fn empty_and_huge_texts_are_refused() {
    for text in ["", " \n,\t, "] {
        assert_eq!(text.parse::<TargetSet>(), Err(TargetError::Empty), "{text:?}");
        assert_eq!(TargetSet::policy(text), Err(TargetError::Empty), "{text:?}");
    }
    let most = "a,".repeat(MAX_PIECES);
    assert_eq!(set(&most).host_count(), 1);
    assert_eq!(format!("{most}a").parse::<TargetSet>(), Err(TargetError::TooMany));
    let long = " ".repeat(MAX_TEXT_BYTES + 1);
    assert_eq!(long.parse::<TargetSet>(), Err(TargetError::TooLong { bytes: MAX_TEXT_BYTES + 1 }));
}

#[test]
fn a_scanner_is_told_ipv6_addresses_one_by_one() {
    for (text, told) in [
        ("10.0.0.0/24,10.0.2.1-9,a.example", "10.0.0.0/24,10.0.2.1-10.0.2.9,a.example"),
        ("2001:db8::1-2001:db8::3", "2001:db8::1,2001:db8::2,2001:db8::3"),
        ("::10/127 ::1,::2 10.0.0.1 b", "10.0.0.1,::1,::2,::10,::11,b"),
        ("::fffe:ffff:ffff-::ffff:0:1", "0.0.0.0/31,::fffe:ffff:ffff"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        let set = set(text);
        assert_eq!(set.for_scanner().as_deref(), Ok(told), "{text}");
        assert_eq!(told.parse(), Ok(set), "{text}");
    }
    let many = set("2001:db8::/115, 2001:db9::/118, 10.0.0.0/8");
    assert_eq!(many.for_scanner().unwrap().split(',').count(), 8192 + 1024 + 1);
    for text in ["2001:db8::/114", "2001:db8::/115,2001:db9::-2001:db9::710", "::/0"] {
        let error = set(text).for_scanner().unwrap_err();
        assert_eq!((&error, error.code()), (&TargetError::TooManyIpv6, "invalid_targets"), "{text}");
        assert!(error.to_string().contains("more than 10000") && error.hint().unwrap().contains("hosts that exist"));
    }
    let most = set("2001:db8::-2001:db8::270f").for_scanner().unwrap();
    assert_eq!(most.parse::<TargetSet>().unwrap().host_count(), MAX_IPV6_ADDRESSES, "what is told can be read again");
}

#[test]
fn hosts_are_counted_once() {
    for (text, count) in [
        ("10.0.0.0/24,10.0.0.5,10.0.0.128-10.0.1.0", 257),
        ("a.example,A.EXAMPLE,b.example", 2),
        ("0.0.0.0/0", 1 << 32),
        ("2001:db8::/64 10.0.0.1 x", (1 << 64) + 2),
        ("::/0", u128::MAX),
    ] {
        assert_eq!(set(text).host_count(), count, "{text}");
    }
}

#[test]
fn a_policy_contains_whole_ranges() {
    for (allowed, asked, contained) in [
        ("10.0.0.0/8", "10.0.0.0/8", true),
        ("10.0.0.0/8", "9.255.255.255-10.0.0.0", false),
        ("10.0.0.0/8", "10.255.255.255-11.0.0.0", false),
        ("10.0.0.0/9 10.128.0.0/9", "10.127.0.0-10.129.0.0", true),
        ("10.0.0.0-10.0.0.9 10.0.0.11-10.0.0.20", "10.0.0.5-10.0.0.15", false),
        ("10.0.0.0/8", "10.0.0.1 192.168.0.1", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false),
        ("10.0.0.0/8", "::10.0.0.1", false),
        ("::/0", "2001:db8::/32", true),
        ("::/0", "10.0.0.1", false),
        ("::/0", "::ffff:10.0.0.1", false),
        ("::/0", "::fffe:ffff:ffff-::ffff:0:0", false),
        ("::/0", "::/0", false),
        ("::/0 0.0.0.0/0", "::/0", true),
        ("::ffff:0:0/96", "10.0.0.1", true),
        ("0.0.0.0/0 ::/0", "localhost", false),
        ("db.example", "DB.example.", true),
        ("db.example", "xdb.example", false),
        ("*.corp.example", "a.corp.example b.a.corp.example", true),
        ("*.corp.example", "corp.example", false),
        ("*.corp.example", "evilcorp.example", false),
        ("*.corp.example", "a.corp.example.evil", false),
        ("*", "anything.example", true),
        ("*", "10.0.0.1", false),
    ] {
        assert_eq!(policy(allowed).contains_set(&set(asked)), contained, "{allowed} / {asked}");
    }
}

#[test]
fn policies_compare_with_policies() {
    for (one, other, contains, overlaps) in [
        ("*", "*.example", true, true),
        ("*.example", "*", false, true),
        ("*.example", "*.corp.example", true, true),
        ("*.corp.example", "*.example", false, true),
        ("*.example", "*.example", true, true),
        ("*.example", "*.test", false, false),
        ("*.example", "a.example", true, true),
        ("a.example", "*.example", false, true),
        ("10.0.0.0/8", "*", false, false),
    ] {
        assert_eq!(policy(one).contains_set(&policy(other)), contains, "{one} contains {other}");
        assert_eq!(policy(one).overlaps(&policy(other)), overlaps, "{one} overlaps {other}");
        assert_eq!(policy(other).overlaps(&policy(one)), overlaps, "{other} overlaps {one}");
    }
    for text in ["*.10.0.0.1", "a.*.example", "*example", "**", "*.", "*.-a"] {
        assert!(matches!(TargetSet::policy(text), Err(TargetError::Invalid { .. })), "{text}");
    }
    assert_eq!(policy("*.B.example * a").to_string(), "a,*,*.b.example");
}

#[test]
fn a_range_around_the_mapped_block_reaches_ipv4() {
    let asked = set("::fffe:ffff:ffff-::ffff:0:1");
    assert_eq!(asked.to_string(), "0.0.0.0/31,::fffe:ffff:ffff");
    assert!(policy("0.0.0.0/8").overlaps(&asked));
    assert!(!policy("::/0").overlaps(&set("10.0.0.1")));
}

/// A few ranges of small numbers, as texts of either family and as the set of the numbers.
fn small_ranges() -> impl Strategy<Value = Vec<(u8, u8)>> {
    proptest::collection::vec((0_u8..60, 0_u8..60).prop_map(|(a, b)| (a.min(b), a.max(b))), 1..6)
}

fn texts(ranges: &[(u8, u8)]) -> [String; 2] {
    let join = |text: fn((u8, u8)) -> String| ranges.iter().map(|range| text(*range)).collect::<Vec<_>>().join(",");
    [
        join(|(first, last)| format!("10.0.0.{first}-{last}")),
        join(|(first, last)| format!("2001:db8::{first:x}-2001:db8::{last:x}")),
    ]
}

fn numbers(ranges: &[(u8, u8)]) -> HashSet<u8> {
    ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
}

proptest! {
    #[test]
    fn sets_agree_with_sets_of_numbers(ours in small_ranges(), theirs in small_ranges()) {
        let (our_numbers, their_numbers) = (numbers(&ours), numbers(&theirs));
        for (our_text, their_text) in texts(&ours).iter().zip(texts(&theirs)) {
            let (our_set, their_set) = (set(our_text), set(&their_text));
            prop_assert_eq!(our_set.host_count(), our_numbers.len() as u128);
            prop_assert_eq!(our_set.contains_set(&their_set), our_numbers.is_superset(&their_numbers));
            prop_assert_eq!(our_set.overlaps(&their_set), !our_numbers.is_disjoint(&their_numbers));
            prop_assert_eq!(our_set == their_set, our_numbers == their_numbers);
            prop_assert_eq!(&set(&our_set.to_string()), &our_set);
            let address = |number: &u8| match our_set.pieces().next() {
                Some(TargetPiece::Addresses { first: IpAddr::V4(_), .. }) => IpAddr::from([10, 0, 0, *number]),
                _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, (*number).into()]),
            };
            prop_assert!((0..60).all(|number| our_set.contains_address(address(&number)) == our_numbers.contains(&number)));
            let left = our_set.without(their_numbers.iter().chain(&their_numbers).map(address), |_| false);
            prop_assert_eq!(left.host_count(), our_numbers.difference(&their_numbers).count() as u128);
            prop_assert!(our_set.contains_set(&left) && !left.overlaps(&their_set));
        }
    }

    #[test]
    fn any_network_is_what_its_range_is(bits in any::<u128>(), prefix in 0_u32..=128) {
        let mask = ranges::low_bits(128 - prefix);
        let (first, last) = (Ipv6Addr::from_bits(bits & !mask), Ipv6Addr::from_bits(bits | mask));
        let network = set(&format!("{}/{prefix}", Ipv6Addr::from_bits(bits)));
        prop_assert_eq!(&network, &set(&format!("{first}-{last}")));
        prop_assert_eq!(&set(&network.to_string()), &network);
    }

    #[test]
    fn no_text_panics_and_what_is_read_is_written_and_read_again(text in "[0-9a-fx:./,* \\[\\]%-]{0,40}|.{0,40}") {
        if let Ok(read) = text.parse::<TargetSet>() {
            prop_assert!(read.host_count() > 0);
            prop_assert!(read.contains_set(&read) && read.overlaps(&read));
            prop_assert_eq!(&set(&read.to_string()), &read);
        }
        if let Ok(read) = TargetSet::policy(&text) {
            prop_assert_eq!(&policy(&read.to_string()), &read);
        }
    }
}
