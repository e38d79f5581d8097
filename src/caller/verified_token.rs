//! A verified token, and what is computed from it once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use super::group::CallerGroup;
use crate::id::{ClientId, SessionId, UserId};
use crate::session::{CachedVerdict, MatchedRow};
use crate::store::SessionKey;
use crate::token::Claims;

/// A token whose signature and claims hold, and what was computed from it once.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) claims: Claims,
    /// The generation of the key ring that verified the token.
    pub(crate) generation: u64,
    /// About how many bytes of its claims are copies of its own, where most tokens share one copy.
    pub(crate) unshared: usize,
    /// What the session row said about the caller when the row was first seen.
    pub(crate) group: OnceLock<Arc<CallerGroup>>,
    pub(crate) verdict: CachedVerdict,
    /// The session as look-ups name it, and the session row that matched the claims and the group.
    pub(crate) session: SessionKey,
    pub(crate) matched_row: MatchedRow,
    /// The sessions of the actors. Most tokens have none, and pay for one pointer.
    #[allow(clippy::box_collection, reason = "one pointer, and not three")]
    actors: Option<Box<Vec<ActorSession>>>,
    /// `x-user-id`, `x-session-id` and `x-client-id`. Every request gets them, so they are made once.
    pub(super) headers: [HeaderValue; 3],
}

/// The session of an actor of a token.
#[derive(Debug)]
pub(crate) struct ActorSession {
    pub(crate) session: SessionKey,
    /// Whose it was when it was first seen. An id may be another's once the row was swept.
    pub(crate) holder: OnceLock<(UserId, ClientId)>,
    /// The row that was that holder's.
    pub(crate) matched_row: MatchedRow,
}

impl ActorSession {
    fn of(session: &SessionId) -> Self {
        Self {
            session: SessionKey::of(session.clone()),
            holder: OnceLock::new(),
            matched_row: MatchedRow::default(),
        }
    }
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
        let actors: Vec<_> = claims.actor_sessions().iter().map(ActorSession::of).collect();
        let actors = Some(actors).filter(|actors| !actors.is_empty()).map(Box::new);
        Self { claims, generation, unshared, group, verdict, session, matched_row, actors, headers }
    }

    /// The sessions of the actors: the token depends on them too.
    pub(crate) fn actors(&self) -> &[ActorSession] {
        self.actors.as_deref().map_or(&[], Vec::as_slice)
    }

    /// How many bytes the values of the headers take.
    pub(crate) fn header_bytes(&self) -> usize {
        self.headers.iter().map(HeaderValue::len).sum()
    }
}

/// The same values, in one allocation instead of three.
fn in_one_block(values: &[HeaderValue; 3]) -> [HeaderValue; 3] {
    let block = values.each_ref().map(HeaderValue::as_bytes).concat().into_boxed_slice();
    // `from_owner` counts references from the start. `Bytes` made of a vector must find that out at each clone.
    let mut block = Bytes::from_owner(block);
    values.each_ref().map(|value| {
        HeaderValue::from_maybe_shared(block.split_to(value.len())).expect("it is a header value's text")
    })
}
