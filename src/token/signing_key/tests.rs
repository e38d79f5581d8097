use serde_json::{Value, json};

use super::*;
use crate::token::fixture::{ALGORITHMS, PemPair, keys, rsa_pem_of_primes, rsa2048_jwk, spki};

/// RFC 8037, appendix A.1.
const ED25519_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// RFC 7515, appendix A.3.1.
const P256_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

fn signs_and_verifies(key: &SigningKey) -> bool {
    let signature = key.sign(b"message").unwrap();
    key.verifying_key().verifies(b"message", &signature)
        && !key.verifying_key().verifies(b"other", &signature)
}

#[test]
fn the_signature_of_rfc_8037_is_made() {
    let key = SigningKey::from_jwk(ED25519_JWK).unwrap();
    let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        encode(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[test]
fn keys_made_elsewhere_sign() {
    let (rsa, rsa_jwk) = (PemPair::rsa2048(), rsa2048_jwk());
    for (algorithm, pem) in [
        (Algorithm::EdDsa, &PemPair::ed25519()),
        (Algorithm::Es256, &PemPair::p256()),
        (Algorithm::Rs256, rsa),
        (Algorithm::Ps256, rsa),
    ] {
        let key = SigningKey::from_pem(algorithm, &pem.private).unwrap();
        assert!(signs_and_verifies(&key), "{algorithm}");
        let public = VerifyingKey::from_pem(algorithm, &pem.public).unwrap();
        assert!(public.is(key.verifying_key()), "{algorithm}");
    }
    let from_pem = SigningKey::from_pem(Algorithm::Rs256, &rsa.private).unwrap();
    assert!(SigningKey::from_jwk(&rsa_jwk).unwrap().verifying_key().is(from_pem.verifying_key()));
    for jwk in [ED25519_JWK, P256_JWK, &rsa_jwk] {
        assert!(signs_and_verifies(&SigningKey::from_jwk(jwk).unwrap()), "{jwk}");
    }
}

#[test]
fn generated_keys_are_new_each_time() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let [one, other] = [(); 2].map(|()| SigningKey::generate(algorithm).unwrap());
        assert!(signs_and_verifies(&one));
        assert_ne!(one.key_id(), other.key_id());
    }
    for (key, algorithm) in keys().iter().zip(ALGORITHMS) {
        assert!(signs_and_verifies(key), "{algorithm}");
    }
}

#[test]
fn a_key_of_another_kind_or_too_weak_is_refused() {
    use Algorithm::{EdDsa, Es256, Ps256, Rs256};
    let (ed25519, p256) = (PemPair::ed25519(), PemPair::p256());
    let [short, long_enough] =
        [(512, [569, 629]), (1024, [105, 179])].map(|(power, distances)| rsa_pem_of_primes(power, distances));
    for (algorithm, pem) in [
        (EdDsa, &p256.private),
        (EdDsa, &PemPair::rsa2048().private),
        (Es256, &ed25519.private),
        (Es256, &PemPair::p384().private),
        (Rs256, &ed25519.private),
        (Rs256, &short),
        (Ps256, &short),
    ] {
        let refusal = SigningKey::from_pem(algorithm, pem).unwrap_err();
        assert!(matches!(refusal, KeyError::Unsuitable { .. }), "{algorithm}: {refusal}");
    }
    for algorithm in [Rs256, Ps256] {
        let key = SigningKey::from_pem(algorithm, &long_enough).unwrap();
        assert!(signs_and_verifies(&key), "{algorithm}: but for its length the short key is as good");
    }
    for text in ["", "text", &p256.public] {
        assert!(matches!(SigningKey::from_pem(Es256, text), Err(KeyError::Malformed { .. })), "{text}");
    }
}

#[test]
fn a_jwk_whose_parts_do_not_fit_is_refused() {
    let spoil = |jwk: &str, name: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk[name] = value;
        SigningKey::from_jwk(&jwk.to_string()).map(drop)
    };
    let (rsa_jwk, zero) = (rsa2048_jwk(), json!(encode([0; 32])));
    for (jwk, name, value) in [
        (ED25519_JWK, "x", zero.clone()),
        (ED25519_JWK, "d", zero.clone()),
        (ED25519_JWK, "d", json!("AAAA")),
        (ED25519_JWK, "d", Value::Null),
        (P256_JWK, "d", zero.clone()),
        (P256_JWK, "d", json!(encode([0xff; 32]))),
        (P256_JWK, "y", zero),
        (&rsa_jwk, "p", json!("AQAB")),
        (&rsa_jwk, "e", json!("AQ")),
        (&rsa_jwk, "d", Value::Null),
        (&rsa_jwk, "qi", Value::Null),
    ] {
        assert!(matches!(spoil(jwk, name, value), Err(KeyError::Unsuitable { .. })), "{name} of {jwk}");
    }
    assert!(matches!(spoil(&rsa_jwk, "alg", Value::Null), Err(KeyError::JwkAlgorithm)));
    assert!(matches!(spoil(ED25519_JWK, "key_ops", json!(["verify"])), Err(KeyError::JwkAlgorithm)));
    let symmetric = json!({ "kty": "oct", "alg": "HS256", "k": encode([7; 32]) }).to_string();
    assert!(matches!(SigningKey::from_jwk(&symmetric), Err(KeyError::JwkAlgorithm)));
}

#[test]
fn a_guessable_or_public_secret_is_refused() {
    let refused =
        |secret: &[u8]| matches!(SigningKey::danger_hs256(secret), Err(KeyError::WeakSecret { .. }));
    for secret in
        [&b""[..], b"secret", b"https://gateway.example", &[7; 31], &[0; 32], &[0xff; 64], &b"ab".repeat(40)]
    {
        assert!(refused(secret), "{secret:?}");
    }
    for key in &keys()[..4] {
        let der = spki(key);
        assert!(refused(pem::encode(&pem::Pem::new("PUBLIC KEY", der.clone())).as_bytes()));
        assert!(refused(&der));
    }
    for text in [&rsa2048_jwk(), ED25519_JWK, &PemPair::rsa2048().private, &PemPair::p256().private] {
        assert!(refused(text.as_bytes()), "{text}");
    }
    let secret = b"c2VjcmV0LXRoYXQtbm9ib2R5LWtub3dz";
    let key = SigningKey::danger_hs256(secret).unwrap();
    assert!(signs_and_verifies(&key));
    assert_eq!(key.key_id(), SigningKey::danger_hs256(secret).unwrap().key_id());
}

#[test]
fn thirty_two_random_bytes_are_always_a_good_secret() {
    for _ in 0..1000 {
        let secret: [u8; 32] = rand::random();
        assert!(SigningKey::danger_hs256(&secret).is_ok(), "{secret:02x?}");
    }
}

#[test]
fn no_private_part_is_shown() {
    let jwk: Value = serde_json::from_str(ED25519_JWK).unwrap();
    let key = SigningKey::from_jwk(ED25519_JWK).unwrap();
    assert!(!format!("{key:?}").contains(jwk["d"].as_str().unwrap()));
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey {{ key_id: {:?}, algorithm: \"EdDSA\", .. }}", key.key_id())
    );
    let secret = "Nhwm4ACsiJjA7eaG8MBPKpFbWK9qpzRX";
    assert!(!format!("{:?}", SigningKey::danger_hs256(secret.as_bytes()).unwrap()).contains(secret));
    // A JSON parser's own message would show the value it did not like.
    for name in ["d", "x"] {
        let refusal =
            SigningKey::from_jwk(&ED25519_JWK.replace(jwk[name].as_str().unwrap(), "canary?")).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("canary"));
    }
}
