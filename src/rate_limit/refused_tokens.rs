//! Refresh tokens that were refused before.
//!
//! A program may try its dead token in a loop. That is no guessing, so it must not cost its address what a guess costs.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use quick_cache::sync::Cache;

use super::limiter::Limiter;

/// The limit of refresh tokens that were refused before. A token that was not refused has none.
pub(super) struct RefusedTokens<C: Clock + Clone> {
    seen: Cache<u64, ()>,
    tries: Limiter<C>,
}

/// Stands for a refresh token that a client showed. The token cannot be found out from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownToken(u64);

impl<C: Clock + Clone> RefusedTokens<C> {
    /// How often a minute such a token may be tried.
    const TRIES: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

    pub(super) fn new(max_keys: usize, clock: C) -> Self {
        Self { seen: Cache::new(max_keys), tries: Limiter::new(Self::TRIES, max_keys, clock) }
    }

    /// The token that `key` stands for is shown. Refuses it when it was refused before and comes back too often.
    pub(super) fn show(&self, key: u64) -> Result<ShownToken, Duration> {
        if self.seen.get(&key).is_some() {
            self.tries.spend(key)?;
        }
        Ok(ShownToken(key))
    }

    /// Remembers that the token was refused. Returns whether it was refused before too.
    pub(super) fn refuse(&self, token: ShownToken) -> bool {
        let again = self.seen.get(&token.0).is_some();
        self.seen.insert(token.0, ());
        again
    }

    /// Forgets the tries that count no more. The tokens themselves are remembered: they are no guesses later either.
    pub(super) fn forget_rested(&self) {
        self.tries.forget_rested();
    }

    /// How many tokens are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seen.len().max(self.tries.keys())
    }
}
