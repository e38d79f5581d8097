//! Identity assertions at the token endpoint (RFC 7523, draft-ietf-oauth-identity-assertion-authz-grant), over sockets.

use std::time::Duration;

use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions,
};
use bridge_auth::{Bridge, BridgeBuilder};
use bridge_auth::{ProtectedResource, RateLimits, RegisteredClient, Scopes, SignedIn, UserId};
use http::Method;
use serde_json::{Value, json};

use super::server::AuthorizationServer;
use super::{Ahead, gateway};
use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, ListedByAdmin, SqliteBackend};

pub(super) const AGENT: &str = "agent";
pub(super) const SECRET: &str = "the-agents-own-secret-of-32-or-more";
pub(super) const MCP: &str = "https://gateway.example/mcp";
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(super) const TYPE: &str = "oauth-id-jag+jwt";

/// An identity provider, and a gateway that takes its assertions.
pub(super) struct World {
    pub(super) server: AuthorizationServer,
    pub(super) gateway: Gateway,
    pub(super) clock: Ahead,
    backend: SqliteBackend,
}

/// People by their subject, and by an address that is verified.
pub(super) fn person(who: &ExternalSubject) -> Option<UserId> {
    let name = match (who.subject.as_deref()?, who.email.as_deref()) {
        (subject, _) if subject.starts_with("idp|") => subject.strip_prefix("idp|")?,
        (_, Some(email)) => email.strip_suffix("@example.com")?,
        _ => return None,
    };
    UserId::parse(name).ok()
}

pub(super) fn provider(server: &AuthorizationServer) -> ExternalIssuer {
    let source = HttpJwks::new(server.jwks_url()).unwrap();
    ExternalIssuer::new(server.issuer(), source, ExternalSessions::None)
        .people(person)
        .keys_deadline(Duration::from_secs(20))
}

pub(super) fn clients(builder: BridgeBuilder) -> BridgeBuilder {
    builder
        .client(RegisteredClient::new(AGENT, "Agent").secret(SECRET))
        .client(RegisteredClient::new("other", "Another").secret(SECRET))
        .client(RegisteredClient::new("public", "A public one"))
        .protected_resource(ProtectedResource::new(MCP).scopes("chat tools"))
        .other_audiences(["https://gateway.example/files"])
        .rate_limits(RateLimits::off())
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with(|issuer| issuer.identity_assertions(IdentityAssertions::new())).await
    }

    pub(super) async fn with(change: impl FnOnce(ExternalIssuer) -> ExternalIssuer) -> Self {
        let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
        let server = AuthorizationServer::start(clock.clone()).await;
        let builder = clients(gateway(&backend, &clock).await);
        let bridge = builder.trust(change(provider(&server))).build().unwrap();
        let gateway = Gateway::over(bridge).await;
        know(&gateway.bridge, "alice").await;
        Self { server, gateway, clock, backend }
    }

    /// The claims of a good assertion about Alice.
    pub(super) fn claims(&self) -> Value {
        assertion_claims(&self.server, "idp|alice")
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        sign(&self.server, claims)
    }

    /// A good assertion but for one claim. `null` leaves it out.
    pub(super) fn assertion_with(&self, name: &str, value: Value) -> String {
        self.sign(&with(self.claims(), name, value))
    }

    /// The agent presents `assertion`.
    pub(super) async fn present(&self, assertion: &str) -> Answer {
        present(&self.gateway, assertion, &[]).await
    }
}

pub(super) async fn know(bridge: &Bridge, name: &str) {
    let scopes = Scopes::parse("chat tools files").unwrap();
    bridge.issuer().register_user(&SignedIn::new(user(name), scopes)).await.unwrap();
}

pub(super) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

pub(super) fn assertion_claims(server: &AuthorizationServer, subject: &str) -> Value {
    let iat = server.claims()["iat"].as_u64().unwrap();
    let jti = format!("{:?}", std::time::Instant::now()).replace(' ', "");
    json!({
        "iss": server.issuer(), "sub": subject, "aud": ISSUER, "client_id": AGENT, "jti": jti, "iat": iat,
        "exp": iat + 300, "resource": MCP, "scope": "chat",
    })
}

pub(super) fn sign(server: &AuthorizationServer, claims: &Value) -> String {
    server.key.sign_under(&with(server.key.header(), "typ", json!(TYPE)), claims)
}

/// The agent presents `assertion` with these parameters too.
pub(super) async fn present(gateway: &Gateway, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", GRANT), ("assertion", assertion)];
    let request = gateway.request(Method::POST, &format!("{PREFIX}/token")).basic_auth(AGENT, Some(SECRET));
    send(request.form(&[&form, more].concat())).await
}

/// Whether the answer is that of every assertion that is refused.
pub(super) fn is_refused(answer: &Answer) -> bool {
    answer.is_oauth_error(400, "invalid_grant") && answer.is_not_stored()
}

#[tokio::test]
async fn an_assertion_opens_a_session_of_the_person_with_the_scope_and_resource_that_it_names() {
    let world = World::start().await;
    let answer = world.present(&world.sign(&world.claims())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.is_not_stored());
    let granted = answer.json();
    assert_eq!((&granted["token_type"], &granted["scope"]), (&json!("Bearer"), &json!("chat")));
    let token = answer.text("access_token");
    let claims = claims_of(&token);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("alice"), &json!(AGENT)));
    assert_eq!(claims["aud"], json!([MCP]));
    let sessions = world.gateway.bridge.admin().sessions_of(&user("alice")).await.unwrap();
    let [session] = sessions.as_slice() else { panic!("one session: {sessions:?}") };
    assert_eq!(session.client.as_str(), AGENT);
    assert_eq!(session.origin.issuer.as_deref(), Some(world.server.issuer().as_str()));
}

#[tokio::test]
async fn whoever_is_disabled_is_refused_with_the_token_and_with_the_next_assertion() {
    let world = World::start().await;
    let guard = world.gateway.bridge.authenticator(MCP).unwrap();
    let token = world.present(&world.sign(&world.claims())).await.text("access_token");
    let headers = http::HeaderMap::from_iter([(
        http::header::AUTHORIZATION,
        format!("Bearer {token}").parse().unwrap(),
    )]);
    assert_eq!(guard.authenticate(&headers).await.unwrap().user_id(), &user("alice"));
    world.gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    assert!(guard.authenticate(&headers).await.is_err());
    assert!(is_refused(&world.present(&world.sign(&world.claims())).await));
}

/// The claims of a token, not verified.
pub(super) fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}
