//! What an external issuer says with a signed JWT that is no access token: a security event token (RFC 8417), a logout
//! token (OpenID Connect Back-Channel Logout 1.0 §2.4), or the proof of who asks for a global revocation (RFC 7523).
//!
//! Here the claims are read, once the signature is verified. What they mean is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::claims::one_or_many;
use super::compact::json_object;
use super::optional_member::never_null;
use super::{InvalidClaims, InvalidToken, numeric_date};
use crate::id::Audience;

/// The claims of a message whose signature was verified. The issuer is the one that signed.
#[derive(Debug)]
pub(crate) struct Message {
    /// `jti`: 1 to 255 visible ASCII characters.
    pub(crate) id: String,
    audiences: Vec<Audience>,
    issued_at: u64,
    not_before: u64,
    pub(crate) expires_at: Option<u64>,
    pub(crate) subject: Option<String>,
    /// `sid`: the session at the issuer.
    pub(crate) session: Option<String>,
    /// `sub_id` (RFC 9493 §4.1), not read yet.
    pub(crate) subject_id: Option<Box<RawValue>>,
    /// `events`.
    pub(crate) events: Option<Events>,
    pub(crate) has_nonce: bool,
}

/// The members of `events`, by the type of the event.
pub(crate) type Events = BTreeMap<String, Box<RawValue>>;

/// By which times a message is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) now: Duration,
    /// For issuers whose clocks run ahead.
    pub(crate) leeway: Duration,
    /// How long after its `iat` a message is good.
    pub(crate) max_age: Duration,
}

#[derive(Deserialize)]
struct Wire {
    iss: String,
    jti: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<Audience>,
    #[serde(deserialize_with = "numeric_date::down")]
    iat: u64,
    #[serde(default, deserialize_with = "numeric_date::up_if_any")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "numeric_date::down_if_any")]
    exp: Option<u64>,
    #[serde(default, deserialize_with = "never_null")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    sid: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    sub_id: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "some_members")]
    events: Option<Events>,
    nonce: Option<IgnoredAny>,
    #[serde(default)]
    at_hash: Option<IgnoredAny>,
    #[serde(default)]
    c_hash: Option<IgnoredAny>,
}

impl Message {
    /// Reads the claims. They must be those of a message of `issuer`.
    pub(crate) fn read(payload: &[u8], issuer: &str) -> Result<Self, InvalidToken> {
        let claims: Wire = json_object(payload).ok_or(InvalidClaims::Json)?;
        if claims.iss != issuer {
            return Err(InvalidToken::Issuer);
        }
        // Only an ID token has these (OpenID Connect Core §3.3.2.11).
        if claims.at_hash.is_some() || claims.c_hash.is_some() {
            return Err(InvalidToken::Type);
        }
        if !matches!(claims.jti.len(), 1..=255) || !claims.jti.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidClaims::TokenId.into());
        }
        if !(1..=16).contains(&claims.aud.len()) {
            return Err(InvalidClaims::Audiences.into());
        }
        let is_text = |text: &Option<String>| text.as_deref().is_none_or(is_text);
        if !is_text(&claims.sub) || !is_text(&claims.sid) {
            return Err(InvalidClaims::Subject.into());
        }
        Ok(Self {
            id: claims.jti,
            audiences: claims.aud,
            issued_at: claims.iat,
            not_before: claims.nbf.unwrap_or(0),
            expires_at: claims.exp,
            subject: claims.sub,
            session: claims.sid,
            subject_id: claims.sub_id,
            events: claims.events,
            has_nonce: claims.nonce.is_some(),
        })
    }

    /// Whether it is for `audience`.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        self.audiences.iter().any(|found| found.as_str() == audience)
    }

    /// Whether it is for `audience` and for nobody else.
    pub(crate) fn is_only_for(&self, audience: &str) -> bool {
        self.audiences.len() == 1 && self.is_for(audience)
    }

    /// Checks that it is good now. Returns how long it must be remembered as done.
    pub(crate) fn check(&self, times: Times) -> Result<Duration, InvalidToken> {
        let Times { now, leeway, max_age } = times;
        if Duration::from_secs(self.issued_at.max(self.not_before)) > now.saturating_add(leeway) {
            return Err(InvalidToken::NotYetValid);
        }
        let stale_at = Duration::from_secs(self.issued_at).saturating_add(max_age);
        let ends_at = self.expires_at.map_or(stale_at, |expiry| stale_at.min(Duration::from_secs(expiry)));
        let left = ends_at.checked_sub(now).filter(|left| !left.is_zero()).ok_or(InvalidToken::Expired)?;
        // Another gateway, whose clock is behind, must not do it again.
        Ok(left + leeway + Duration::from_secs(60))
    }
}

/// Whether `text` may name somebody: it comes from outside, so it is short and has no control characters.
fn is_text(text: &str) -> bool {
    matches!(text.len(), 1..=255) && !text.chars().any(char::is_control)
}

fn some_members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Events>, D::Error> {
    members(deserializer).map(Some)
}

/// The members of a JSON object, each once.
pub(crate) fn members<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Box<RawValue>>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Events;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Events::new();
            while let Some((name, value)) = map.next_entry()? {
                if members.insert(name, value).is_some() {
                    return Err(A::Error::custom("a member is repeated"));
                }
            }
            Ok(members)
        }
    }

    deserializer.deserialize_map(Members)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_700_000_000;
    const ISSUER: &str = "https://idp.example";

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": "https://gateway.example", "jti": "1", "iat": NOW,
            "sub_id": { "format": "opaque", "id": "7" }, "events": { "urn:a": {} },
        })
    }

    fn with(name: &str, value: Value) -> Result<Message, InvalidToken> {
        let mut claims = claims();
        claims[name] = value;
        Message::read(claims.to_string().as_bytes(), ISSUER)
    }

    fn at(now: u64) -> Times {
        let (leeway, max_age) = (Duration::from_secs(10), Duration::from_secs(3600));
        Times { now: Duration::from_secs(now), leeway, max_age }
    }

    #[test]
    fn a_message_is_read() {
        let message = Message::read(claims().to_string().as_bytes(), ISSUER).unwrap();
        assert_eq!((message.id.as_str(), message.has_nonce), ("1", false));
        assert!(
            message.is_only_for("https://gateway.example") && !message.is_for("https://gateway.example/")
        );
        assert_eq!(message.events.unwrap().into_keys().collect::<Vec<_>>(), ["urn:a"]);
        let two = with("aud", json!(["https://gateway.example", "https://other.example"])).unwrap();
        assert!(two.is_for("https://gateway.example") && !two.is_only_for("https://gateway.example"));
    }

    #[test]
    fn a_claim_that_is_missing_or_of_a_wrong_type_is_refused() {
        for name in ["iss", "aud", "jti", "iat"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(Message::read(claims.to_string().as_bytes(), ISSUER).is_err(), "{name}");
        }
        for (name, value) in [
            ("iss", json!("https://idp.example/")),
            ("iss", json!([ISSUER])),
            ("aud", json!([])),
            ("aud", json!(7)),
            ("jti", json!("")),
            ("jti", json!("a b")),
            ("jti", json!("x".repeat(256))),
            ("jti", Value::Null),
            ("iat", json!("now")),
            ("exp", Value::Null),
            ("sub", Value::Null),
            ("sub", json!("a\nb")),
            ("sid", json!("")),
            ("sid", json!(7)),
            ("events", json!([])),
            ("events", Value::Null),
            ("at_hash", json!("x")),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name} {value}");
        }
        for repeated in [r#"{"urn:a":{},"urn:a":{}}"#, r#"{"urn:a":{},"urn:\u0061":{}}"#] {
            let text = claims().to_string().replace(r#"{"urn:a":{}}"#, repeated);
            assert!(Message::read(text.as_bytes(), ISSUER).is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_is_good_until_it_is_stale_or_expired() {
        let message = Message::read(claims().to_string().as_bytes(), ISSUER).unwrap();
        let remembered = message.check(at(NOW + 10)).unwrap();
        assert_eq!(remembered, Duration::from_secs(3590 + 10 + 60));
        assert!(message.check(at(NOW - 10)).is_ok() && message.check(at(NOW + 3599)).is_ok());
        assert_eq!(message.check(at(NOW - 11)), Err(InvalidToken::NotYetValid));
        assert_eq!(message.check(at(NOW + 3600)), Err(InvalidToken::Expired));
        let short = with("exp", json!(NOW + 60)).unwrap();
        assert!(short.check(at(NOW + 59)).is_ok());
        assert_eq!(short.check(at(NOW + 60)), Err(InvalidToken::Expired));
        let late = with("nbf", json!(NOW + 60)).unwrap();
        assert_eq!(late.check(at(NOW + 40)), Err(InvalidToken::NotYetValid));
        let forever = with("iat", json!(u64::MAX)).unwrap();
        assert_eq!(forever.check(at(NOW)), Err(InvalidToken::NotYetValid));
    }
}
