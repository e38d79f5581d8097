//! Tokens that were verified before: what need not be done twice for the same bytes.

use std::fmt;
use std::mem::size_of;
use std::sync::{Arc, OnceLock};

use highway::{HighwayHash, HighwayHasher, Key};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::caller::Caller;
use crate::session::Slot;
use crate::token::Claims;

/// A token whose signature and claims hold, and what was made of it once.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) claims: Arc<Claims>,
    /// The generation of the key ring that it was verified with.
    pub(super) generation: u64,
    /// The caller as last seen: the same for every request, as long as the session's row says the same.
    pub(super) caller: OnceLock<Caller>,
    pub(super) slot: Slot,
}

/// Verified tokens by the digest of their whole text; only good ones, within a bound of entries and bytes.
///
/// The digest is a keyed one of 128 bits (HighwayHash under a random key, never shown to anyone): to hit an entry with
/// other bytes one would have to guess a collision blindly. So the cache holds no live token, and no text of
/// an attacker's choice shares a place with another.
pub(super) struct KnownTokens {
    cache: Cache<u128, Arc<Known>, Bytes>,
    key: [u64; 4],
}

/// Weighs an entry in bytes.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl KnownTokens {
    pub(super) fn new(max_bytes: u64) -> Self {
        // A token of usual size weighs about a kilobyte with all that hangs on it.
        let entries = usize::try_from(max_bytes / 1024).unwrap_or(usize::MAX);
        Self { cache: Cache::with_weighter(entries, max_bytes, Bytes), key: rand::random() }
    }

    /// The place of `token`: all of its bytes count.
    pub(super) fn place(&self, token: &[u8]) -> u128 {
        let [low, high] = HighwayHasher::new(Key(self.key)).hash128(token);
        u128::from(low) | u128::from(high) << 64
    }

    pub(super) fn get(&self, place: u128) -> Option<Arc<Known>> {
        self.cache.get(&place)
    }

    pub(super) fn insert(&self, place: u128, claims: Claims, generation: u64) -> Arc<Known> {
        let known =
            Known { claims: claims.into(), generation, caller: OnceLock::new(), slot: Slot::default() };
        let known = Arc::new(known);
        self.cache.insert(place, known.clone());
        known
    }

    pub(super) fn remove(&self, place: u128) {
        self.cache.remove(&place);
    }
}

impl Weighter<u128, Arc<Known>> for Bytes {
    fn weight(&self, _: &u128, known: &Arc<Known>) -> u64 {
        // The caller's header values are about as large as the claims again; the rest are the caller, the remembered
        // verdict, the cache's own place and what the allocator adds. `tests/memory.rs` holds it against the process.
        (2 * known.claims.size() + size_of::<Known>() + 640) as u64
    }
}

impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownTokens").field("entries", &self.cache.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};
    use crate::token::Subject;

    fn claims(number: u32) -> Claims {
        Claims {
            issuer: "https://gateway.example".to_owned(),
            subject: Subject::User(UserId::parse(format!("user-{number}")).unwrap()),
            audiences: vec![Audience::parse("bridge").unwrap(), Audience::parse("mcp").unwrap()],
            expires_at: 1,
            issued_at: 0,
            not_before: 0,
            token_id: format!("{number:032x}"),
            client: ClientId::parse("sp_bridge").unwrap(),
            scopes: Scopes::parse("chat tools").unwrap(),
            session: SessionId::parse(format!("sess_{number:032x}")).unwrap(),
            authenticated_at: 0,
        }
    }

    #[test]
    fn many_tokens_stay_within_the_bound() {
        const BOUND: u64 = 1 << 20;
        let known = KnownTokens::new(BOUND);
        for number in 0..10_000_u32 {
            let place = known.place(&number.to_be_bytes());
            let _ = known.insert(place, claims(number), 0);
            assert!(known.cache.weight() <= BOUND, "after {number}");
        }
        assert!(known.cache.weight() > BOUND / 2, "the room is used");
    }

    #[test]
    fn every_byte_of_a_token_counts() {
        let known = KnownTokens::new(1 << 20);
        let token = b"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for at in 0..token.len() {
            let mut other = token.to_vec();
            other[at] ^= 1;
            assert_ne!(known.place(token), known.place(&other));
        }
        assert_ne!(known.place(token), known.place(&token[1..]));
        assert_ne!(known.place(token), KnownTokens::new(1 << 20).place(token), "the key is random");
    }
}
