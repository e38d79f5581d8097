//! Callers without a session: what they are, and what they are not.

use axum::body::Body;
use axum::routing::get;
use axum::{Json, Router};
use bridge_auth::caller::CallerKind;
use bridge_auth::external_issuer::{ExternalCaller, ExternalIssuer, ExternalSessions, HttpJwks};
use bridge_auth::id::{CallSource, ClientId, PolicyVersion, TraceId};
use bridge_auth::token::Algorithm;
use bridge_auth::{Bridge, BridgeBuilder, BuildError, Caller, Granted, Rejection, Scopes, SessionId, UserId};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use super::server::AuthorizationServer;
use super::{Ahead, HERE, World, ask, gateway, partner};
use crate::support::bridge::{ISSUER, access};
use crate::support::gateway::{Gateway, PREFIX, head};
use crate::support::{Backend, SqliteBackend};

bridge_auth::required_scopes! {
    /// May read.
    pub struct Read = ["read"];
}

/// What a handler sees of an unmapped caller.
async fn everything(
    caller: ExternalCaller,
    trace: TraceId,
    headers: HeaderMap,
    request: Request<Body>,
) -> Json<Value> {
    let extensions = request.extensions();
    assert!(extensions.get::<ExternalCaller>().is_some() && extensions.get::<Caller>().is_none());
    let seen = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    let identity =
        ["x-user-id", "x_user_id", "x-session-id", "x-client-id", "x-policy-version", "x-call-source"];
    Json(json!({
        "issuer": caller.issuer(), "subject": caller.subject(), "client": caller.client_id(),
        "scopes": caller.scopes(), "tenant": caller.claims().claim::<String>("tenant"),
        "identity": identity.map(seen).concat(), "authorization": seen("authorization"),
        "trace": seen("x-trace-id") == [trace.as_str()],
    }))
}

async fn either(caller: Option<Caller>, external: Option<ExternalCaller>) -> String {
    match (caller, external) {
        (Some(caller), None) => format!("person {}", caller.user_id()),
        (None, Some(external)) => format!("external {}", external.subject()),
        (None, None) => "nobody".to_owned(),
        (Some(_), Some(_)) => "both".to_owned(),
    }
}

fn app(bridge: &Bridge) -> Router {
    let layer = || bridge.layer("bridge").unwrap();
    let nothing = || get(|_: ExternalCaller| async {});
    let inner = Router::new().route("/strict", nothing()).layer(layer());
    let read = Router::new()
        .route("/nested", nothing())
        .layer(layer().admit_external().require_scopes(Scopes::parse("read").unwrap()));
    Router::new()
        .route("/everything", get(everything))
        .route("/either", get(either))
        .route("/external", nothing())
        .route("/caller", get(|_: Caller| async {}))
        .route("/user", get(|_: UserId| async {}))
        .route("/session", get(|_: SessionId| async {}))
        .route("/client", get(|_: ClientId| async {}))
        .route("/policy", get(|_: PolicyVersion| async {}))
        .route("/source", get(|_: CallSource| async {}))
        .route("/scopes", get(|_: Scopes| async {}))
        .route("/granted", get(|_: Granted<Read>| async {}))
        .merge(inner)
        .merge(read)
        .layer(layer().admit_external())
        .merge(Router::new().route("/no-extractor", get(|| async {})).layer(layer()))
        .merge(Router::new().route("/optional", get(either)).layer(layer().optional()))
        .merge(
            Router::new()
                .route("/write", nothing())
                .layer(layer().admit_external().require_scopes(Scopes::parse("write").unwrap())),
        )
        .merge(
            Router::new()
                .route("/mail", nothing())
                .layer(layer().admit_external().require_scopes(Scopes::parse("mail").unwrap())),
        )
        .merge(
            Router::new()
                .route("/users", nothing())
                .layer(layer().admit_external().require_kind(CallerKind::User)),
        )
        .merge(Router::new().route("/mcp", nothing()).layer(bridge.layer("mcp").unwrap().admit_external()))
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_is_let_in_as_what_it_is_and_as_nobody_here() {
    let world = World::start().await;
    let token = world.server.token_with(&json!({ "tenant": "blue" }));
    let spoofed = [
        ("x-user-id", "root"),
        ("x_user_id", "root"),
        ("x-session-id", "s"),
        ("x-client-id", "sp_bridge"),
        ("x-policy-version", "0"),
        ("x-call-source", "bridge"),
        ("x-trace-id", "not one"),
    ];
    for _ in 0..3 {
        let answer = ask(&app(&world.bridge), "/everything", &token, &spoofed).await;
        assert_eq!(
            answer.json(),
            json!({
                "issuer": world.server.issuer(), "subject": "them|7", "client": "their-app", "scopes": "read",
                "tenant": "blue", "identity": [], "authorization": [], "trace": true,
            })
        );
    }
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn attack_n9_an_external_token_is_nowhere_behind_the_guard_either() {
    let world = World::start().await;
    let guard = world.bridge.layer("bridge").unwrap().admit_external();
    let app = Router::new().route("/head", get(head)).layer(guard);
    let token = world.server.token();
    let cookies = format!("a=b; token={token}");
    let proxy = format!("Bearer {token}");
    let siblings = [("x-api-key", &*token), ("cookie", &cookies), ("proxy-authorization", &proxy)];
    for _ in 0..2 {
        let answer = ask(&app, "/head", &token, &siblings).await;
        let seen = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{seen}");
        assert!(seen.contains("a=b") && !seen.contains(&token), "{seen}");
    }
}

#[tokio::test]
async fn every_extractor_of_a_person_refuses_an_unmapped_caller() {
    let world = World::start().await;
    let (app, token) = (app(&world.bridge), world.server.token());
    for path in ["/caller", "/user", "/session", "/client", "/policy", "/source", "/scopes", "/granted"] {
        let answer = ask(&app, path, &token, &[]).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{path}: {answer:?}");
    }
    assert_eq!(ask(&app, "/either", &token, &[]).await.body, "external them|7");
    let own = access(&world.bridge, "alice", "read").await.token.expose().to_owned();
    assert_eq!(ask(&app, "/either", &own, &[]).await.body, "person alice");
    assert!(
        ask(&app, "/external", &own, &[]).await.is_problem(403, "insufficient_scope"),
        "nor the other way"
    );
}

#[tokio::test]
async fn only_a_layer_that_says_so_lets_an_unmapped_caller_in() {
    let world = World::start().await;
    let (app, token) = (app(&world.bridge), world.server.token());
    let status = async |path| ask(&app, path, &token, &[]).await.status.as_u16();
    for path in ["/no-extractor", "/optional", "/strict", "/users"] {
        assert_eq!(status(path).await, 403, "{path}");
    }
    assert_eq!(status("/external").await, 200);
    assert_eq!(status("/nested").await, 200, "an inner layer takes the outer one's verdict");
    assert_eq!(status("/mcp").await, 401, "the token is for another audience");
    let authenticator = world.bridge.authenticator("bridge").unwrap();
    let headers = HeaderMap::from_iter([(
        "authorization".parse().unwrap(),
        format!("Bearer {token}").parse().unwrap(),
    )]);
    let refused = authenticator.authenticate(&headers).await.unwrap_err();
    assert!(matches!(refused, Rejection::ExternalCaller { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_endpoints_of_a_person_refuse_an_unmapped_caller() {
    let world = World::start().await;
    let (token, gateway) = (world.server.token(), Gateway::over(world.bridge.clone()).await);
    for (method, path) in [
        (Method::POST, "/oauth-client"),
        (Method::GET, "/sessions"),
        (Method::DELETE, "/sessions/s"),
        (Method::POST, "/logout"),
    ] {
        let answer = gateway.call(method, &format!("{PREFIX}{path}"), &token).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{path}: {answer:?}");
    }
    assert_eq!(gateway.call(Method::GET, "/v1/echo", &token).await.status, StatusCode::FORBIDDEN);
    // Behind a host's own layer that lets such callers in, too.
    let app = Router::new()
        .route_service("/oauth-client", world.bridge.oauth_client_service())
        .route_service("/logout", world.bridge.logout_service())
        .route_service(&format!("{PREFIX}/sessions"), world.bridge.sessions_service())
        .layer(world.bridge.layer("bridge").unwrap().admit_external());
    for (method, path) in
        [("POST", "/oauth-client"), ("POST", "/logout"), ("GET", "/v1/auth/bridge/sessions")]
    {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(app.clone(), request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn of_the_scopes_of_a_token_only_those_count_that_are_allowed_for_its_issuer() {
    let world = World::start().await;
    let app = app(&world.bridge);
    let token = world.server.token_with(&json!({ "scope": "mail read" }));
    assert_eq!(ask(&app, "/nested", &token, &[]).await.status, 200);
    assert_eq!(ask(&app, "/write", &token, &[]).await.status, 403, "allowed, but not granted");
    assert_eq!(ask(&app, "/mail", &token, &[]).await.status, 403, "granted, but not allowed");
}

#[tokio::test]
async fn the_scopes_of_entra_id_and_okta_are_scopes_where_the_host_says_so() {
    let world = World::with(|issuer| issuer.scopes_from(["scp", "roles"])).await;
    let app = app(&world.bridge);
    let status = async |claims: Value, path| {
        let token = world.server.token_with(&claims);
        ask(&app, path, &token, &[]).await.status.as_u16()
    };
    for (claims, read, write) in [
        (json!({ "scp": "read mail" }), 200, 403),
        (json!({ "scp": ["read", "write"] }), 200, 200),
        (json!({ "scp": "read", "roles": ["write"] }), 200, 200),
        (json!({ "roles": ["write"] }), 403, 200),
        (json!({}), 403, 403),
        (json!({ "scp": ["read", 1] }), 401, 401),
        (json!({ "roles": { "write": true } }), 401, 401),
    ] {
        let seen = (status(claims.clone(), "/nested").await, status(claims.clone(), "/write").await);
        assert_eq!(seen, (read, write), "{claims}");
    }
}

#[tokio::test]
async fn a_remembered_token_dies_when_it_expires() {
    let world = World::start().await;
    let token = world.server.token();
    assert_eq!(world.status(&token).await, 200);
    world.clock.pass(std::time::Duration::from_secs(599));
    assert_eq!(world.status(&token).await, 200);
    world.clock.pass(std::time::Duration::from_secs(1));
    assert!(world.call(&token).await.is_problem(401, "invalid_token"));
}

#[tokio::test]
async fn what_could_not_be_safe_is_refused_at_start_up() {
    let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
    let server = AuthorizationServer::start(clock.clone()).await;
    let source = || HttpJwks::new(server.jwks_url()).unwrap();
    let of = |issuer: &str| ExternalIssuer::new(issuer, source(), ExternalSessions::None);
    let refused = async |issuers: Vec<ExternalIssuer>| {
        let builder = gateway(&backend, &clock).await;
        issuers.into_iter().fold(builder, BridgeBuilder::trust).build().unwrap_err()
    };
    let there = "https://login.partner.example";
    assert!(matches!(refused(vec![partner(&server), partner(&server)]).await, BuildError::IssuerTwice(_)));
    assert!(matches!(refused(vec![of(ISSUER).audience(HERE, "mcp")]).await, BuildError::IssuerTwice(_)));
    for issuer in
        ["http://login.partner.example", "", "login.partner.example", "https://a/?q", "https://a/#f"]
    {
        assert!(
            matches!(refused(vec![of(issuer).audience(HERE, "mcp")]).await, BuildError::Issuer(_)),
            "{issuer}"
        );
    }
    assert!(matches!(refused(vec![of(there)]).await, BuildError::Audiences { count: 0, .. }));
    assert!(matches!(refused(vec![of(there).audience("", "mcp")]).await, BuildError::InvalidText(_)));
    assert!(matches!(refused(vec![of(there).audience(HERE, HERE)]).await, BuildError::UnknownAudience(_)));
    for claims in [&["sub"][..], &["scp", ""], &["aud"]] {
        let odd = of(there).audience(HERE, "mcp").scopes_from(claims.iter().copied());
        assert!(matches!(refused(vec![odd]).await, BuildError::Text { .. }), "{claims:?}");
    }
    let day = std::time::Duration::from_secs(24 * 3600);
    for odd in [
        of(there).audience(HERE, "mcp").scopes_from(Vec::<String>::new()),
        of(there).audience(HERE, "mcp").algorithms(Vec::<Algorithm>::new()),
        of(there).audience(HERE, "mcp").refresh_every(day * 2),
        of(there).audience(HERE, "mcp").refresh_at_most_every(day),
        of(there).audience(HERE, "mcp").stale_for(day * 8),
        of(there).audience(HERE, "mcp").stale_for(std::time::Duration::from_secs(1)),
        of(there).audience(HERE, "mcp").keys_deadline(std::time::Duration::ZERO),
    ] {
        assert!(matches!(refused(vec![odd]).await, BuildError::OutOfRange { .. }));
    }
    for url in
        ["http://login.partner.example/jwks", "ftp://a/jwks", "https://user@a/jwks", "file:///etc/passwd"]
    {
        assert!(HttpJwks::new(url).is_err(), "{url}");
    }
}
