//! What an identity provider says about its people: events, requests and logout tokens, over sockets.

mod events;
mod floods;
mod global;
mod hostile;
mod logout;
mod nodes;
mod subjects;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, GlobalTokenRevocation, HttpJwks, PeopleMapper,
    SecurityEvents,
};
use bridge_auth::store::{StoreError, StoreErrorKind};
use bridge_auth::{Bridge, BridgeBuilder, SessionId, UserId};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::Ahead;
use super::server::AuthorizationServer;
use crate::support::Backend;
use crate::support::bridge::{ISSUER, builder};
use crate::support::gateway::{Answer, Gateway, send};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The client id of the gateway at the identity provider.
const CLIENT: &str = "client-of-the-gateway";
const GLOBAL: &str = "https://gateway.example/idp/global-token-revocation";
const EVENT_TYPE: &str = "secevent+jwt";
const LOGOUT_TYPE: &str = "logout+jwt";
const GLOBAL_TYPE: &str = "global-token-revocation+jwt";

/// Who the people of the identity provider are: `idp|alice` is `alice`.
#[derive(Clone, Default)]
struct People {
    sessions: Arc<Mutex<HashMap<String, SessionId>>>,
    is_down: Arc<Mutex<bool>>,
}

#[async_trait]
impl PeopleMapper for People {
    async fn person(&self, who: &ExternalSubject) -> Result<Option<UserId>, StoreError> {
        if *self.is_down.lock().unwrap() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the directory is down"));
        }
        let name = match who {
            ExternalSubject { subject: Some(subject), .. } => subject.strip_prefix("idp|"),
            ExternalSubject { email: Some(email), .. } => email.strip_suffix("@example.com"),
            ExternalSubject { opaque: Some(id), .. } => id.strip_prefix("opaque-"),
            _ => None,
        };
        Ok(name.and_then(|name| UserId::parse(name).ok()))
    }

    async fn session(&self, who: &ExternalSubject) -> Result<Option<SessionId>, StoreError> {
        let known = self.sessions.lock().unwrap();
        Ok(who.session.as_ref().and_then(|session| known.get(session).cloned()))
    }
}

/// An identity provider, and a gateway that takes what it says.
struct World<B> {
    idp: AuthorizationServer,
    gateway: Gateway,
    clock: Ahead,
    people: People,
    _db: B,
}

/// The identity provider, as one whose revocations are all taken.
fn trusted(idp: &AuthorizationServer, people: &People) -> ExternalIssuer {
    let source = HttpJwks::new(idp.jwks_url()).unwrap();
    ExternalIssuer::new(idp.issuer(), source, ExternalSessions::None)
        .keys_deadline(Duration::from_secs(20))
        .people(people.clone())
        .security_events(SecurityEvents::new(ISSUER))
        .global_token_revocation(GlobalTokenRevocation::new(GLOBAL))
        .backchannel_logout(CLIENT)
}

impl<B: Backend> World<B> {
    async fn start(db: B) -> Self {
        Self::with(db, |issuer| issuer, |builder| builder).await
    }

    async fn with(
        db: B,
        issuer: impl FnOnce(ExternalIssuer) -> ExternalIssuer,
        change: impl FnOnce(BridgeBuilder) -> BridgeBuilder,
    ) -> Self {
        let (clock, people) = (Ahead::default(), People::default());
        let idp = AuthorizationServer::start(clock.clone()).await;
        let builder = builder(&db).await.clock(clock.clone()).trust(issuer(trusted(&idp, &people)));
        let gateway = serve(change(builder).build().unwrap()).await;
        Self { idp, gateway, clock, people, _db: db }
    }

    fn now(&self) -> u64 {
        self.idp.claims()["iat"].as_u64().unwrap()
    }

    /// The claims of a good event about `who`.
    fn event(&self, event: &str, who: &Value) -> Value {
        json!({
            "iss": self.idp.issuer(), "aud": ISSUER, "jti": id(), "iat": self.now(), "sub_id": who,
            "events": { event: { "event_timestamp": self.now(), "reason_admin": { "en": "offboarded" } } },
        })
    }

    /// How the identity provider names `person`.
    fn iss_sub(&self, person: &str) -> Value {
        json!({ "format": "iss_sub", "iss": self.idp.issuer(), "sub": format!("idp|{person}") })
    }

    /// The claims of a good logout token of `person`.
    fn logout(&self, person: &str) -> Value {
        json!({
            "iss": self.idp.issuer(), "aud": CLIENT, "jti": id(), "iat": self.now(), "exp": self.now() + 120,
            "sub": format!("idp|{person}"), "events": { LOGOUT: {} },
        })
    }

    /// The claims of a good JWT of a request for a global revocation.
    fn caller(&self) -> Value {
        json!({
            "iss": self.idp.issuer(), "aud": GLOBAL, "jti": id(), "iat": self.now(), "nbf": self.now() - 300,
            "exp": self.now() + 300, "sub": "the-integration",
        })
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.idp.key.id, "typ": typ });
        self.idp.key.sign_under(&header, claims)
    }

    /// The provider pushes an event of this type about `person`.
    async fn tell(&self, event: &str, person: &str) -> Answer {
        self.push(&self.event(event, &self.iss_sub(person))).await
    }

    async fn push(&self, claims: &Value) -> Answer {
        push(&self.gateway, &self.sign(EVENT_TYPE, claims)).await
    }

    async fn log_out(&self, claims: &Value) -> Answer {
        log_out(&self.gateway, &self.sign(LOGOUT_TYPE, claims)).await
    }

    async fn revoke(&self, caller: &Value, identifier: &Value) -> Answer {
        revoke(&self.gateway, &self.sign(GLOBAL_TYPE, caller), &json!({ "sub_id": identifier })).await
    }
}

/// A gateway whose endpoints for identity providers are at `/idp`.
async fn serve(bridge: Bridge) -> Gateway {
    let more = Router::new().nest_service("/idp", bridge.revocations_service());
    Gateway::with_routes(bridge, more).await
}

async fn push(gateway: &Gateway, set: &str) -> Answer {
    push_with(gateway, set, HeaderMap::new()).await
}

async fn push_with(gateway: &Gateway, set: &str, headers: HeaderMap) -> Answer {
    let request = gateway.request(Method::POST, "/idp/events").headers(headers);
    send(request.header(CONTENT_TYPE, "application/secevent+jwt").body(set.to_owned())).await
}

async fn log_out(gateway: &Gateway, token: &str) -> Answer {
    let request = gateway.request(Method::POST, "/idp/backchannel-logout");
    send(request.form(&[("logout_token", token)])).await
}

async fn revoke(gateway: &Gateway, jwt: &str, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, "/idp/global-token-revocation");
    let request = request.header(AUTHORIZATION, format!("Bearer {jwt}"));
    send(request.header(CONTENT_TYPE, "application/json").body(body.to_string())).await
}

/// An id that no other message has.
fn id() -> String {
    SessionId::random().to_string()
}

/// Whether it says that the event was taken (RFC 8935 §2.2).
fn is_taken(answer: &Answer) -> bool {
    answer.status == 202 && answer.body.is_empty() && answer.is_not_stored()
}

/// Whether it is the error `code` of RFC 8935 §2.4.
fn is_event_error(answer: &Answer, code: &str) -> bool {
    answer.status == 400
        && answer.header("content-type") == "application/json"
        && answer.header("content-language") == "en"
        && answer.is_not_stored()
        && answer.json()["err"] == code
        && !answer.text("description").is_empty()
}
