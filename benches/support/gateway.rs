//! The compared gateways: one application behind different guards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bridge_auth::{Bridge, Freshness};
use http::HeaderValue;

use super::app::{anybody, app, callers, sign_in};
use super::comparator::{self, ComparatorLayer};
use super::counting::Counting;
use super::database::Address;
use super::drive::Credentials;
use super::mint::{AUDIENCES, ISSUER, Mint};
#[cfg(peers)]
use super::peers;

/// Which guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Guard {
    /// None.
    Bare,
    /// [`ComparatorLayer`].
    Comparator,
    /// `Freshness::Strict`.
    Strict,
    /// `Freshness::watched()`.
    Watched,
    /// `Freshness::Strict`, and no identity headers written: the handler asks for the `Caller`.
    StrictSilent,
    /// `Freshness::watched()`, the same.
    WatchedSilent,
    /// A peer: `peers::jwt_authorizer`.
    JwtAuthorizer,
    /// A peer: `peers::axum_jwt_auth`.
    AxumJwtAuth,
    /// A peer: `peers::axum_login`.
    AxumLogin,
}

impl Guard {
    /// Whether the guard asks the database.
    pub fn asks(self) -> bool {
        matches!(self, Self::Comparator | Self::Strict | Self::StrictSilent)
    }
}

/// A gateway, ready for requests.
#[derive(Clone)]
pub struct Gateway {
    pub guard: Guard,
    pub pool: usize,
    pub router: Router,
    /// `None` where `bridge-auth` is not the guard.
    pub own: Option<Own>,
}

/// What is behind a guard of `bridge-auth`.
#[derive(Clone)]
pub struct Own {
    pub bridge: Bridge,
    pub store: Arc<Counting>,
}

impl Gateway {
    pub async fn open(guard: Guard, pool: usize, mint: &Mint, database: &Address) -> Self {
        let (router, own) = match guard {
            Guard::Bare => (app(anybody), None),
            Guard::Comparator => {
                (app(comparator::handler).layer(ComparatorLayer::new(mint, database, pool)), None)
            }
            Guard::Strict => behind(Freshness::Strict, true, pool, mint, database).await,
            Guard::Watched => behind(Freshness::watched(), true, pool, mint, database).await,
            Guard::StrictSilent => behind(Freshness::Strict, false, pool, mint, database).await,
            Guard::WatchedSilent => behind(Freshness::watched(), false, pool, mint, database).await,
            #[cfg(peers)]
            Guard::JwtAuthorizer => (peers::jwt_authorizer(mint).await, None),
            #[cfg(peers)]
            Guard::AxumJwtAuth => (peers::axum_jwt_auth(mint), None),
            #[cfg(peers)]
            Guard::AxumLogin => (peers::axum_login(), None),
            #[cfg(not(peers))]
            peer => panic!("{peer} is a peer: run `cargo bench --package bench-peers`"),
        };
        Self { guard, pool, router, own }
    }

    /// The credentials of its clients: these tokens, or the cookies of as many people, who sign in now.
    pub async fn credentials(&self, bearers: &[HeaderValue]) -> Credentials {
        match self.guard {
            Guard::AxumLogin => {
                let cookies = sign_in(&self.router, bearers.len() as u64).await;
                Credentials::cookies(cookies.iter().map(|cookie| cookie.parse().unwrap()).collect())
            }
            _ => Credentials::bearers(bearers.to_vec()),
        }
    }

    /// How many look-ups ran since the last call of this method. The comparator asks once for each request.
    pub fn take_queries(&self, requests: usize) -> usize {
        match (&self.own, self.guard) {
            (Some(own), _) => {
                let queries = own.store.queries();
                own.store.reset();
                queries
            }
            (None, Guard::Comparator) => requests,
            (None, _) => 0,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bare => "bare",
            Self::Comparator => "comparator",
            Self::Strict => "strict",
            Self::Watched => "watched",
            Self::StrictSilent => "strict, none written",
            Self::WatchedSilent => "watched, none written",
            Self::JwtAuthorizer => "jwt-authorizer",
            Self::AxumJwtAuth => "axum-jwt-auth",
            Self::AxumLogin => "axum-login",
        })
    }
}

pub async fn bridge(freshness: Freshness, pool: usize, mint: &Mint, database: &Address) -> Own {
    let store = Arc::new(Counting::new(database.open(pool).await));
    let builder = Bridge::builder_with(ISSUER, mint.keys(), store.clone())
        .audiences(AUDIENCES)
        .token_endpoint(format!("{ISSUER}/token"))
        // On two busy cores a queue of a thousand requests is slow, but nothing is broken.
        .store_deadline(Duration::from_secs(10))
        .freshness(freshness);
    Own { bridge: builder.build().unwrap(), store }
}

async fn behind(
    freshness: Freshness,
    writes: bool,
    pool: usize,
    mint: &Mint,
    database: &Address,
) -> (Router, Option<Own>) {
    let own = bridge(freshness, pool, mint, database).await;
    let layer = own.bridge.layer("bridge").unwrap().identity_headers(writes);
    (app(callers).layer(layer), Some(own))
}
