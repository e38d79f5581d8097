//! One address of many people: what one of them does wrong locks nobody else out.

use std::time::Duration;

use bridge_auth::id::RefreshToken;
use bridge_auth::rate_limit::RateLimits;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::given::{Hook, code_grant, hook, pkce_code, post, server};
use super::limits::{WRONG, ask, behind_proxy, from, is_too_many};
use crate::support::bridge::user;
use crate::support::gateway::{Answer, Gateway};
use crate::support::{Backend, SqliteBackend};

/// One address of many people.
const OFFICE: &str = "203.0.113.7";

/// The refresh token of a bridge that `person` has just linked, from elsewhere.
async fn refresh_token(gateway: &Gateway, person: &str) -> String {
    let code = pkce_code(gateway, person).await;
    let linked = from("192.0.2.200", post(gateway, "/token", &code_grant(&code))).await;
    assert_eq!(linked.status, 200, "{linked:?}");
    linked.text("refresh_token")
}

async fn refresh(gateway: &Gateway, source: &str, token: &str) -> Answer {
    let fields = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", token)];
    from(source, post(gateway, "/token", &fields)).await
}

async fn renewing(db: &SqliteBackend, limits: RateLimits) -> Gateway {
    behind_proxy(db, |builder| builder.refresh_tokens(true).rate_limits(limits)).await
}

#[tokio::test]
async fn a_laptop_with_a_dead_refresh_token_in_a_loop_locks_no_office() {
    let db = SqliteBackend::start().await;
    let gateway = renewing(&db, RateLimits::default().per_address(100)).await;
    let (dead, mut good) = (refresh_token(&gateway, "alice").await, refresh_token(&gateway, "bob").await);
    gateway.bridge.admin().revoke_user(&user("alice")).await.unwrap();
    let mut answers = Vec::new();
    for round in 0..20 {
        let loops = futures_util::future::join_all((0..15).map(|_| refresh(&gateway, OFFICE, &dead)));
        answers.extend(loops.await);
        if round % 5 == 0 {
            let next = refresh(&gateway, OFFICE, &good).await;
            assert_eq!(next.status, 200, "{round} {next:?}");
            good = next.text("refresh_token");
        }
    }
    let (refused, limited): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.is_oauth_error(400, "invalid_grant"));
    // One, ten more a minute, and those that came at once before the first was refused.
    assert!((11..40).contains(&refused.len()), "{}", refused.len());
    assert!(limited.iter().all(|answer| is_too_many(answer) && answer.is_oauth_error(429, "slow_down")));
}

#[tokio::test]
async fn many_laptops_with_dead_refresh_tokens_lock_no_office() {
    let db = SqliteBackend::start().await;
    let gateway = renewing(&db, RateLimits::default().per_address(100)).await;
    let mut dead = Vec::new();
    for end in ["revoked", "disabled", "copied", "expired"] {
        for number in 0..5 {
            let person = format!("{end}{number}");
            dead.push((person.clone(), refresh_token(&gateway, &person).await));
        }
    }
    for (person, token) in &dead {
        let admin = gateway.bridge.admin();
        if person.starts_with("revoked") {
            admin.revoke_user(&user(person)).await.unwrap();
        } else if person.starts_with("disabled") {
            admin.disable_user(&user(person)).await.unwrap();
        } else if person.starts_with("copied") {
            let next = refresh(&gateway, "192.0.2.201", token).await.text("refresh_token");
            assert_eq!(refresh(&gateway, "192.0.2.201", &next).await.status, 200);
        }
    }
    db.pass_time(Duration::from_secs(14 * 24 * 3600 + 1)).await;
    let good = refresh_token(&gateway, "bob").await;
    for (person, token) in &dead {
        let answer = refresh(&gateway, OFFICE, token).await;
        assert!(answer.is_oauth_error(400, "invalid_grant"), "{person} {answer:?}");
    }
    // Twenty failures at twenty attempts each would be four times what the address has.
    assert_eq!(refresh(&gateway, OFFICE, &good).await.status, 200);
}

#[tokio::test]
async fn row_17_who_guesses_refresh_tokens_is_stopped_and_is_told_nothing_by_the_cost() {
    let db = SqliteBackend::start().await;
    let gateway = renewing(&db, RateLimits::default().per_address(100)).await;
    let dead = refresh_token(&gateway, "alice").await;
    gateway.bridge.admin().revoke_user(&user("alice")).await.unwrap();
    let unknown = RefreshToken::random();
    let known = refresh(&gateway, "198.51.100.9", &dead).await;
    assert_eq!(refresh(&gateway, "198.51.100.8", unknown.expose()).await, known, "the same bytes");
    let mut refused = 0;
    for _ in 0..20 {
        let answer = refresh(&gateway, "198.51.100.1", RefreshToken::random().expose()).await;
        assert!(answer.is_oauth_error(400, "invalid_grant") || is_too_many(&answer), "{answer:?}");
        refused += u32::from(is_too_many(&answer));
    }
    assert!((12..16).contains(&refused), "five guesses use up what the address has: {refused}");
    // The same text again is no new guess. It is limited by itself.
    let mut limited = 0;
    for _ in 0..20 {
        let answer = refresh(&gateway, "198.51.100.2", "not a token").await;
        limited += u32::from(is_too_many(&answer));
    }
    assert!((8..=9).contains(&limited), "{limited}");
    let good = refresh_token(&gateway, "bob").await;
    assert_eq!(refresh(&gateway, "198.51.100.2", &good).await.status, 200);
}

#[tokio::test]
async fn a_client_that_introspects_does_not_use_up_its_address() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(60).per_client(60).introspections_per_client(200);
    let gateway = behind_proxy(&db, |builder| builder.rate_limits(limits)).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let introspect = async |client: &Hook, source: &str, token: &str| {
        from(source, post(&gateway, "/introspect", &[("token", token)]).header(AUTHORIZATION, client.basic()))
            .await
    };
    let own = ask(&gateway, "192.0.2.1", &id, &secret).await.text("access_token");
    let (server, hook) = (server(), Hook { id, secret });
    for number in 0..150 {
        let token = format!("dead-{number}");
        let answer = introspect(&server, OFFICE, &token).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["active"]), (200, &json!(false)), "{number}");
        assert_eq!(introspect(&hook, OFFICE, &own).await.json()["active"], true, "{number}");
    }
    assert_eq!(ask(&gateway, OFFICE, &hook.id, &hook.secret).await.status, 200);
    let mut limited = 0;
    for _ in 0..60 {
        let answer = introspect(&server, OFFICE, "dead").await;
        limited += u32::from(is_too_many(&answer) && answer.is_oauth_error(429, "slow_down"));
        if limited == 3 {
            break;
        }
    }
    assert_eq!(limited, 3, "a client has a limit of its own");
    assert_eq!(introspect(&hook, OFFICE, &own).await.status, 200, "and no other client has it");
    let wrong = Hook { secret: WRONG.to_owned(), ..server };
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(is_too_many(&introspect(&wrong, "198.51.100.1", "dead").await));
    }
    assert!((6..=8).contains(&refused), "who has not proved itself is stopped as before: {refused}");
}
