use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::token::fixture::{PemPair, keys, rsa2048_jwk};
use crate::token::{KeyRing, SigningKey};

const RSA1024_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDYAnePnO3V2j6dIFMwEbFTjK6l
z8f7GYU5/20b5FYVPmiFj+UzzYy7Jg7cNL/TlXt1qgZLzSSjPf2L2qHlLsEyd5EM
eQxWbLBXoLAShJFMhq9f4o2shoaxzeX8agdNhItMyHFY1EM+3Y8AXeZaN1qMCI5P
9fC10F242U7TjhNIPQIDAQAB
-----END PUBLIC KEY-----";

/// RFC 8037, appendix A.2.
const RFC_8037: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn ed25519(point: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::from_jwk(&json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(point) }).to_string())
}

#[test]
fn the_thumbprint_is_the_standards() {
    assert_eq!(
        VerifyingKey::from_jwk(RFC_8037).unwrap().key_id(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    // RFC 7638 §3.1.
    let rsa = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
        jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZg\
        nYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0L\
        s1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = json!({ "kty": "RSA", "alg": "RS256", "n": rsa, "e": "AQAB" }).to_string();
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap().key_id(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn the_signature_of_rfc_8037_holds() {
    let key = VerifyingKey::from_jwk(RFC_8037).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verifies(message, &signature));
    assert!(!key.verifies(b"another", &signature));
}

#[test]
fn a_key_from_pem_is_the_key_from_its_jwk() {
    for (algorithm, pem) in [
        (Algorithm::EdDsa, &PemPair::ed25519()),
        (Algorithm::Es256, &PemPair::p256()),
        (Algorithm::Rs256, PemPair::rsa2048()),
        (Algorithm::Ps256, PemPair::rsa2048()),
    ] {
        let key = VerifyingKey::from_pem(algorithm, &pem.public).unwrap();
        let ring = KeyRing::new(keys()[4].clone()).unwrap().with_verifying_key(key.clone()).unwrap();
        let jwks: Value = serde_json::from_str(&ring.jwks()).unwrap();
        let same = VerifyingKey::from_jwk(&jwks["keys"][0].to_string()).unwrap();
        assert!(same.is(&key), "{algorithm}");
    }
}

#[test]
fn a_key_of_another_kind_or_too_weak_is_refused() {
    use Algorithm::{EdDsa, Es256, Ps256, Rs256};
    let (p256, rsa2048) = (PemPair::p256().public, &PemPair::rsa2048().public);
    for (algorithm, pem) in [
        (EdDsa, &*p256),
        (EdDsa, rsa2048),
        (Es256, &PemPair::ed25519().public),
        (Es256, &PemPair::p384().public),
        (Es256, rsa2048),
        (Rs256, &p256),
        (Rs256, RSA1024_PEM),
        (Ps256, RSA1024_PEM),
    ] {
        let refusal = VerifyingKey::from_pem(algorithm, pem).unwrap_err();
        assert!(matches!(refusal, KeyError::Unsuitable { .. }), "{algorithm}: {refusal}");
    }
    for text in ["", "text", "-----BEGIN PUBLIC KEY-----", &p256.replace("PUBLIC KEY", "CERTIFICATE")] {
        let refusal = VerifyingKey::from_pem(Es256, text).unwrap_err();
        assert!(matches!(refusal, KeyError::Malformed { .. }), "{text}: {refusal}");
    }
    let garbage = pem::encode(&pem::Pem::new("PUBLIC KEY", [0x30; 91]));
    assert!(matches!(VerifyingKey::from_pem(Es256, &garbage), Err(KeyError::Unsuitable { .. })));
}

#[test]
fn an_rsa_key_has_2048_to_4096_bits() {
    let of_bits = |bits: usize, algorithm: &str| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= modulus.len() * 8 - bits;
        let jwk = json!({ "kty": "RSA", "alg": algorithm, "n": encode(&modulus), "e": "AQAB" });
        VerifyingKey::from_jwk(&jwk.to_string())
    };
    for algorithm in ["RS256", "PS256"] {
        for bits in [2048, 2049, 3072, 4096] {
            assert!(of_bits(bits, algorithm).is_ok(), "{bits}");
        }
        for bits in [1024, 2047, 4097, 6144, 8192, 16384] {
            let refusal = of_bits(bits, algorithm).unwrap_err();
            assert!(matches!(refusal, KeyError::Unsuitable { .. }), "{bits}: {refusal}");
        }
    }
}

#[test]
fn a_private_key_is_no_public_one_and_is_not_shown() {
    let pem = PemPair::ed25519().private;
    assert!(matches!(VerifyingKey::from_pem(Algorithm::EdDsa, &pem), Err(KeyError::Private)));
    let jwk = rsa2048_jwk();
    let refusal = VerifyingKey::from_jwk(&jwk).unwrap_err();
    assert!(matches!(refusal, KeyError::Private));
    let members: Value = serde_json::from_str(&jwk).unwrap();
    assert!(!format!("{refusal} {refusal:?}").contains(members["d"].as_str().unwrap()));
    let symmetric = json!({ "kty": "oct", "k": encode([7; 32]) }).to_string();
    assert!(matches!(VerifyingKey::from_jwk(&symmetric), Err(KeyError::Private)));
}

#[test]
fn a_jwk_is_for_one_algorithm_and_for_verifying() {
    let with = |name: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(RFC_8037).unwrap();
        jwk[name] = value;
        VerifyingKey::from_jwk(&jwk.to_string())
    };
    for (name, value) in [("alg", json!("EdDSA")), ("use", json!("sig")), ("key_ops", json!(["verify"]))] {
        assert!(with(name, value).is_ok(), "{name}");
    }
    assert_eq!(with("kid", json!("mine")).unwrap().key_id(), "mine");
    for (name, value) in [
        ("alg", json!("ES256")),
        ("alg", json!("none")),
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("crv", json!("X25519")),
        ("crv", json!("P-256")),
        ("kty", json!("EC")),
        ("kty", json!("oct")),
    ] {
        assert!(matches!(with(name, value.clone()), Err(KeyError::JwkAlgorithm)), "{name}: {value}");
    }
    for kid in ["", "a b", "é", "a\n", &"k".repeat(129)] {
        assert!(matches!(with("kid", json!(kid)), Err(KeyError::KeyId)), "{kid:?}");
    }
    for x in ["", "AAAA", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURoA"] {
        assert!(matches!(with("x", json!(x)), Err(KeyError::Unsuitable { .. })), "{x}");
    }
    for x in [json!("?"), json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"), json!(1)] {
        assert!(matches!(with("x", x.clone()), Err(KeyError::Malformed { .. })), "{x}");
    }
    let no_alg = json!({ "kty": "RSA", "n": encode([0xff; 256]), "e": "AQAB" }).to_string();
    assert!(matches!(VerifyingKey::from_jwk(&no_alg), Err(KeyError::JwkAlgorithm)));
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let (x, y) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let point = |x: &str, y: &str| {
        VerifyingKey::from_jwk(&json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }).to_string())
    };
    assert!(point(x, y).is_ok());
    for (x, y) in
        [(y, x), (x, x), (&*encode([0; 32]), &*encode([0; 32])), (&*encode([0xff; 32]), y), (x, "AA")]
    {
        assert!(matches!(point(x, y), Err(KeyError::Unsuitable { .. })), "{x} {y}");
    }
}

/// The encodings of the points of small order: first in their own form, then not reduced modulo p.
fn small_order_points() -> Vec<[u8; 32]> {
    let first = |byte: u8| {
        let mut y = [0; 32];
        y[0] = byte;
        y
    };
    let last = |byte: u8| {
        let mut y = [0xff; 32];
        y[0] = byte;
        y[31] = 0x7f;
        y
    };
    let eighth = |hex: &str| -> [u8; 32] {
        std::array::from_fn(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap())
    };
    let points = [
        first(0),
        first(1),
        last(0xec),
        eighth("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        eighth("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        last(0xed),
        last(0xee),
    ];
    let negated = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.into_iter().chain(negated).collect()
}

#[test]
fn a_point_of_small_order_is_refused() {
    for point in small_order_points() {
        assert!(matches!(ed25519(&point), Err(KeyError::Unsuitable { .. })), "{point:02x?}");
    }
    let mut unreduced = [0xff; 32];
    unreduced[31] = 0x7f;
    assert!(ed25519(&unreduced).is_err());
}

#[test]
fn the_library_alone_would_take_a_forgery_under_such_a_point() {
    // With the neutral point as key, the neutral point and zero sign every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let forgery = [neutral, [0; 32]].concat();
    assert!(ED25519.verify_sig(&neutral, b"any message", &forgery).is_ok());
}

#[test]
fn debug_shows_the_name_alone() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let shown = format!("{:?}", key.verifying_key());
    assert_eq!(shown, format!("VerifyingKey {{ key_id: {:?}, algorithm: \"EdDSA\", .. }}", key.key_id()));
}
