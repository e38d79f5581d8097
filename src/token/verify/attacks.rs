//! Tokens that somebody else made, or made from ours.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::fixture::*;
use crate::token::compact::{Compact, decode, encode};
use crate::token::error::MAX_BYTES;
use crate::token::{Algorithm, InvalidToken, KeyRing, SigningKey, Subject};

/// A ring that signs with the first of `keys` and verifies with all.
fn ring_of_all() -> KeyRing {
    let ring = ring_of(&keys()[0]);
    keys()[1..].iter().for_each(|key| ring.publish(key.verifying_key().clone()).unwrap());
    ring
}

fn verdict(token: &str) -> Result<(), InvalidToken> {
    verifier(ring_of_all()).verify(token).map(drop)
}

#[test]
fn what_is_signed_verifies_with_every_algorithm() {
    for key in keys() {
        let ring = ring_of(key);
        for claims in [claims(), hook_claims()] {
            let token = ring.sign(&claims).unwrap();
            assert_eq!(verifier(ring.clone()).verify(token.expose()), Ok(claims), "{key:?}");
        }
    }
}

#[test]
fn the_wire_form_is_exactly_rfc_9068() {
    let token = ring_of(ed25519()).sign(&hook_claims()).unwrap();
    let compact = Compact::parse(token.expose()).unwrap();
    let header = String::from_utf8(decode(token.expose().split('.').next().unwrap()));
    assert_eq!(
        header.unwrap(),
        format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, ed25519().key_id())
    );
    let payload: Value = serde_json::from_slice(&compact.payload).unwrap();
    let mut names: Vec<_> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected =
        ["aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "nbf", "owner", "scope", "sid", "sub"];
    assert_eq!(names, expected);
    assert_eq!(payload["aud"], json!(["bridge", "mcp"]));
    assert_eq!(payload["scope"], "hook:govern hook:track");
    assert_eq!(payload["sub"], payload["client_id"]);
}

#[test]
fn no_algorithm_is_no_signature() {
    for name in ["none", "None", "NONE", "nOnE", "", "null"] {
        let head = encode(json!({ "alg": name, "kid": ed25519().key_id(), "typ": "at+jwt" }).to_string());
        let body = encode(payload().to_string());
        assert_eq!(verdict(&format!("{head}.{body}.")), Err(InvalidToken::Algorithm), "{name}");
        assert_eq!(verdict(&format!("{head}.{body}.AAAA")), Err(InvalidToken::Algorithm), "{name}");
        assert_eq!(verdict(&format!("{head}.{body}")), Err(InvalidToken::Malformed), "{name}");
    }
}

#[test]
fn a_key_is_used_with_its_own_algorithm_alone() {
    let names = [
        "EdDSA",
        "ES256",
        "RS256",
        "PS256",
        "HS256",
        "hs256",
        "eddsa",
        "rs256",
        "ES384",
        "ES512",
        "ES256K",
        "RS384",
        "RS512",
        "PS384",
        "PS512",
        "HS384",
        "HS512",
        "Ed25519",
        "Ed448",
        "RSA-OAEP",
        "dir",
        "PBES2-HS256+A128KW",
        "RS1",
    ];
    for key in keys() {
        let own = own_name(key);
        let is_own = |name: &&str| *name == own || (own == "EdDSA" && *name == "Ed25519");
        for name in names.into_iter().filter(|name| !is_own(name)) {
            let mut header = header(key);
            header["alg"] = json!(name);
            let token = forge(key, header.to_string(), payload().to_string());
            assert_eq!(verdict(&token), Err(InvalidToken::Algorithm), "{name} for {own}");
        }
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    for key in &keys()[..4] {
        let ring = ring_of(key);
        let jwks: Value = serde_json::from_str(&ring.jwks()).unwrap();
        let jwk = jwks["keys"][0].clone();
        let der = spki(key);
        let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.clone()));
        let mut secrets: Vec<Vec<u8>> = vec![
            pem.trim_end().into(),
            format!("{}\n", pem.trim_end()).into(),
            pem.replace("\r\n", "\n").into(),
            der,
            jwk.to_string().into(),
            ring.jwks().into(),
            ISSUER.into(),
            b"secret".into(),
            vec![0; 32],
            Vec::new(),
        ];
        for member in ["x", "y", "n", "e"] {
            if let Some(text) = jwk[member].as_str() {
                secrets.extend([text.as_bytes().to_vec(), decode(text)]);
            }
        }
        let digests: Vec<Vec<u8>> =
            secrets.iter().map(|secret| <sha2::Sha256 as sha2::Digest>::digest(secret).to_vec()).collect();
        for secret in secrets.into_iter().chain(digests) {
            for name in ["HS256", own_name(key)] {
                let head = json!({ "alg": name, "kid": key.key_id(), "typ": "at+jwt" }).to_string();
                let signed = format!("{}.{}", encode(head), encode(payload().to_string()));
                let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
                let tag = aws_lc_rs::hmac::sign(&mac, signed.as_bytes());
                assert!(verdict(&format!("{signed}.{}", encode(tag))).is_err());
            }
        }
    }
}

fn own_name(key: &SigningKey) -> &'static str {
    key.verifying_key().algorithm()
}

#[test]
fn another_key_under_a_known_id_does_not_sign() {
    let stranger = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let forged = forge(&stranger, header(ed25519()).to_string(), payload().to_string());
    assert_eq!(verdict(&forged), Err(InvalidToken::Signature));
    assert_eq!(verdict(&token(&stranger)), Err(InvalidToken::UnknownKey));
}

#[test]
fn only_alg_kid_and_typ_stand_in_the_header() {
    let good = header(ed25519());
    assert_eq!(verdict_on_header(good.to_string()).map(drop), Ok(()));
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:9/jwks")),
        ("jku", json!("file:///etc/passwd")),
        ("x5u", json!("http://169.254.169.254/")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!(["unknown"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("crit", json!(["exp", "exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("p2c", json!(2_147_483_648_u64)),
        ("cty", json!("JWT")),
        ("x", json!(1)),
    ] {
        let mut spoilt = good.clone();
        spoilt[name] = value;
        assert_eq!(verdict_on_header(spoilt.to_string()).map(drop), Err(InvalidToken::Header), "{spoilt}");
    }
}

#[test]
fn header_members_stand_once_and_are_text() {
    let good = header(ed25519());
    for name in ["alg", "kid", "typ"] {
        for value in [json!(null), json!(1), json!([]), json!({}), json!(true), json!(["EdDSA"])] {
            let mut spoilt = good.clone();
            spoilt[name] = value;
            assert_eq!(
                verdict_on_header(spoilt.to_string()).map(drop),
                Err(InvalidToken::Header),
                "{spoilt}"
            );
        }
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove(name);
        assert_eq!(verdict_on_header(missing.to_string()).map(drop), Err(InvalidToken::Header), "no {name}");
        let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        for spelt in [name, &escaped] {
            let member = format!("\"{spelt}\":{}", good[name]);
            let text = good.to_string();
            for spoilt in
                [text.replacen('{', &format!("{{{member},"), 1), text.replace('}', &format!(",{member}}}"))]
            {
                assert_eq!(verdict_on_header(&spoilt).map(drop), Err(InvalidToken::Header), "{spoilt}");
            }
        }
    }
    let array = json!(["EdDSA", ed25519().key_id(), "at+jwt"]).to_string();
    for text in
        [array, format!("{good} x"), format!("\u{feff}{good}"), "{}".into(), "null".into(), String::new()]
    {
        assert_eq!(verdict_on_header(&text).map(drop), Err(InvalidToken::Header), "{text}");
    }
    assert_eq!(verdict_on_header([b'{', 0xff, b'}']).map(drop), Err(InvalidToken::Header));
    assert_eq!(verdict_on_header("[".repeat(5000)).map(drop), Err(InvalidToken::Header));
}

#[test]
fn tokens_of_other_types_are_refused() {
    let of_type = |typ: &str| {
        let mut header = header(ed25519());
        header["typ"] = json!(typ);
        verdict_on_header(header.to_string()).map(drop)
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert_eq!(of_type(typ), Ok(()), "{typ}");
    }
    for typ in [
        "JWT",
        "jwt",
        "",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "at+jwt ",
        "at+jwt;v=1",
        "text/at+jwt",
        "application/application/at+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
        "refresh+jwt",
    ] {
        assert_eq!(of_type(typ), Err(InvalidToken::Type), "{typ}");
    }
}

#[test]
fn the_key_id_is_looked_up_and_nothing_else() {
    let with_kid = |kid: &str| {
        let mut header = header(ed25519());
        header["kid"] = json!(kid);
        verdict_on_header(header.to_string()).map(drop)
    };
    for kid in ["../../dev/null", "/etc/passwd", "'||1=1--", "unknown", keys()[1].key_id(), &"k".repeat(128)]
    {
        assert_eq!(with_kid(kid), Err(InvalidToken::UnknownKey), "{kid}");
    }
    for kid in ["", "' OR 1=1--", "\0", "a\r\nb", "é", &"k".repeat(129)] {
        assert_eq!(with_kid(kid), Err(InvalidToken::Header), "{kid:?}");
    }
    assert_eq!(with_kid(&"k".repeat(1 << 20)), Err(InvalidToken::TooLong));
}

#[test]
fn the_compact_form_has_one_spelling() {
    let good = token(ed25519());
    let (signed, signature) = split(&good);
    let (head, body) = signed.split_once('.').unwrap();
    for spoilt in [
        String::new(),
        ".".into(),
        "..".into(),
        signed.into(),
        format!("{signed}."),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{body}.{signature}"),
        format!("{good}="),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}==.{signature}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{signed}. {signature}"),
        format!("{head}.{}\n{}.{signature}", &body[..4], &body[4..]),
        format!("{head}.{}?{}.{signature}", &body[..4], &body[4..]),
        good.replace(['-', '_'], "+") + "/",
        ".".repeat(MAX_BYTES),
        json!({ "protected": head, "payload": body, "signature": signature }).to_string(),
        json!({ "payload": body, "signatures": [{ "protected": head, "signature": signature }] }).to_string(),
        format!("Bearer {good}"),
        "é".repeat(100),
    ] {
        assert!(verdict(&spoilt).is_err(), "{spoilt}");
    }
}

#[test]
fn length_is_checked_before_anything_else() {
    assert_eq!(verdict(&"a".repeat(MAX_BYTES)), Err(InvalidToken::Malformed));
    for length in [MAX_BYTES + 1, 64 << 10, 1 << 20] {
        assert_eq!(verdict(&"a".repeat(length)), Err(InvalidToken::TooLong));
        assert_eq!(verdict(&".".repeat(length)), Err(InvalidToken::TooLong));
    }
}

#[test]
fn nothing_of_the_payload_is_read_before_the_signature_holds() {
    let poison = "[".repeat(5000);
    let head = encode(header(ed25519()).to_string());
    let token = format!("{head}.{}.{}", encode(poison), encode([0; 64]));
    assert_eq!(verdict(&token), Err(InvalidToken::Signature));
}

#[test]
fn any_single_character_changed_is_refused() {
    for key in keys() {
        let good = token(key);
        let verifier = verifier(ring_of_all());
        for place in 0..good.len() {
            // The neighbour in base64url's alphabet differs in the last bits alone.
            let neighbour = match good.as_bytes()[place] {
                b'Z' => b'a',
                b'z' => b'0',
                b'9' => b'-',
                b'-' => b'_',
                b'_' | b'.' => b'A',
                byte => byte + 1,
            };
            let mut spoilt = good.clone().into_bytes();
            spoilt[place] = neighbour;
            let spoilt = String::from_utf8(spoilt).unwrap();
            assert!(verifier.verify(&spoilt).is_err(), "{key:?}: {place}");
        }
    }
}

proptest! {
    #[test]
    fn verifying_never_panics(text in any::<String>(), head in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        prop_assert!(verdict(&text).is_err());
        prop_assert!(verdict_on_header(head).is_err());
        prop_assert!(verdict_on_payload(body).is_err());
    }

    #[test]
    fn any_change_of_a_character_is_refused(place in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=+/ -]") {
        let good = token(ed25519());
        let place = place.index(good.len());
        let spoilt = format!("{}{other}{}", &good[..place], &good[place + 1..]);
        prop_assume!(spoilt != good);
        prop_assert!(verdict(&spoilt).is_err());
    }

    #[test]
    fn inserting_or_dropping_characters_is_refused(place in any::<prop::sample::Index>(), extra in ".{0,3}") {
        let good = token(ed25519());
        let place = place.index(good.len());
        let spoilt = format!("{}{extra}{}", &good[..place], &good[place + usize::from(extra.is_empty())..]);
        prop_assert!(verdict(&spoilt).is_err());
    }

    #[test]
    fn every_claim_survives_the_road(
        user in "[a-z@.]{1,255}", expires_in in 1_u64..=MAX_LIFE, session in "[A-Za-z0-9_-]{1,128}",
    ) {
        let mut claims = claims();
        claims.subject = Subject::User(crate::id::UserId::parse(user).unwrap());
        claims.expires_at = NOW + expires_in;
        claims.session = crate::id::SessionId::parse(session).unwrap();
        let ring = ring_of(ed25519());
        prop_assert_eq!(verifier(ring.clone()).verify(ring.sign(&claims).unwrap().expose()), Ok(claims));
    }
}
