//! Exchanged tokens, as documented.

use bridge_auth::Scopes;
use bridge_auth::issue::AccessRequest;
use bridge_auth::token::Actor;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::book::Book;
use super::bridge_operation;
use crate::oauth::given::{post, server};
use crate::oauth::token_exchange::{ACCESS, GRANT};
use crate::support::bridge::user;
use crate::support::gateway::Gateway;

/// The bridge exchanges a token that it alone may exchange, and then the new one.
pub async fn tokens(gateway: &Gateway, book: &mut Book) {
    gateway.link("ivy").await;
    let request = AccessRequest::for_user(user("ivy"), Scopes::parse("chat").unwrap());
    let request = request.may_act(Actor::new("sp_bridge", None).unwrap());
    let access = gateway.bridge.issuer().open_access(request).await.unwrap();
    let mut subject = access.token.expose().to_owned();
    for _ in 0..2 {
        let fields = [
            ("grant_type", GRANT),
            ("client_id", "sp_bridge"),
            ("subject_token", &subject),
            ("subject_token_type", ACCESS),
            ("audience", "mcp"),
        ];
        let answer =
            book.call(&bridge_operation("post", "/token"), 200, post(gateway, "/token", &fields)).await;
        subject = answer.text("access_token");
    }
    let look_at =
        post(gateway, "/introspect", &[("token", &subject)]).header(AUTHORIZATION, server().basic());
    let seen = book.call(&bridge_operation("post", "/introspect"), 200, look_at).await.json();
    let bridge = json!({ "sub": "sp_bridge" });
    assert_eq!((&seen["act"]["act"], &seen["may_act"]), (&bridge, &bridge));
}
