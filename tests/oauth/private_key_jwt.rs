//! Clients that prove themselves with a key: RFC 7523, rfc7523bis; CHECKLIST rows 26, 27, A82.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::id::{ClientId, KeyThumbprint};
use bridge_auth::store::{ClientCredential, ClientKey, KeyQuery, ProvisionClient};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Scopes, SessionId, UserId};
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::given::{Fields, claims, gateway, hook_of, post, with_oauth};
use crate::store::given::{new_session, vouch};
use crate::support::bridge::{ISSUER, builder_over};
use crate::support::counting::Counting;
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    row_26_a_client_with_a_key_gets_introspects_and_revokes_a_token,
    row_26_attack_a82_an_assertion_is_good_once_on_every_node,
    row_26_27_attack_a82_what_is_not_its_own_assertion_for_here_and_now_is_refused,
    an_assertion_that_is_refused_uses_up_no_other,
    a_key_ends_with_the_session_it_was_given_to,
    an_assertion_names_its_key_by_kid_or_thumbprint_or_is_the_newest_twos,
    attack_n3_very_many_keys_cost_an_anonymous_assertion_two_signatures_at_most,
];

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const CLIENT: &str = "bridge:alice";

struct Device {
    key: Ed25519KeyPair,
    /// The token of its bridge.
    token: String,
}

impl Device {
    /// A device of alice's whose key is her hook client's.
    async fn link(gateway: &Gateway) -> Self {
        Self::link_with(gateway, json!({})).await
    }

    /// One whose key has this `kid`.
    async fn link_called(gateway: &Gateway, kid: &str) -> Self {
        Self::link_with(gateway, json!({ "kid": kid })).await
    }

    /// One whose JWK has these members too.
    async fn link_with(gateway: &Gateway, mut jwk: Value) -> Self {
        let token = gateway.link("alice").await;
        let key = Ed25519KeyPair::generate().unwrap();
        let public = key.public_key().as_ref();
        for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("x", &URL_SAFE_NO_PAD.encode(public))] {
            jwk[name] = value.into();
        }
        let metadata = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [jwk] } });
        let answer = send(gateway.post("/oauth-client", &metadata).bearer_auth(&token)).await;
        assert_eq!(
            (answer.status, answer.text("client_id").as_str()),
            (StatusCode::OK, CLIENT),
            "{answer:?}"
        );
        Self { key, token }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn assertion(&self) -> String {
        self.sign(&json!({ "alg": "EdDSA" }), &good_claims())
    }

    fn assertion_called(&self, kid: &str) -> String {
        self.sign(&json!({ "alg": "EdDSA", "kid": kid }), &good_claims())
    }

    /// RFC 7638, §3 and RFC 8037, §2.
    fn thumbprint(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn good_claims() -> Value {
    let id = SessionId::random();
    json!({ "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": now() + 120, "iat": now(), "jti": id })
}

async fn show(gateway: &Gateway, endpoint: &str, assertion: &str, more: Fields<'_>) -> Answer {
    let shown = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    send(post(gateway, endpoint, &[&shown, more].concat())).await
}

async fn ask(gateway: &Gateway, assertion: &str) -> Answer {
    show(gateway, "/token", assertion, &[("grant_type", "client_credentials")]).await
}

async fn row_26_a_client_with_a_key_gets_introspects_and_revokes_a_token(db: impl Backend) {
    let gateway = gateway(&db).await;
    let device = Device::link(&gateway).await;
    let fields = [("grant_type", "client_credentials"), ("client_id", CLIENT), ("scope", "hook:track")];
    let answer = show(&gateway, "/token", &device.assertion(), &fields).await;
    assert_eq!((answer.status, answer.text("scope").as_str()), (StatusCode::OK, "hook:track"), "{answer:?}");
    let token = answer.text("access_token");
    assert!(gateway.admits(&token).await);
    let about = [("token", token.as_str())];
    let known = show(&gateway, "/introspect", &device.assertion(), &about).await;
    assert_eq!(known.json()["active"], true);
    assert_eq!(show(&gateway, "/revoke", &device.assertion(), &about).await.status, StatusCode::OK);
    assert!(!gateway.admits(&token).await);
}

#[tokio::test]
async fn row_26_an_ed25519_key_signs_by_both_names_of_its_algorithm() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for jwk in [json!({}), json!({ "alg": "EdDSA" }), json!({ "alg": "Ed25519" })] {
        let device = Device::link_with(&gateway, jwk).await;
        for (name, status) in [("EdDSA", 200), ("Ed25519", 200), ("ed25519", 401), ("Ed448", 401)] {
            let answer = ask(&gateway, &device.sign(&json!({ "alg": name }), &good_claims())).await;
            assert_eq!(answer.status, status, "{name} {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_audience_as_a_list_of_one_and_times_with_a_fraction_are_taken() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let device = Device::link(&gateway).await;
    for (member, value, status) in [
        ("aud", json!([ISSUER]), 200),
        ("exp", json!(now() as f64 + 120.5), 200),
        ("iat", json!(now() as f64 - 0.5), 200),
        ("nbf", json!(now() as f64 - 0.5), 200),
        ("exp", json!(now() as f64 - 0.5), 401),
    ] {
        let mut claims = good_claims();
        claims[member] = value.clone();
        let answer = ask(&gateway, &device.sign(&json!({ "alg": "EdDSA" }), &claims)).await;
        assert_eq!(answer.status, status, "{member} {value} {answer:?}");
    }
}

async fn row_26_attack_a82_an_assertion_is_good_once_on_every_node(db: impl Backend) {
    let first = gateway(&db).await;
    let second = gateway(&db).await;
    let device = Device::link(&first).await;
    let assertion = device.assertion();
    let racers = (0..8).map(|n| ask(if n % 2 == 0 { &first } else { &second }, &assertion));
    let answers = futures_util::future::join_all(racers).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        assert!(refused.is_oauth_error(401, "invalid_client"), "{refused:?}");
    }
    // A longer text of the same assertion is the same assertion.
    let again = device.sign(&json!({ "alg": "EdDSA", "typ": "JWT" }), &claims(&assertion));
    assert!(ask(&first, &again).await.is_oauth_error(401, "invalid_client"));
    assert_eq!(ask(&first, &device.assertion()).await.status, StatusCode::OK);
}

async fn row_26_27_attack_a82_what_is_not_its_own_assertion_for_here_and_now_is_refused(db: impl Backend) {
    let gateway = gateway(&db).await;
    let device = Device::link(&gateway).await;
    let header = json!({ "alg": "EdDSA" });
    let stranger = Device { key: Ed25519KeyPair::generate().unwrap(), token: String::new() };
    let expected = ask(&gateway, &stranger.assertion()).await;
    assert!(expected.is_oauth_error(401, "invalid_client"), "{expected:?}");
    let mut bad: Vec<String> = [
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!([])),
        ("aud", json!("https://other.example")),
        ("aud", json!(format!("{ISSUER}/v1/auth/bridge/token"))),
        ("exp", json!(now() - 1)),
        ("exp", json!(now() + 3600)),
        ("nbf", json!(now() + 60)),
        ("sub", json!("bridge:bob")),
        ("iss", json!("bridge:bob")),
        ("jti", Value::Null),
    ]
    .into_iter()
    .map(|(member, value)| {
        let mut claims = good_claims();
        claims[member] = value;
        device.sign(&header, &claims)
    })
    .collect();
    let of_bob =
        json!({ "iss": "bridge:bob", "sub": "bridge:bob", "aud": ISSUER, "exp": now() + 60, "jti": "x" });
    bad.push(device.sign(&header, &of_bob));
    let of_bridge =
        json!({ "iss": "sp_bridge", "sub": "sp_bridge", "aud": ISSUER, "exp": now() + 60, "jti": "x" });
    bad.push(device.sign(&header, &of_bridge));
    for head in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "EdDSA", "kid": "' OR 1=1", "crit": ["x"] }),
    ] {
        bad.push(device.sign(&head, &good_claims()));
    }
    bad.extend([
        "a.b.c".to_owned(),
        "x".to_owned(),
        "\u{0}".to_owned(),
        "a".repeat(9000),
        device.token.clone(),
    ]);
    let good = device.assertion();
    bad.push(good[..good.rfind('.').unwrap() + 1].to_owned());
    for assertion in bad {
        assert_eq!(ask(&gateway, &assertion).await, expected, "{assertion:.300}");
    }
    let fields = [("grant_type", "client_credentials"), ("client_id", "bridge:bob")];
    assert_eq!(show(&gateway, "/token", &good, &fields).await, expected);
    let other_type = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
        ("client_assertion", &good),
    ];
    assert_eq!(send(post(&gateway, "/token", &other_type)).await, expected);
    assert_eq!(ask(&gateway, &good).await.status, StatusCode::OK);
}

async fn an_assertion_that_is_refused_uses_up_no_other(db: impl Backend) {
    let gateway = gateway(&db).await;
    let device = Device::link(&gateway).await;
    let assertion = device.assertion();
    let forged = Device { key: Ed25519KeyPair::generate().unwrap(), token: String::new() }
        .sign(&json!({ "alg": "EdDSA" }), &claims(&assertion));
    assert!(ask(&gateway, &forged).await.is_oauth_error(401, "invalid_client"));
    assert_eq!(ask(&gateway, &assertion).await.status, StatusCode::OK);
}

async fn a_key_ends_with_the_session_it_was_given_to(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (device, other) = (Device::link(&gateway).await, Device::link(&gateway).await);
    let with_secret = hook_of(&gateway, &gateway.link("alice").await).await;
    let token = ask(&gateway, &device.assertion()).await.text("access_token");
    let fields = [("token", device.token.as_str()), ("client_id", "sp_bridge")];
    assert_eq!(send(post(&gateway, "/revoke", &fields)).await.status, StatusCode::OK);
    assert!(!gateway.admits(&token).await);
    assert!(ask(&gateway, &device.assertion()).await.is_oauth_error(401, "invalid_client"));
    assert_eq!(ask(&gateway, &other.assertion()).await.status, StatusCode::OK);
    assert_eq!(with_secret.ask(&gateway, &[]).await.status, StatusCode::OK);
    let both = post(
        &gateway,
        "/token",
        &[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &other.assertion()),
        ],
    );
    let answer = send(both.header(AUTHORIZATION, with_secret.basic())).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
}

async fn an_assertion_names_its_key_by_kid_or_thumbprint_or_is_the_newest_twos(db: impl Backend) {
    let gateway = gateway(&db).await;
    let laptop = Device::link_called(&gateway, "laptop").await;
    let desk = Device::link(&gateway).await;
    let is_in = async |assertion: String| {
        let answer = ask(&gateway, &assertion).await;
        assert!(
            answer.status == StatusCode::OK || answer.is_oauth_error(401, "invalid_client"),
            "{answer:?}"
        );
        answer.status == StatusCode::OK
    };
    assert!(is_in(laptop.assertion()).await && is_in(desk.assertion()).await);
    assert!(is_in(laptop.assertion_called("laptop")).await);
    assert!(is_in(laptop.assertion_called(&laptop.thumbprint())).await);
    assert!(is_in(desk.assertion_called(&desk.thumbprint())).await);
    for wrong in ["desk", "Laptop", &laptop.thumbprint(), "' OR 1=1--", &"k".repeat(129), ""] {
        assert!(!is_in(desk.assertion_called(wrong)).await, "{wrong}");
    }
    let newest = Device::link(&gateway).await;
    assert!(is_in(newest.assertion()).await && is_in(desk.assertion()).await);
    assert!(!is_in(laptop.assertion()).await, "the third says which it is");
    assert!(is_in(laptop.assertion_called("laptop")).await);
    assert!(is_in(laptop.assertion_called(&laptop.thumbprint())).await);
}

async fn attack_n3_very_many_keys_cost_an_anonymous_assertion_two_signatures_at_most(db: impl Backend) {
    let gateway = gateway(&db).await;
    let device = Device::link_called(&gateway, "laptop").await;
    let store = db.open().await;
    let alice = UserId::parse("alice").unwrap();
    for seed in 0..60 {
        // Of a device two are kept, so it takes many devices to have many.
        let session = vouch(&*store, &alice, new_session()).await.unwrap().id;
        let key = ClientKey::new(KeyThumbprint::from_bytes(&[seed; 32]).unwrap(), rsa4096(seed).to_string());
        let provision = ProvisionClient::new(
            ClientId::parse(CLIENT).unwrap(),
            alice.clone(),
            session,
            ClientCredential::Key(key),
        )
        .scopes(Scopes::parse("hook:govern hook:track").unwrap())
        .overlap(Duration::from_secs(3600))
        .max_devices(1000);
        store.provision_client(provision).await.unwrap();
    }
    for kid in [None, Some("one-for-all")] {
        let mut header = json!({ "alg": "RS256" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let query = kid.into_iter().fold(KeyQuery::new("RS256"), KeyQuery::key_id);
        let keys = store.client_keys(&ClientId::parse(CLIENT).unwrap(), &query).await.unwrap();
        // What comes from the store is all that is tried: `ClientAssertion` takes no third.
        assert_eq!(keys.len(), 2, "{kid:?}");
        let forged = device.sign(&header, &good_claims());
        assert!(ask(&gateway, &forged).await.is_oauth_error(401, "invalid_client"), "{kid:?}");
    }
    assert_eq!(ask(&gateway, &device.assertion_called("laptop")).await.status, StatusCode::OK);
    assert_eq!(ask(&gateway, &device.assertion()).await.status, StatusCode::OK);
}

/// A key of 4096 bits whose private half nobody has.
fn rsa4096(seed: u8) -> Value {
    let mut modulus = [0xff; 512];
    modulus[1] = seed;
    let n = URL_SAFE_NO_PAD.encode(modulus);
    json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one-for-all", "n": n, "e": "AQAB" })
}

#[tokio::test]
async fn attack_a66_an_unknown_client_takes_the_same_work_as_a_wrong_key() {
    let db = SqliteBackend::start().await;
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let gateway = Gateway::over(with_oauth(builder_over(store.clone(), keys)).build().unwrap()).await;
    Device::link(&gateway).await;
    let stranger = Device { key: Ed25519KeyPair::generate().unwrap(), token: String::new() };
    for client in [CLIENT, "bridge:nobody", "sp_bridge"] {
        let mut claims = good_claims();
        claims["iss"] = client.into();
        claims["sub"] = client.into();
        store.reset();
        let refused = ask(&gateway, &stranger.sign(&json!({ "alg": "EdDSA" }), &claims)).await;
        assert!(refused.is_oauth_error(401, "invalid_client"), "{refused:?}");
        assert_eq!(store.verifications(), 1, "{client}");
    }
}
