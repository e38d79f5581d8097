//! The token cache: tokens that were verified before and need not be verified again.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem::size_of;
use std::sync::Arc;

use highway::{HighwayHash, HighwayHasher, Key};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::caller::VerifiedToken;
use crate::id::{Audience, ClientId, Scope, Scopes, SessionId};
use crate::telemetry::{MEASURES, gauge_at};
use crate::token::Claims;

/// Verified tokens by a keyed digest of all their bytes, bounded in entries and in bytes.
///
/// The digest has 128 bits (HighwayHash). Its key is random and is never shown to anyone. So an attacker would have to
/// guess a collision blindly to hit an entry with other bytes. The cache holds no token that could be used, and no text
/// of an attacker's choice meets the entry of another token.
pub(super) struct TokenCache {
    cache: Cache<u128, Arc<VerifiedToken>, Bytes, BuildHasherDefault<DigestHasher>>,
    key: [u64; 4],
    clients: Shared<ClientId>,
    audiences: Shared<Arc<[Audience]>>,
    scopes: Shared<Scopes>,
}

/// Values that many tokens have in common: one copy of each value that was seen lately.
struct Shared<T>(Cache<T, T>);

/// Weighs an entry in bytes. `tests/memory.rs` compares the weight with the memory of the process.
#[derive(Debug, Clone, Copy)]
struct Bytes;

/// Uses the digest as its own hash. Nobody knows the key of the digest, so that is safe.
#[derive(Debug, Default)]
struct DigestHasher(u64);

impl TokenCache {
    pub(super) fn new(max_bytes: u64) -> Self {
        // The weight of a token of usual size.
        let entries = usize::try_from(max_bytes / 840).unwrap_or(usize::MAX);
        Self {
            cache: Cache::with(
                entries,
                max_bytes,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            key: rand::random(),
            clients: Shared::new(),
            audiences: Shared::new(),
            scopes: Shared::new(),
        }
    }

    /// The digest of `token`. Every byte counts.
    #[inline]
    pub(super) fn digest(&self, token: &[u8]) -> u128 {
        let [low, high] = HighwayHasher::new(Key(self.key)).hash128(token);
        u128::from(low) | u128::from(high) << 64
    }

    #[inline]
    pub(super) fn get(&self, digest: u128) -> Option<Arc<VerifiedToken>> {
        self.cache.get(&digest)
    }

    pub(super) fn insert(&self, digest: u128, mut claims: Claims, generation: u64) -> Arc<VerifiedToken> {
        let unshared = self.share(&mut claims);
        let token = Arc::new(VerifiedToken::new(claims, generation, unshared));
        self.cache.insert(digest, token.clone());
        if MEASURES {
            gauge_at("bridge_auth_cached_tokens", self.cache.len() as f64);
        }
        token
    }

    /// Replaces values of the claims by the copies that other tokens hold.
    ///
    /// Returns about how many bytes of the claims no other token holds.
    fn share(&self, claims: &mut Claims) -> usize {
        let mut unshared = 0;
        if !self.clients.share(&mut claims.client) {
            unshared += block(claims.client.as_str().len());
        }
        if !self.audiences.share(&mut claims.audiences) {
            unshared += slice(claims.audiences.iter().map(Audience::as_str));
        }
        if !self.scopes.share(&mut claims.scopes) {
            unshared += slice(claims.scopes.iter().map(Scope::as_str));
        }
        for actor in [claims.actor(), claims.may_act()].into_iter().flatten() {
            unshared += actor.weight();
        }
        if !claims.actor_sessions().is_empty() {
            unshared += slice(claims.actor_sessions().iter().map(SessionId::as_str));
        }
        unshared
    }

    pub(super) fn remove(&self, digest: u128) {
        self.cache.remove(&digest);
    }
}

impl Bytes {
    /// The reference counts of the header values.
    const BESIDE: usize = 48;
    /// The slot in the cache. The cache keeps more slots than it fills.
    const SLOT: usize = 128;
}

impl<T: Clone + Eq + Hash> Shared<T> {
    /// More than enough: a host has a handful of each.
    const COPIES: usize = 256;

    fn new() -> Self {
        Self(Cache::new(Self::COPIES))
    }

    /// Replaces `value` by the shared copy. `false`: there was no copy, and `value` is the copy from now on.
    fn share(&self, value: &mut T) -> bool {
        let held = self.0.get(value);
        let is_held = held.is_some();
        match held {
            Some(held) => *value = held,
            None => self.0.insert(value.clone(), value.clone()),
        }
        is_held
    }
}

impl Hasher for DigestHasher {
    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Weighter<u128, Arc<VerifiedToken>> for Bytes {
    fn weight(&self, _: &u128, token: &Arc<VerifiedToken>) -> u64 {
        let claims = &token.claims;
        let own = [
            size_of::<VerifiedToken>(),
            claims.user().as_str().len(),
            claims.session().as_str().len(),
            claims.token_id().len(),
            token.header_bytes(),
        ];
        let own = own.into_iter().map(block).sum::<usize>();
        (own + token.unshared + Self::BESIDE + Self::SLOT) as u64
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.cache.len()).finish_non_exhaustive()
    }
}

/// About how many bytes a shared slice of shared texts takes.
fn slice<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    block(0) + texts.map(|text| size_of::<Arc<str>>() + block(text.len())).sum::<usize>()
}

/// About how many bytes an allocation takes, with its reference counts and the overhead of the allocator.
const fn block(bytes: usize) -> usize {
    (bytes + 24).next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;
    use crate::token::Subject;

    fn claims(number: u32) -> Claims {
        Claims {
            issuer: "https://gateway.example".into(),
            subject: Subject::User(UserId::parse(format!("user-{number}")).unwrap()),
            audiences: ["bridge", "mcp"].map(|name| Audience::parse(name).unwrap()).into(),
            expires_at: 1,
            issued_at: 0,
            not_before: 0,
            token_id: format!("{number:032x}"),
            client: ClientId::parse("sp_bridge").unwrap(),
            scopes: Scopes::parse("chat tools").unwrap(),
            session: SessionId::parse(format!("sess_{number:032x}")).unwrap(),
            authenticated_at: 0,
            actor: None,
            actor_sessions: None,
            may_act: None,
        }
    }

    #[test]
    fn many_tokens_stay_within_the_bound() {
        const BOUND: u64 = 1 << 20;
        let cache = TokenCache::new(BOUND);
        for number in 0..10_000_u32 {
            let digest = cache.digest(&number.to_be_bytes());
            let _ = cache.insert(digest, claims(number), 0);
            assert!(cache.cache.weight() <= BOUND, "after {number}");
        }
        assert!(cache.cache.weight() > BOUND / 2, "the room is used");
    }

    #[test]
    fn tokens_share_what_they_have_in_common_and_weigh_what_they_do_not() {
        let cache = TokenCache::new(1 << 20);
        let insert = |number, scopes: &str| {
            let claims = Claims { scopes: Scopes::parse(scopes).unwrap(), ..claims(number) };
            cache.insert(number.into(), claims, 0)
        };
        let (first, second) = (insert(1, "chat"), insert(2, "chat"));
        assert!(Arc::ptr_eq(&first.claims.audiences, &second.claims.audiences));
        let scopes = [&first, &second].map(|token| token.claims.scopes().iter().as_slice().as_ptr());
        assert_eq!(scopes[0], scopes[1]);
        let clients = [&first, &second].map(|token| token.claims.client().as_str().as_ptr());
        assert_eq!(clients[0], clients[1]);
        let weight = |token: &Arc<VerifiedToken>| Bytes.weight(&0, token);
        assert_eq!(weight(&insert(3, "chat")), weight(&second));
        assert!(weight(&insert(4, &"s".repeat(100))) > weight(&second) + 100);
    }

    #[test]
    fn every_byte_of_a_token_counts() {
        let cache = TokenCache::new(1 << 20);
        let token = b"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for at in 0..token.len() {
            let mut other = token.to_vec();
            other[at] ^= 1;
            assert_ne!(cache.digest(token), cache.digest(&other));
        }
        assert_ne!(cache.digest(token), cache.digest(&token[1..]));
        assert_ne!(cache.digest(token), TokenCache::new(1 << 20).digest(token), "the key is random");
    }
}
