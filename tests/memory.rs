//! How much memory the guard takes, measured in a process of its own.

#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{KeyRing, SigningKey};
use bridge_auth::{Bridge, Freshness};
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{EncodingKey, Header};
use rand::distr::{Alphanumeric, SampleString};
use rusqlite::Connection;
use serde_json::json;

const SESSIONS: u32 = 100_000;
const ISSUER: &str = "https://gateway.example";
const BUDGET: u64 = 100_000_000;
/// What calls before the measurement, so that the store, the runtime and the allocator have what they need.
const WARM_UP: u32 = 1000;
/// What comes when the memory is full.
const LATER: u32 = 40_000;

/// As many people as `?1` says.
const USERS: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
    INSERT INTO users (id, scopes) SELECT 'user-' || n, 'chat tools' FROM numbers";
/// A session for each of them.
const SESSIONS_OF_USERS: &str = "
    INSERT INTO sessions (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
    SELECT printf('sess_%032x', substr(id, 6)), id, 'sp_bridge', 'bridge', scopes,
        unixepoch() * 1000, unixepoch() * 1000, (unixepoch() + 86400) * 1000
    FROM users";
/// The first `?1` sessions go, and the revocation log does not tell: only who is remembered is let in.
const FORGET: &str = "DELETE FROM sessions WHERE id < printf('sess_%032x', ?1)";

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

    fn headers(&self, session: u32) -> HeaderMap {
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
async fn a_hundred_thousand_sessions_with_their_tokens_are_remembered_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridges.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let rows = Connection::open(&file).unwrap();
    rows.execute(USERS, [WARM_UP + SESSIONS + LATER]).unwrap();
    rows.execute(SESSIONS_OF_USERS, []).unwrap();
    let mint = Mint::new();
    // A machine that is busy with this test may be late to read the log.
    let freshness = Freshness::Watched { max_lag: Duration::from_secs(60) };
    let bridge = Bridge::builder(ISSUER, mint.keys(), store).freshness(freshness).build().unwrap();
    let authenticator = bridge.authenticator("bridge").unwrap();
    pass(&authenticator, &mint, 0..WARM_UP).await;
    let before = resident();
    let sessions = WARM_UP..WARM_UP + SESSIONS;
    pass(&authenticator, &mint, sessions.clone()).await;
    let taken = resident() - before;
    assert!(taken < BUDGET, "{taken} bytes");
    assert_eq!(rows.execute(FORGET, [sessions.end]).unwrap(), sessions.end as usize);
    pass(&authenticator, &mint, sessions.clone()).await;
    // And it has an end: whatever comes next takes the place of what was there.
    pass(&authenticator, &mint, sessions.end..sessions.end + LATER).await;
    let grown = resident() - before;
    assert!(grown < BUDGET, "{grown} bytes after {taken}");
    eprintln!("{taken} bytes for {SESSIONS} sessions, {grown} when it is full");
}

/// Each session calls.
async fn pass(authenticator: &Authenticator, mint: &Mint, sessions: Range<u32>) {
    let sessions: Vec<_> = sessions.collect();
    for some in sessions.chunks(500) {
        let headers: Vec<_> = some.iter().map(|session| mint.headers(*session)).collect();
        for verdict in join_all(headers.iter().map(|headers| authenticator.authenticate(headers))).await {
            verdict.unwrap();
        }
    }
}

/// The process's memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
