//! The time from the answer to a security event on one node to the first refusal on another node, watched and strict.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::authenticate::Authenticator;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, JwksError, JwksSource, SecurityEvents,
};
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{Bridge, Freshness, UserId};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::database::{Database, user_id};
use crate::support::drive::Measured;
use crate::support::gateway::bridge;
use crate::support::mint::{AUDIENCES, ISSUER, Mint};

const IDP: &str = "https://idp.example";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 500)]
    events: u64,
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
}

/// The identity provider.
struct Idp(Ed25519KeyPair);

#[derive(Debug)]
struct Published(Value);

#[async_trait]
impl JwksSource for Published {
    async fn fetch(&self) -> Result<Bytes, JwksError> {
        Ok(json!({ "keys": [self.0] }).to_string().into())
    }
}

struct Nodes {
    mint: Mint,
    idp: Idp,
    told: Bridge,
    other: Bridge,
    authenticator: Authenticator,
}

pub async fn run(options: &Options) {
    println!(
        "\nSecurity event answered with 202 → its person refused on another node. PostgreSQL, {} rows, {} events, each ends \
         the 10 sessions of a person:\n",
        options.rows, options.events
    );
    println!("| the other node | answered p50 ms | p99 ms | refused after p50 ms | p99 ms | max ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    let database = Database::postgres(options.rows).await;
    let (mut first, half) = (0, options.events);
    for (name, freshness) in [("watched, 1 s", Freshness::watched()), ("strict", Freshness::Strict)] {
        let nodes = Nodes::open(&database, freshness).await;
        let (mut answers, mut lags) = (Vec::new(), Vec::new());
        for person in first..first + half {
            let (answered, lag) = nodes.tell(person).await;
            answers.push(answered);
            lags.push(lag);
        }
        first += half;
        let (answers, lags) = (Measured::of(answers, Duration::ZERO), Measured::of(lags, Duration::ZERO));
        let figures = [answers.p50, answers.p99, lags.p50, lags.p99, lags.max];
        let [answered, slowest, p50, p99, max] = figures.map(|seconds| seconds * 1e3);
        println!("| {name} | {answered:.2} | {slowest:.2} | {p50:.2} | {p99:.2} | {max:.2} |");
    }
}

impl Nodes {
    async fn open(database: &Database, freshness: Freshness) -> Self {
        let (mint, idp) = (Mint::new(), Idp(Ed25519KeyPair::generate().unwrap()));
        let trusted = ExternalIssuer::new(IDP, Published(idp.jwk()), ExternalSessions::None)
            .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
            .security_events(SecurityEvents::new(ISSUER))
            .revocations_per_minute(1_000_000);
        let told = Bridge::builder_with(ISSUER, mint.keys(), database.open(4).await)
            .audiences(AUDIENCES)
            .rate_limits(RateLimits::off())
            .trust(trusted)
            .build()
            .unwrap();
        let other = bridge(freshness, 4, &mint, &database.address).await.bridge;
        let authenticator = other.authenticator("bridge").unwrap();
        Self { mint, idp, told, other, authenticator }
    }

    /// How long the answer took, and how long after it the last request was let in.
    async fn tell(&self, person: u64) -> (Duration, Duration) {
        let session = person * 10;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.mint.bearer(session))]);
        let is_let_in = async || self.authenticator.authenticate(&headers).await.is_ok();
        // Two requests: the first starts the watcher, and the verdict of the second is cached.
        assert!(is_let_in().await);
        while !self.other.watch_status().proven {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(is_let_in().await);
        let request = Request::post("/events").header(CONTENT_TYPE, "application/secevent+jwt");
        let request = request.body(Body::from(self.idp.event(&user_id(session), person))).unwrap();
        let sent = Instant::now();
        let answer = self.told.revocations_service().oneshot(request).await.unwrap();
        let answered = Instant::now();
        assert_eq!(answer.status(), 202);
        while is_let_in().await {
            tokio::task::yield_now().await;
        }
        (answered - sent, answered.elapsed())
    }
}

impl Idp {
    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "idp", "alg": "EdDSA" })
    }

    fn event(&self, person: &str, number: u64) -> String {
        let header = json!({ "alg": "EdDSA", "kid": "idp", "typ": "secevent+jwt" });
        let claims = json!({
            "iss": IDP, "aud": ISSUER, "jti": number.to_string(), "iat": SystemClock.now().as_secs(),
            "sub_id": { "format": "iss_sub", "iss": IDP, "sub": person }, "events": { REVOKED: {} },
        });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}
