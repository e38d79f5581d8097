//! What becomes of those who guess: CHECKLIST rows 17 and 42, and the attacks A53, A59, A68, A78 and A97.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::service::ForwardedHeader;
use bridge_auth::{BridgeBuilder, BuildError};
use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use serde_json::json;

use super::given::{Hook, basic, hook, oauth_builder, post};
use crate::support::bridge::ISSUER;
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
pub(super) const WRONG: &str = "d3Jvbmcgc2VjcmV0IG9mIDMyIHJhbmRvbSBieXRlcyE";

/// A gateway behind a proxy on this machine, which says where each request came from.
pub(super) async fn behind_proxy(
    db: &SqliteBackend,
    set: impl FnOnce(BridgeBuilder) -> BridgeBuilder,
) -> Gateway {
    let builder = oauth_builder(db)
        .await
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .trusted_proxies(["127.0.0.0/8"]);
    Gateway::over(set(builder).build().unwrap()).await
}

pub(super) async fn from(source: &str, request: reqwest::RequestBuilder) -> Answer {
    send(request.header("x-forwarded-for", source)).await
}

/// Asks for a token as `client` with `secret`.
pub(super) async fn ask(gateway: &Gateway, source: &str, client: &str, secret: &str) -> Answer {
    let request = post(gateway, "/token", &[GRANT]);
    from(source, request.header(AUTHORIZATION, basic(format!("{client}:{secret}")))).await
}

pub(super) fn is_too_many(answer: &Answer) -> bool {
    let retry_after = answer.header("retry-after").parse::<u64>();
    answer.status == 429
        && answer.is_not_stored()
        && retry_after.is_ok_and(|seconds| (1..=3600).contains(&seconds))
        && !answer.headers.contains_key("www-authenticate")
}

#[tokio::test]
async fn row_17_a_hundred_wrong_secrets_are_too_many_and_the_right_one_still_works_from_elsewhere() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(ask(&gateway, "198.51.100.1", &id, WRONG).await);
    }
    assert!(answers[..20].iter().all(|answer| answer.is_oauth_error(401, "invalid_client")));
    let refused: Vec<_> = answers.iter().filter(|answer| is_too_many(answer)).collect();
    assert!(refused.len() >= 30 && refused[0].is_oauth_error(429, "slow_down"), "{refused:?}");
    for source in ["192.0.2.7", "198.51.100.2", "2001:db8::1"] {
        assert_eq!(ask(&gateway, source, &id, &secret).await.status, 200, "{source}");
    }
}

#[tokio::test]
async fn row_17_every_endpoint_that_checks_a_secret_shares_the_limit() {
    let db = SqliteBackend::start().await;
    let gateway =
        behind_proxy(&db, |builder| builder.rate_limits(RateLimits::default().per_address(30))).await;
    let Hook { id, .. } = hook(&gateway, "alice").await;
    for endpoint in ["/introspect", "/revoke", "/token"] {
        let wrong = || post(&gateway, endpoint, &[GRANT, ("token", "x")]);
        let wrong = || wrong().header(AUTHORIZATION, basic(format!("{id}:{WRONG}")));
        let source = format!("198.51.100.{}", endpoint.len());
        assert!(from(&source, wrong()).await.is_oauth_error(401, "invalid_client"), "{endpoint}");
        assert!(from(&source, wrong()).await.is_oauth_error(401, "invalid_client"), "{endpoint}");
        assert!(is_too_many(&from(&source, wrong()).await), "{endpoint}");
        let code = gateway.post("/session", &json!({ "code": "0".repeat(64) }));
        assert!(is_too_many(&from(&source, code).await), "{endpoint}");
        let harmless = gateway.request(Method::GET, "/v1/auth/bridge/capabilities");
        assert_eq!(from(&source, harmless).await.status, 200);
    }
}

#[tokio::test]
async fn row_17_a_success_costs_little() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(100).failure_cost(60);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    for _ in 0..90 {
        assert_eq!(ask(&gateway, "192.0.2.1", &id, &secret).await.status, 200);
    }
    assert_eq!(ask(&gateway, "192.0.2.2", &id, WRONG).await.status, 401);
    assert_eq!(ask(&gateway, "192.0.2.2", &id, WRONG).await.status, 401);
    assert!(is_too_many(&ask(&gateway, "192.0.2.2", &id, &secret).await));
}

#[tokio::test]
async fn row_42_attack_a53_who_guesses_codes_is_stopped_and_the_codes_are_not_harmed() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(100).failure_cost(30);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let code = gateway.code("alice").await;
    let guess = |guess: String| from("198.51.100.1", gateway.post("/session", &json!({ "code": guess })));
    let mut guesses = 0;
    let refused = loop {
        // Guesses that share ever more of the code are answered alike, until none is.
        let prefix = &code[..(guesses * 16) % 64];
        let answer = guess(format!("{prefix}{}", "x".repeat(64 - prefix.len()))).await;
        guesses += 1;
        match answer.status.as_u16() {
            400 => assert!(answer.is_oauth_error(400, "invalid_grant"), "{answer:?}"),
            _ => break answer,
        }
        assert!(guesses <= 100, "never stopped");
    };
    assert!(is_too_many(&refused) && refused.is_oauth_error(429, "slow_down"), "{refused:?}");
    assert!(is_too_many(&guess(code.clone()).await));
    let elsewhere = from("192.0.2.7", gateway.post("/session", &json!({ "code": code }))).await;
    assert_eq!(elsewhere.status, 200, "{elsewhere:?}");
}

#[tokio::test]
async fn attack_a59_codes_are_issued_to_one_person_so_fast_and_no_faster() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder).await;
    let ask = async |person: &str, source: &str| {
        from(source, gateway.post("/code", &json!({})).header(COOKIE, format!("login={person}"))).await
    };
    let mut issued = 0;
    let refused = loop {
        // From wherever they ask: it is their name that counts.
        let answer = ask("mallory", &format!("198.51.100.{}", issued % 200)).await;
        match answer.status.as_u16() {
            201 => issued += 1,
            _ => break answer,
        }
        assert!(issued < 1000, "never stopped");
    };
    assert!((60..200).contains(&issued), "{issued}");
    assert!(is_too_many(&refused) && refused.is_problem(429, "slow_down"), "{refused:?}");
    assert_eq!(ask("alice", "198.51.100.1").await.status, 201);
    assert!(db.count("codes").await <= 8 + 1, "the cap holds");
}

#[tokio::test]
async fn attack_a68_a_client_that_exists_is_limited_like_one_that_does_not() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_client(50);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let Hook { id, .. } = hook(&gateway, "alice").await;
    let mut seen = Vec::new();
    for (source, client) in [("198.51.100.1", id.as_str()), ("198.51.100.2", "bridge:nobody")] {
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(ask(&gateway, source, client, WRONG).await);
        }
        seen.push(answers);
    }
    for (real, unknown) in seen[0].iter().zip(&seen[1]) {
        let without_wait = |answer: &Answer| {
            let mut answer = answer.clone();
            answer.headers.remove("retry-after");
            answer
        };
        assert_eq!(without_wait(real), without_wait(unknown));
    }
    assert!(is_too_many(seen[0].last().unwrap()) && is_too_many(seen[1].last().unwrap()));
}

#[tokio::test]
async fn attack_a78_a_client_under_attack_from_everywhere_gets_its_tokens() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    for n in 0..120 {
        assert_eq!(ask(&gateway, &format!("198.51.100.{n}"), &id, WRONG).await.status, 401, "{n}");
    }
    for n in 0..120 {
        let refused = ask(&gateway, &format!("198.51.100.{n}"), &id, WRONG).await;
        assert!(is_too_many(&refused) && refused.is_oauth_error(429, "slow_down"), "{n}: {refused:?}");
    }
    for n in 0..60 {
        assert_eq!(ask(&gateway, &format!("192.0.2.{n}"), &id, &secret).await.status, 200, "{n}");
        assert_eq!(ask(&gateway, "203.0.113.1", &id, &secret).await.status, 200, "{n}");
    }
    // The attacked client alone is meant.
    let bob = hook(&gateway, "bob").await;
    assert_eq!(ask(&gateway, "198.51.100.1", &bob.id, &bob.secret).await.status, 200);
}

#[tokio::test]
async fn attack_a78_who_names_a_client_only_in_an_assertion_is_counted_against_it_too() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_client(50);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({ "iss": id, "sub": id, "aud": ISSUER, "exp": u32::MAX, "jti": "1" });
    let forged = format!("{}.{}.{}", encode(json!({ "alg": "EdDSA" })), encode(claims), "A".repeat(86));
    let shown = [
        GRANT,
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &forged),
    ];
    let mut refused = 0;
    for _ in 0..10 {
        let answer = from("198.51.100.1", post(&gateway, "/token", &shown)).await;
        refused += u32::from(is_too_many(&answer));
        assert!(is_too_many(&answer) || answer.is_oauth_error(401, "invalid_client"), "{answer:?}");
    }
    assert!((5..9).contains(&refused), "{refused}");
    assert_eq!(ask(&gateway, "192.0.2.1", &id, &secret).await.status, 200);
}

#[tokio::test]
async fn attack_a78_nobody_passes_for_another_source() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder.trusted_proxies::<&str>([])).await;
    let Hook { id, .. } = hook(&gateway, "alice").await;
    let mut refused = 0;
    for n in 0..100 {
        refused += u32::from(is_too_many(&ask(&gateway, &format!("198.51.100.{n}"), &id, WRONG).await));
    }
    assert!(refused >= 20, "what a stranger forwards counts for nothing: {refused}");
}

/// The proxy writes `Forwarded`, and passes on the `X-Forwarded-For` of a client as it came.
async fn forwarded(element: &str, forged: &str, request: reqwest::RequestBuilder) -> Answer {
    send(request.header("forwarded", element).header("x-forwarded-for", forged)).await
}

#[tokio::test]
async fn attack_a78_where_proxies_write_forwarded_the_address_in_it_alone_is_locked_out() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder.forwarded_header(ForwardedHeader::Forwarded)).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let record = Record::default();
    let _listening = record.listen();
    let ask = async |element: &str, forged: &str, secret: &str| {
        let request = post(&gateway, "/token", &[GRANT]);
        let request = request.header(AUTHORIZATION, basic(format!("{id}:{secret}")));
        forwarded(element, forged, request).await
    };
    let attacker = "for=203.0.113.9, for=192.0.2.1;proto=https";
    for number in 0..60 {
        let answer = ask(attacker, &format!("198.51.100.{number}"), WRONG).await;
        assert!(answer.status == 401 || is_too_many(&answer), "{answer:?}");
    }
    for forged in ["192.0.2.2", "127.0.0.1", "203.0.113.9"] {
        assert!(is_too_many(&ask(attacker, forged, &secret).await), "{forged}");
    }
    for other in
        ["for=192.0.2.2", "for=203.0.113.9", "For=\"[2001:db8::7]:4711\"", "for=192.0.2.1, for=192.0.2.3"]
    {
        assert_eq!(ask(other, "192.0.2.1", &secret).await.status, 200, "{other}");
    }
    let lines = record.text();
    let lines: Vec<_> = lines.lines().filter(|line| line.contains("\"request refused\"")).collect();
    assert!(lines.len() >= 60, "{}", lines.len());
    assert!(lines.iter().all(|line| line.contains("\"address\":\"192.0.2.1\"")), "{}", lines[0]);
}

#[tokio::test]
async fn where_proxies_write_forwarded_a_session_shows_the_address_in_it() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder.forwarded_header(ForwardedHeader::Forwarded)).await;
    let exchange = gateway.post("/session", &json!({ "code": gateway.code("alice").await }));
    let linked = forwarded("for=192.0.2.1", "198.51.100.1", exchange).await;
    let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &linked.text("token")).await;
    assert_eq!(listed.json()["sessions"][0]["origin"]["address"], "192.0.2.1", "{listed:?}");
}

#[tokio::test]
async fn who_tries_session_ids_is_stopped_as_who_guesses_codes_is() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(100).failure_cost(30);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let declare = async |person: &str, source: &str| {
        let body = json!({ "code": gateway.code(person).await });
        from(source, gateway.post("/session", &body).header("x-session-id", "laptop")).await
    };
    assert_eq!(declare("alice", "192.0.2.7").await.status, 200);
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(declare("mallory", "198.51.100.1").await);
    }
    let taken = answers.iter().filter(|answer| answer.is_oauth_error(409, "session_id_taken")).count();
    let stopped = answers.iter().filter(|answer| is_too_many(answer)).count();
    assert!((1..=4).contains(&taken) && taken + stopped == 6, "{answers:?}");
    assert_eq!(declare("alice", "192.0.2.7").await.status, 200, "her own, from elsewhere");
}

#[tokio::test]
async fn limits_can_be_off_and_none_can_be_zero() {
    let db = SqliteBackend::start().await;
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(RateLimits::off())).await;
    for _ in 0..100 {
        assert_eq!(ask(&gateway, "198.51.100.1", "bridge:nobody", WRONG).await.status, 401);
    }
    let limits = RateLimits::default();
    for (nothing, method) in [
        (limits.per_address(0), "RateLimits::per_address"),
        (limits.per_client(0), "RateLimits::per_client"),
        (limits.introspections_per_client(0), "RateLimits::introspections_per_client"),
        (limits.codes_per_person(0), "RateLimits::codes_per_person"),
        (limits.calls_per_session(0), "RateLimits::calls_per_session"),
        (limits.failure_cost(0), "RateLimits::failure_cost"),
        (limits.max_keys(0), "RateLimits::max_keys"),
    ] {
        let refused = oauth_builder(&db).await.rate_limits(nothing).build();
        let names =
            |error: &BuildError| matches!(error, BuildError::OutOfRange { setter, .. } if *setter == method);
        assert!(refused.as_ref().is_err_and(names), "{nothing:?}");
    }
}

#[tokio::test]
async fn what_a_session_calls_is_limited_and_keeps_nobody_from_ending_it() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().calls_per_session(5);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let (token, other) = (gateway.link("alice").await, gateway.link("alice").await);
    let call = |method, endpoint: &str, token: &str| {
        let (path, token) = (format!("{PREFIX}{endpoint}"), token.to_owned());
        let gateway = &gateway;
        async move { gateway.call(method, &path, &token).await }
    };
    for n in 0..10 {
        let answer = call(Method::GET, "/sessions", &token).await;
        assert_eq!(is_too_many(&answer), n >= 5, "{n} {answer:?}");
    }
    for (method, endpoint) in [(Method::POST, "/oauth-client"), (Method::DELETE, "/sessions/x")] {
        let answer = call(method, endpoint, &token).await;
        assert!(is_too_many(&answer) && answer.is_problem(429, "slow_down"), "{endpoint} {answer:?}");
    }
    assert_eq!(call(Method::GET, "/sessions", &other).await.status, 200);
    // Whoever has a copy of the token and calls without end must not keep its owner from ending the session.
    assert_eq!(call(Method::POST, "/logout", &token).await.status, 204);
    assert!(!gateway.admits(&token).await);
}
