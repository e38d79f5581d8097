//! The endpoints in every way a host may mount them: nested, alone, as a fallback, over any body.

use axum::Router;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use bridge_auth::service::Operator;
use bridge_auth::{Bridge, Scopes, SignedIn};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, Service, ServiceExt};

use crate::sign_in::given::{EDITOR, FORM, authorize, with_sign_in};
use crate::support::bridge::{access, builder, user};
use crate::support::{Backend, SqliteBackend};

async fn bridge() -> (SqliteBackend, Bridge) {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    (db, bridge)
}

async fn ask<S, B>(service: S, method: Method, uri: &str, token: Option<&str>) -> Response<Bytes>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = std::convert::Infallible>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn the_combined_service_knows_its_paths_with_and_without_the_prefix() {
    let (_db, bridge) = bridge().await;
    for uri in [
        "/v1/auth/bridge/capabilities",
        "/capabilities",
        "/capabilities?query",
        "http://gateway.example/v1/auth/bridge/capabilities",
        "/.well-known/jwks.json",
        "/v1/auth/bridge/.well-known/jwks.json",
    ] {
        assert_eq!(ask(bridge.service(), Method::GET, uri, None).await.status(), StatusCode::OK, "{uri}");
    }
    let app =
        Router::new().nest_service("/v1/auth/bridge", bridge.service()).fallback_service(bridge.service());
    for uri in ["/v1/auth/bridge/capabilities", "/.well-known/jwks.json"] {
        let response =
            app.clone().oneshot(Request::get(uri).body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{uri}");
    }
}

#[tokio::test]
async fn no_trick_with_the_path_leads_anywhere() {
    let (_db, bridge) = bridge().await;
    let token = access(&bridge, "alice", "chat").await.token;
    for uri in [
        "/",
        "/v1/auth/bridge",
        "/v1/auth/bridge/",
        "/v1/auth/bridge/sessions/",
        "/v1/auth/bridge//sessions",
        "//v1/auth/bridge/sessions",
        "/v1/auth/bridge/./sessions",
        "/v1/auth/bridge/%2e/sessions",
        "/v1/auth/bridge/x/../sessions",
        "/v1/auth/bridge%2fsessions",
        "/v1/auth/bridge/%73essions",
        "/v1/auth/bridge/Sessions",
        "/v1/auth/bridge/sessions;x",
        "/v1/auth/bridgesessions",
        "/v1/auth/bridge/v1/auth/bridge/sessions",
        "/sessions/a/b",
    ] {
        let answer = ask(bridge.service(), Method::GET, uri, Some(token.expose())).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{uri}");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json", "{uri}");
    }
    for uri in [
        "//users/alice/sessions",
        "/users/alice//sessions",
        "/users/alice/sessions/",
        "/%75sers/alice/sessions",
    ] {
        let mut request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(Operator::new("olga"));
        let answer = bridge.admin_service().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{uri}");
    }
    let encoded = ask(bridge.service(), Method::DELETE, "/sessions/a%2fb", Some(token.expose())).await;
    assert_eq!(encoded.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn each_endpoint_stands_alone() {
    let (_db, bridge) = bridge().await;
    let mut request = Request::post("/anywhere").body(Empty::<Bytes>::new()).unwrap();
    let scopes = Scopes::parse("chat").unwrap();
    request.extensions_mut().insert(SignedIn::new(user("alice"), scopes));
    let response = bridge.code_service().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let code: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let body = axum::body::Body::from(serde_json::json!({ "code": code["code"] }).to_string());
    let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(body).unwrap();
    assert_eq!(bridge.session_service().oneshot(request).await.unwrap().status(), StatusCode::OK);
    for uri in ["/", "/anywhere/at/all"] {
        assert_eq!(ask(bridge.capabilities_service(), Method::GET, uri, None).await.status(), StatusCode::OK);
        assert_eq!(ask(bridge.jwks_service(), Method::GET, uri, None).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn each_page_stands_alone_at_a_path_of_the_hosts_choice() {
    let db = SqliteBackend::start().await;
    let verification = "https://gateway.example/link";
    let devices = "https://gateway.example/my/devices";
    let builder = with_sign_in(builder(&db).await).verification_uri(verification).devices_uri(devices);
    let bridge = builder.build().unwrap();
    let app = Router::new()
        .route_service("/link", bridge.device_page_service())
        .route_service("/my/devices", bridge.devices_page_service())
        .route_service("/oauth/authorize", bridge.authorize_service())
        .route_service("/oauth/device", bridge.device_authorization_service());
    let authorize = format!("/oauth{}", authorize(&[]));
    for (path, return_to) in [
        ("/link?user_code=BCDF-GHJK", Some("%2Flink%3Fuser_code%3DBCDF-GHJK")),
        ("/my/devices", Some("%2Fmy%2Fdevices")),
        (&authorize, None),
    ] {
        let answer = ask(app.clone(), Method::GET, path, None).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.starts_with("/login?return_to="), "{location}");
        assert!(return_to.is_none_or(|path| location.ends_with(path)), "{location}");
    }
    let request = Request::post("/oauth/device").header(CONTENT_TYPE, FORM);
    let body = axum::body::Body::from(format!("client_id={EDITOR}"));
    let answer = app.oneshot(request.body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let started: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(started["verification_uri"], "https://gateway.example/link");
}

#[tokio::test]
async fn a_guarded_endpoint_without_its_layer_is_500_and_names_the_layer() {
    let (_db, bridge) = bridge().await;
    let token = access(&bridge, "alice", "chat").await.token;
    let (_other_db, other) = self::bridge().await;
    let foreign = access(&other, "alice", "chat").await.token;
    let says = |answer: &Response<Bytes>, text: &str| {
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        answer.status() == StatusCode::INTERNAL_SERVER_ERROR && body.contains(text)
    };
    let is_missing = |answer: &Response<Bytes>| says(answer, "BridgeAuthLayer did not run");
    let is_of_another =
        |answer: &Response<Bytes>| says(answer, "The BridgeAuthLayer that ran belongs to another Bridge");
    let (list, post) = (Method::GET, Method::POST);
    for token in [None, Some(token.expose())] {
        assert!(is_missing(&ask(bridge.sessions_service(), list.clone(), "/", token).await));
        assert!(is_missing(&ask(bridge.logout_service(), post.clone(), "/", token).await));
        assert!(is_missing(&ask(bridge.oauth_client_service(), post.clone(), "/", token).await));
    }
    let of_another = other.layer("bridge").unwrap();
    let token = Some(foreign.expose());
    assert!(is_of_another(&ask(of_another.layer(bridge.logout_service()), post.clone(), "/", token).await));
    assert!(is_of_another(&ask(of_another.layer(bridge.sessions_service()), list, "/", token).await));
    assert!(is_of_another(&ask(of_another.layer(bridge.oauth_client_service()), post, "/", token).await));
}

#[tokio::test]
async fn a_guarded_endpoint_works_behind_the_layer_however_it_is_mounted() {
    let (_db, bridge) = bridge().await;
    let layer = bridge.layer("bridge").unwrap();
    let (one, two) = (access(&bridge, "alice", "chat").await, access(&bridge, "alice", "chat").await);
    let token = Some(one.token.expose());
    let alone = layer.layer(bridge.sessions_service());
    for uri in ["/", "/v1/auth/bridge/sessions"] {
        assert_eq!(ask(alone.clone(), Method::GET, uri, token).await.status(), StatusCode::OK, "{uri}");
    }
    for uri in [format!("/{}", two.session), format!("/v1/auth/bridge/sessions/{}", two.session)] {
        assert_eq!(
            ask(alone.clone(), Method::DELETE, &uri, token).await.status(),
            StatusCode::NO_CONTENT,
            "{uri}"
        );
    }
    assert_eq!(ask(alone, Method::GET, "/a/b", token).await.status(), StatusCode::NOT_FOUND);
    let optional = layer.clone().optional().layer(bridge.logout_service());
    let nobody = ask(optional, Method::POST, "/", None).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.headers()["www-authenticate"], "Bearer");
    let provisioned = ask(layer.layer(bridge.oauth_client_service()), Method::POST, "/", token).await;
    assert_eq!(provisioned.status(), StatusCode::OK);
    let logged_out = ask(layer.layer(bridge.logout_service()), Method::POST, "/", token).await;
    assert_eq!(logged_out.status(), StatusCode::NO_CONTENT);
    let after = ask(bridge.service(), Method::GET, "/sessions", token).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_layer_of_the_host_around_the_combined_service_does_no_harm() {
    let (_db, bridge) = bridge().await;
    let token = access(&bridge, "alice", "chat").await.token;
    for layer in [bridge.layer("bridge").unwrap(), bridge.layer("mcp").unwrap().optional()] {
        let service = layer.layer(bridge.service());
        let listed = ask(service.clone(), Method::GET, "/sessions", Some(token.expose())).await;
        assert_eq!(listed.status(), StatusCode::OK);
        assert_eq!(ask(service, Method::GET, "/sessions", None).await.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn an_optional_layer_around_the_token_endpoint_leaves_a_client_its_proof_and_no_handler_sees_it() {
    let (_db, bridge) = bridge().await;
    let token = access(&bridge, "alice", "chat").await.token;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, token.to_header_value())]);
    let caller = bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
    let client = bridge.issuer().provision_client(&caller).await.unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", client.id, client.secret.expose())));
    let optional = || bridge.layer("bridge").unwrap().optional();
    let handler = |headers: HeaderMap| async move { headers.contains_key(AUTHORIZATION).to_string() };
    let app = Router::new()
        .route("/handler", post(handler))
        .nest_service("/v1/auth/bridge", optional().layer(bridge.service()))
        .layer(optional());
    let send = async |path: &str| {
        let request = Request::post(path)
            .header(AUTHORIZATION, &basic)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(axum::body::Body::from("grant_type=client_credentials"));
        let (parts, body) = app.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
        (parts.status, body.collect().await.unwrap().to_bytes())
    };
    let (status, body) = send("/v1/auth/bridge/token").await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    assert_eq!(send("/handler").await.1, "false");
}
