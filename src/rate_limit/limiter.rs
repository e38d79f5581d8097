//! One limit for many keys, by the generic cell rate algorithm.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;

/// The longest wait, however much failed at once.
const MOST_OWED: Duration = Duration::from_secs(3600);

/// One limit for many keys.
pub(super) struct Limiter<C: Clock + Clone> {
    states: States,
    limiter: RateLimiter<u64, States, C, NoOpMiddleware<C::Instant>>,
    interval: Duration,
    clock: C,
    start: C::Instant,
}

impl<C: Clock + Clone> Limiter<C> {
    pub(super) fn new(per_minute: NonZeroU32, max_keys: usize, clock: C) -> Self {
        let quota = Quota::per_minute(per_minute);
        let states = States(Arc::new(Cache::new(max_keys)));
        let start = clock.now();
        Self {
            limiter: RateLimiter::new(quota, states.clone(), clock.clone()),
            interval: quota.replenish_interval(),
            states,
            clock,
            start,
        }
    }

    /// Takes one attempt, or returns how long to wait for it.
    pub(super) fn spend(&self, key: u64) -> Result<(), Duration> {
        self.limiter.check_key(&key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Takes `more` attempts, also when the balance goes below zero. Governor itself takes none then: many failures
    /// that run at once would cost no more than the same number of successes.
    pub(super) fn owe(&self, key: u64, more: u32) {
        let now = self.clock.now().duration_since(self.start);
        let price = Nanos::from(self.interval * more);
        let most = now + Nanos::from(MOST_OWED);
        let spend = |until: Option<Nanos>| {
            let owed = until.unwrap_or(now).max(now) + price;
            Ok::<_, Infallible>(((), owed.min(most)))
        };
        let Ok(()) = self.states.measure_and_replace(&key, spend);
    }

    /// Gives back an attempt that was taken.
    pub(super) fn give_back(&self, key: u64) {
        let price = Nanos::from(self.interval).as_u64();
        let earlier = |until: Nanos| Nanos::new(until.as_u64().saturating_sub(price));
        let give = |until: Option<Nanos>| Ok::<_, Infallible>(((), until.map(earlier).unwrap_or_default()));
        let Ok(()) = self.states.measure_and_replace(&key, give);
    }

    /// Forgets the keys whose balance is untouched by now.
    pub(super) fn forget_rested(&self) {
        let now = self.clock.now().duration_since(self.start);
        // Governor's own form of an untouched balance: nothing is owed now.
        let is_rested = |until: Option<Nanos>| Err::<((), Nanos), _>(until.is_none_or(|until| until <= now));
        self.states.0.retain(|_, state| {
            let is_in_use = Arc::strong_count(state) > 1;
            is_in_use || state.measure_and_replace(&NotKeyed::NonKey, is_rested) != Err(true)
        });
    }

    /// How many keys are remembered.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.states.0.len()
    }
}

/// The state of each key. Their number is bounded.
#[derive(Clone)]
struct States(Arc<Cache<u64, Arc<InMemoryState>>>);

impl StateStore for States {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Ok(state) = self.0.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::default()));
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}
