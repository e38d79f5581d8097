//! Gateways on one database that do not share the signing key: they refuse each other's tokens, and the log says why.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::rejection::InvalidCredential;
use bridge_auth::token::{Algorithm, InvalidToken, KeyRing, SigningKey};
use bridge_auth::{Bridge, Rejection};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::Backend;
use crate::support::bridge::{ISSUER, access, builder_with};
use crate::support::record::Record;

crate::store::promises![
    a_gateway_without_the_key_of_another_says_so_once,
    what_is_no_token_of_another_gateway_is_not_told_of,
    gateways_with_one_key_have_nothing_to_tell,
];

const HINT: &str = "a key that this gateway does not have";

fn ring() -> KeyRing {
    KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
}

async fn gateway(db: &impl Backend, keys: &KeyRing) -> Bridge {
    builder_with(db, keys.clone()).await.build().unwrap()
}

fn bearer(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap())])
}

/// What `bridge` answers to a call with `token`.
async fn call(bridge: &Bridge, token: &str) -> Result<(), Rejection> {
    bridge.authenticator("bridge").unwrap().authenticate(&bearer(token)).await.map(drop)
}

fn is_refused_for(reason: InvalidToken, answer: &Result<(), Rejection>) -> bool {
    matches!(answer, Err(Rejection::InvalidCredential(InvalidCredential::Token(found))) if *found == reason)
}

/// The fields of all lines that say that a key is missing.
fn hints(record: &Record) -> Vec<Value> {
    let text = record.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = lines.filter(|line| line.to_string().contains(HINT));
    told.inspect(|line| assert_eq!(line["level"], "WARN")).map(|mut line| line["fields"].take()).collect()
}

async fn a_gateway_without_the_key_of_another_says_so_once(db: impl Backend) {
    let [ours, theirs] = [ring(), ring()];
    let [here, there] = [gateway(&db, &ours).await, gateway(&db, &theirs).await];
    let record = Record::default();
    let _guard = record.listen();
    let token = access(&there, "alice", "chat").await.token;
    call(&there, token.expose()).await.unwrap();
    for person in ["alice", "bob", "carol"] {
        let token = access(&there, person, "chat").await.token;
        for _ in 0..10 {
            let answer = call(&here, token.expose()).await;
            assert!(is_refused_for(InvalidToken::UnknownKey, &answer), "{answer:?}");
        }
    }
    let inner = service_fn(async |_: Request<String>| Ok::<_, String>(Response::new(String::new())));
    let guarded = here.layer("bridge").unwrap().layer(inner);
    let mut request = Request::new(String::new());
    *request.headers_mut() = bearer(token.expose());
    assert_eq!(guarded.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let hints = hints(&record);
    let [hint] = &hints[..] else { panic!("one line is told: {hints:?}") };
    assert_eq!(hint["kid"], theirs.signing_key_id());
    assert_eq!(hint["key_ids"], format!("[{:?}]", ours.signing_key_id()));
    assert!(!record.text().contains(token.expose()));

    // The other gateway tells of its own.
    let token = access(&here, "alice", "chat").await.token;
    call(&there, token.expose()).await.unwrap_err();
    assert_eq!(self::hints(&record).len(), 2);
}

/// A token that nobody signed.
fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

async fn what_is_no_token_of_another_gateway_is_not_told_of(db: impl Backend) {
    let here = gateway(&db, &ring()).await;
    let record = Record::default();
    let _guard = record.listen();
    let header = |key_id: &str| json!({ "alg": "EdDSA", "kid": key_id, "typ": "at+jwt" });
    let ours = json!({ "iss": ISSUER, "exp": u32::MAX });
    for claims in [
        json!({ "iss": "https://another.example", "exp": u32::MAX }),
        json!({ "iss": format!("{ISSUER}/"), "exp": u32::MAX }),
        json!({ "iss": [ISSUER], "exp": u32::MAX }),
        // Its key has been rotated out since.
        json!({ "iss": ISSUER, "exp": 1_700_000_000 }),
        json!([]),
    ] {
        let answer = call(&here, &unsigned(&header("k"), &claims)).await;
        assert!(is_refused_for(InvalidToken::UnknownKey, &answer), "{claims} {answer:?}");
    }
    for key_id in ["", &"k".repeat(129), "a\nb", "a\u{1b}[31mb", "a b", "ключ"] {
        let answer = call(&here, &unsigned(&header(key_id), &ours)).await;
        assert!(is_refused_for(InvalidToken::Header, &answer), "{key_id:?} {answer:?}");
    }
    let own_key = header(&here.keys().signing_key_id());
    for garbage in ["garbage", "a.b.c", "not.a.token", &unsigned(&own_key, &ours)] {
        call(&here, garbage).await.unwrap_err();
    }
    assert_eq!(hints(&record), [Value::Null; 0]);

    // And none of them has used the line up.
    call(&here, &unsigned(&header(&"k".repeat(128)), &ours)).await.unwrap_err();
    assert_eq!(hints(&record).len(), 1);
}

async fn gateways_with_one_key_have_nothing_to_tell(db: impl Backend) {
    let keys = ring();
    let gateways = [gateway(&db, &keys).await, gateway(&db, &keys).await];
    let record = Record::default();
    let _guard = record.listen();
    for issued_by in &gateways {
        let token = access(issued_by, "alice", "chat").await.token;
        for called in &gateways {
            call(called, token.expose()).await.unwrap();
        }
    }
    assert_eq!(hints(&record), [Value::Null; 0]);
}
