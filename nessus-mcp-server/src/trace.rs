//! The trace that a request belongs to: `X-Trace-Id`, `traceparent` (W3C Trace Context), or one of its own.

use std::sync::{Arc, OnceLock};

use nessus_mcp_lib::ids::TraceId;
use rmcp::{RoleServer, service::RequestContext};

/// The name of a trace in `traceparent`.
const W3C_TRACE_DIGITS: usize = 32;
const SPAN_DIGITS: usize = 16;
/// The only flag whose meaning every version shares; the others must not be passed on.
const SAMPLED: u8 = 1;

/// A `traceparent` that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceParent {
    trace: String,
    is_sampled: bool,
}

impl TraceParent {
    /// Reads it; none where it breaks the rules of the W3C, which then say to ignore it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Later versions may say more, behind a hyphen.
        let (known, more) = (text.get(..55)?, &text[55..]);
        let mut parts = known.split('-');
        let mut next = |digits: usize| parts.next().filter(|part| is_hex(part, digits));
        let (version, trace, parent, flags) = (next(2)?, next(W3C_TRACE_DIGITS)?, next(SPAN_DIGITS)?, next(2)?);
        let is_long = match version {
            "ff" => return None,
            "00" => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        let is_named = |digits: &str| digits.bytes().any(|digit| digit != b'0');
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (is_long && is_named(trace) && is_named(parent))
            .then(|| Self { trace: trace.to_owned(), is_sampled: flags & SAMPLED != 0 })
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The trace of a request, and the span of this process in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Its name in logs, tasks and `X-Trace-Id`.
    pub(crate) id: TraceId,
    /// Its name in `traceparent`.
    w3c: String,
    /// The span, 16 hexadecimal digits.
    pub(crate) span_id: String,
    is_sampled: bool,
}

impl Trace {
    /// The name that the caller gives wins, then that of its `traceparent`.
    pub(crate) fn new(named: Option<TraceId>, parent: Option<TraceParent>) -> Self {
        // A random UUID is never all zeros in its first half, because its version stands there.
        let mut span_id = TraceId::generate().to_string();
        span_id.truncate(SPAN_DIGITS);
        let (of_parent, is_sampled) = parent.map_or((None, false), |parent| (Some(parent.trace), parent.is_sampled));
        let id = named
            .or_else(|| of_parent.as_deref().and_then(|trace| TraceId::new(trace).ok()))
            .unwrap_or_else(TraceId::generate);
        let w3c = of_parent.unwrap_or_else(|| w3c_name(&id));
        Self { id, w3c, span_id, is_sampled }
    }

    /// The `traceparent` for whoever asked: their trace, our span, their flag.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.w3c, self.span_id, u8::from(self.is_sampled))
    }

    /// The trace of a call: as it came in HTTP headers or, over stdio and where no header names one, in its `_meta`.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        if let Some(known) = context.extensions.get::<Self>() {
            return known.clone();
        }
        let of_meta = context.meta.get_traceparent().and_then(TraceParent::parse);
        let parts = context.extensions.get::<http::request::Parts>();
        match parts.and_then(|parts| parts.extensions.get::<RequestTrace>()) {
            Some(request) => request.refined(of_meta),
            None => Self::new(None, of_meta),
        }
    }
}

/// The name of a trace for the W3C: itself where it has that form, else the FNV-1a hash of 128 bits, so that one name always
/// has the same other.
fn w3c_name(id: &TraceId) -> String {
    let text = id.as_str();
    if is_hex(text, W3C_TRACE_DIGITS) && text.bytes().any(|digit| digit != b'0') {
        return text.to_owned();
    }
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    format!("{:032x}", text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step).max(1))
}

/// An extension of each HTTP request: its trace by its headers, until its `_meta` says more.
#[derive(Debug, Clone)]
pub(crate) struct RequestTrace {
    by_headers: Trace,
    /// Whether `X-Trace-Id` names it, which `_meta` does not change.
    is_named: bool,
    by_meta: Arc<OnceLock<Trace>>,
}

impl RequestTrace {
    pub(crate) fn new(named: Option<TraceId>, parent: Option<TraceParent>) -> Self {
        Self { is_named: named.is_some(), by_headers: Trace::new(named, parent), by_meta: Arc::default() }
    }

    /// The trace as far as it is known.
    pub(crate) fn known(&self) -> &Trace {
        self.by_meta.get().unwrap_or(&self.by_headers)
    }

    fn refined(&self, of_meta: Option<TraceParent>) -> Trace {
        match of_meta.filter(|_| !self.is_named) {
            Some(parent) => {
                let fresh = || Trace { span_id: self.by_headers.span_id.clone(), ..Trace::new(None, Some(parent)) };
                self.by_meta.get_or_init(fresh).clone()
            }
            None => self.known().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_by_the_rules() {
        let read = |text: &str| TraceParent::parse(text).map(|parent| (parent.trace, parent.is_sampled));
        let valid = |flag| Some((TRACE.to_owned(), flag));
        for (text, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), valid(true)),
            (format!("00-{TRACE}-{SPAN}-00"), valid(false)),
            (format!("00-{TRACE}-{SPAN}-03"), valid(true)),
            (format!("00-{TRACE}-{SPAN}-fe"), valid(false)),
            (format!("cc-{TRACE}-{SPAN}-01"), valid(true)),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), valid(true)),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("00-{TRACE}-{SPAN}-01 "), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-001"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}-{SPAN}-0g"), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (format!("00-{TRACE}{SPAN}--01"), None),
            (format!("00-{}\u{e9}{}-{SPAN}-01", &TRACE[..15], &TRACE[17..]), None),
            ("00".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&text), expected, "{text}");
        }
    }

    #[test]
    fn names_go_before_parents() {
        let parent = || TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01"));
        let told = |trace: &Trace| {
            let parts: Vec<_> = trace.traceparent().split('-').map(str::to_owned).collect();
            assert_eq!((&parts[0], parts[2] == trace.span_id), (&"00".to_owned(), true));
            assert!(TraceParent::parse(&trace.traceparent()).is_some() && parts[2] != SPAN);
            (trace.id.to_string(), parts[1].clone(), parts[3].clone())
        };
        let named = |name: &str| Some(TraceId::new(name).unwrap());
        let both = Trace::new(named("agent-7"), parent());
        assert_eq!(told(&both), ("agent-7".to_owned(), TRACE.to_owned(), "01".to_owned()));
        assert_eq!(told(&Trace::new(None, parent())), (TRACE.to_owned(), TRACE.to_owned(), "01".to_owned()));
        assert_eq!(told(&Trace::new(named(TRACE), None)), (TRACE.to_owned(), TRACE.to_owned(), "00".to_owned()));
        let (fresh, other) = (Trace::new(None, None), Trace::new(None, None));
        assert_eq!(told(&fresh).0, told(&fresh).1);
        assert!(fresh.id != other.id && fresh.span_id != other.span_id);
        // The published hash of `foobar`.
        assert_eq!(told(&Trace::new(named("foobar"), None)).1, "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn meta_says_more_than_headers_without_a_name() {
        let parent = |digit: &str| TraceParent::parse(&format!("00-{}-{SPAN}-01", digit.repeat(32)));
        let request = RequestTrace::new(None, parent("a"));
        assert_eq!(request.known().id.as_str(), "a".repeat(32));
        let refined = request.refined(parent("b"));
        assert_eq!((refined.id.as_str(), request.known()), (&*"b".repeat(32), &refined));
        assert_eq!(refined.span_id, request.by_headers.span_id);
        let named = RequestTrace::new(Some(TraceId::new("agent-7").unwrap()), None);
        assert_eq!((named.refined(parent("b")).id.as_str(), named.known().id.as_str()), ("agent-7", "agent-7"));
        assert_eq!(RequestTrace::new(None, parent("a")).refined(None).id.as_str(), "a".repeat(32));
    }
}
