//! The address that a request comes from: its peer's or, where that is a proxy that the operator names, the one that the proxy
//! tells in `X-Forwarded-For`.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::extract::{ConnectInfo, Request};
use http::{HeaderMap, HeaderName, header};
use nessus_mcp_lib::{config::ConfigError, targets::TargetSet};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What proxies add to a request. Whoever came through one is not on this machine, however near the proxy is.
const MARKS_OF_PROXIES: [HeaderName; 4] =
    [FORWARDED_FOR, HeaderName::from_static("x-real-ip"), header::FORWARDED, header::VIA];

/// The address of a client, an extension of each request. An IPv4-mapped address is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// The address, or the network of an IPv6 address: whoever has one of its addresses has them all.
    pub(crate) fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        }
    }
}

/// An extension of a request that came, or may have come, from another machine, whatever its peer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromAfar;

/// The proxies whose `X-Forwarded-For` is believed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Arc<TargetSet>);

impl TrustedProxies {
    /// Reads a comma separated list of addresses and networks.
    ///
    /// # Errors
    /// When it names something else, or every address there is: then each client could say that it is another.
    pub(crate) fn new(list: Option<&str>) -> Result<Self, ConfigError> {
        let Some(list) = list.map(str::trim).filter(|list| !list.is_empty()) else { return Ok(Self::default()) };
        let refuse = |message: String| ConfigError::Setting { name: "TRUSTED_PROXIES".to_owned(), message };
        let proxies: TargetSet = list.parse().map_err(|error| refuse(format!("has a bad value: {error}")))?;
        if let Some(name) = proxies.names().next() {
            return Err(refuse(format!("must be addresses and networks, and `{name}` is neither")));
        }
        let is_everything = |family: &str| family.parse().is_ok_and(|family: TargetSet| proxies.contains_set(&family));
        if ["0.0.0.0/0", "::/0"].into_iter().any(is_everything) {
            return Err(refuse("must not be every address: each client could say that it is another".to_owned()));
        }
        Ok(Self(Arc::new(proxies)))
    }

    /// Whether this is the address of a proxy.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.contains_address(address)
    }

    /// Puts the address of the client into the request's extensions, and whether it came through a proxy.
    pub(crate) fn mark(&self, peer: SocketAddr, request: &mut Request) {
        let peer = peer.ip().to_canonical();
        let client = if self.contain(peer) { self.client(peer, request.headers()) } else { peer };
        let is_forwarded =
            self.contain(peer) || MARKS_OF_PROXIES.iter().any(|name| request.headers().contains_key(name));
        request.extensions_mut().insert(ClientAddress(client));
        if is_forwarded {
            request.extensions_mut().insert(FromAfar);
        }
    }

    /// The same for a request that another program has accepted: its peer is what axum's `ConnectInfo` says. Where that is missing, or
    /// is no loopback address, the request may have come from anywhere.
    pub(crate) fn mark_accepted(&self, request: &mut Request) {
        let peer = request.extensions().get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
        if let Some(peer) = peer {
            self.mark(peer, request);
        }
        if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            request.extensions_mut().insert(FromAfar);
        }
    }

    /// The last address of the chain that is no proxy. Each proxy vouches for the address before its own: where that cannot be
    /// read, or where all are proxies, it is the proxy that is known last.
    fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut known = proxy;
        // Several headers are one list, in their order.
        for header in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(header) = header.to_str() else { return known };
            for entry in header.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let Some(address) = address(entry) else { return known };
                known = address;
                if !self.contain(known) {
                    return known;
                }
            }
        }
        known
    }
}

/// An address as proxies write it: alone or with a port, IPv6 also in brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    /// What a request of this peer with these `X-Forwarded-For` is taken for.
    fn client(proxies: &str, peer: &str, headers: &[&[u8]]) -> (String, bool) {
        let proxies = TrustedProxies::new(Some(proxies)).unwrap();
        let request = headers.iter().fold(Request::get("/"), |request, value| request.header(FORWARDED_FOR, *value));
        let mut request = request.body(Body::empty()).unwrap();
        proxies.mark(SocketAddr::new(peer.parse().unwrap(), 1), &mut request);
        let ClientAddress(address) = request.extensions().get().unwrap();
        (address.to_string(), request.extensions().get::<FromAfar>().is_some())
    }

    #[test]
    fn only_a_named_proxy_is_believed() {
        for (peer, sent, expected) in [
            ("192.0.2.9", "203.0.113.1", "192.0.2.9"),
            ("::1", "203.0.113.1", "::1"),
            ("11.0.0.1", "203.0.113.1", "11.0.0.1"),
            ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
            ("::ffff:10.0.0.1", "203.0.113.1", "203.0.113.1"),
            ("2001:db8::7", "203.0.113.1", "203.0.113.1"),
            ("::ffff:192.0.2.9", "203.0.113.1", "192.0.2.9"),
        ] {
            assert_eq!(client("10.0.0.0/8, 2001:db8::/64", peer, &[sent.as_bytes()]).0, expected, "{peer}");
        }
        assert_eq!(client("", "10.0.0.1", &[b"203.0.113.1"]).0, "10.0.0.1");
        // A network may be written as IPv4-mapped, too.
        assert_eq!(client("::ffff:10.0.0.0/104", "10.1.2.3", &[b"203.0.113.1"]).0, "203.0.113.1");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        for (sent, expected) in [
            (&["203.0.113.1"][..], "203.0.113.1"),
            // What a client writes itself stands on the left.
            (&["127.0.0.1, 203.0.113.1"], "203.0.113.1"),
            (&["203.0.113.1, 10.0.0.2, 10.0.0.3"], "203.0.113.1"),
            (&["198.51.100.1, 203.0.113.1, 10.0.0.2"], "203.0.113.1"),
            (&["198.51.100.1", "203.0.113.1", "10.0.0.2"], "203.0.113.1"),
            (&["203.0.113.1,10.0.0.2", " 10.0.0.3 "], "203.0.113.1"),
            // All are proxies: one of them is the client.
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            // As proxies write it.
            (&["203.0.113.1:51234"], "203.0.113.1"),
            (&["[2001:db8:1::7]:443"], "2001:db8:1::7"),
            (&["[2001:db8:1::7]"], "2001:db8:1::7"),
            (&["2001:DB8:1:0:0::7"], "2001:db8:1::7"),
            (&["::ffff:203.0.113.1"], "203.0.113.1"),
            (&["[::ffff:203.0.113.1]:1, ::ffff:10.0.0.2"], "203.0.113.1"),
            (&["203.0.113.1, ,"], "203.0.113.1"),
            // What cannot be read says nothing, nor does what stands before it.
            (&[][..], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["unknown"], "10.0.0.1"),
            (&["203.0.113.1, unknown"], "10.0.0.1"),
            (&["203.0.113.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            (&["203.0.113.1", "\u{e9}"], "10.0.0.1"),
            (&["203.0.113.1 10.0.0.2"], "10.0.0.1"),
            (&["203.0.113.01"], "10.0.0.1"),
            (&["203.0.113.1:99999"], "10.0.0.1"),
            (&["[203.0.113.1]"], "10.0.0.1"),
            (&["fe80::1%eth0"], "10.0.0.1"),
            (&["\"203.0.113.1\""], "10.0.0.1"),
        ] {
            let bytes: Vec<_> = sent.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &bytes), (expected.to_owned(), true), "{sent:?}");
        }
    }

    #[test]
    fn whoever_has_an_address_of_ipv6_has_its_network() {
        for (address, network) in [
            ("192.0.2.9", "192.0.2.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(ClientAddress(address.parse().unwrap()).network().to_string(), network);
        }
    }

    #[test]
    fn whoever_came_through_a_proxy_is_known_to_have() {
        let is_forwarded = |proxies: &str, name: &str| {
            let mut request = Request::get("/").header(name, "203.0.113.1").body(Body::empty()).unwrap();
            let proxies = TrustedProxies::new(Some(proxies)).unwrap();
            proxies.mark(SocketAddr::from(([127, 0, 0, 1], 1)), &mut request);
            request.extensions().get::<FromAfar>().is_some()
        };
        for name in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            assert!(is_forwarded("", name), "{name}");
        }
        assert!(!is_forwarded("", "accept") && is_forwarded("127.0.0.1", "accept"));
    }

    #[test]
    fn only_a_loopback_peer_without_a_proxy_is_surely_near() {
        let is_from_afar = |peer: Option<&str>, header: &str| {
            let mut request = Request::get("/").header(header, "127.0.0.1").body(Body::empty()).unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
            }
            TrustedProxies::default().mark_accepted(&mut request);
            request.extensions().get::<FromAfar>().is_some()
        };
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!is_from_afar(Some(near), "accept"), "{near}");
            assert!(is_from_afar(Some(near), "x-forwarded-for"), "{near}");
        }
        for far in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "0.0.0.0", "10.0.0.1"] {
            assert!(is_from_afar(Some(far), "accept"), "{far}");
        }
        assert!(is_from_afar(None, "accept"));
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused() {
        for list in
            ["proxy.example", "10.0.0.0/33", "0.0.0.0/0", "10.0.0.1,::/0", "0.0.0.0/1 128.0.0.0/1", "*", "10.0.0"]
        {
            let error = TrustedProxies::new(Some(list)).unwrap_err().to_string();
            assert!(error.starts_with("`TRUSTED_PROXIES` "), "{list}: {error}");
        }
        assert!(TrustedProxies::new(Some(" ")).unwrap().0.is_empty());
    }
}
