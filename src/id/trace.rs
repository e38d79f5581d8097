//! The trace that a request belongs to (W3C Trace Context).

use std::cell::RefCell;
use std::fmt;

use http::{HeaderMap, HeaderValue};
use rand::Rng as _;
use rand::rngs::Xoshiro256PlusPlus;

use super::random::hex_of_16;
use crate::header::{Head, X_TRACE_ID};

/// A W3C trace-id: 32 lower-case hex characters, not all zero.
///
/// The caller chooses it. Use it to find log lines, and never to decide anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

/// The trace of one request. The text of a new trace is made when it is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trace {
    /// The text is made.
    Named(TraceId),
    /// The random bits that the text will be made of.
    New([u8; 16]),
}

thread_local! {
    /// Each thread has its own generator, with a seed of 256 random bits.
    static GENERATOR: RefCell<Xoshiro256PlusPlus> = RefCell::new(rand::make_rng());
}

impl TraceId {
    /// A new id of 128 random bits, from a fast generator. The id is in every log, so it need not be hard to guess. Two
    /// copies of a running machine make the same ids from then on.
    #[must_use]
    pub fn random() -> Self {
        Trace::random().id()
    }

    /// Parses 32 lower-case hex characters, or a UUID without its hyphens. `None` for any other text, and for the id
    /// with zeros only (W3C Trace Context §3.2.2.3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_bytes(text.as_bytes())
    }

    fn parse_bytes(text: &[u8]) -> Option<Self> {
        let mut digits = [0; 32];
        match text.len() {
            32 => digits.copy_from_slice(text),
            36 => {
                let hyphens = [8, 13, 18, 23];
                let mut next = digits.iter_mut();
                for (place, byte) in text.iter().enumerate() {
                    if hyphens.contains(&place) {
                        if *byte != b'-' {
                            return None;
                        }
                    } else {
                        *next.next()? = byte.to_ascii_lowercase();
                    }
                }
            }
            _ => return None,
        }
        (is_lower_hex(&digits) && digits.iter().any(|b| *b != b'0')).then_some(Self(digits))
    }

    /// The trace that `headers` continue, or a new one. Afterwards `x-trace-id` has its id.
    ///
    /// A valid `traceparent` is continued; without one, a valid `x-trace-id` is. An invalid `traceparent` is removed.
    /// Without a valid `traceparent`, `tracestate` is removed too (W3C Trace Context §3.2, §3.3).
    pub fn continue_from(headers: &mut HeaderMap) -> Self {
        let head = Head::of(headers, &[]);
        let (trace, has_good_parent) = Trace::of(&head);
        let trace = trace.id();
        let is_named = head.trace().only() == Some(&trace.0);
        head.parent_changes(has_good_parent).make(headers, [None; 6], || trace.to_header_value());
        if !is_named {
            headers.insert(X_TRACE_ID, trace.to_header_value());
        }
        trace
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only hex characters get in")
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hex characters are visible ASCII")
    }
}

impl Trace {
    /// The trace that a request continues, or a new one, and whether the request has a valid `traceparent`.
    pub(crate) fn of(head: &Head<'_>) -> (Self, bool) {
        let parent = head.traceparent.only().and_then(parse_traceparent);
        let trace = parent.or_else(|| head.trace().only().and_then(TraceId::parse_bytes));
        (trace.map_or_else(Self::random, Self::Named), parent.is_some())
    }

    fn random() -> Self {
        let mut bytes = [0; 16];
        GENERATOR.with_borrow_mut(|generator| generator.fill_bytes(&mut bytes));
        Self::New(bytes)
    }

    pub(crate) fn id(&self) -> TraceId {
        match self {
            Self::Named(id) => *id,
            Self::New(bytes) => TraceId(hex_of_16(*bytes)),
        }
    }

    /// Whether its text is made. It is when the request named the trace.
    pub(crate) const fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// The text, if it is made. The text of a new trace is not made yet, so this is empty.
    pub(crate) const fn text(&self) -> &[u8] {
        match self {
            Self::Named(id) => &id.0,
            Self::New(_) => &[],
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// The trace-id of a valid `traceparent`. A later version is read as far as version 00 defines it.
fn parse_traceparent(bytes: &[u8]) -> Option<TraceId> {
    let field = |from: usize, to: usize| bytes.get(from..to).filter(|field| is_lower_hex(field));
    let version = field(0, 2)?;
    let fits = if version == b"00" { bytes.len() == 55 } else { bytes.get(55).is_none_or(|b| *b == b'-') };
    let parent = field(36, 52)?;
    field(53, 55)?;
    let dashes = [2, 35, 52].iter().all(|place| bytes.get(*place) == Some(&b'-'));
    let valid = version != b"ff" && fits && dashes && parent.iter().any(|b| *b != b'0');
    let trace = field(3, 35)?;
    valid.then(|| TraceId::parse_bytes(trace))?
}

fn is_lower_hex(bytes: &[u8]) -> bool {
    // The loop has no early exit: so it compiles to a few instructions for a whole trace id.
    bytes.iter().fold(true, |all, b| all & matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_valid_traceparent_is_continued_with_its_tracestate() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let mut headers =
            headers(&[("traceparent", &parent), ("tracestate", "a=1"), ("x-trace-id", &"a".repeat(32))]);
        assert_eq!(TraceId::continue_from(&mut headers).as_str(), TRACE);
        assert_eq!(headers["traceparent"], parent);
        assert_eq!(headers["tracestate"], "a=1");
        assert_eq!(headers["x-trace-id"], TRACE);
    }

    #[test]
    fn an_invalid_traceparent_is_dropped_with_its_tracestate() {
        for bad in [
            "",
            "00",
            &format!("00-{TRACE}-00f067aa0ba902b7-01-x"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{TRACE}-{}-01", "0".repeat(16)),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00_{TRACE}-00f067aa0ba902b7-01"),
            &format!("01-{TRACE}-00f067aa0ba902b7-01x"),
        ] {
            let mut headers = headers(&[("traceparent", bad), ("tracestate", "a=1")]);
            assert_ne!(TraceId::continue_from(&mut headers).as_str(), TRACE, "{bad}");
            assert_eq!(headers.len(), 1, "{bad}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let mut headers = headers(&[("traceparent", &parent), ("traceparent", &parent)]);
        assert_ne!(TraceId::continue_from(&mut headers).as_str(), TRACE);
    }

    #[test]
    fn a_later_version_is_read_as_version_00() {
        let mut headers = headers(&[("traceparent", &format!("cc-{TRACE}-00f067aa0ba902b7-01-later"))]);
        assert_eq!(TraceId::continue_from(&mut headers).as_str(), TRACE);
    }

    #[test]
    fn x_trace_id_is_32_hex_or_a_uuid() {
        let uuid = "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736";
        let mut with_uuid = headers(&[("x-trace-id", uuid)]);
        assert_eq!(TraceId::continue_from(&mut with_uuid).as_str(), TRACE);
        let mut with_hex = headers(&[("x-trace-id", TRACE)]);
        assert_eq!(TraceId::continue_from(&mut with_hex).as_str(), TRACE);
        for bad in ["x", &"0".repeat(32), "4BF92F35-77B3-4DA6-A3CE_929D0E0E4736"] {
            assert_eq!(TraceId::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>(), value in any::<Vec<u8>>()) {
            let _ = TraceId::parse(&text);
            let _ = parse_traceparent(text.as_bytes());
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert("traceparent", value.clone());
                headers.insert("x-trace-id", value);
                let trace = TraceId::continue_from(&mut headers);
                prop_assert_eq!(TraceId::parse(trace.as_str()), Some(trace));
            }
        }
    }
}
