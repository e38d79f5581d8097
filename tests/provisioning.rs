//! Hook clients that bring a public key (RFC 7591 names, RFC 7523 keys).

use bridge_auth::id::ClientId;
use bridge_auth::store::KeyQuery;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey, VerifyingKey};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Backend;
use crate::support::gateway::{Answer, Gateway, PREFIX, send};

crate::store::promises![
    row_26_a_bridge_may_bring_a_public_key_in_place_of_a_secret,
    row_128_bad_metadata_is_invalid_client_metadata_and_stores_nothing,
    a_private_key_is_refused_as_disclosed,
    row_127_129_without_a_key_there_is_a_secret_as_ever_and_nothing_is_promised_besides,
];

/// The public JWK of a new key.
fn public_jwk(algorithm: Algorithm) -> Value {
    let ring = KeyRing::new(SigningKey::generate(algorithm).unwrap()).unwrap();
    let jwks: Value = serde_json::from_str(&ring.jwks()).unwrap();
    jwks["keys"][0].clone()
}

fn with_key(key: &Value) -> Value {
    json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key] } })
}

async fn provision(gateway: &Gateway, token: &str, metadata: &Value) -> Answer {
    send(gateway.post("/oauth-client", metadata).bearer_auth(token)).await
}

async fn row_26_a_bridge_may_bring_a_public_key_in_place_of_a_secret(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let store = db.open().await;
    let client = ClientId::parse("bridge:alice").unwrap();
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Ps256] {
        let token = gateway.link("alice").await;
        let key = public_jwk(algorithm);
        let mut offered = key.clone();
        offered["x5u"] = json!("http://127.0.0.1:1/");
        let provisioned = provision(&gateway, &token, &with_key(&offered)).await;
        assert_eq!(provisioned.status, StatusCode::OK, "{provisioned:?}");
        assert!(provisioned.is_not_stored());
        assert_eq!(
            provisioned.json(),
            json!({
                "client_id": "bridge:alice",
                "scopes": ["hook:govern", "hook:track"],
                "token_endpoint": "https://gateway.example/token",
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": { "keys": [key] },
            })
        );
        let query = KeyQuery::new(algorithm.name());
        let [stored] = &store.client_keys(&client, &query).await.unwrap()[..] else { panic!("one key") };
        assert_eq!(serde_json::from_str::<Value>(&stored.jwk).unwrap(), key, "its public members alone");
        assert_eq!(VerifyingKey::from_jwk(&stored.jwk).unwrap().key_id(), key["kid"]);
        use base64::Engine as _;
        let thumbprint =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(stored.thumbprint.as_bytes());
        assert_eq!(thumbprint, key["kid"], "RFC 7638");
    }
}

async fn row_128_bad_metadata_is_invalid_client_metadata_and_stores_nothing(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    let key = public_jwk(Algorithm::EdDsa);
    let changed = |member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        with_key(&key)
    };
    let mut rsa = public_jwk(Algorithm::Rs256);
    rsa.as_object_mut().unwrap().remove("alg");
    let weak = json!({ "kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "t".repeat(171) });
    let bad = [
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key, key] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": key } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": [key] }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": "keys" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://127.0.0.1:1/" }),
        json!({ "token_endpoint_auth_method": "client_secret_basic", "jwks": { "keys": [key] } }),
        json!({ "jwks": { "keys": [key] } }),
        json!({ "token_endpoint_auth_method": "none" }),
        json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
        json!({ "token_endpoint_auth_method": 1 }),
        changed("d", json!("AAAA")),
        changed("kty", json!("oct")),
        changed("k", json!("AAAA")),
        changed("crv", json!("Ed448")),
        changed("use", json!("enc")),
        changed("key_ops", json!(["sign"])),
        changed("alg", json!("HS256")),
        changed("alg", json!("none")),
        changed("x", json!("A".repeat(43))),
        changed("x", json!("AQ")),
        changed("x", json!(1)),
        changed("kid", json!("k".repeat(129))),
        with_key(&rsa),
        with_key(&weak),
        with_key(&json!("a key")),
        with_key(&Value::Null),
    ];
    for metadata in &bad {
        let refused = provision(&gateway, &token, metadata).await;
        assert!(refused.is_problem(400, "invalid_client_metadata"), "{metadata} {refused:?}");
    }
    let malformed = send(
        gateway
            .request(Method::POST, &format!("{PREFIX}/oauth-client"))
            .header(CONTENT_TYPE, "application/json")
            .bearer_auth(&token)
            .body("[]"),
    );
    assert!(malformed.await.is_problem(400, "invalid_request"));
    assert_eq!((db.count("clients").await, db.count("client_secrets").await), (0, 0));
}

async fn a_private_key_is_refused_as_disclosed(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    let mut private = public_jwk(Algorithm::EdDsa);
    private["d"] = json!("c2VjcmV0");
    let refused = provision(&gateway, &token, &with_key(&private)).await;
    assert!(refused.is_problem(400, "invalid_client_metadata"), "{refused:?}");
    let detail = refused.text("detail");
    assert!(detail.contains("private") && detail.contains("disclosed"), "{detail}");
    assert!(detail.contains("public half"), "{detail}");
    assert!(!format!("{refused:?}").contains("c2VjcmV0"));
    // Nor does it matter how it was sent, or how badly it is written.
    let public = public_jwk(Algorithm::EdDsa);
    let mut padded = private.clone();
    padded["d"] = json!("c2VjcmV0=");
    for metadata in [
        with_key(&padded),
        json!({ "jwks": { "keys": [private] } }),
        json!({ "token_endpoint_auth_method": "client_secret_basic", "jwks": { "keys": [private] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [public, private] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": private }),
    ] {
        let refused = provision(&gateway, &token, &metadata).await;
        assert!(refused.is_problem(400, "invalid_client_metadata"), "{metadata} {refused:?}");
        assert!(refused.text("detail").contains("disclosed"), "{metadata} {refused:?}");
        assert!(!format!("{refused:?}").contains("c2VjcmV0"));
    }
    let general = provision(&gateway, &token, &with_key(&Value::Null)).await;
    assert!(!general.text("detail").contains("disclosed"));
    assert_eq!((db.count("clients").await, db.count("client_secrets").await), (0, 0));
}

async fn row_127_129_without_a_key_there_is_a_secret_as_ever_and_nothing_is_promised_besides(
    db: impl Backend,
) {
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    let url = format!("{PREFIX}/oauth-client");
    let members = |answer: Answer| {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.text("client_secret").len(), 43);
        let ends_at = answer.json()["client_secret_expires_at"].to_string();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        text.replace(&answer.text("client_secret"), "SECRET").replace(&ends_at, "ENDS_AT")
    };
    let body = r#"{"client_id":"bridge:alice","client_secret":"SECRET","scopes":["hook:govern","hook:track"],"token_endpoint":"https://gateway.example/token","client_secret_expires_at":ENDS_AT}"#;
    assert_eq!(members(gateway.call(Method::POST, &url, &token).await), body);
    // `curl -d ''` calls nothing a form.
    let form = gateway.request(Method::POST, &url).bearer_auth(&token);
    let form = form.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body("");
    assert_eq!(members(send(form).await), body);
    for metadata in [
        json!({}),
        json!({ "token_endpoint_auth_method": "client_secret_basic", "client_name": "hooks" }),
        json!({ "token_endpoint_auth_method": "client_secret_post" }),
    ] {
        assert_eq!(members(provision(&gateway, &token, &metadata).await), body);
    }
}
