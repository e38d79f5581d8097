//! Renewal: what bridges get to go on with, and when a session ends all the same.

use std::time::Duration;

use bridge_auth::id::{Audience, ClientId, ExchangeCode, RefreshToken};
use bridge_auth::issue::{AccessRequest, AssuranceLevel, Exchange, Refresh, RefreshError};
use bridge_auth::store::Origin;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BuildError, Scopes, SignedIn};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::bridge::{ISSUER, access, builder, user};
use crate::support::gateway::{Gateway, PREFIX};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_session_comes_with_a_refresh_token_only_where_the_host_wants_it,
    a_refresh_gives_access_and_the_next_token,
    a_wish_that_cannot_be_met_uses_no_token_up,
    a_token_for_another_audience_is_for_that_alone,
    no_session_outlives_the_absolute_limit_however_it_was_opened,
    row_98_past_the_absolute_limit_of_its_level_a_session_is_401_though_the_jwt_is_valid,
    row_99_past_the_idle_limit_of_its_level_a_session_is_401_and_activity_resets_that_alone,
    row_a127_a_reused_token_ends_the_family_and_what_it_opened,
    row_a127_a_lost_answer_is_forgiven_and_a_revoked_session_is_not,
];

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What Alice's bridge goes on with.
fn with(token: &str) -> Refresh {
    Refresh::new(RefreshToken::parse(token).unwrap(), ClientId::parse("sp_bridge").unwrap())
}

/// Refreshes; the access token and the next refresh token.
async fn refresh(bridge: &Bridge, token: &str) -> (String, String) {
    let access = bridge.issuer().refresh(with(token)).await.unwrap();
    (access.token.expose().to_owned(), access.refresh_token.unwrap().expose().to_owned())
}

/// Alice links a bridge; its access token and its refresh token.
async fn link(gateway: &Gateway) -> (String, String) {
    let linked = gateway.exchange(&gateway.code("alice").await).await;
    (linked.text("token"), linked.text("refresh_token"))
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

#[tokio::test]
async fn refresh_tokens_that_no_endpoint_accepts_are_refused_at_the_start() {
    let db = SqliteBackend::start().await;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let without = Bridge::builder_with(ISSUER, keys, db.open().await);
    let refused = without.session_refresh_tokens(true).build().unwrap_err();
    assert!(matches!(refused, BuildError::NoTokenEndpoint), "{refused}");
    assert!(refused.to_string().contains("BridgeBuilder::token_endpoint"), "{refused}");
    builder(&db).await.session_refresh_tokens(true).build().unwrap();
}

async fn a_session_comes_with_a_refresh_token_only_where_the_host_wants_it(db: impl Backend) {
    for (at_session, builder) in [
        (false, builder(&db).await),
        (false, builder(&db).await.refresh_tokens(true)),
        (true, builder(&db).await.session_refresh_tokens(true)),
    ] {
        let gateway = Gateway::over(builder.build().unwrap()).await;
        let linked = gateway.exchange(&gateway.code("alice").await).await;
        assert_eq!(linked.json().get("refresh_token").is_some(), at_session);
        assert_eq!(linked.json().as_object().unwrap().len(), 4 + usize::from(at_session));
        assert!(linked.is_not_stored());
        if at_session {
            let (token, _) = refresh(&gateway.bridge, &linked.text("refresh_token")).await;
            assert!(gateway.admits(&token).await);
        }
    }
}

async fn a_refresh_gives_access_and_the_next_token(db: impl Backend) {
    let gateway = Gateway::over(builder(&db).await.session_refresh_tokens(true).build().unwrap()).await;
    let (first, mut token) = link(&gateway).await;
    let signed_in = claims(&first)["auth_time"].clone();
    for _ in 0..3 {
        db.pass_time(HOUR).await;
        let (access, next) = refresh(&gateway.bridge, &token).await;
        assert_ne!(next, token);
        assert!(gateway.admits(&access).await);
        let (old, new) = (claims(&first), claims(&access));
        for member in ["iss", "sub", "aud", "client_id", "scope", "sid"] {
            assert_eq!(old[member], new[member], "{member}");
        }
        assert_ne!(old["jti"], new["jti"]);
        // When the person signed in, by the clock of the database, and not when the program went on without them.
        assert!(new["auth_time"].as_u64() < signed_in.as_u64());
        token = next;
    }
    assert!(gateway.admits(&first).await, "the access token from before lives as long as it was to");
    let wish = with(&token).scopes(Scopes::parse("chat").unwrap());
    assert_eq!(gateway.bridge.issuer().refresh(wish).await.unwrap().scopes, Scopes::parse("chat").unwrap());
}

async fn a_wish_that_cannot_be_met_uses_no_token_up(db: impl Backend) {
    let bridge = builder(&db).await.session_refresh_tokens(true).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let (_, token) = link(&gateway).await;
    let issuer = gateway.bridge.issuer();
    let resource = |name: &str| Audience::parse(name).unwrap();
    for (wish, named) in [
        (with(&token).scopes(Scopes::parse("chat admin").unwrap()), "InvalidScope"),
        (with(&token).resource(resource("https://elsewhere.example")), "Resource"),
        (
            Refresh::new(RefreshToken::parse(&token).unwrap(), ClientId::parse("bridge:alice").unwrap()),
            "InvalidGrant",
        ),
        (with(RefreshToken::random().expose()), "InvalidGrant"),
    ] {
        let error = issuer.refresh(wish).await.unwrap_err();
        assert_eq!(format!("{error:?}"), named);
    }
    assert_eq!(db.count("refresh_tokens").await, 1);
    refresh(&gateway.bridge, &token).await;

    let code = ExchangeCode::parse(&gateway.code("alice").await).unwrap();
    let exchange = Exchange::new(code);
    let elsewhere = exchange.clone().resource(resource("https://elsewhere.example"));
    let refused = issuer.exchange(elsewhere).await.unwrap_err();
    assert!(matches!(refused, bridge_auth::issue::ExchangeError::Resource), "{refused:?}");
    let access = issuer.exchange(exchange.resource(resource("mcp"))).await.unwrap();
    assert!(access.refresh_token.is_none());
    assert_eq!(claims(access.token.expose())["aud"], json!(["mcp"]));
}

async fn a_token_for_another_audience_is_for_that_alone(db: impl Backend) {
    let resource = "https://gateway.example/mcp";
    let builder = builder(&db).await.session_refresh_tokens(true).other_audiences([resource]);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let (_, token) = link(&gateway).await;
    let wish = with(&token).resource(Audience::parse(resource).unwrap());
    let access = gateway.bridge.issuer().refresh(wish).await.unwrap();
    assert_eq!(claims(access.token.expose())["aud"], json!([resource]));
    assert!(!gateway.admits(access.token.expose()).await);
    // The next one is for the usual ones again.
    let (usual, _) = refresh(&gateway.bridge, access.refresh_token.unwrap().expose()).await;
    assert!(gateway.admits(&usual).await);
}

async fn no_session_outlives_the_absolute_limit_however_it_was_opened(db: impl Backend) {
    let bridge = builder(&db).await.max_session_life(HOUR).token_life(DAY).build().unwrap();
    let vouched = access(&bridge, "alice", "chat").await;
    assert_eq!(vouched.ttl, HOUR);
    let gateway = Gateway::over(bridge).await;
    let linked = gateway.exchange(&gateway.code("alice").await).await;
    assert_eq!(linked.json()["ttl"], HOUR.as_secs());
    // Who asks for more by name shall have it.
    let longer = AccessRequest::for_user(user("alice"), Scopes::default()).session_life(2 * HOUR);
    assert_eq!(gateway.bridge.issuer().open_access(longer).await.unwrap().ttl, 2 * HOUR);
}

/// The levels with their limits: without activity, and in all.
const LEVELS: [(AssuranceLevel, Duration, Duration); 3] = [
    (AssuranceLevel::Aal1, Duration::from_secs(30 * 24 * 3600), Duration::from_secs(30 * 24 * 3600)),
    (AssuranceLevel::Aal2, HOUR, DAY),
    (AssuranceLevel::Aal3, Duration::from_secs(15 * 60), Duration::from_secs(12 * 3600)),
];

/// A gateway whose tokens live for as long as its sessions and the settings let them.
async fn gateway_of(db: &impl Backend, level: AssuranceLevel) -> Gateway {
    let builder = builder(db).await.assurance_level(level).token_life(DAY).session_refresh_tokens(true);
    Gateway::over(builder.build().unwrap()).await
}

async fn is_401_though_the_jwt_is_valid(gateway: &Gateway, token: &str) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let is_valid = claims(token)["exp"].as_u64().unwrap() > now.as_secs();
    let answer = gateway.call(Method::GET, "/v1/echo", token).await;
    is_valid
        && answer.status == StatusCode::UNAUTHORIZED
        && answer.header("www-authenticate").contains("invalid_token")
}

async fn row_98_past_the_absolute_limit_of_its_level_a_session_is_401_though_the_jwt_is_valid(
    db: impl Backend,
) {
    for (level, idle, most) in LEVELS {
        let gateway = gateway_of(&db, level).await;
        let (mut access, mut token) = link(&gateway).await;
        let mut age = Duration::ZERO;
        // As active as can be, up to two minutes before the end.
        while age + 2 * MINUTE < most {
            let step = (idle * 9 / 10).min(most - age - 2 * MINUTE);
            db.pass_time(step).await;
            age += step;
            (access, token) = refresh(&gateway.bridge, &token).await;
        }
        assert!(gateway.admits(&access).await, "{level:?}");
        db.pass_time(2 * MINUTE).await;
        assert!(is_401_though_the_jwt_is_valid(&gateway, &access).await, "{level:?}");
        let refused = gateway.bridge.issuer().refresh(with(&token)).await;
        assert!(matches!(refused, Err(RefreshError::InvalidGrant)), "{level:?} {refused:?}");
        let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &access).await;
        assert_eq!(listed.status, StatusCode::UNAUTHORIZED, "{level:?}");
    }
}

async fn row_99_past_the_idle_limit_of_its_level_a_session_is_401_and_activity_resets_that_alone(
    db: impl Backend,
) {
    for (level, idle, most) in LEVELS {
        let gateway = gateway_of(&db, level).await;
        let (_, token) = link(&gateway).await;
        db.pass_time(idle - 2 * MINUTE).await;
        let (access, token) = refresh(&gateway.bridge, &token).await;
        let left = if idle == most { 2 * MINUTE } else { idle };
        db.pass_time(left - MINUTE).await;
        assert!(gateway.admits(&access).await, "{level:?}");
        // To call is no activity: only to refresh is.
        db.pass_time(MINUTE).await;
        assert!(is_401_though_the_jwt_is_valid(&gateway, &access).await, "{level:?}");
        let refused = gateway.bridge.issuer().refresh(with(&token)).await;
        assert!(matches!(refused, Err(RefreshError::InvalidGrant)), "{level:?} {refused:?}");
    }
}

async fn row_a127_a_reused_token_ends_the_family_and_what_it_opened(db: impl Backend) {
    let gateway = Gateway::over(builder(&db).await.session_refresh_tokens(true).build().unwrap()).await;
    let (_, bystander) = link(&gateway).await;
    let (_, stolen) = link(&gateway).await;
    let (_, second) = refresh(&gateway.bridge, &stolen).await;
    let (access, third) = refresh(&gateway.bridge, &second).await;
    assert!(gateway.admits(&access).await);
    db.pass_time(Duration::from_secs(31)).await;
    for token in [&stolen, &third] {
        let refused = gateway.bridge.issuer().refresh(with(token)).await;
        assert!(matches!(refused, Err(RefreshError::InvalidGrant)), "{refused:?}");
    }
    assert!(!gateway.admits(&access).await);
    refresh(&gateway.bridge, &bystander).await;
}

async fn row_a127_a_lost_answer_is_forgiven_and_a_revoked_session_is_not(db: impl Backend) {
    let grace = Duration::from_secs(10);
    let builder = builder(&db).await.session_refresh_tokens(true).refresh_grace(grace);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let (_, token) = link(&gateway).await;
    refresh(&gateway.bridge, &token).await;
    db.pass_time(grace / 2).await;
    let (access, next) = refresh(&gateway.bridge, &token).await;
    assert!(gateway.admits(&access).await);
    gateway.bridge.admin().revoke_user(&user("alice")).await.unwrap();
    for token in [&token, &next] {
        let refused = gateway.bridge.issuer().refresh(with(token)).await;
        assert!(matches!(refused, Err(RefreshError::InvalidGrant)), "{refused:?}");
    }

    let (_, token) = link(&gateway).await;
    let (access, lost) = refresh(&gateway.bridge, &token).await;
    db.pass_time(grace).await;
    refresh(&gateway.bridge, &token).await;
    assert!(gateway.admits(&access).await);
    // Whoever has the answer that was lost should not have it.
    assert!(gateway.bridge.issuer().refresh(with(&lost)).await.is_err());
    assert!(!gateway.admits(&access).await);
}

#[tokio::test]
async fn every_refresh_is_in_the_audit_log_and_no_token_is() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.refresh_grace(Duration::ZERO).build().unwrap();
    let record = Record::default();
    let mut tokens = Vec::new();
    {
        let _guard = record.listen();
        let issuer = bridge.issuer();
        let signed_in = SignedIn::new(user("alice"), Scopes::parse("chat").unwrap());
        let code = issuer.issue_code(&signed_in, Default::default()).await.unwrap().code;
        let origin = Origin::unknown().address([203, 0, 113, 9].into());
        let exchange = Exchange::new(code).refresh(true).origin(origin.clone());
        let first = issuer.exchange(exchange).await.unwrap().refresh_token.unwrap();
        let wish = |token: &RefreshToken| with(token.expose()).origin(origin.clone());
        let second = issuer.refresh(wish(&first)).await.unwrap().refresh_token.unwrap();
        let too_much = wish(&second).scopes(Scopes::parse("admin").unwrap());
        assert!(issuer.refresh(too_much).await.is_err());
        issuer.refresh(wish(&second)).await.unwrap();
        for dead in [&first, &second] {
            assert!(issuer.refresh(wish(dead)).await.is_err());
        }
        tokens.extend([first, second]);
    }
    let text = record.text();
    let audit = record.audit();
    let named = |event: &str| audit.iter().filter(|fields| fields["event"] == event).collect::<Vec<_>>();
    assert_eq!(named("refreshed").len(), 2);
    assert_eq!(named("refreshed")[0]["user_id"], "alice");
    let [reused] = named("refresh_reused")[..] else { panic!("{audit:?}") };
    assert_eq!((&reused["user_id"], &reused["address"]), (&"alice".into(), &"203.0.113.9".into()));
    assert!(reused["used_at"].is_u64(), "{reused}");
    assert_eq!(reused["used_from"], "203.0.113.9");
    let reasons: Vec<_> = named("refresh_refused").iter().map(|fields| fields["reason"].clone()).collect();
    assert_eq!(reasons, ["scopes", "session ended"]);
    for token in tokens {
        assert!(!text.contains(token.expose()) && !text.contains(&token.hash().to_hex()));
    }
}
