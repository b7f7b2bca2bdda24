//! Names of machines: how they are compared, and where they stand in what was scanned and in `host-fqdns`.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use serde::Deserialize;

/// A name without what is written differently: case, trailing dots and white space around it.
pub(super) fn plain(name: &str) -> Cow<'_, str> {
    let name = bare(name);
    if name.chars().any(char::is_uppercase) { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
}

/// Whether two names are the same but for what is written differently.
pub(crate) fn is_same(one: &str, another: &str) -> bool {
    let (one, another) = (bare(one), bare(another));
    one.eq_ignore_ascii_case(another) || (!one.is_ascii() && one.to_lowercase() == another.to_lowercase())
}

fn bare(name: &str) -> &str {
    name.trim().trim_end_matches('.')
}

/// The name or address of the machine in what was scanned: without the scheme, account, port and path of a URL, and without
/// the port of `name:port`.
pub(super) fn of_target(target: &str) -> &str {
    let target = target.trim();
    let authority = match target.split_once("://") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            authority.rsplit_once('@').map_or(authority, |(_, host)| host)
        }
        None => target,
    };
    if let Some((inner, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inner;
    }
    match authority.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The machine in a NetBIOS name: some versions write the domain before it.
pub(super) fn of_netbios(name: &str) -> &str {
    name.rsplit('\\').next().unwrap_or(name)
}

/// The names in `host-fqdns`: `[{"FQDN": "web01.corp.example", "sources": [..]}]`. What is written in another form is one
/// text.
pub(super) fn listed(text: &str) -> Box<[Box<str>]> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Named {
            #[serde(rename = "FQDN", alias = "fqdn")]
            name: Box<str>,
        },
        Plain(Box<str>),
    }
    let Ok(entries) = serde_json::from_str::<Vec<Entry>>(text) else { return Box::new([text.into()]) };
    let name = |entry| {
        let (Entry::Named { name } | Entry::Plain(name)) = entry;
        let name = name.trim();
        (!name.is_empty()).then(|| name.into())
    };
    entries.into_iter().filter_map(name).collect()
}

/// An address, IPv6 also in brackets; an IPv4-mapped one is the IPv4 address.
pub(crate) fn as_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_found_in_what_was_scanned() {
        for (target, expected) in [
            ("web01.corp.example", "web01.corp.example"),
            ("192.0.2.5", "192.0.2.5"),
            ("2001:db8::7", "2001:db8::7"),
            ("192.0.2.5:8443", "192.0.2.5"),
            ("web01:8443", "web01"),
            ("[2001:db8::7]:80", "2001:db8::7"),
            ("https://shop.example:8443/a?b#c", "shop.example"),
            ("https://user:x@shop.example", "shop.example"),
            ("http://[2001:db8::7]:8080/", "2001:db8::7"),
            ("http://192.0.2.5/a", "192.0.2.5"),
            ("", ""),
        ] {
            assert_eq!(of_target(target), expected, "{target}");
        }
    }

    #[test]
    fn listed_names_are_read_in_each_form() {
        for (text, expected) in [
            (r#"[{"FQDN":"a.example","sources":["x"]},{"FQDN":"b.example"}]"#, vec!["a.example", "b.example"]),
            (r#"["a.example", " "]"#, vec!["a.example"]),
            ("a.example", vec!["a.example"]),
            (r#"[{"name": 1}]"#, vec![r#"[{"name": 1}]"#]),
            ("[]", vec![]),
        ] {
            assert_eq!(listed(text).iter().map(|name| &**name).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_the_same_without_case_and_trailing_dots() {
        assert!(is_same(" WEB01.corp.example. ", "web01.Corp.Example"));
        assert!(is_same("Ünï.example", "üNÏ.example"));
        assert!(!is_same("web01", "web01.corp.example"));
        assert_eq!(plain("WEB01.corp.example. "), "web01.corp.example");
    }
}
