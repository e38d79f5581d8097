//! The gateways that are compared: one axum route that answers `ok`, behind different guards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bridge_auth::{Bridge, Freshness};

use super::comparator::ComparatorLayer;
use super::counting::Counting;
use super::database::Address;
use super::mint::{AUDIENCES, ISSUER, Mint};

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
        let router = Router::new().route("/", get(async || "ok"));
        let (router, own) = match guard {
            Guard::Bare => (router, None),
            Guard::Comparator => (router.layer(ComparatorLayer::new(mint, database, pool)), None),
            Guard::Strict => behind(router, Freshness::Strict, pool, mint, database).await,
            Guard::Watched => behind(router, Freshness::watched(), pool, mint, database).await,
        };
        Self { guard, pool, router, own }
    }

    /// How many look-ups ran since it was asked last; the comparator asks once a request.
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
        })
    }
}

pub async fn bridge(freshness: Freshness, pool: usize, mint: &Mint, database: &Address) -> Own {
    let store = Arc::new(Counting::new(database.open(pool).await));
    let builder = Bridge::builder_with(ISSUER, mint.keys(), store.clone())
        .audiences(AUDIENCES)
        .token_endpoint(format!("{ISSUER}/token").parse().unwrap())
        // A queue of a thousand on two busy cores is slow, not broken.
        .store_deadline(Duration::from_secs(10))
        .freshness(freshness);
    Own { bridge: builder.build().unwrap(), store }
}

async fn behind(
    router: Router,
    freshness: Freshness,
    pool: usize,
    mint: &Mint,
    database: &Address,
) -> (Router, Option<Own>) {
    let own = bridge(freshness, pool, mint, database).await;
    (router.layer(own.bridge.layer("bridge").unwrap()), Some(own))
}
