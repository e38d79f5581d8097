use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::token::fixture::{ALGORITHMS, ISSUER, NOW, PemPair, forge, keys, ring_of};
use crate::token::{Algorithm, SigningKey};

const CLIENT: &str = "bridge:alice@example.com";

fn header(key: &SigningKey) -> Value {
    json!({ "alg": key.verifying_key().algorithm() })
}

fn claims() -> Value {
    json!({ "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": NOW + 60, "jti": "1" })
}

fn jwk(key: &SigningKey) -> String {
    let jwks: Value = serde_json::from_str(&ring_of(key).jwks()).unwrap();
    jwks["keys"][0].to_string()
}

/// A public JWK of `key` with the id `kid`.
fn jwk_called(key: &SigningKey, kid: &str) -> String {
    with(serde_json::from_str(&jwk(key)).unwrap(), "kid", json!(kid)).to_string()
}

fn signed_by(assertion: &ClientAssertion<'_>, jwks: &[String]) -> Option<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(assertion.signed_by(jwks.iter().map(String::as_str)))
}

/// The one of `jwks` that verifies an assertion signed with `key`, with this `kid` in the header.
fn found(key: &SigningKey, kid: Option<&str>, jwks: &[String]) -> Option<usize> {
    let header = kid.map_or_else(|| header(key), |kid| with(header(key), "kid", json!(kid)));
    let text = forge(key, header.to_string(), claims().to_string());
    signed_by(&ClientAssertion::parse(&text).ok().unwrap(), jwks)
}

/// Whether a server that knows the key `jwk` of a client accepts `text` now.
fn takes_with(text: &str, jwk: &str) -> bool {
    ClientAssertion::parse(text).is_ok_and(|assertion| {
        let (now, leeway) = (Duration::from_secs(NOW), Duration::from_secs(10));
        signed_by(&assertion, &[jwk.to_owned()]).is_some() && assertion.check(ISSUER, now, leeway).is_ok()
    })
}

fn takes(header: &Value, claims: &Value) -> bool {
    let key = &keys()[0];
    takes_with(&forge(key, header.to_string(), claims.to_string()), &jwk(key))
}

/// A copy of `object` in which `member` is `value`; `null` removes it.
fn with(mut object: Value, member: &str, value: Value) -> Value {
    match value {
        Value::Null => object.as_object_mut().unwrap().remove(member),
        value => object.as_object_mut().unwrap().insert(member.to_owned(), value),
    };
    object
}

#[test]
fn an_assertion_of_the_registered_key_holds_for_every_algorithm() {
    for key in &keys()[..ALGORITHMS.len()] {
        let text = forge(key, header(key).to_string(), claims().to_string());
        assert!(takes_with(&text, &jwk(key)), "{key:?}");
        let assertion = ClientAssertion::parse(&text).ok().unwrap();
        assert_eq!((assertion.client().as_str(), assertion.id()), (CLIENT, "1"));
        let both = [jwk(&keys()[0]), jwk(key)];
        assert!(signed_by(&assertion, &both).is_some());
        assert_eq!(signed_by(&assertion, &[]), None);
    }
    let key = &keys()[0];
    for typ in ["JWT", "jwt", "client-authentication+jwt", "application/Client-Authentication+JWT"] {
        assert!(takes(&with(header(key), "typ", json!(typ)), &claims()), "{typ}");
    }
    // RFC 9864's name for it, which newer libraries write.
    assert!(takes(&json!({ "alg": "Ed25519" }), &claims()));
}

#[test]
fn attack_a82_another_key_no_algorithm_and_tricks_of_the_header_are_refused() {
    let (ed, hs) = (&keys()[0], &keys()[4]);
    let stranger = SigningKey::generate(Algorithm::EdDsa).unwrap();
    assert!(!takes_with(&forge(&stranger, header(ed).to_string(), claims().to_string()), &jwk(ed)));
    assert!(!takes_with(&forge(hs, header(hs).to_string(), claims().to_string()), &jwk(ed)));
    for alg in ["none", "None", "HS256", "ES256", "RS256", "eddsa", "ed25519", "Ed448", ""] {
        assert!(!takes(&json!({ "alg": alg }), &claims()), "{alg}");
    }
    let unsigned = forge(ed, r#"{"alg":"none"}"#, claims().to_string());
    assert!(!takes_with(&format!("{}.", unsigned.rsplit_once('.').unwrap().0), &jwk(ed)));
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jku", json!("http://127.0.0.1/")),
        ("jwk", serde_json::from_str(&jwk(&stranger)).unwrap()),
        ("x5u", json!("http://127.0.0.1/")),
        ("zip", json!("DEF")),
        ("typ", json!("at+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(1)),
        ("kid", json!(1)),
        ("kid", json!("")),
        ("kid", json!("a b")),
        ("kid", json!("é")),
        ("kid", json!("k".repeat(129))),
        ("kid", json!(["laptop"])),
    ] {
        assert!(!takes(&with(header(ed), member, value), &claims()), "{member}");
    }
    let rsa = SigningKey::from_pem(Algorithm::Rs256, &PemPair::rsa2048().private).unwrap();
    let pss = SigningKey::from_pem(Algorithm::Ps256, &PemPair::rsa2048().private).unwrap();
    assert!(!takes_with(&forge(&pss, header(&pss).to_string(), claims().to_string()), &jwk(&rsa)));
}

#[test]
fn row_26_27_every_claim_is_held_to_its_rule() {
    let head = header(&keys()[0]);
    for (member, value) in [
        ("aud", json!([])),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!([ISSUER, ISSUER])),
        ("aud", json!(["https://other.example"])),
        ("aud", json!([[ISSUER]])),
        ("aud", json!([ISSUER, 1])),
        ("aud", json!([1])),
        ("aud", json!({ "0": ISSUER })),
        ("aud", json!("https://gateway.example/")),
        ("aud", json!("https://gateway.example/token")),
        ("aud", Value::Null),
        ("iss", json!("bridge:mallory")),
        ("sub", json!("bridge:mallory")),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!([CLIENT])),
        ("exp", Value::Null),
        ("exp", json!(NOW)),
        ("exp", json!(NOW - 1)),
        ("exp", json!(NOW + 311)),
        ("exp", json!(u64::MAX)),
        // The fraction is cut off.
        ("exp", json!(NOW as f64 + 0.9)),
        ("exp", json!(NOW as f64 + 311.0)),
        ("nbf", json!(NOW as f64 + 10.5)),
        ("exp", json!(-1)),
        ("exp", json!((NOW + 60).to_string())),
        ("nbf", json!(NOW + 11)),
        ("nbf", json!("1")),
        ("iat", json!(NOW + 11)),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("a b")),
        ("jti", json!("x".repeat(256))),
        ("jti", json!(1)),
    ] {
        assert!(!takes(&head, &with(claims(), member, value.clone())), "{member} {value}");
    }
    for (member, value) in [
        ("aud", json!([ISSUER])),
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW as f64 + 60.5)),
        ("exp", json!(NOW + 310)),
        ("nbf", json!(NOW as f64 + 9.5)),
        ("iat", json!(NOW as f64 - 0.5)),
        ("nbf", json!(NOW + 10)),
        ("iat", json!(NOW - 3600)),
        ("foo", json!([{}])),
    ] {
        assert!(takes(&head, &with(claims(), member, value.clone())), "{member} {value}");
    }
    let twice = claims().to_string().replacen('{', r#"{"jti":"2","#, 1);
    assert!(!takes_with(&forge(&keys()[0], head.to_string(), twice), &jwk(&keys()[0])));
}

#[test]
fn an_assertion_names_its_key_by_kid_or_by_thumbprint() {
    let key = &keys()[0];
    let thumbprint = key.key_id();
    let (plain, named) = ([jwk(key)], [jwk_called(key, "laptop")]);
    for (kid, jwks, place) in [
        (None, &plain, Some(0)),
        (None, &named, Some(0)),
        (Some(thumbprint), &plain, Some(0)),
        (Some(thumbprint), &named, Some(0)),
        (Some("laptop"), &named, Some(0)),
        (Some("laptop"), &plain, None),
        (Some("Laptop"), &named, None),
    ] {
        assert_eq!(found(key, kid, jwks), place, "{kid:?} {jwks:?}");
    }
}

#[test]
fn attack_n3_at_most_two_signatures_are_tried() {
    let key = &keys()[0];
    let strangers: Vec<_> = (0..4).map(|_| SigningKey::generate(Algorithm::EdDsa).unwrap()).collect();
    for kid in [None, Some("shared")] {
        let jwks_with_it_at = |place: usize| {
            let mut jwks: Vec<_> = strangers.iter().map(|key| jwk_called(key, "shared")).collect();
            jwks.insert(place, jwk_called(key, "shared"));
            jwks
        };
        for (place, tried) in [(0, true), (1, true), (2, false), (4, false)] {
            let found = found(key, kid, &jwks_with_it_at(place));
            assert_eq!(found, tried.then_some(place), "{kid:?} {place}");
        }
    }
}

#[tokio::test]
async fn attack_n3_others_have_their_turn_between_two_signatures() {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    let stranger = jwk(&SigningKey::generate(Algorithm::EdDsa).unwrap());
    let key = &keys()[0];
    let text = forge(key, header(key).to_string(), claims().to_string());
    let assertion = ClientAssertion::parse(&text).ok().unwrap();
    for (jwks, turns) in [(vec![], 0), (vec![&stranger], 0), (vec![&stranger, &stranger], 1)] {
        let mut judged = pin!(assertion.signed_by(jwks.iter().map(|jwk| jwk.as_str())));
        let mut seen = 0;
        poll_fn(|context| {
            let poll = judged.as_mut().poll(context);
            seen += usize::from(poll.is_pending());
            if poll.is_pending() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(seen, turns);
    }
}

#[test]
fn the_decoys_are_keys_of_their_algorithms() {
    for key in &keys()[..ALGORITHMS.len()] {
        let text = forge(key, header(key).to_string(), claims().to_string());
        let assertion = ClientAssertion::parse(&text).ok().unwrap();
        let decoy = assertion.key_of_its_algorithm(&assertion.decoy()).unwrap();
        assert!(!assertion.is_signed_by(&decoy));
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in any::<String>(), header in any::<String>(), claims in any::<String>()) {
        let _ = ClientAssertion::parse(&text);
        let _ = ClientAssertion::parse(&forge(&keys()[0], header, claims));
    }
}
