//! What the guard reads of a request's headers. One walk finds it all, and each header is classified once.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    NAMES, X_CALL_SOURCE, X_CLIENT_ID, X_POLICY_VERSION, X_SESSION_ID, X_TRACE_ID, X_USER_ID, is_misspelt,
    names_identity, strip_connection, strip_misspelt,
};

/// The headers of one request, sorted by their meaning for the guard. The default is a request without headers.
#[derive(Debug, Default)]
pub(crate) struct Head<'h> {
    pub(crate) authorization: Lines<'h>,
    pub(crate) traceparent: Lines<'h>,
    pub(crate) content_type: Option<&'h HeaderValue>,
    has_tracestate: bool,
    /// In the order of [`IDENTITY_HEADERS`](super::IDENTITY_HEADERS).
    identity: [Lines<'h>; 6],
    /// One bit for each identity header that was sent.
    sent: u8,
    /// Whether an identity header was sent in another spelling.
    has_misspelt: bool,
    /// Whether `Connection` names an identity header.
    names_identity: bool,
    longest: usize,
    extra: Vec<(&'h HeaderName, &'h HeaderValue)>,
}

/// The lines of one header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines<'h> {
    first: Option<&'h HeaderValue>,
    is_repeated: bool,
    /// Whether there are two lines that differ.
    differ: bool,
}

/// [`Lines`] that live longer than the request.
#[derive(Debug, Default)]
pub(crate) struct OwnedLines {
    first: Option<HeaderValue>,
    is_repeated: bool,
    differ: bool,
}

/// The changes to be made in a request's headers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    /// One bit for each identity header that is to be written.
    write: u8,
    /// One bit for each identity header that is to be removed. It may be written anew.
    remove: u8,
    misspelt: bool,
    connection: bool,
    traceparent: bool,
    tracestate: bool,
}

impl<'h> Head<'h> {
    /// What `headers` are; the lines of the `extra` headers are kept for [`lines`](Self::lines).
    pub(crate) fn of(headers: &'h HeaderMap, extra: &[HeaderName]) -> Self {
        let mut head = Self::default();
        head.read(headers, extra);
        head
    }

    /// Walks over `headers` once. A head is read where it stays: it is too big to be moved for nothing.
    pub(crate) fn read(&mut self, headers: &'h HeaderMap, extra: &[HeaderName]) {
        for (name, value) in headers {
            if !extra.is_empty() && extra.contains(name) {
                self.extra.push((name, value));
            }
            if !self.take(name.as_str(), value) {
                self.longest = self.longest.max(value.len());
            }
        }
    }

    /// Takes one line, and returns whether it was `Authorization`. Most names are told apart by their length.
    #[inline]
    fn take(&mut self, name: &str, value: &'h HeaderValue) -> bool {
        let place = match name.len() {
            9 if name == "x-user-id" => 0,
            10 if name == "x-trace-id" => 2,
            11 if name == "x-client-id" => 3,
            12 if name == "x-session-id" => 1,
            13 if name == "x-call-source" => 5,
            16 if name == "x-policy-version" => 4,
            13 if name == "authorization" => {
                self.authorization.add(value);
                return true;
            }
            12 if name == "content-type" => {
                self.content_type = self.content_type.or(Some(value));
                return false;
            }
            11 if name == TRACEPARENT => {
                self.traceparent.add(value);
                return false;
            }
            10 if name == TRACESTATE => {
                self.has_tracestate = true;
                return false;
            }
            10 if name == "connection" => {
                self.names_identity |= names_identity(value);
                return false;
            }
            9..=13 | 16 => {
                self.has_misspelt |= is_misspelt(name);
                return false;
            }
            _ => return false,
        };
        self.identity[place].add(value);
        self.sent |= 1 << place;
        false
    }

    /// The lines of one of the `extra` headers.
    pub(crate) fn lines(&self, name: &HeaderName) -> impl Iterator<Item = &'h HeaderValue> {
        self.extra.iter().filter(move |(extra, _)| *extra == name).map(|(_, value)| *value)
    }

    /// `x-session-id`.
    pub(crate) const fn session(&self) -> Lines<'h> {
        self.identity[1]
    }

    /// `x-trace-id`.
    pub(crate) const fn trace(&self) -> Lines<'h> {
        self.identity[2]
    }

    /// The length of the longest value of all headers except `Authorization`.
    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }

    /// The changes after which each identity header in `written` (one bit for each place) has its value of `values`.
    /// All others are removed, and so are other spellings.
    ///
    /// If no identity header was sent, `values` is not called.
    #[inline]
    pub(crate) fn changes<'v>(
        &self,
        written: u8,
        values: impl FnOnce() -> [&'v [u8]; 6],
        has_good_parent: bool,
    ) -> Changes {
        let right = if self.sent == 0 { 0 } else { self.right(&values()) };
        Changes {
            write: written & !right,
            remove: self.sent & !(written & right),
            misspelt: self.has_misspelt,
            connection: self.names_identity,
            ..self.parent_changes(has_good_parent)
        }
    }

    /// One bit for each identity header that already has its value of `values`.
    fn right(&self, values: &[&[u8]; 6]) -> u8 {
        let mut right = 0;
        for (place, (sent, value)) in self.identity.iter().zip(values).enumerate() {
            right |= u8::from(sent.only() == Some(*value)) << place;
        }
        right
    }

    /// The changes to the trace headers. Without a good `traceparent`, it is removed, and `tracestate` with it (W3C
    /// Trace Context §3.2, §3.3).
    pub(crate) fn parent_changes(&self, has_good_parent: bool) -> Changes {
        Changes {
            traceparent: !has_good_parent && self.traceparent.first.is_some(),
            tracestate: !has_good_parent && self.has_tracestate,
            ..Changes::default()
        }
    }
}

impl<'h> Lines<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        match self.first {
            None => self.first = Some(value),
            Some(first) => {
                self.is_repeated = true;
                self.differ |= first != value;
            }
        }
    }

    /// The first line.
    pub(crate) const fn first(&self) -> Option<&'h HeaderValue> {
        self.first
    }

    /// Whether there are two lines or more.
    pub(crate) const fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// The value, if there is exactly one line.
    pub(crate) fn only(&self) -> Option<&'h [u8]> {
        if self.is_repeated { None } else { self.first.map(HeaderValue::as_bytes) }
    }

    pub(crate) fn to_owned(self) -> OwnedLines {
        OwnedLines { first: self.first.cloned(), is_repeated: self.is_repeated, differ: self.differ }
    }

    /// Whether every line is `value`.
    pub(crate) fn all_are(&self, value: &str) -> bool {
        self.first.is_none_or(|first| !self.differ && first == value)
    }
}

impl OwnedLines {
    pub(crate) const fn lines(&self) -> Lines<'_> {
        Lines { first: self.first.as_ref(), is_repeated: self.is_repeated, differ: self.differ }
    }
}

impl Changes {
    /// Makes the changes. The values to write come from `values`, by place, and from `trace`.
    pub(crate) fn make(
        self,
        headers: &mut HeaderMap,
        values: [Option<&HeaderValue>; 6],
        trace: impl FnOnce() -> HeaderValue,
    ) {
        if self.misspelt {
            strip_misspelt(headers);
        }
        if self.connection {
            strip_connection(headers);
        }
        if self.traceparent {
            headers.remove(TRACEPARENT);
        }
        if self.tracestate {
            headers.remove(TRACESTATE);
        }
        for place in places(self.remove) {
            headers.remove(&NAMES[place]);
        }
        if self.write == 0 {
            return;
        }
        // No header of these names is left. Without a loop each name is a constant, and need not be copied into the map.
        let due = |place: usize| values[place].filter(|_| self.write >> place & 1 == 1);
        if let Some(value) = due(0) {
            headers.append(X_USER_ID, value.clone());
        }
        if let Some(value) = due(1) {
            headers.append(X_SESSION_ID, value.clone());
        }
        if let Some(value) = due(3) {
            headers.append(X_CLIENT_ID, value.clone());
        }
        if let Some(value) = due(4) {
            headers.append(X_POLICY_VERSION, value.clone());
        }
        if let Some(value) = due(5) {
            headers.append(X_CALL_SOURCE, value.clone());
        }
        if self.write >> 2 & 1 == 1 {
            headers.append(X_TRACE_ID, trace());
        }
    }
}

/// The places of the bits that are set.
fn places(mut bits: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        // Clears the lowest bit.
        bits &= bits.checked_sub(1)?;
        Some(place)
    })
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{IDENTITY_HEADERS, strip};
    use proptest::prelude::*;

    #[test]
    fn each_identity_header_has_its_place() {
        for (place, name) in IDENTITY_HEADERS.iter().enumerate() {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("a"))]);
            assert_eq!(Head::of(&headers, &[]).sent, 1 << place, "{name}");
        }
    }

    #[test]
    fn what_is_sent_as_it_shall_be_is_left_alone() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user-id", HeaderValue::from_static("alice"));
        let write =
            |headers: &HeaderMap| Head::of(headers, &[]).changes(1, || [&b"alice"[..]; 6], false).write;
        assert_eq!(write(&headers), 0);
        headers.append("x-user-id", HeaderValue::from_static("alice"));
        assert_eq!(write(&headers), 1, "two lines are none");
    }

    fn any_name() -> impl Strategy<Value = String> {
        let reserved = (0_usize..6, any::<u32>()).prop_map(|(which, under)| {
            let spelt = NAMES[which].as_str().chars().enumerate();
            spelt.map(|(at, c)| if c == '-' && under >> at & 1 == 1 { '_' } else { c }).collect()
        });
        let others = "(connection|traceparent|tracestate|authorization|x-[a-z]{1,12})";
        prop_oneof![reserved, others.prop_map(|name| name)]
    }

    proptest! {
        /// One walk and its changes do the same as removing all headers and writing all values.
        #[test]
        fn the_changes_leave_what_stripping_and_writing_leaves(
            sent in proptest::collection::vec((any_name(), "(alice|sess|x-user-id, a|[ -~]{0,12})"), 0..12),
            written in proptest::collection::vec(proptest::option::of("(alice|sess|bob)"), 6),
            good_parent in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &sent {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            let mut expected = headers.clone();
            strip(&mut expected);
            if !good_parent {
                expected.remove(TRACEPARENT);
                expected.remove(TRACESTATE);
            }
            let written: [_; 6] = std::array::from_fn(|place| written[place].as_ref().map(|text| HeaderValue::from_str(text).unwrap()));
            for (name, value) in IDENTITY_HEADERS.iter().zip(&written) {
                if let Some(value) = value {
                    expected.insert(name, value.clone());
                }
            }
            let mask = written.iter().enumerate().fold(0, |mask, (place, value)| mask | u8::from(value.is_some()) << place);
            let values = std::array::from_fn(|place| written[place].as_ref().map_or(&[][..], HeaderValue::as_bytes));
            let changes = Head::of(&headers, &[]).changes(mask, || values, good_parent);
            let values = written.each_ref().map(Option::as_ref);
            changes.make(&mut headers, values, || written[2].clone().unwrap());
            prop_assert_eq!(headers, expected);
        }
    }
}
