//! A verified token, and all that is made of it once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use super::group::CallerGroup;
use crate::session::{CachedVerdict, MatchedRow};
use crate::store::SessionKey;
use crate::token::Claims;

/// A token whose signature and claims hold, and what was made of it once: a caller as soon as its session is live.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) claims: Claims,
    /// The generation of the key ring that it was verified with.
    pub(crate) generation: u64,
    /// About how many bytes it keeps of what tokens mostly share.
    pub(crate) unshared: usize,
    /// What the session's row said of its caller when it was first seen.
    pub(crate) group: OnceLock<Arc<CallerGroup>>,
    pub(crate) verdict: CachedVerdict,
    /// The session as it is looked up, and the row of it that fitted the claims and the group.
    pub(crate) session: SessionKey,
    pub(crate) matched_row: MatchedRow,
    /// `x-user-id`, `x-session-id` and `x-client-id`: written to every request, so made once.
    pub(super) headers: [HeaderValue; 3],
}

impl VerifiedToken {
    pub(crate) fn new(claims: Claims, generation: u64, unshared: usize) -> Self {
        let headers = [
            claims.user().to_header_value(),
            claims.session().to_header_value(),
            claims.client().to_header_value(),
        ];
        let (group, verdict, matched_row) = <(OnceLock<_>, CachedVerdict, MatchedRow)>::default();
        let (session, headers) = (SessionKey::of(claims.session().clone()), in_one_block(&headers));
        Self { claims, generation, unshared, group, verdict, session, matched_row, headers }
    }

    /// How many bytes the values of its headers take.
    pub(crate) fn header_bytes(&self) -> usize {
        self.headers.iter().map(HeaderValue::len).sum()
    }
}

/// The same values, in one allocation instead of one each.
fn in_one_block(values: &[HeaderValue; 3]) -> [HeaderValue; 3] {
    let block = values.each_ref().map(HeaderValue::as_bytes).concat().into_boxed_slice();
    // Counted from the start: a vector's bytes find out at each clone whether they are counted.
    let mut block = Bytes::from_owner(block);
    values.each_ref().map(|value| {
        HeaderValue::from_maybe_shared(block.split_to(value.len())).expect("it is a header value's text")
    })
}
