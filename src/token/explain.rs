//! What is wrong with a refused token, for the log: which claim, which issuer, which key; and who the token is for, when
//! its signature is good.
//!
//! It runs only for a token that is refused already, and decides nothing.

use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::compact::{Compact, TYPE, json_object};
use super::error::MAX_BYTES;
use super::{
    Actor, Claims, ExternalClaims, ExternalVerifier, InvalidClaims, InvalidToken, ScopeClaims, numeric_date,
};
use crate::clock::Clock;
use crate::id::{ClientId, SessionId, UserId};
use crate::telemetry::{Known, quoted, quoted_list};

/// What the verifier that refused the token goes by.
pub(crate) struct Judge<'j> {
    /// The issuer whose tokens it takes.
    pub(crate) issuer: &'j str,
    /// The other issuers whose tokens are taken here.
    pub(crate) others: &'j [&'j str],
    pub(crate) now: Duration,
    pub(crate) leeway: Duration,
    pub(crate) max_life: Duration,
    /// Whether the claims are those of our own tokens.
    pub(crate) is_own: bool,
    pub(crate) scope_claims: &'j ScopeClaims,
}

impl Judge<'_> {
    /// What is known of `token`, which was refused for `reason`.
    pub(crate) fn explain(&self, token: &str, reason: InvalidToken) -> Known {
        let Ok(parts) = Compact::parse(token) else {
            return Known::detail(format!("{reason}: {} bytes, at most {MAX_BYTES}", token.len()));
        };
        let header = object(&parts.header);
        let claims = object(&parts.payload);
        let detail = format!("{reason}: {}", self.fault(reason, &header, &claims));
        let mut known = if is_signed(reason) { self.holder(&claims) } else { Known::default() };
        known.detail = Some(detail);
        known
    }

    /// What exactly is wrong.
    fn fault(
        &self,
        reason: InvalidToken,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> String {
        let of = |from: &Map<String, Value>, name: &str| from.get(name).map_or("missing".to_owned(), told);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).unwrap_or_default();
        let now = self.now.as_secs_f64();
        match reason {
            InvalidToken::TooLong | InvalidToken::Malformed => "see the form of the token".to_owned(),
            InvalidToken::Header => {
                format!("its members are {}", quoted_list(header.keys().map(String::as_str)))
            }
            InvalidToken::Type => match OF_OTHER_KINDS.iter().find(|name| claims.contains_key(**name)) {
                Some(name) if !self.is_own => {
                    format!("it is no access token, because it has the claim {name}")
                }
                _ => format!("typ is {}, expected '{TYPE}'", of(header, "typ")),
            },
            InvalidToken::Algorithm => format!("alg is {}, kid is {}", of(header, "alg"), of(header, "kid")),
            InvalidToken::UnknownKey => format!(
                "kid is {}. The token says, without proof, that its issuer is {}. Trusted is {}",
                of(header, "kid"),
                of(claims, "iss"),
                self.trusted()
            ),
            InvalidToken::Signature => {
                format!("the signature does not match the key {}", of(header, "kid"))
            }
            InvalidToken::Issuer => format!("iss is {}, trusted is {}", of(claims, "iss"), self.trusted()),
            InvalidToken::Expired => {
                format!("exp was {:.0} s ago, at {}", now - seconds("exp"), of(claims, "exp"))
            }
            InvalidToken::NotYetValid => {
                let begins = seconds("nbf").max(seconds("iat"));
                let leeway = self.leeway.as_secs();
                format!("nbf or iat is {:.0} s in the future, at most {leeway} s are allowed", begins - now)
            }
            InvalidToken::TooLongLived => {
                let life = seconds("exp") - seconds("iat");
                format!("exp is {life:.0} s after iat, at most {} s", self.max_life.as_secs())
            }
            InvalidToken::Claims(InvalidClaims::Json) => self.malformed_claims(claims),
            InvalidToken::Claims(InvalidClaims::Audiences) => "aud".to_owned(),
            InvalidToken::Claims(InvalidClaims::TokenId) => "jti".to_owned(),
            InvalidToken::Claims(InvalidClaims::Subject) => "sub, client_id or owner".to_owned(),
            InvalidToken::Claims(InvalidClaims::Actor) => "act".to_owned(),
            InvalidToken::Claims(InvalidClaims::IssuedAfterExpiry) => {
                format!("iat is {}, exp is {}", of(claims, "iat"), of(claims, "exp"))
            }
        }
    }

    fn trusted(&self) -> String {
        let own = std::iter::once(self.issuer).filter(|issuer| !self.others.contains(issuer));
        quoted_list(own.chain(self.others.iter().copied()))
    }

    /// Which claims are missing or of a wrong type.
    fn malformed_claims(&self, claims: &Map<String, Value>) -> String {
        let (required, optional): (&[_], &[_]) = if self.is_own {
            (
                &["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "sid", "auth_time"],
                &["owner", "act", "act_sid", "may_act"],
            )
        } else {
            (&["iss", "sub", "aud", "exp", "iat"], &["nbf", "jti", "client_id", "auth_time"])
        };
        let missing = required.iter().filter(|name| !claims.contains_key(**name));
        let missing = missing.map(|name| format!("{name} is missing"));
        let scopes = self.scope_claims.names().filter(|name| !required.contains(name));
        let names = required.iter().chain(optional).copied().chain(scopes);
        let wrong = names.filter(|name| claims.get(*name).is_some_and(|value| !self.fits(name, value)));
        let faults: Vec<_> = missing.chain(wrong.map(|name| format!("{name} is malformed"))).collect();
        if faults.is_empty() {
            "the claims are no JSON object, or one is repeated".to_owned()
        } else {
            faults.join(", ")
        }
    }

    /// Whether a claim has the form that it needs.
    fn fits(&self, name: &str, value: &Value) -> bool {
        let text = value.as_str();
        match name {
            "exp" | "iat" | "nbf" | "auth_time" => numeric_date::is_date(value),
            "aud" => text.is_some() || is_list_of_texts(value),
            "sid" => text.is_some_and(|text| SessionId::parse(text).is_ok()),
            "owner" => text.is_some_and(|text| UserId::parse(text).is_ok()),
            "client_id" if self.is_own => text.is_some_and(|text| ClientId::parse(text).is_ok()),
            "scope" if self.is_own => text.is_some_and(|text| crate::id::Scopes::parse(text).is_ok()),
            "act_sid" => Vec::<SessionId>::deserialize(value).is_ok(),
            "act" | "may_act" => Actor::deserialize(value).is_ok(),
            _ if self.scope_claims.takes(name) == Some(true) => text.is_some() || is_list_of_texts(value),
            _ => text.is_some(),
        }
    }

    /// Whom a signed token is for, as far as its claims can be read.
    fn holder(&self, claims: &Map<String, Value>) -> Known {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if !self.is_own {
            let issuer = Some(self.issuer.to_owned());
            return Known { issuer, subject: text("sub").map(ToOwned::to_owned), ..Known::default() };
        }
        Known {
            user: text("owner").or_else(|| text("sub")).and_then(|user| UserId::parse(user).ok()),
            session: text("sid").and_then(|session| SessionId::parse(session).ok()),
            client: text("client_id").and_then(|client| ClientId::parse(client).ok()),
            ..Known::default()
        }
    }
}

impl ExternalVerifier {
    /// What is known of `token`, which was refused for `reason`. The gateway trusts the issuers `all`.
    pub(crate) fn explain(&self, token: &str, reason: InvalidToken, all: &[&str]) -> Known {
        let judge = Judge {
            issuer: &self.issuer,
            others: all,
            now: self.clock.now(),
            leeway: self.leeway,
            max_life: self.max_life,
            is_own: false,
            scope_claims: &self.scope_claims,
        };
        judge.explain(token, reason)
    }
}

impl Claims {
    /// Who the token is for. Its signature was good.
    pub(crate) fn known(&self) -> Known {
        Known {
            user: Some(self.user().clone()),
            session: Some(self.session.clone()),
            client: Some(self.client.clone()),
            actor: self.actor().map(ToString::to_string),
            ..Known::default()
        }
    }
}

impl ExternalClaims {
    /// Who the token is for, as its issuer names them. Its signature was good.
    pub(crate) fn known(&self) -> Known {
        Known {
            issuer: Some(self.issuer().to_owned()),
            subject: Some(self.subject().to_owned()),
            ..Known::default()
        }
    }
}

/// Claims that only other kinds of tokens have.
const OF_OTHER_KINDS: [&str; 5] = ["nonce", "at_hash", "c_hash", "events", "cnf"];

/// The members of a JSON object. Other JSON has none.
fn object(json: &[u8]) -> Map<String, Value> {
    json_object(json).unwrap_or_default()
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
}

/// A value, as the log shows it.
pub(crate) fn told(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(values) => quoted_list(values.iter().map(|value| value.as_str().unwrap_or("?"))),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Object(_) => "neither text nor a number".to_owned(),
    }
}

/// Whether the signature was good when the token was refused for this.
const fn is_signed(reason: InvalidToken) -> bool {
    match reason {
        InvalidToken::TooLong
        | InvalidToken::Malformed
        | InvalidToken::Header
        | InvalidToken::Type
        | InvalidToken::Algorithm
        | InvalidToken::UnknownKey
        | InvalidToken::Signature => false,
        InvalidToken::Claims(_)
        | InvalidToken::Issuer
        | InvalidToken::Expired
        | InvalidToken::NotYetValid
        | InvalidToken::TooLongLived => true,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn explained(is_own: bool, claims: &Value, reason: InvalidToken) -> Known {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let header = json!({ "alg": "EdDSA", "kid": "k1", "typ": "at+jwt" });
        let token = format!("{}.{}.AAAA", encode(&header), encode(claims));
        let judge = Judge {
            issuer: "https://us.example",
            others: &["https://them.example"],
            now: Duration::from_secs(NOW),
            leeway: Duration::from_secs(10),
            max_life: Duration::from_secs(86_400),
            scope_claims: &ScopeClaims::Standard,
            is_own,
        };
        judge.explain(&token, reason)
    }

    fn claims() -> Value {
        json!({
            "iss": "https://us.example", "sub": "alice", "aud": ["bridge"], "exp": NOW + 60, "iat": NOW, "nbf": NOW,
            "jti": "1", "client_id": "sp_bridge", "scope": "", "sid": "sess_1", "auth_time": NOW,
        })
    }

    #[test]
    fn each_malformed_claim_is_named() {
        for (name, value, told) in [
            ("sid", Value::Null, "sid is malformed"),
            ("exp", json!("soon"), "exp is malformed"),
            ("aud", json!([1]), "aud is malformed"),
            ("client_id", json!(7), "client_id is malformed"),
        ] {
            let mut claims = claims();
            claims[name] = value;
            let known = explained(true, &claims, InvalidToken::Claims(InvalidClaims::Json));
            assert!(known.detail.as_ref().unwrap().ends_with(told), "{known:?}");
        }
        let mut claims = claims();
        claims.as_object_mut().unwrap().retain(|name, _| name != "jti" && name != "sid");
        let known = explained(true, &claims, InvalidToken::Claims(InvalidClaims::Json));
        assert!(known.detail.unwrap().ends_with("jti is missing, sid is missing"));
        assert!(known.user.is_some_and(|user| user.as_str() == "alice"), "the signature was good");
    }

    #[test]
    fn the_time_at_fault_is_told_in_seconds() {
        let at = |name: &str, value: Value, reason| {
            let mut claims = claims();
            claims[name] = value;
            explained(true, &claims, reason).detail.unwrap()
        };
        assert!(at("exp", json!(NOW - 35), InvalidToken::Expired).contains("exp was 35 s ago"));
        assert!(at("exp", json!(NOW as f64 - 0.6), InvalidToken::Expired).contains("exp was 1 s ago"));
        assert!(at("nbf", json!(NOW + 90), InvalidToken::NotYetValid).contains("90 s in the future"));
        assert!(at("exp", json!(NOW + 90_000), InvalidToken::TooLongLived).contains("90000 s after iat"));
    }

    #[test]
    fn the_issuer_is_told_with_those_that_are_trusted() {
        let mut claims = claims();
        claims["iss"] = json!("https://evil.example\n\"");
        let known = explained(true, &claims, InvalidToken::Issuer);
        let told = r#"iss is 'https://evil.example\u{a}\"', trusted is 'https://us.example', 'https://them.example'"#;
        assert!(known.detail.as_ref().unwrap().ends_with(told), "{known:?}");
    }

    #[test]
    fn nobody_is_named_before_the_signature_is_good() {
        for reason in
            [InvalidToken::Signature, InvalidToken::UnknownKey, InvalidToken::Algorithm, InvalidToken::Type]
        {
            let known = explained(true, &claims(), reason);
            assert!(!known.is_somebody() && known.session.is_none(), "{known:?}");
        }
    }

    #[test]
    fn a_caller_of_an_external_issuer_is_named_as_the_issuer_does() {
        let known = explained(false, &claims(), InvalidToken::Expired);
        assert_eq!(
            (known.issuer.as_deref(), known.subject.as_deref()),
            (Some("https://us.example"), Some("alice"))
        );
        assert!(known.user.is_none() && known.session.is_none());
        let mut claims = claims();
        claims["nonce"] = json!("n");
        let known = explained(false, &claims, InvalidToken::Type);
        assert!(known.detail.unwrap().contains("the claim nonce"));
    }
}
