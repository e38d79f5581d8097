//! What a gateway does now and then, beside its requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Bridge;
use crate::issue::Admin;
use crate::service::ServiceState;

impl Bridge {
    /// Keeps the gateway in order in the background, about once in `every`. Ten minutes are a good choice.
    ///
    /// Each round
    ///
    /// - deletes dead rows in small steps, as [`Admin::sweep`](crate::issue::Admin::sweep) does: without this the tables
    ///   grow,
    /// - frees the memory of rate limits that have rested,
    /// - keeps the keys of [external issuers](crate::external_issuer) fresh, also before the first request with them,
    /// - follows their event streams (`SecurityEvents::stream`, feature `jwks-http`), from the call on.
    ///
    /// The first round begins within a tenth of `every`, and each pause is up to a tenth shorter or longer: so many
    /// gateways do not sweep at one moment. One gateway of a database is enough, and several do no harm. A fault is logged,
    /// and the next round tries again. Nothing is changed that a request needs.
    ///
    /// The task ends with this bridge: when the last clone of the bridge and of its services is dropped, and with the
    /// runtime. A second call replaces the task of the first. Less than a second counts as a second.
    ///
    /// The keys of the [key ring](Self::keys) are not touched: a new key must be known to every gateway before it signs.
    ///
    /// ```no_run
    /// # fn start(bridge: bridge_auth::Bridge) {
    /// bridge.maintain(std::time::Duration::from_secs(600));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    #[track_caller]
    pub fn maintain(&self, every: Duration) {
        let every = every.max(Duration::from_secs(1));
        #[cfg(feature = "jwks-http")]
        self.state.event_streams.keep_running();
        self.state.maintenance.replace(keep_in_order(Arc::downgrade(&self.state), every));
    }
}

/// The task does not keep the bridge alive.
async fn keep_in_order(state: Weak<ServiceState>, every: Duration) {
    let mut pause = every.mul_f64(rand::random_range(0.0..0.1));
    loop {
        sleep(pause).await;
        pause = every.saturating_add(every.mul_f64(0.1)).mul_f64(rand::random_range(0.82..1.0));
        let Some(state) = state.upgrade() else { return };
        // A store of the host may panic. That ends this round alone.
        let mut round = JoinSet::new();
        round.spawn(tidy(state.admin.clone()));
        state.auth.keep_keys_fresh();
        #[cfg(feature = "jwks-http")]
        state.event_streams.keep_running();
        if let Some(limits) = &state.limits {
            limits.forget_rested();
        }
        drop(state);
        if let Some(Err(panicked)) = round.join_next().await {
            let error: &dyn std::error::Error = &panicked;
            tracing::error!(error, "a round of maintenance ended early, and the next one tries again");
        }
    }
}

async fn tidy(admin: Admin) {
    match admin.sweep(|_| {}).await {
        Ok(swept) => tracing::debug!(rows = swept.total(), "dead rows were deleted"),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the sweep of dead rows failed, and the next round tries again");
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::net::IpAddr;

    use tokio::time::timeout;

    use super::*;
    use crate::store::SqliteStore;
    use crate::token::{Algorithm, KeyRing, SigningKey};

    #[tokio::test]
    async fn rate_limits_that_have_rested_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("bridges.db")).await.unwrap();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = Bridge::builder("https://gateway.example", keys, store).build().unwrap();
        let limits = bridge.state.limits.as_ref().unwrap();
        for number in 0..100_u32 {
            limits.attempt(Some(IpAddr::from(number.to_be_bytes()))).unwrap();
        }
        assert_eq!(limits.addresses(), 100);
        bridge.maintain(Duration::from_secs(1));
        let forgotten = async {
            while limits.addresses() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), forgotten).await.expect("they are forgotten");
    }
}
