//! How much memory the guard takes, measured in a process of its own.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge_auth::store::SqliteStore;
use bridge_auth::token::{KeyRing, SigningKey};
use bridge_auth::{Authenticator, Bridge, Freshness};
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{EncodingKey, Header};
use rand::distr::{Alphanumeric, SampleString};
use rusqlite::Connection;
use serde_json::json;

const SESSIONS: u64 = 100_000;
const ISSUER: &str = "https://gateway.example";
/// With what SQLite and the runtime take.
const BUDGET: u64 = 100 << 20;

/// Sessions that are there already, one for each person.
const FILL: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
    INSERT INTO users (id, scopes) SELECT 'user-' || n, 'chat tools' FROM numbers;
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
    INSERT INTO sessions (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
    SELECT printf('sess_%032x', n), 'user-' || n, 'sp_bridge', 'bridge', 'chat tools',
        unixepoch() * 1000, unixepoch() * 1000, (unixepoch() + 86400) * 1000
    FROM numbers;";

/// Signs tokens in the form that the bridge issues. Of the algorithms the quickest: no secret stays in memory.
struct Mint {
    secret: String,
    header: Header,
    now: u64,
}

impl Mint {
    fn new() -> Self {
        let secret = Alphanumeric.sample_string(&mut rand::rng(), 43);
        let kid = SigningKey::danger_hs256(secret.as_bytes()).unwrap().key_id().to_owned();
        let header = Header { typ: Some("at+jwt".to_owned()), kid: Some(kid), ..Header::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { secret, header, now }
    }

    fn keys(&self) -> KeyRing {
        KeyRing::new(SigningKey::danger_hs256(self.secret.as_bytes()).unwrap()).unwrap()
    }

    fn headers(&self, session: u64) -> HeaderMap {
        let claims = json!({
            "iss": ISSUER, "sub": format!("user-{session}"), "aud": ["bridge", "mcp"],
            "exp": self.now + 3600, "iat": self.now, "nbf": self.now, "auth_time": self.now,
            "jti": format!("{session:032x}"), "client_id": "sp_bridge", "scope": "chat tools",
            "sid": format!("sess_{session:032x}"),
        });
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        let token = jsonwebtoken::encode(&self.header, &claims, &key).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap())])
    }
}

#[tokio::test]
async fn a_hundred_thousand_sessions_with_their_tokens_stay_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridges.db");
    let store = SqliteStore::open(&file).await.unwrap();
    Connection::open(&file).unwrap().execute_batch(FILL).unwrap();
    let mint = Mint::new();
    let bridge = Bridge::builder(ISSUER, mint.keys(), store).freshness(Freshness::watched()).build().unwrap();
    let authenticator = bridge.authenticator("bridge").unwrap();
    pass(&authenticator, &mint, 0..1000).await;
    let before = resident();
    pass(&authenticator, &mint, 1000..SESSIONS).await;
    let taken = resident() - before;
    assert!(taken < BUDGET, "{} MiB", taken >> 20);
    // And it has an end: whatever comes next takes the place of what was there.
    pass(&authenticator, &mint, 0..SESSIONS / 4).await;
    let grown = resident() - before;
    assert!(grown < BUDGET, "{} MiB after {} MiB", grown >> 20, taken >> 20);
}

/// Each session calls, and calls again while it is remembered.
async fn pass(authenticator: &Authenticator, mint: &Mint, sessions: std::ops::Range<u64>) {
    let sessions: Vec<_> = sessions.collect();
    for some in sessions.chunks(500) {
        let headers: Vec<_> = some.iter().map(|session| mint.headers(*session)).collect();
        for _ in 0..2 {
            let verdicts = join_all(headers.iter().map(|headers| authenticator.authenticate(headers))).await;
            for verdict in verdicts {
                verdict.unwrap();
            }
        }
    }
    // Freed memory is given back in its own time.
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// The process's memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
