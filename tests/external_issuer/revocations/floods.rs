//! Many messages at once: of one issuer, and of strangers.

use bridge_auth::rate_limit::RateLimits;
use serde_json::json;

use super::super::server::{AuthorizationServer, Key};
use super::{
    CAEP, EVENT_TYPE, RISC, World, id, is_event_error, is_taken, log_out, push, revoke, serve, trusted,
};
use crate::support::bridge::{ISSUER, builder, user};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn a_flood_of_valid_events_of_one_issuer_is_bounded_and_others_are_heard() {
    let record = Record::default();
    let _listening = record.listen();
    let (clock, db, people) =
        (super::super::Ahead::default(), SqliteBackend::start().await, super::People::default());
    let [loud, quiet] =
        [AuthorizationServer::start(clock.clone()).await, AuthorizationServer::start(clock.clone()).await];
    let trust = |idp: &AuthorizationServer| trusted(idp, &people).revocations_per_minute(20);
    let builder = builder(&db).await.clock(clock.clone()).trust(trust(&loud)).trust(trust(&quiet));
    let gateway = serve(builder.build().unwrap()).await;
    let mut tokens = Vec::new();
    for number in 0..40 {
        tokens.push(gateway.link(&format!("person-{number}")).await);
    }
    let token = gateway.link("alice").await;
    let event = |idp: &AuthorizationServer, person: &str| {
        let claims = json!({
            "iss": idp.issuer(), "aud": ISSUER, "jti": id(), "iat": idp.claims()["iat"],
            "sub_id": { "format": "iss_sub", "iss": idp.issuer(), "sub": format!("idp|{person}") },
            "events": { format!("{CAEP}session-revoked"): {} },
        });
        idp.key.sign_under(&json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE }), &claims)
    };
    let mut refused = 0;
    for (number, token) in tokens.iter().enumerate() {
        let answer = push(&gateway, &event(&loud, &format!("person-{number}"))).await;
        assert_eq!(gateway.admits(token).await, answer.status == 429, "{answer:?}");
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{answer:?}");
            assert_eq!(answer.text("err"), "slow_down");
            refused += 1;
        } else {
            assert!(is_taken(&answer), "{answer:?}");
        }
    }
    assert!((15..=20).contains(&refused), "{refused}");
    assert!(gateway.admits(&token).await);
    let answer = push(&gateway, &event(&loud, "alice")).await;
    assert_eq!(answer.status, 429, "what is refused is not done");
    assert!(gateway.admits(&token).await);
    assert!(is_taken(&push(&gateway, &event(&quiet, "alice")).await) && !gateway.admits(&token).await);
    assert!(record.text().contains(&format!("the limit issuer of '{}", loud.issuer())), "{}", record.text());
}

/// Anybody may have a copy of a message: a proxy, a log, another receiver.
#[tokio::test]
async fn copies_and_events_that_end_nothing_do_not_use_up_what_the_issuer_may_send() {
    let db = SqliteBackend::start().await;
    let world = World::with(db, |issuer| issuer.revocations_per_minute(3), |builder| builder).await;
    let done = world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    let ignored = world.event("https://schemas.example/nothing", &world.iss_sub("alice"));
    let [done, ignored] = [done, ignored].map(|claims| world.sign(EVENT_TYPE, &claims));
    world.gateway.link("alice").await;
    for _ in 0..10 {
        assert!(is_taken(&push(&world.gateway, &done).await));
    }
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(push(&world.gateway, &ignored).await.status.as_u16());
    }
    assert!(statuses.contains(&202) && statuses.contains(&429), "these are bounded too: {statuses:?}");
    let token = world.gateway.link("alice").await;
    assert!(is_taken(&world.tell(&format!("{CAEP}session-revoked"), "alice").await));
    assert!(!world.gateway.admits(&token).await);
    // Nor do they keep out of the store who must not come in later.
    assert!(is_taken(&world.tell(&format!("{RISC}account-disabled"), "newcomer").await));
    let newcomer = world.gateway.bridge.admin().user(&user("newcomer")).await.unwrap();
    assert!(newcomer.is_some_and(|newcomer| newcomer.disabled));
}

#[tokio::test]
async fn a_flood_about_strangers_starves_nobody_who_is_here_and_is_bounded() {
    let db = SqliteBackend::start().await;
    let world = World::with(db, |issuer| issuer.revocations_per_minute(10), |builder| builder).await;
    let (alice, bob) = (world.gateway.link("alice").await, world.gateway.link("bob").await);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let event = ["session-revoked", "credential-change"].map(|event| format!("{CAEP}{event}"));
        let event = [&event[0], &event[1], &format!("{RISC}account-disabled")][number % 3].clone();
        let stranger = format!("stranger-{number}");
        match world.tell(&event, &stranger).await.status.as_u16() {
            202 => taken.push(stranger),
            429 => refused.push(stranger),
            other => panic!("{stranger}: {other}"),
        }
    }
    assert!((10..=15).contains(&taken.len()), "{taken:?}");
    let admin = world.gateway.bridge.admin();
    for stranger in refused {
        assert!(admin.user(&user(&stranger)).await.unwrap().is_none(), "what is refused leaves no row");
    }
    assert!(is_taken(&world.tell(&format!("{RISC}account-disabled"), "alice").await));
    assert!(!world.gateway.admits(&alice).await);
    let body = json!({ "sub_id": world.iss_sub("bob") });
    let answer = revoke(&world.gateway, &world.sign(super::GLOBAL_TYPE, &world.caller()), &body).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(!world.gateway.admits(&bob).await);
}

#[tokio::test]
async fn forged_messages_cost_their_sender_and_not_the_issuer() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(120);
    let world = World::with(
        db,
        |issuer| issuer.revocations_per_minute(5),
        |builder| builder.rate_limits(limits).peer_address(|_| Some([203, 0, 113, 9].into())),
    )
    .await;
    let stranger = Key::new("first");
    let header = json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE });
    let forged = || {
        let claims = world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
        stranger.sign_under(&header, &claims)
    };
    let mut refused = 0;
    for _ in 0..12 {
        let answer = push(&world.gateway, &forged()).await;
        if answer.status == 429 {
            refused += 1;
        } else {
            assert!(is_event_error(&answer, "invalid_key"), "{answer:?}");
        }
    }
    assert!(refused >= 5, "each costs 20 of 120 attempts: {refused}");
}

#[tokio::test]
async fn the_bound_counts_events_requests_and_logout_tokens_together() {
    let db = SqliteBackend::start().await;
    let world = World::with(db, |issuer| issuer.revocations_per_minute(3), |builder| builder).await;
    let body = json!({ "sub_id": world.iss_sub("alice") });
    world.gateway.link("alice").await;
    assert!(is_taken(&world.tell(&format!("{CAEP}session-revoked"), "alice").await));
    assert_eq!(
        log_out(&world.gateway, &world.sign(super::LOGOUT_TYPE, &world.logout("alice"))).await.status,
        200
    );
    let jwt = || world.sign(super::GLOBAL_TYPE, &world.caller());
    assert_eq!(revoke(&world.gateway, &jwt(), &body).await.status, 204);
    let answer = revoke(&world.gateway, &jwt(), &body).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    assert_eq!(world.log_out(&world.logout("alice")).await.status, 429);
    assert_eq!(world.tell(&format!("{CAEP}session-revoked"), "alice").await.status, 429);
}
