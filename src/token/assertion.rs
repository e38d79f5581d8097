//! The assertion with which a client proves that it has a private key (RFC 7523 §2.2, §3; draft-ietf-oauth-rfc7523bis).

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::algorithm::Scheme;
use super::compact::{Compact, is_key_id, json_object};
use super::{InvalidToken, VerifyingKey, numeric_date};
use crate::id::ClientId;

/// A well-formed assertion. Nothing in it is proven until [`signed_by`](Self::signed_by) finds its key. It is not good
/// until [`check`](Self::check) says so too.
pub(crate) struct ClientAssertion<'a> {
    compact: Compact<'a>,
    scheme: Scheme,
    /// It is only used to compare and to look up keys.
    key_id: Option<String>,
    claims: Claims,
}

/// Only these members are allowed, as in the header of an access token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kid: Option<Cow<'a, str>>,
}

/// An assertion for several servers is not accepted here (rfc7523bis §4). A fraction of a time never makes an assertion
/// good for longer.
#[derive(Deserialize)]
struct Claims {
    iss: ClientId,
    sub: ClientId,
    aud: OneAudience,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
    #[serde(default, deserialize_with = "numeric_date::up")]
    nbf: u64,
    #[serde(default, deserialize_with = "numeric_date::down")]
    iat: u64,
    jti: String,
}

/// One audience, as a text or as the only member of a list: many libraries always write a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneAudience {
    Text(String),
    List([String; 1]),
}

impl OneAudience {
    pub(super) fn as_str(&self) -> &str {
        let (Self::Text(audience) | Self::List([audience])) = self;
        audience
    }
}

impl<'a> ClientAssertion<'a> {
    /// How far in the future an assertion may expire. A used assertion is remembered for as long.
    pub(super) const MAX_LIFE: Duration = Duration::from_secs(300);
    /// How much longer it is remembered than it is good: a gateway whose clock is behind must not accept it again.
    pub(super) const CLOCK_RESERVE: Duration = Duration::from_secs(60);
    /// How many signatures are tried: anyone can send an assertion, and makes the gateway spend this time.
    const MAX_TRIED: usize = 2;

    /// Reads the compact form of an assertion that a client made about itself.
    pub(crate) fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        let compact = Compact::parse(text)?;
        let header: Header<'_> = json_object(&compact.header).ok_or(InvalidToken::Header)?;
        let scheme = scheme(&header.alg).ok_or(InvalidToken::Algorithm)?;
        if !header.typ.is_none_or(|typ| is_assertion(&typ)) {
            return Err(InvalidToken::Type);
        }
        if !header.kid.as_deref().is_none_or(is_key_id) {
            return Err(InvalidToken::Header);
        }
        let key_id = header.kid.map(Cow::into_owned);
        let claims: Claims = json_object(&compact.payload).ok_or(InvalidToken::Malformed)?;
        if claims.iss != claims.sub || !is_assertion_id(&claims.jti) {
            return Err(InvalidToken::Malformed);
        }
        Ok(Self { compact, scheme, key_id, claims })
    }

    /// The client that it names; not proven.
    pub(crate) const fn client(&self) -> &ClientId {
        &self.claims.sub
    }

    /// The server that it is for: `aud`; not proven.
    pub(crate) fn audience(&self) -> &str {
        self.claims.aud.as_str()
    }

    /// Its `jti`.
    pub(crate) fn id(&self) -> &str {
        &self.claims.jti
    }

    /// The algorithm that it names, as stored JWKs name it; not proven.
    pub(crate) const fn algorithm(&self) -> &'static str {
        self.scheme.name()
    }

    /// The id of the key that it names: 1 to 128 visible ASCII characters; not proven.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Which of the first two `keys` has signed the assertion. Each key is a JWK.
    ///
    /// A key is used only with its own algorithm, and only when the assertion names it or names no key. If there is no
    /// such key, one signature is checked all the same: so the time does not tell which clients have keys. Between two
    /// checks other tasks may run.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub(crate) async fn signed_by<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Option<usize> {
        let keys = keys.enumerate().take(Self::MAX_TRIED);
        let keys: Vec<_> = keys.filter_map(|(place, jwk)| Some((place, self.candidate(jwk)?))).collect();
        if keys.is_empty() {
            if let Some(decoy) = self.key_of_its_algorithm(&self.decoy()) {
                self.is_signed_by(&decoy);
            }
            return None;
        }
        for (tried, (place, key)) in keys.iter().enumerate() {
            if tried > 0 {
                tokio::task::yield_now().await;
            }
            if self.is_signed_by(key) {
                return Some(*place);
            }
        }
        None
    }

    /// Checks that the assertion is for `issuer` and good at `now`. Returns how long it must be remembered as used.
    /// `leeway` is for clients whose clocks run ahead.
    pub(crate) fn check(
        &self,
        issuer: &str,
        now: Duration,
        leeway: Duration,
    ) -> Result<Duration, InvalidToken> {
        let Claims { aud, exp, nbf, iat, .. } = &self.claims;
        if aud.as_str() != issuer {
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
        Ok(left + leeway + Self::CLOCK_RESERVE)
    }

    /// The key `jwk`, if it is for the algorithm of the assertion and is the key that the assertion names.
    fn candidate(&self, jwk: &str) -> Option<VerifyingKey> {
        let key = self.key_of_its_algorithm(jwk)?;
        self.key_id().is_none_or(|key_id| key.is_called(key_id)).then_some(key)
    }

    fn key_of_its_algorithm(&self, jwk: &str) -> Option<VerifyingKey> {
        VerifyingKey::from_jwk(jwk).ok().filter(|key| key.scheme() == self.scheme)
    }

    fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verifies(self.compact.signed, &self.compact.signature)
    }

    /// A public key of the assertion's algorithm. Nobody has its private key.
    fn decoy(&self) -> Cow<'static, str> {
        match self.scheme {
            Scheme::Es256 => DECOY_ES256.into(),
            Scheme::Rs256 | Scheme::Ps256 => {
                let alg = self.scheme.name();
                format!(r#"{{"kty":"RSA","alg":"{alg}","e":"AQAB","n":"{DECOY_MODULUS}"}}"#).into()
            }
            Scheme::Ed25519 | Scheme::Hs256 => DECOY_EDDSA.into(),
        }
    }
}

/// Whether `text` may be the `jti` of an assertion.
pub(super) fn is_assertion_id(text: &str) -> bool {
    matches!(text.len(), 1..=255) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The public-key scheme that a header names.
fn scheme(name: &str) -> Option<Scheme> {
    Scheme::from_name(name).filter(|scheme| *scheme != Scheme::Hs256)
}

/// RFC 7515 §4.1.9, rfc7523bis §4. A JWT with the type of another kind is not an assertion.
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
mod tests;
