//! Clocks that are wrong: whether a code or a session is live is the database's to say.

use std::time::Duration;

use bridge_auth::clock::{Clock, SystemClock};
use http::StatusCode;

use crate::support::Backend;
use crate::support::bridge::builder;
use crate::support::gateway::Gateway;

crate::store::promises![
    a_gateway_whose_clock_is_wrong_ends_codes_no_sooner_and_no_later,
    a_gateway_whose_clock_is_wrong_ends_sessions_no_sooner_and_no_later,
];

/// Five minutes: more than a code lives.
const WRONG_BY: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy)]
enum Wrong {
    Ahead,
    Behind,
}

impl Clock for Wrong {
    fn now(&self) -> Duration {
        match self {
            Self::Ahead => SystemClock.now() + WRONG_BY,
            Self::Behind => SystemClock.now() - WRONG_BY,
        }
    }
}

async fn gateway(db: &impl Backend, clock: Wrong) -> Gateway {
    let life = Duration::from_secs(120);
    Gateway::over(builder(db).await.clock(clock).session_life(life).build().unwrap()).await
}

async fn a_gateway_whose_clock_is_wrong_ends_codes_no_sooner_and_no_later(db: impl Backend) {
    for clock in [Wrong::Ahead, Wrong::Behind] {
        let gateway = gateway(&db, clock).await;
        let [early, late] = [gateway.code("alice").await, gateway.code("alice").await];
        db.pass_time(Duration::from_secs(110)).await;
        assert_eq!(gateway.exchange(&early).await.status, StatusCode::OK, "{clock:?}");
        db.pass_time(Duration::from_secs(10)).await;
        let refused = gateway.exchange(&late).await;
        assert_eq!(refused.text("error"), "invalid_grant", "{clock:?}");
    }
}

async fn a_gateway_whose_clock_is_wrong_ends_sessions_no_sooner_and_no_later(db: impl Backend) {
    for clock in [Wrong::Ahead, Wrong::Behind] {
        let gateway = gateway(&db, clock).await;
        let token = gateway.link("alice").await;
        db.pass_time(Duration::from_secs(110)).await;
        assert!(gateway.admits(&token).await, "{clock:?}");
        db.pass_time(Duration::from_secs(10)).await;
        assert!(!gateway.admits(&token).await, "{clock:?}");
    }
}
