//! What identity providers call, as documented.

use std::sync::LazyLock;

use async_trait::async_trait;
use axum::Router;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, GlobalTokenRevocation, JwksError, JwksSource,
    SecurityEvents,
};
use bridge_auth::{Bridge, SessionId, UserId};
use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::book::Book;
use crate::external_issuer::server::Key;
use crate::oauth::given::FORM;
use crate::support::bridge::ISSUER;
use crate::support::gateway::Gateway;

/// Where the guide mounts them.
const REVOCATIONS: &str = "/v1/auth/revocations";
const IDP: &str = "https://idp.example";
const EVENT: &str = "application/secevent+jwt";
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const PATHS: [&str; 3] = ["/events", "/global-token-revocation", "/backchannel-logout"];

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new("idp"));

#[derive(Debug)]
struct Published;

#[async_trait]
impl JwksSource for Published {
    async fn fetch(&self) -> Result<Bytes, JwksError> {
        Ok(json!({ "keys": [KEY.jwk()] }).to_string().into())
    }
}

/// An identity provider whose revocations are all taken.
pub(super) fn issuer() -> ExternalIssuer {
    ExternalIssuer::new(IDP, Published, ExternalSessions::None)
        .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
        .security_events(SecurityEvents::new(ISSUER))
        .global_token_revocation(GlobalTokenRevocation::new(endpoint()))
        .backchannel_logout("gateway")
        .revocations_per_minute(40)
}

/// The endpoints, where the document has them.
pub(super) fn routes(bridge: &Bridge) -> Router {
    Router::new().nest_service(REVOCATIONS, bridge.revocations_service())
}

fn operation(path: &str) -> String {
    format!("post {REVOCATIONS}{path}")
}

fn endpoint() -> String {
    format!("{ISSUER}{REVOCATIONS}/global-token-revocation")
}

fn sign(typ: &str, audience: &str, more: &Value) -> String {
    let now = SystemClock.now().as_secs();
    let mut claims = json!({
        "iss": IDP, "aud": audience, "jti": SessionId::random(), "iat": now, "exp": now + 120,
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    KEY.sign_under(&json!({ "alg": "EdDSA", "kid": KEY.id, "typ": typ }), &claims)
}

fn alice() -> Value {
    json!({ "format": "iss_sub", "iss": IDP, "sub": "alice" })
}

fn request(gateway: &Gateway, path: &str) -> RequestBuilder {
    gateway.request(Method::POST, &format!("{REVOCATIONS}{path}"))
}

/// A good request to each endpoint.
fn good(gateway: &Gateway, path: &str) -> RequestBuilder {
    match path {
        "/events" => {
            let set = sign("secevent+jwt", ISSUER, &json!({ "sub_id": alice(), "events": { REVOKED: {} } }));
            request(gateway, path).header(CONTENT_TYPE, EVENT).body(set)
        }
        "/global-token-revocation" => caller(gateway).json(&json!({ "sub_id": alice() })),
        _ => {
            let token = sign("logout+jwt", "gateway", &json!({ "sub": "alice", "events": { LOGOUT: {} } }));
            request(gateway, path).form(&[("logout_token", token)])
        }
    }
}

/// A request for a global revocation, without its body.
fn caller(gateway: &Gateway) -> RequestBuilder {
    let jwt = sign("global-token-revocation+jwt", &endpoint(), &json!({ "sub": "us" }));
    request(gateway, "/global-token-revocation").bearer_auth(jwt)
}

fn forged(gateway: &Gateway) -> RequestBuilder {
    let header = json!({ "alg": "EdDSA", "kid": "idp", "typ": "secevent+jwt" });
    let forged = Key::new("idp").sign_under(&header, &json!({ "iss": IDP }));
    request(gateway, "/events").header(CONTENT_TYPE, EVENT).body(forged)
}

pub(super) async fn answers(gateway: &Gateway, book: &mut Book) {
    gateway.link("alice").await;
    for (path, status) in PATHS.into_iter().zip([202, 204, 200]) {
        book.call(&operation(path), status, good(gateway, path)).await;
    }
    let refused = book.call(&operation("/events"), 400, forged(gateway)).await;
    assert_eq!(refused.text("err"), "invalid_key");
    let global = operation("/global-token-revocation");
    book.call(&global, 400, caller(gateway).json(&json!({ "sub_id": 7 }))).await;
    book.call(&global, 401, request(gateway, "/global-token-revocation").json(&json!({}))).await;
    let nobody = json!({ "sub_id": { "format": "opaque", "id": "x" } });
    book.call(&global, 404, caller(gateway).json(&nobody)).await;
    let logout = request(gateway, "/backchannel-logout").form(&[("logout_token", "x")]);
    book.call(&operation("/backchannel-logout"), 400, logout).await;
}

pub(super) async fn bodies(gateway: &Gateway, book: &mut Book) {
    for (path, media_type) in PATHS.into_iter().zip([EVENT, "application/json", FORM]) {
        let name = operation(path);
        let ask = || {
            if path == "/global-token-revocation" { caller(gateway) } else { request(gateway, path) }
        };
        book.call(&name, 413, ask().header(CONTENT_TYPE, media_type).body("x".repeat(17 * 1024))).await;
        book.call(&name, 415, ask().header(CONTENT_TYPE, "text/plain").body("x")).await;
    }
}

pub(super) async fn too_many(gateway: &Gateway, book: &mut Book) {
    const SOURCE: &str = "198.51.100.7";
    book.call_from(SOURCE, &operation("/events"), 400, forged(gateway)).await;
    for path in PATHS {
        book.call_from(SOURCE, &operation(path), 429, good(gateway, path)).await;
    }
}

pub(super) async fn store_down(gateway: &Gateway, book: &mut Book) {
    for path in PATHS {
        book.call(&operation(path), 503, good(gateway, path)).await;
    }
}
