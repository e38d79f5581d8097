//! Token exchange over HTTP: RFC 8693, CHECKLIST 1.M rows M5 to M7, A73 and A128.

mod actors;
mod chain;
mod clients;
mod ends;
mod log;
mod narrower;
mod offboarding;
mod parameters;
mod sequences;

use bridge_auth::issue::{AccessRequest, RegisteredClient, TokenExchange};
use bridge_auth::token::Actor;
use bridge_auth::{BridgeBuilder, Scopes, SignedIn};

use super::given::{Fields, Hook, oauth_builder, post};
use crate::support::Backend;
use crate::support::bridge::user;
use crate::support::gateway::{Answer, Gateway, send};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const SECRET: &str = "c2VjcmV0IG9mIGFuIGFnZW50LCAzMiByYW5kb20gYnl0ZXM";

/// A builder with token exchange on, and the clients of the tests.
async fn exchanging(db: &impl Backend) -> BridgeBuilder {
    exchangeable(oauth_builder(db).await)
}

fn exchangeable(builder: BridgeBuilder) -> BridgeBuilder {
    let named = |id: &str| RegisteredClient::new(id, id);
    let agents = ["planner", "coder", "tester", "reader", "fifth"];
    let builder = agents.into_iter().fold(builder.token_exchange(TokenExchange::new()), |builder, id| {
        builder.client(named(id).secret(SECRET).exchanges_tokens(true))
    });
    builder
        .client(named("mimic").secret(SECRET).exchanges_tokens(true).impersonates(true))
        .client(named("plain").secret(SECRET))
        .client(named("app"))
}

async fn gateway(db: &impl Backend) -> Gateway {
    Gateway::over(exchanging(db).await.build().unwrap()).await
}

/// The confidential client `id`.
fn agent(id: &str) -> Hook {
    Hook { id: id.to_owned(), secret: SECRET.to_owned() }
}

/// The fields of an exchange of `token`.
fn fields<'f>(token: &'f str, more: Fields<'f>) -> Vec<(&'f str, &'f str)> {
    let exchange = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", ACCESS)];
    [&exchange, more].concat()
}

/// `client` exchanges `token`.
async fn exchange(gateway: &Gateway, client: &Hook, token: &str, more: Fields<'_>) -> Answer {
    client.send(gateway, "/token", &fields(token, more)).await
}

/// The same; the new token.
async fn exchanged(gateway: &Gateway, client: &Hook, token: &str, more: Fields<'_>) -> String {
    let answer = exchange(gateway, client, token, more).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("access_token")
}

/// The bridge itself, a public client, exchanges `token`.
async fn by_bridge(gateway: &Gateway, token: &str, more: Fields<'_>) -> Answer {
    by_public(gateway, "sp_bridge", token, more).await
}

async fn by_public(gateway: &Gateway, client: &str, token: &str, more: Fields<'_>) -> Answer {
    send(post(gateway, "/token", &fields(token, &[&[("client_id", client)], more].concat()))).await
}

/// A token of `person` that only `party` may exchange.
async fn for_party(gateway: &Gateway, person: &str, party: Actor) -> String {
    let scopes = Scopes::parse("chat tools").unwrap();
    let issuer = gateway.bridge.issuer();
    issuer.register_user(&SignedIn::new(user(person), scopes.clone())).await.unwrap();
    let request = AccessRequest::for_user(user(person), scopes).may_act(party);
    issuer.open_access(request).await.unwrap().token.expose().to_owned()
}
