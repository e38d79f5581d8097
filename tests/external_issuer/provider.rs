//! An identity provider, and a gateway that takes its assertions at the token endpoint: what their tests share.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use bridge_auth::audience::ProtectedResource;
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions,
};
use bridge_auth::issue::RegisteredClient;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{Bridge, BridgeBuilder};
use bridge_auth::{Scopes, SignedIn, UserId};
use http::Method;
use serde_json::{Value, json};

use super::server::AuthorizationServer;
use super::{Ahead, gateway};
use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

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
    pub(super) backend: SqliteBackend,
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
        Self::limited(RateLimits::off(), change).await
    }

    pub(super) async fn limited(
        limits: RateLimits,
        change: impl FnOnce(ExternalIssuer) -> ExternalIssuer,
    ) -> Self {
        let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
        let server = AuthorizationServer::start(clock.clone()).await;
        let builder = clients(gateway(&backend, &clock).await)
            .rate_limits(limits)
            .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
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

/// The claims of a token, not verified.
pub(super) fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}
