use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::*;
use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};
use crate::token::fixture::{PemPair, claims, ed25519, keys, ring_of, verifier};
use crate::token::{InvalidClaims, InvalidToken, Subject};

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa).unwrap()
}

fn key_ids(ring: &KeyRing) -> Vec<String> {
    let jwks: Value = serde_json::from_str(&ring.jwks()).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_jwks_holds_public_members_alone() {
    let ring = ring_of(&keys()[0]);
    keys()[1..].iter().for_each(|key| ring.publish(key.verifying_key().clone()).unwrap());
    let jwks: Value = serde_json::from_str(&ring.jwks()).unwrap();
    let members = |place: usize| -> HashSet<&str> {
        jwks["keys"][place].as_object().unwrap().keys().map(String::as_str).collect()
    };
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 4, "HS256 has no place in it");
    assert_eq!(members(0), HashSet::from(["kty", "crv", "x", "kid", "use", "alg"]));
    assert_eq!(members(1), HashSet::from(["kty", "crv", "x", "y", "kid", "use", "alg"]));
    assert_eq!(members(2), HashSet::from(["kty", "n", "e", "kid", "use", "alg"]));
    assert_eq!(members(3), members(2));
    for (place, name) in ["EdDSA", "ES256", "RS256", "PS256"].into_iter().enumerate() {
        assert_eq!((&jwks["keys"][place]["alg"], &jwks["keys"][place]["use"]), (&name.into(), &"sig".into()));
    }
    assert_eq!(ring_of(&keys()[4]).jwks(), r#"{"keys":[]}"#);
}

#[test]
fn a_rotation_refuses_no_good_token() {
    let (old, next) = (key(), key());
    let (signer, guard) = (ring_of(&old), ring_of(&old));
    let verifier = verifier(guard.clone());
    let check = || verifier.verify(signer.sign(&claims()).unwrap().expose()).map(drop);

    let before = signer.sign(&claims()).unwrap();
    assert_eq!(check(), Ok(()));
    for ring in [&signer, &guard] {
        ring.publish(next.verifying_key().clone()).unwrap();
        assert_eq!(key_ids(ring), [old.key_id(), next.key_id()]);
        assert_eq!(check(), Ok(()));
    }
    for ring in [&signer, &guard] {
        ring.rotate(next.clone()).unwrap();
        assert_eq!(key_ids(ring), [next.key_id(), old.key_id()]);
        assert_eq!(check(), Ok(()));
    }
    assert_eq!(verifier.verify(before.expose()).map(drop), Ok(()));
    assert!(guard.remove(old.key_id()).unwrap());
    assert_eq!(verifier.verify(before.expose()), Err(InvalidToken::UnknownKey));
    assert_eq!(check(), Ok(()));
}

#[test]
fn tokens_verify_while_keys_rotate() {
    let ring = ring_of(&key());
    let verifier = verifier(ring.clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let mut verified = 0_u32;
            while !done.load(Ordering::Relaxed) || verified == 0 {
                let token = ring.sign(&claims()).unwrap();
                assert_eq!(verifier.verify(token.expose()).map(drop), Ok(()));
                verified += 1;
            }
        });
        for _ in 0..50 {
            ring.rotate(key()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        requests.join().unwrap();
    });
    assert_eq!(key_ids(&ring).len(), 51);
}

#[test]
fn no_change_is_lost_among_others() {
    let ring = ring_of(&key());
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| ring.publish(key().verifying_key().clone()).unwrap());
        }
    });
    assert_eq!(key_ids(&ring).len(), 33);
}

#[test]
fn no_key_and_no_id_is_held_twice() {
    let rsa = &PemPair::rsa2048().private;
    let [rs, ps] = [Algorithm::Rs256, Algorithm::Ps256].map(|alg| SigningKey::from_pem(alg, rsa).unwrap());
    let ring = ring_of(&rs);
    let renamed = |key: &SigningKey, kid: &str| {
        let mut jwk: Value = serde_json::from_str(&ring_of(key).jwks()).unwrap();
        jwk["keys"][0]["kid"] = kid.into();
        VerifyingKey::from_jwk(&jwk["keys"][0].to_string()).unwrap()
    };
    let duplicates = [
        rs.verifying_key().clone(),
        ps.verifying_key().clone(),
        renamed(&rs, "another-name"),
        renamed(&key(), rs.key_id()),
    ];
    for key in duplicates {
        assert!(matches!(ring.publish(key.clone()), Err(KeyError::Duplicate { .. })), "{key:?}");
        assert!(matches!(ring.clone().with_verifying_key(key), Err(KeyError::Duplicate { .. })));
    }
    let refused = ring.publish(rs.verifying_key().clone()).unwrap_err().to_string();
    assert!(refused.contains(rs.key_id()), "{refused}");
    assert!(matches!(ring.rotate(ps), Err(KeyError::Duplicate { .. })));
    let next = key();
    ring.publish(renamed(&next, "next")).unwrap();
    assert!(matches!(ring.rotate(next), Err(KeyError::Duplicate { .. })), "published under another id");
    ring.rotate(rs.clone()).unwrap();
    assert_eq!(key_ids(&ring), [rs.key_id(), "next"]);
}

#[test]
fn the_signing_key_cannot_be_removed() {
    let ring = ring_of(ed25519());
    assert!(matches!(ring.remove(&ring.signing_key_id()), Err(KeyError::InUse)));
    assert!(!ring.remove("unknown").unwrap());
    assert_eq!(key_ids(&ring), [ed25519().key_id()]);
}

#[test]
fn what_verification_would_refuse_is_not_signed() {
    let ring = ring_of(ed25519());
    let refused = |claims: Claims| ring.sign(&claims).unwrap_err();
    let audience = |text: &str| Audience::parse(text).unwrap();
    let audiences = |count: usize| (0..count).map(|n| audience(&format!("a{n}"))).collect::<Vec<_>>();
    for count in [0, 17] {
        let claims = Claims { audiences: audiences(count).into(), ..claims() };
        assert!(matches!(refused(claims), KeyError::Claims(InvalidClaims::Audiences)), "{count}");
    }
    let as_client = Subject::User(UserId::parse("sp_bridge").unwrap());
    let as_client = Claims { subject: as_client, ..claims() };
    assert!(matches!(refused(as_client), KeyError::Claims(InvalidClaims::Subject)));
    for token_id in ["", "a b", &"x".repeat(129)] {
        let claims = Claims { token_id: token_id.into(), ..claims() };
        assert!(matches!(refused(claims), KeyError::Claims(InvalidClaims::TokenId)));
    }
    let backwards = Claims { expires_at: 1, ..claims() };
    assert!(matches!(refused(backwards), KeyError::Claims(InvalidClaims::IssuedAfterExpiry)));
    let huge = Claims { issuer: "x".repeat(8192).into(), ..claims() };
    assert!(matches!(refused(huge), KeyError::TokenTooLong));
}

#[test]
fn the_largest_claims_that_a_bridge_may_be_set_to_fit_into_a_token() {
    let largest = Claims {
        issuer: "x".repeat(255).into(),
        audiences: (0..4).map(|_| Audience::parse("\"".repeat(255)).unwrap()).collect(),
        scopes: Scopes::collect((0..8).map(|n| format!("{n}{}", "s".repeat(126)))).unwrap(),
        subject: Subject::HookClient { owner: UserId::parse("𐍈".repeat(255)).unwrap() },
        client: ClientId::parse("\"".repeat(262)).unwrap(),
        session: SessionId::parse("s".repeat(128)).unwrap(),
        ..claims()
    };
    let token = ring_of(&keys()[1]).sign(&largest).unwrap();
    assert!(token.expose().len() <= crate::token::MAX_TOKEN_BYTES);
}

#[test]
fn debug_shows_no_key() {
    let ring = ring_of(&keys()[4]).with_verifying_key(ed25519().verifying_key().clone()).unwrap();
    let shown = format!("{ring:?}");
    assert!(shown.contains(ed25519().key_id()) && shown.contains("HS256"));
    assert!(!shown.contains("Nhwm4ACsiJjA7eaG8MBPKpFbWK9qpzRX"));
}
