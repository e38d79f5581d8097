//! The assertion by which a client proves that it holds a private key (RFC 7523 §2.2, §3; draft-ietf-oauth-rfc7523bis).

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::algorithm::Scheme;
use super::compact::{Compact, json_object};
use super::{Algorithm, InvalidToken, VerifyingKey};
use crate::id::ClientId;

/// An assertion whose form is well. Nothing in it is proven until [`signed_by`](Self::signed_by) finds its key, and it is no
/// good until [`check`](Self::check) says so too.
pub(crate) struct ClientAssertion<'a> {
    compact: Compact<'a>,
    scheme: Scheme,
    claims: Claims,
}

/// These members and no other, as in an access token's header. A `kid` is a hint: the keys of one client are few.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "kid")]
    _kid: Option<Cow<'a, str>>,
}

/// `aud` is text, so that an assertion for several servers is none for this one (rfc7523bis §4). Times are whole seconds.
#[derive(Deserialize)]
struct Claims {
    iss: ClientId,
    sub: ClientId,
    aud: String,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(default)]
    iat: u64,
    jti: String,
}

impl<'a> ClientAssertion<'a> {
    /// How far ahead an assertion may expire. It is remembered as used for as long.
    const MAX_LIFE: Duration = Duration::from_secs(300);

    /// Reads the compact form of an assertion that a client made of itself.
    pub(crate) fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        let compact = Compact::parse(text)?;
        let header: Header<'_> = json_object(&compact.header).ok_or(InvalidToken::Header)?;
        let scheme = scheme(&header.alg).ok_or(InvalidToken::Algorithm)?;
        if !header.typ.is_none_or(|typ| is_assertion(&typ)) {
            return Err(InvalidToken::Type);
        }
        let claims: Claims = json_object(&compact.payload).ok_or(InvalidToken::Malformed)?;
        let is_id = matches!(claims.jti.len(), 1..=255) && claims.jti.bytes().all(|b| b.is_ascii_graphic());
        if claims.iss != claims.sub || !is_id {
            return Err(InvalidToken::Malformed);
        }
        Ok(Self { compact, scheme, claims })
    }

    /// The client that it says it is of.
    pub(crate) const fn client(&self) -> &ClientId {
        &self.claims.sub
    }

    /// Its `jti`.
    pub(crate) fn id(&self) -> &str {
        &self.claims.jti
    }

    /// Which of a client's `keys`, each a JWK, it is signed by. A key is used with its own algorithm alone. Without any key of
    /// that algorithm there is one to try all the same, so that the time tells not who has keys.
    pub(crate) fn signed_by<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Option<usize> {
        let keys = keys.enumerate().filter_map(|(place, jwk)| Some((place, self.candidate(jwk)?)));
        let mut keys = keys.peekable();
        if keys.peek().is_none()
            && let Some(decoy) = self.candidate(&self.decoy())
        {
            self.is_signed_by(&decoy);
        }
        keys.find(|(_, key)| self.is_signed_by(key)).map(|(place, _)| place)
    }

    /// How long it must be remembered as used, when it is for `issuer` and good at `now`. `leeway` is for clients whose clocks
    /// run ahead.
    pub(crate) fn check(
        &self,
        issuer: &str,
        now: Duration,
        leeway: Duration,
    ) -> Result<Duration, InvalidToken> {
        let Claims { aud, exp, nbf, iat, .. } = &self.claims;
        if aud != issuer {
            return Err(InvalidToken::Issuer);
        }
        let latest = now.saturating_add(leeway);
        let left = Duration::from_secs(*exp).checked_sub(now).filter(|left| !left.is_zero());
        let left = left.ok_or(InvalidToken::Expired)?;
        if left > Self::MAX_LIFE.saturating_add(leeway) {
            return Err(InvalidToken::TooLongLived);
        }
        if Duration::from_secs(*nbf.max(iat)) > latest {
            return Err(InvalidToken::NotYetValid);
        }
        // Another node, whose clock is behind, must not take it again.
        Ok(left + leeway + Duration::from_secs(60))
    }

    /// The key `jwk`, when it is of the assertion's algorithm.
    fn candidate(&self, jwk: &str) -> Option<VerifyingKey> {
        VerifyingKey::from_jwk(jwk).ok().filter(|key| key.scheme() == self.scheme)
    }

    fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verifies(self.compact.signed, &self.compact.signature)
    }

    /// A public key of its algorithm whose private half nobody has.
    fn decoy(&self) -> Cow<'static, str> {
        match self.scheme {
            Scheme::PublicKey(Algorithm::Es256) => DECOY_ES256.into(),
            Scheme::PublicKey(Algorithm::Rs256 | Algorithm::Ps256) => {
                let alg = self.scheme.name();
                format!(r#"{{"kty":"RSA","alg":"{alg}","e":"AQAB","n":"{DECOY_MODULUS}"}}"#).into()
            }
            Scheme::PublicKey(Algorithm::EdDsa) | Scheme::Hs256 => DECOY_EDDSA.into(),
        }
    }
}

/// The public-key scheme that a header names.
fn scheme(name: &str) -> Option<Scheme> {
    let ed25519 = Algorithm::EdDsa.is_called(name).then_some(Scheme::PublicKey(Algorithm::EdDsa));
    ed25519.or_else(|| Scheme::from_name(name)).filter(|scheme| *scheme != Scheme::Hs256)
}

/// RFC 7515 §4.1.9, rfc7523bis §4. What another kind of JWT is, by its type, is no assertion.
fn is_assertion(typ: &str) -> bool {
    const TYPES: [&str; 3] = ["JWT", "client-authentication+jwt", "application/client-authentication+jwt"];
    TYPES.iter().any(|name| typ.eq_ignore_ascii_case(name))
}

const DECOY_EDDSA: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"Lpt3Ks9lbqL-gjclKdRaPEbTEANfJgubZOfRDB8fJhM"}"#;
const DECOY_ES256: &str = r#"{"kty":"EC","crv":"P-256","x":"bLcYOFt9Z7wLqfzDjaQvpQQ7bO-qZPNnykmhYNXj8oI","y":"TaKMaEbL_1CaoORbvQgWv8JFtDw7acT-1AmhKiRuLWw"}"#;
const DECOY_MODULUS: &str = concat!(
    "qfJq7jo7KAdfPRJzSWL7Yi8LBs9f1PF8xuYr-rJrjR2H9u0ZkA0b__Thl2N4b1KYJmxP-Aq1iaAPqX8NHMc_26AsiAkIzddk2tU9",
    "lWKD8LD6fDiNIgdw6c0joAubmL5bZMWDkeEWZ-G8bcFh0-QfwYw6T0PC3HmhU6vVqXNBDtTA_tTTjsgNv_uf62nIg7L9V76C9ZUX",
    "ja3TOEzqEnF8_WyN61_tfFMZS9jzIyJqPwVn0oAKyCnrpKiZGSbVAdMvOuaeFLveFmSomistlTdQUjDLwklbi8gDNP2URqRD9Q_h",
    "PQR6UXV1CXI0XO8bFUVbcqch_d_oGt-jHz9HuXeEJw",
);

#[cfg(test)]
mod tests {
    use super::super::fixture::{ALGORITHMS, ISSUER, NOW, PemPair, forge, keys, ring_of};
    use super::super::{Algorithm, SigningKey};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const CLIENT: &str = "bridge:alice@example.com";

    fn header(key: &SigningKey) -> Value {
        json!({ "alg": key.verifying_key().scheme().name() })
    }

    fn claims() -> Value {
        json!({ "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": NOW + 60, "jti": "1" })
    }

    fn jwk(key: &SigningKey) -> String {
        let jwks: Value = serde_json::from_str(&ring_of(key).jwks()).unwrap();
        jwks["keys"][0].to_string()
    }

    /// Whether a server whose client has the key `jwk` takes `text` now.
    fn takes_with(text: &str, jwk: &str) -> bool {
        ClientAssertion::parse(text).is_ok_and(|assertion| {
            let (now, leeway) = (Duration::from_secs(NOW), Duration::from_secs(10));
            assertion.signed_by([jwk].into_iter()).is_some() && assertion.check(ISSUER, now, leeway).is_ok()
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
            assert!(assertion.signed_by(both.iter().map(String::as_str)).is_some());
            assert_eq!(assertion.signed_by([].into_iter()), None);
        }
        let key = &keys()[0];
        for typ in ["JWT", "jwt", "client-authentication+jwt", "application/Client-Authentication+JWT"] {
            assert!(takes(&with(header(key), "typ", json!(typ)), &claims()), "{typ}");
        }
        assert!(takes(&with(header(key), "kid", json!("any")), &claims()));
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
            ("aud", json!([ISSUER])),
            ("aud", json!([ISSUER, "https://other.example"])),
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
            ("exp", json!(NOW as f64 + 60.5)),
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
            ("exp", json!(NOW + 1)),
            ("exp", json!(NOW + 310)),
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
    fn the_decoys_are_keys_of_their_algorithms() {
        for key in &keys()[..ALGORITHMS.len()] {
            let text = forge(key, header(key).to_string(), claims().to_string());
            let assertion = ClientAssertion::parse(&text).ok().unwrap();
            let decoy = assertion.candidate(&assertion.decoy()).unwrap();
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
}
