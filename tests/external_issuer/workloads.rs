//! Tokens of workloads at the token endpoint (RFC 7523), and workloads at the guard.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bridge_auth::caller::{Caller, CallerKind};
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions, Workload,
};
use bridge_auth::id::ClientId;
use bridge_auth::issue::{AccessError, AccessRequest};
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{BuildError, Scopes};
use http::Method;
use serde_json::{Value, json};

use super::provider::{AGENT, GRANT, SECRET, TYPE, World, claims_of, clients, is_refused, provider, with};
use super::server::{Answering, AuthorizationServer, Key};
use super::{Ahead, HERE, ask, gateway};
use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, ListedByAdmin, SqliteBackend};

/// The workloads of the namespace `ci`, and everything that has the scheme of SPIFFE.
fn workload(who: &ExternalSubject) -> Option<Workload> {
    let name = match who.subject.as_deref()? {
        id if id.starts_with("spiffe:") => "spiffe",
        "hooks" => "bridge:alice",
        subject => subject.strip_prefix("system:serviceaccount:ci:")?,
    };
    Some(Workload::new(ClientId::parse(name).ok()?, Scopes::parse("chat tools").ok()?))
}

async fn world() -> World {
    World::with(|issuer| issuer.workloads(workload)).await
}

/// What a pod of Kubernetes has in its projected volume.
fn token_of(world: &World, claims: &[(&str, Value)]) -> String {
    signed_by(&world.server.key, &world.server, claims)
}

/// The same, by a key that may be another server's.
fn signed_by(key: &Key, server: &AuthorizationServer, claims: &[(&str, Value)]) -> String {
    let now = server.claims()["iat"].as_u64().unwrap();
    let token = json!({
        "iss": server.issuer(), "sub": "system:serviceaccount:ci:runner", "aud": [ISSUER], "exp": now + 3607,
        "iat": now, "nbf": now, "jti": "7ee52be0", "kubernetes.io": { "namespace": "ci" },
    });
    let claims = claims.iter().fold(token, |all, (name, value)| with(all, name, value.clone()));
    key.sign_under(&with(key.header(), "typ", Value::Null), &claims)
}

/// What SPIRE writes by default.
fn svid(id: &str) -> [(&'static str, Value); 4] {
    [("iss", Value::Null), ("jti", Value::Null), ("nbf", Value::Null), ("sub", json!(id))]
}

/// The workload presents its token, and shows nothing else.
async fn present(world: &World, token: &str, more: &[(&str, &str)]) -> Answer {
    let form = [&[("grant_type", GRANT), ("assertion", token)], more].concat();
    send(world.gateway.request(Method::POST, &format!("{PREFIX}/token")).form(&form)).await
}

#[tokio::test]
async fn a_workload_gets_access_as_a_client_by_its_own_token_as_often_as_it_asks() {
    let world = world().await;
    let token = token_of(&world, &[]);
    for more in [&[][..], &[("client_id", "runner")], &[("scope", "chat tools")]] {
        let answer = present(&world, &token, more).await;
        assert_eq!(answer.status, 200, "{more:?}: {answer:?}");
        let claims = claims_of(&answer.text("access_token"));
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("runner"), &json!("runner")));
        assert_eq!((claims.get("owner"), answer.json().get("refresh_token")), (None, None));
    }
    let narrowed = present(&world, &token, &[("scope", "chat")]).await;
    assert_eq!(narrowed.json()["scope"], "chat");
    let wider = present(&world, &token, &[("scope", "chat admin")]).await;
    assert!(wider.is_oauth_error(400, "invalid_scope"), "{wider:?}");
    let claimed = token_of(&world, &[("scope", json!("chat admin"))]);
    assert_eq!(
        present(&world, &claimed, &[]).await.json()["scope"],
        "chat",
        "a token never widens what the host gave"
    );
}

#[tokio::test]
async fn a_jwt_svid_without_an_issuer_is_its_trust_domains() {
    let record = Record::default();
    let _listening = record.listen();
    let world = World::with(|issuer| issuer.workloads(workload).spiffe_trust_domain("example.org")).await;
    let ci = token_of(&world, &svid("spiffe://example.org/ci"));
    for _ in 0..2 {
        let answer = present(&world, &ci, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(claims_of(&answer.text("access_token"))["sub"], "spiffe");
    }
    let with_issuer = |id: &str| token_of(&world, &[("sub", json!(id))]);
    assert_eq!(present(&world, &with_issuer("spiffe://example.org/ci"), &[]).await.status, 200);
    let outside = "expected a SPIFFE ID of a workload in the trust domain 'example.org'";
    for id in ["spiffe://other.org/ci", "spiffe://example.org", "system:serviceaccount:ci:runner"] {
        assert!(is_refused(&present(&world, &with_issuer(id), &[]).await), "{id}");
        assert!(record.text().contains(&format!("sub is '{id}', {outside}")), "{}", record.text());
    }
    let unknown = "without proof, the SPIFFE trust domain 'other.org'";
    let untrusted = "no issuer whose assertions are trusted here has issued it";
    for (id, reason) in [
        ("spiffe://other.org/ci", unknown),
        ("spiffe://example.org", untrusted),
        ("spiffe://example.org/../ci", untrusted),
        ("system:serviceaccount:ci:runner", untrusted),
    ] {
        let before = record.text().matches(reason).count();
        assert!(is_refused(&present(&world, &token_of(&world, &svid(id)), &[]).await), "{id}");
        assert!(record.text().matches(reason).count() > before, "{id}: {}", record.text());
    }
    // Another key than the trust domain's.
    let forged = signed_by(&Key::new(&world.server.key.id), &world.server, &svid("spiffe://example.org/ci"));
    assert!(is_refused(&present(&world, &forged, &[]).await));
    assert!(record.text().contains("the signature does not match"), "{}", record.text());
}

#[tokio::test]
async fn an_issuer_without_a_trust_domain_vouches_for_no_spiffe_workload() {
    let record = Record::default();
    let _listening = record.listen();
    let world = world().await;
    let ci = "spiffe://example.org/ci";
    assert!(is_refused(&present(&world, &token_of(&world, &[("sub", json!(ci))]), &[]).await));
    assert!(record.text().contains(&format!("sub is '{ci}'")), "{}", record.text());
    assert!(is_refused(&present(&world, &token_of(&world, &svid(ci)), &[]).await));
    assert!(record.text().contains("the SPIFFE trust domain 'example.org'"), "{}", record.text());
    assert_eq!(record.text().matches("set ExternalIssuer::spiffe_trust_domain").count(), 2);
    let long = format!("spiffe://{}/ci", "a".repeat(200));
    assert!(is_refused(&present(&world, &token_of(&world, &svid(&long)), &[]).await));
    assert!(!record.text().contains(&"a".repeat(65)), "what a stranger wrote is cut");
}

#[tokio::test]
async fn no_issuer_signs_for_the_trust_domain_of_another_one() {
    let record = Record::default();
    let _listening = record.listen();
    let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
    let start = || AuthorizationServer::start(clock.clone());
    let [a, b, none] = [start().await, start().await, start().await];
    let of = |server: &AuthorizationServer| provider(server).workloads(workload);
    let builder = clients(gateway(&backend, &clock).await)
        .trust(of(&a).spiffe_trust_domain("a.org"))
        .trust(of(&b).spiffe_trust_domain("b.org"))
        .trust(of(&none));
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let world = World { server: b, gateway, clock, backend };
    let ci = "spiffe://b.org/ci";
    let named = [("sub", json!(ci))];
    for good in [token_of(&world, &svid(ci)), token_of(&world, &named)] {
        assert_eq!(present(&world, &good, &[]).await.status, 200);
    }
    for (what, token, reason) in [
        ("without iss", signed_by(&a.key, &a, &svid(ci)), "the signature does not match"),
        ("with its own iss", signed_by(&a.key, &a, &named), "in the trust domain 'a.org'"),
        ("with the iss of b", signed_by(&a.key, &world.server, &named), "the signature does not match"),
        ("of none, without iss", signed_by(&none.key, &none, &svid(ci)), "the signature does not match"),
        ("of none, with iss", signed_by(&none.key, &none, &named), "set ExternalIssuer::spiffe_trust_domain"),
    ] {
        let before = record.text().matches(reason).count();
        assert!(is_refused(&present(&world, &token, &[]).await), "{what}");
        assert!(record.text().matches(reason).count() > before, "{what}: {}", record.text());
    }
}

/// What the bundle endpoint of SPIRE answers: keys of certificates without an id, and keys of JWT-SVIDs.
#[tokio::test]
async fn a_trust_bundle_verifies_workloads_and_nothing_else() {
    let both = |issuer: ExternalIssuer| {
        issuer.identity_assertions(IdentityAssertions::new()).workloads(workload).audience(HERE, "bridge")
    };
    let world = World::with(|issuer| both(issuer).spiffe_trust_domain("example.org")).await;
    let app = Router::new()
        .route("/", get(|| async {}))
        .layer(world.gateway.bridge.layer("bridge").unwrap().admit_external());
    let (server, other) = (&world.server, Key::new("second"));
    let x509 = with(with(Key::new("").jwk(), "use", json!("x509-svid")), "kid", Value::Null);
    let bundle = [x509, with(server.key.jwk(), "use", json!("jwt-svid")), other.jwk()];
    server.answer(Answering::Keys(bundle.to_vec()));
    let ci = svid("spiffe://example.org/ci");
    let person = with(server.key.header(), "typ", json!(TYPE));
    let person = server.key.sign_under(&person, &world.claims());
    for key in [&server.key, &other] {
        assert_eq!(present(&world, &signed_by(key, server, &ci), &[]).await.status, 200, "{}", key.id);
    }
    assert!(is_refused(&world.present(&person).await));
    assert_eq!(ask(&app, "/", &server.key.sign(&server.claims()), &[]).await.status, 401);
    let person = other.sign_under(&with(other.header(), "typ", json!(TYPE)), &world.claims());
    assert_eq!(world.present(&person).await.status, 200);
    assert_eq!(ask(&app, "/", &other.sign(&server.claims()), &[]).await.status, 200);
    // An issuer without a trust domain has no such keys.
    let without = World::with(both).await;
    without.server.answer(Answering::Keys(vec![with(without.server.key.jwk(), "use", json!("jwt-svid"))]));
    assert!(is_refused(&present(&without, &token_of(&without, &[]), &[]).await));
    without.server.publish(&[&without.server.key]);
    without.clock.pass(super::WINDOW);
    assert_eq!(present(&without, &token_of(&without, &[]), &[]).await.status, 200);
}

#[tokio::test]
async fn a_trust_domain_is_a_name_of_one_issuer_that_has_workloads() {
    let server = AuthorizationServer::start(Ahead::default()).await;
    let (backend, clock) = (SqliteBackend::start().await, Ahead::default());
    let of = |name: &str, domain: &str| {
        let source = HttpJwks::new(server.jwks_url()).unwrap();
        ExternalIssuer::new(name, source, ExternalSessions::None).spiffe_trust_domain(domain)
    };
    let refused = async |issuers: Vec<ExternalIssuer>| {
        let builder = gateway(&backend, &clock).await;
        issuers.into_iter().fold(builder, bridge_auth::BridgeBuilder::trust).build().unwrap_err()
    };
    let of_ci = |name, domain| of(name, domain).workloads(workload);
    let error = refused(vec![of("https://one.example", "example.org")]).await;
    assert!(matches!(error, BuildError::NoWorkloads(_)), "{error}");
    for odd in ["", "Example.org", "spiffe://example.org", "example.org/ci", "exämple.org"] {
        let error = refused(vec![of_ci("https://one.example", odd)]).await;
        assert!(error.to_string().contains("spiffe_trust_domain"), "{error}");
    }
    let two = vec![of_ci("https://one.example", "example.org"), of_ci("https://two.example", "example.org")];
    let error = refused(two).await;
    assert!(matches!(&error, BuildError::TrustDomainTwice(domain) if domain == "example.org"), "{error}");
}

#[tokio::test]
async fn only_a_layer_that_says_so_lets_a_workload_in() {
    let world = world().await;
    let token = present(&world, &token_of(&world, &[]), &[]).await.text("access_token");
    let bridge = &world.gateway.bridge;
    let layer = || bridge.layer("bridge").unwrap();
    let who = |caller: Caller| async move {
        format!("{:?} {} {}", caller.kind(), caller.user_id(), caller.client_id())
    };
    let app = Router::new()
        .route("/admitted", get(who))
        .layer(layer().admit_workloads())
        .merge(Router::new().route("/people", get(who)).layer(layer()))
        .merge(Router::new().route("/hooks", get(who)).layer(layer().admit_hook_clients()))
        .merge(Router::new().route("/external", get(who)).layer(layer().admit_external()))
        .merge(Router::new().route("/optional", get(who)).layer(layer().optional()))
        .merge(Router::new().route("/only", get(who)).layer(layer().require_kind(CallerKind::Workload)))
        .merge(
            Router::new()
                .route("/users", get(who))
                .layer(layer().admit_workloads().require_kind(CallerKind::User)),
        );
    for path in ["/admitted", "/only"] {
        assert_eq!(ask(&app, path, &token, &[]).await.body, "Workload client:runner runner");
    }
    for path in ["/people", "/hooks", "/external", "/optional", "/users"] {
        let answer = ask(&app, path, &token, &[]).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{path}: {answer:?}");
    }
    for (method, path) in
        [(Method::GET, "/sessions"), (Method::POST, "/oauth-client"), (Method::POST, "/logout")]
    {
        let answer = world.gateway.call(method, &format!("{PREFIX}{path}"), &token).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{path}: {answer:?}");
    }
    bridge.admin().disable_user(&user("client:runner")).await.unwrap();
    assert_eq!(ask(&app, "/admitted", &token, &[]).await.status, 401);
    assert!(
        is_refused(&present(&world, &token_of(&world, &[]), &[]).await),
        "an operator locks a workload out"
    );
}

#[tokio::test]
async fn a_workload_token_that_is_not_for_this_gateway_or_not_of_a_known_workload_is_refused() {
    let world = world().await;
    let now = world.claims()["iat"].as_u64().unwrap();
    for (name, value) in [
        ("iss", Value::Null),
        ("aud", json!(["https://kubernetes.default.svc"])),
        ("aud", json!([ISSUER, "https://kubernetes.default.svc"])),
        ("aud", Value::Null),
        ("sub", json!("system:serviceaccount:prod:runner")),
        ("sub", json!("hooks")),
        ("exp", json!(now)),
        ("exp", json!(now + 86_400 + 60)),
        ("exp", Value::Null),
        ("nbf", json!(now + 60)),
        ("nonce", json!("n")),
        ("at_hash", json!("h")),
        ("events", json!({})),
    ] {
        let answer = present(&world, &token_of(&world, &[(name, value.clone())]), &[]).await;
        assert!(is_refused(&answer), "{name}: {value}: {answer:?}");
    }
    assert!(is_refused(&present(&world, &token_of(&world, &[]), &[("client_id", AGENT)]).await));
    let form = [("grant_type", GRANT), ("assertion", &*token_of(&world, &[]))];
    let request =
        world.gateway.request(Method::POST, &format!("{PREFIX}/token")).basic_auth(AGENT, Some(SECRET));
    assert!(is_refused(&send(request.form(&form)).await), "one client by secret, another by token");
}

#[tokio::test]
async fn a_workload_has_one_session_for_each_token_and_none_once_that_is_revoked() {
    let world = world().await;
    let bridge = &world.gateway.bridge;
    let (first, second) = (token_of(&world, &[]), token_of(&world, &[("jti", json!("another"))]));
    for token in [&first, &first, &second, &first] {
        assert_eq!(present(&world, token, &[]).await.status, 200);
    }
    let runner = user("client:runner");
    let sessions = bridge.admin().sessions_of(&runner).await.unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert_eq!(bridge.admin().revoke_user(&runner).await.unwrap(), Some(2));
    for token in [&first, &second] {
        assert!(is_refused(&present(&world, token, &[]).await));
    }
    // One that was issued before is worth nothing, also when nobody has shown it yet.
    let unseen = token_of(&world, &[("jti", json!("unseen"))]);
    assert!(is_refused(&present(&world, &unseen, &[]).await));
    let later = world.claims()["iat"].as_u64().unwrap() + 2;
    let new = token_of(&world, &[("jti", json!("new")), ("iat", json!(later))]);
    assert_eq!(present(&world, &new, &[]).await.status, 200, "the platform still vouches for it");
}

#[tokio::test]
async fn a_workload_session_ends_with_the_token_that_opened_it() {
    let world = world().await;
    let now = world.claims()["iat"].as_u64().unwrap();
    let token = token_of(&world, &[("exp", json!(now + 60))]);
    let granted = present(&world, &token, &[]).await.json();
    assert!(granted["expires_in"].as_u64().unwrap() <= 60, "{granted}");
}

#[tokio::test]
async fn an_issuer_of_people_is_no_issuer_of_workloads_nor_the_other_way_round() {
    let people = World::start().await;
    let answer = present(&people, &token_of(&people, &[]), &[]).await;
    assert!(answer.is_oauth_error(401, "invalid_client"), "a secret is needed here: {answer:?}");
    assert!(is_refused(&people.present(&token_of(&people, &[])).await));
    let workloads = world().await;
    assert!(is_refused(&workloads.present(&workloads.sign(&workloads.claims())).await));
    let both =
        |issuer: ExternalIssuer| issuer.identity_assertions(IdentityAssertions::new()).workloads(workload);
    let both = World::with(both).await;
    assert_eq!(both.present(&both.sign(&both.claims())).await.status, 200);
    assert_eq!(present(&both, &token_of(&both, &[]), &[]).await.status, 200);
    let unproved = present(&both, &both.sign(&both.claims()), &[]).await;
    assert!(unproved.is_oauth_error(401, "invalid_client"), "{unproved:?}");
}

#[tokio::test]
async fn no_person_can_have_the_user_id_of_a_workload() {
    let world = World::with(|issuer| issuer.identity_assertions(IdentityAssertions::new())).await;
    let bridge = &world.gateway.bridge;
    let request = AccessRequest::for_user(user("client:runner"), Scopes::default());
    assert!(matches!(bridge.issuer().open_access(request).await, Err(AccessError::ReservedUser)));
    assert!(is_refused(&world.present(&world.assertion_with("sub", json!("idp|client:runner"))).await));
    assert!(is_refused(&world.present(&world.assertion_with("sub", json!(format!("idp|{AGENT}")))).await));
}

#[tokio::test]
async fn a_workload_that_is_let_in_by_a_token_that_expired_is_refused() {
    let world = world().await;
    let token = present(&world, &token_of(&world, &[]), &[]).await.text("access_token");
    let app = Router::new()
        .route("/", get(|_: Caller| async {}))
        .layer(world.gateway.bridge.layer("bridge").unwrap().admit_workloads());
    assert_eq!(ask(&app, "/", &token, &[]).await.status, 200);
    world.clock.pass(Duration::from_secs(3600));
    assert_eq!(ask(&app, "/", &token, &[]).await.status, 401);
}

#[tokio::test]
async fn whoever_proves_nothing_is_limited_and_a_client_that_proved_itself_guesses_nothing() {
    let limits = RateLimits::default().per_address(100);
    let both =
        |issuer: ExternalIssuer| issuer.identity_assertions(IdentityAssertions::new()).workloads(workload);
    let world = World::limited(limits, both).await;
    let expired = world.assertion_with("exp", json!(world.claims()["iat"].as_u64().unwrap() - 1));
    for attempt in 0..20 {
        assert!(is_refused(&world.present(&expired).await), "{attempt}");
    }
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(present(&world, &expired, &[]).await);
    }
    let limited = answers.iter().position(|answer| answer.is_oauth_error(429, "slow_down"));
    assert!(limited.is_some_and(|first| first < 6), "{limited:?}");
}
