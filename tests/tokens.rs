//! Tokens whose signature holds and whose words do not fit the session: the row has the last word.

use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::SessionId;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::bridge::builder_with;
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_token_opens_nothing_but_the_session_of_its_own_user_and_client,
    no_session_id_is_free_again_while_a_token_can_name_it,
];

/// Who has stolen the signing key, and can sign what they like.
struct Insider {
    pair: Ed25519KeyPair,
    key_id: String,
}

impl Insider {
    fn new() -> (Self, KeyRing) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der));
        let key = SigningKey::from_pem(Algorithm::EdDsa, &pem).unwrap();
        let key_id = key.key_id().to_owned();
        (Self { pair, key_id }, KeyRing::new(key).unwrap())
    }

    /// `token` with other claims, and a signature that holds.
    fn forge(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let payload = token.split('.').nth(1).unwrap();
        let mut claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        change(&mut claims);
        let header = json!({ "alg": "EdDSA", "kid": self.key_id, "typ": "at+jwt" });
        let [header, payload] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

async fn gateway(db: &impl Backend) -> (Insider, Gateway) {
    let (insider, keys) = Insider::new();
    (insider, Gateway::over(builder_with(db, keys).await.build().unwrap()).await)
}

fn claim(token: &str, name: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()[name].clone()
}

async fn call(gateway: &Gateway, token: &str) -> Answer {
    gateway.call(Method::GET, "/v1/echo", token).await
}

async fn a_token_opens_nothing_but_the_session_of_its_own_user_and_client(db: impl Backend) {
    let (insider, gateway) = gateway(&db).await;
    let [alices, bobs] = [gateway.link("alice").await, gateway.link("bob").await];
    let bobs_session = claim(&bobs, "sid");
    assert_eq!(call(&gateway, &insider.forge(&alices, |_| {})).await.status, StatusCode::OK);

    let refused = call(&gateway, "a.b.c").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let forgeries = [
        ("another's session", insider.forge(&alices, |claims| claims["sid"] = bobs_session.clone())),
        ("another user", insider.forge(&alices, |claims| claims["sub"] = "bob".into())),
        ("a user nobody knows", insider.forge(&alices, |claims| claims["sub"] = "nobody".into())),
        ("a user in another case", insider.forge(&alices, |claims| claims["sub"] = "Alice".into())),
        ("another client", insider.forge(&alices, |claims| claims["client_id"] = "bridge:alice".into())),
        ("a client for a user", insider.forge(&alices, |claims| claims["sub"] = "sp_bridge".into())),
        ("no session", insider.forge(&alices, |claims| claims["sid"] = SessionId::random().as_str().into())),
        ("SQL", insider.forge(&alices, |claims| claims["sid"] = "' OR true --".into())),
        ("NUL", insider.forge(&alices, |claims| claims["sid"] = "\0".into())),
        ("another gateway", insider.forge(&alices, |claims| claims["iss"] = "https://b.example".into())),
        ("another audience", insider.forge(&alices, |claims| claims["aud"] = "mcp".into())),
    ];
    for (what, forged) in forgeries {
        assert_eq!(call(&gateway, &forged).await, refused, "{what}");
    }
    let hook = |owner: &str| {
        insider.forge(&alices, |claims| {
            claims["sub"] = claims["client_id"].clone();
            claims["owner"] = owner.into();
        })
    };
    assert_eq!(call(&gateway, &hook("bob")).await, refused, "a hook client of another owner");
}

async fn no_session_id_is_free_again_while_a_token_can_name_it(db: impl Backend) {
    const LIFE: Duration = Duration::from_secs(600);
    let (_, keys) = Insider::new();
    let builder = builder_with(&db, keys).await.session_life(LIFE).token_life(LIFE * 6);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let link = async || {
        let code = gateway.code("alice").await;
        send(gateway.post("/session", &json!({ "code": code })).header("x-session-id", "mine")).await
    };
    let token = link().await.text("token");
    let lives = claim(&token, "exp").as_u64().unwrap() - claim(&token, "iat").as_u64().unwrap();
    assert!(lives <= LIFE.as_secs(), "no token outlives its session");
    gateway.bridge.admin().revoke_session(&SessionId::parse("mine").unwrap()).await.unwrap();

    let hour = Duration::from_secs(3600);
    for (passed, status) in [(LIFE + hour / 2, StatusCode::CONFLICT), (hour, StatusCode::OK)] {
        db.pass_time(passed).await;
        gateway.bridge.admin().sweep(|_| {}).await.unwrap();
        assert_eq!(call(&gateway, &token).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(link().await.status, status);
    }
}

#[tokio::test]
async fn what_a_token_alone_condemns_is_refused_without_the_store() {
    let db = SqliteBackend::start().await;
    let (insider, gateway) = gateway(&db).await;
    let token = gateway.link("alice").await;
    db.break_down();
    assert_eq!(call(&gateway, &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let now = SystemClock.now().as_secs();
    for forged in [
        insider.forge(&token, |claims| claims["exp"] = now.into()),
        insider.forge(&token, |claims| claims["nbf"] = (now + 120).into()),
        insider.forge(&token, |claims| claims["aud"] = json!(["mcp"])),
        insider.forge(&token, |claims| claims["iss"] = "https://b.example".into()),
        insider.forge(&token, |claims| claims["sid"] = "a b".into()),
        format!("{}A", token),
    ] {
        assert_eq!(call(&gateway, &forged).await.status, StatusCode::UNAUTHORIZED);
    }
}
