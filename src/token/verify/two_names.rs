//! Ed25519 has two names, `EdDSA` and `Ed25519` (RFC 9864). The setting can be changed while tokens of both are in use.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::super::fixture::*;
use crate::token::compact::{decode, encode};
use crate::token::{Algorithm, InvalidToken, KeyError, KeyRing, SigningKey};

const NAMES: [&str; 2] = ["EdDSA", "Ed25519"];

/// One key, under each of its names.
fn both() -> [SigningKey; 2] {
    let pem = PemPair::ed25519().private;
    [Algorithm::EdDsa, Algorithm::Ed25519].map(|algorithm| SigningKey::from_pem(algorithm, &pem).unwrap())
}

fn verdict(ring: &KeyRing, token: &str) -> Result<(), InvalidToken> {
    verifier(ring.clone()).verify(token).map(drop)
}

/// A token that `key` signed under this name.
fn named(key: &SigningKey, name: &str) -> String {
    let mut header = header(key);
    header["alg"] = json!(name);
    forge(key, header.to_string(), payload().to_string())
}

fn published(ring: &KeyRing) -> Value {
    serde_json::from_str(&ring.jwks()).unwrap()
}

#[test]
fn row_69_gateways_with_either_setting_accept_each_others_tokens() {
    let keys = both();
    let rings = keys.each_ref().map(ring_of);
    for (signer, name) in rings.iter().zip(NAMES) {
        let token = signer.sign(&claims()).unwrap();
        let head: Value = serde_json::from_slice(&decode(token.expose().split('.').next().unwrap())).unwrap();
        assert_eq!(head, json!({ "alg": name, "kid": keys[0].key_id(), "typ": "at+jwt" }));
        assert_eq!(published(signer)["keys"][0]["alg"], name);
        for guard in &rings {
            assert_eq!(verdict(guard, token.expose()), Ok(()));
        }
    }
}

#[test]
fn row_69_nothing_else_is_a_name_of_ed25519() {
    for key in both() {
        let ring = ring_of(&key);
        for name in [
            "eddsa",
            "EDDSA",
            "EdDsa",
            "ed25519",
            "ED25519",
            "Ed25519 ",
            " EdDSA",
            "EdDSA\0",
            "Ed25519ph",
            "Ed25519ctx",
            "EdDSA25519",
            "Ed448",
            "X25519",
            "ECDH-ES",
            "ES256",
            "RS256",
            "PS256",
            "HS256",
            "none",
            "",
            "Ed25519,EdDSA",
        ] {
            assert_eq!(verdict(&ring, &named(&key, name)), Err(InvalidToken::Algorithm), "{name:?}");
        }
    }
}

#[test]
fn row_69_neither_name_works_with_a_key_of_another_kind() {
    for key in &keys()[1..] {
        for name in NAMES {
            assert_eq!(
                verdict(&ring_of(key), &named(key, name)),
                Err(InvalidToken::Algorithm),
                "{name} {key:?}"
            );
        }
    }
}

#[test]
fn row_69_the_name_is_signed_and_cannot_be_exchanged() {
    for (key, (own, other)) in both().iter().zip([(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0])]) {
        let token = named(key, own);
        let (signed, signature) = split(&token);
        let (_, payload) = signed.split_once('.').unwrap();
        let mut header = header(key);
        header["alg"] = json!(other);
        let exchanged = format!("{}.{payload}.{signature}", encode(header.to_string()));
        assert_eq!(verdict(&ring_of(key), &exchanged), Err(InvalidToken::Signature));
    }
}

#[test]
fn row_69_the_public_key_is_no_shared_secret_under_either_name() {
    for key in both() {
        let ring = ring_of(&key);
        let x = published(&ring)["keys"][0]["x"].as_str().unwrap().to_owned();
        for secret in [decode(&x), x.clone().into_bytes(), spki(&key), ring.jwks().into_bytes()] {
            for name in NAMES {
                let mut header = header(&key);
                header["alg"] = json!(name);
                let signed = format!("{}.{}", encode(header.to_string()), encode(payload().to_string()));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, &secret), signed.as_bytes());
                assert_eq!(
                    verdict(&ring, &format!("{signed}.{}", encode(tag))),
                    Err(InvalidToken::Signature)
                );
            }
        }
    }
}

#[test]
fn a_stranger_signs_under_neither_name() {
    let [key, _] = both();
    for stranger in both() {
        for name in NAMES {
            let mut header = header(&key);
            header["alg"] = json!(name);
            let forged = forge(&stranger, header.to_string(), payload().to_string());
            assert_eq!(verdict(&ring_of(&key), &forged), Err(InvalidToken::Signature));
            assert_eq!(verdict(&ring_of(&key), &named(&stranger, name)), Err(InvalidToken::UnknownKey));
        }
    }
}

#[test]
fn a_ring_signs_on_under_the_other_name_and_refuses_no_token_of_before() {
    let [old, new] = both();
    for [first, second] in [[&old, &new], [&new, &old]] {
        let ring = ring_of(first);
        let (before, generation) = (ring.sign(&claims()).unwrap(), ring.generation());
        ring.rotate(second.clone()).unwrap();
        let after = ring.sign(&claims()).unwrap();
        for token in [&before, &after] {
            assert_eq!(verdict(&ring, token.expose()), Ok(()));
        }
        let jwks = published(&ring);
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 1, "it is one key");
        assert_eq!(jwks["keys"][0]["alg"], second.verifying_key().algorithm());
        assert_eq!((ring.generation(), ring.signing_key_id()), (generation, first.key_id().to_owned()));
        let twice = ring.publish(first.verifying_key().clone());
        assert!(matches!(twice, Err(KeyError::Duplicate { .. })), "{twice:?}");
    }
}

#[test]
fn a_jwk_signs_under_the_name_that_it_says() {
    let secret = r#""kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    for (alg, name) in [("", "EdDSA"), (r#","alg":"EdDSA""#, "EdDSA"), (r#","alg":"Ed25519""#, "Ed25519")] {
        let key = SigningKey::from_jwk(&format!("{{{secret}{alg}}}")).unwrap();
        assert_eq!(key.verifying_key().algorithm(), name);
        let (_, stored) = key.verifying_key().to_jwk().unwrap();
        assert!(stored.contains(r#""alg":"EdDSA""#), "stores look it up by one name: {stored}");
    }
}
