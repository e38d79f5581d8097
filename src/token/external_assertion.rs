//! Assertions of other issuers (RFC 7523 §3): identity assertions about people
//! (draft-ietf-oauth-identity-assertion-authz-grant), and tokens of workloads (SPIFFE JWT-SVID, Kubernetes).

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::assertion::{ClientAssertion, OneAudience, is_assertion_id};
use super::claims::check_time;
use super::compact::json_object;
use super::optional_member::never_null;
use super::spiffe_id::{has_its_scheme, trust_domain_of};
use super::{Claims, ExternalVerifier, InvalidClaims, InvalidToken, numeric_date};
use crate::clock::Clock;
use crate::id::{ClientId, Scopes, UserId};
use crate::telemetry::quoted;

/// What an assertion of another issuer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssertionKind {
    /// A person, for one client: an identity assertion. It is good once.
    Person,
    /// A program. Its token is good until it expires, as often as it is shown: the platforms that issue such tokens give
    /// a program the same token again and again.
    Workload,
}

/// The claims of an assertion of another issuer, which hold.
#[derive(Debug, Clone)]
pub(crate) struct ExternalAssertion {
    /// `sub`: 1 to 255 visible characters.
    pub(crate) subject: String,
    /// `email`, only when `email_verified` is `true`.
    pub(crate) email: Option<String>,
    /// `sid`.
    pub(crate) session: Option<String>,
    /// `tenant`.
    pub(crate) tenant: Option<String>,
    /// The client that it was issued to: `client_id`. An assertion about a person always has one.
    pub(crate) client: Option<ClientId>,
    /// The resources that it is for: `resource`. `None`: it names none.
    pub(crate) resources: Option<Vec<String>>,
    /// `scope`. `None`: it has none.
    pub(crate) scopes: Option<Scopes>,
    /// `jti`. An assertion about a person always has one.
    pub(crate) id: Option<String>,
    /// When the person signed in: `auth_time`, or else `iat`. In seconds since the Unix epoch.
    pub(crate) authenticated_at: Option<u64>,
    /// When it was issued: `iat`. In seconds since the Unix epoch.
    pub(crate) issued_at: Option<u64>,
    /// How long it is still good.
    pub(crate) left: Duration,
    /// How long it must be remembered as used.
    pub(crate) remembered_for: Duration,
}

/// Why an assertion is refused. It is for the log, not for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAssertion {
    #[error(transparent)]
    Token(#[from] InvalidToken),
    #[error("aud is {sent}, expected {expected} alone")]
    Audience { sent: String, expected: String },
    #[error("it lives {0} s, at most {1} s are allowed")]
    TooLongLived(u64, u64),
    #[error("sub is {sent}, expected a SPIFFE ID of a workload in the trust domain {expected}")]
    TrustDomain { sent: String, expected: String },
    #[error(
        "sub is {0}, and the trust domain of its issuer is not known here: set ExternalIssuer::spiffe_trust_domain"
    )]
    NoTrustDomain(String),
    #[error("{0} is missing or malformed")]
    Missing(&'static str),
    #[error("it has the claim {0}, which is not supported here")]
    Unsupported(&'static str),
}

/// The claims of an assertion. `null` is not a missing claim, and a repeated claim is an error.
#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "never_null")]
    iss: Option<String>,
    sub: String,
    aud: OneAudience,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
    #[serde(default, deserialize_with = "numeric_date::down_if_any")]
    iat: Option<u64>,
    #[serde(default, deserialize_with = "numeric_date::up")]
    nbf: u64,
    #[serde(default, deserialize_with = "numeric_date::down_if_any")]
    auth_time: Option<u64>,
    #[serde(default, deserialize_with = "never_null")]
    jti: Option<Value>,
    #[serde(default, deserialize_with = "never_null")]
    client_id: Option<Value>,
    #[serde(default, deserialize_with = "never_null")]
    resource: Option<OneOrMany>,
    #[serde(default, deserialize_with = "never_null")]
    scope: Option<Scopes>,
    email: Option<Value>,
    email_verified: Option<Value>,
    sid: Option<Value>,
    tenant: Option<Value>,
    #[serde(default, deserialize_with = "never_null")]
    act: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    authorization_details: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    cnf: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    nonce: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    at_hash: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    c_hash: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "never_null")]
    events: Option<IgnoredAny>,
}

/// One resource, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl AssertionKind {
    /// The types that the header of such an assertion may have. An empty one stands for a header without a type.
    pub(crate) const fn types(self) -> &'static [&'static str] {
        match self {
            Self::Person => &["oauth-id-jag+jwt", "application/oauth-id-jag+jwt"],
            // A Kubernetes token has no type. A JWT-SVID may have one of the other two (JWT-SVID §2).
            Self::Workload => &["", "JWT", "JOSE"],
        }
    }

    /// The longest life that such an assertion may have.
    const fn max_life(self) -> Duration {
        match self {
            Self::Person => ClientAssertion::MAX_LIFE,
            Self::Workload => Claims::MAX_LIFE,
        }
    }
}

impl ExternalVerifier {
    /// The claims of the assertion with this `payload`, which a key of the issuer has signed. It is for `audience`, the
    /// issuer of this gateway, and for nobody else.
    pub(crate) fn read_assertion(
        &self,
        kind: AssertionKind,
        payload: &[u8],
        audience: &str,
    ) -> Result<ExternalAssertion, InvalidAssertion> {
        let claims: Wire = json_object(payload).ok_or(InvalidAssertion::Token(InvalidClaims::Json.into()))?;
        self.check_issuer(kind, &claims)?;
        claims.check_kind()?;
        if claims.aud.as_str() != audience {
            let (sent, expected) = (quoted(claims.aud.as_str()), quoted(audience));
            return Err(InvalidAssertion::Audience { sent, expected });
        }
        let left = self.time_left(kind, &claims)?;
        claims.into_assertion(kind, left, left + self.leeway + ClientAssertion::CLOCK_RESERVE)
    }

    /// A JWT-SVID needs no `iss` (JWT-SVID §3). Its trust domain says whose keys may have signed it, with `iss` or without
    /// it: a mapper knows a workload by its SPIFFE ID alone.
    fn check_issuer(&self, kind: AssertionKind, claims: &Wire) -> Result<(), InvalidAssertion> {
        let is_workload = kind == AssertionKind::Workload;
        let domain = self.trust_domain.as_deref().filter(|_| is_workload);
        match claims.iss.as_deref() {
            Some(issuer) if *issuer == *self.issuer => {}
            None if domain.is_some() => {}
            _ => return Err(InvalidToken::Issuer.into()),
        }
        match domain {
            Some(domain) if trust_domain_of(&claims.sub) != Some(domain) => {
                let (sent, expected) = (quoted(&claims.sub), quoted(domain));
                Err(InvalidAssertion::TrustDomain { sent, expected })
            }
            None if is_workload && has_its_scheme(&claims.sub) => {
                Err(InvalidAssertion::NoTrustDomain(quoted(&claims.sub)))
            }
            _ => Ok(()),
        }
    }

    /// How long the assertion is still good.
    fn time_left(&self, kind: AssertionKind, claims: &Wire) -> Result<Duration, InvalidAssertion> {
        let now = self.clock.now();
        check_time(claims.exp, claims.nbf.max(claims.iat.unwrap_or(0)), now, self.leeway)?;
        if claims.iat.is_some_and(|iat| iat > claims.exp) {
            return Err(InvalidToken::from(InvalidClaims::IssuedAfterExpiry).into());
        }
        let left = Duration::from_secs(claims.exp).saturating_sub(now);
        let life = claims.iat.map_or(left, |iat| Duration::from_secs(claims.exp.saturating_sub(iat)));
        let max_life = kind.max_life();
        if left > max_life + self.leeway || (claims.iat.is_some() && life > max_life) {
            return Err(InvalidAssertion::TooLongLived(life.as_secs(), max_life.as_secs()));
        }
        Ok(left)
    }
}

impl Wire {
    /// Refuses other kinds of tokens, and what would be lost here: a token that is bound to a key is not a bearer token
    /// (RFC 7800 §3.1), an actor would be forgotten, and a grant with details would become a wider one.
    fn check_kind(&self) -> Result<(), InvalidAssertion> {
        let Self { act, authorization_details, cnf, nonce, at_hash, c_hash, events, .. } = self;
        let refused = [
            ("act", act),
            ("authorization_details", authorization_details),
            ("cnf", cnf),
            ("nonce", nonce),
            ("at_hash", at_hash),
            ("c_hash", c_hash),
            ("events", events),
        ];
        match refused.into_iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(InvalidAssertion::Unsupported(name)),
            None => Ok(()),
        }
    }

    fn into_assertion(
        self,
        kind: AssertionKind,
        left: Duration,
        remembered_for: Duration,
    ) -> Result<ExternalAssertion, InvalidAssertion> {
        let is_person = kind == AssertionKind::Person;
        let id = text(self.jti).filter(|id| is_assertion_id(id));
        let client = text(self.client_id).and_then(|id| ClientId::parse(id).ok());
        let missing = [
            ("sub", UserId::parse(&self.sub).is_err()),
            ("jti", is_person && id.is_none()),
            ("iat", is_person && self.iat.is_none()),
            ("client_id", is_person && client.is_none()),
        ];
        if let Some((name, _)) = missing.into_iter().find(|(_, is_missing)| *is_missing) {
            return Err(InvalidAssertion::Missing(name));
        }
        // An address counts only when the issuer says so (OpenID Connect Core §5.7): any other value is no proof.
        let is_verified = self.email_verified == Some(Value::Bool(true));
        Ok(ExternalAssertion {
            subject: self.sub,
            email: text(self.email).filter(|_| is_verified),
            session: text(self.sid),
            tenant: text(self.tenant),
            client,
            resources: self.resource.map(|resource| match resource {
                OneOrMany::One(resource) => vec![resource],
                OneOrMany::Many(resources) => resources,
            }),
            scopes: self.scope,
            id,
            authenticated_at: self.auth_time.or(self.iat),
            issued_at: self.iat,
            left,
            remembered_for,
        })
    }
}

/// A text that is not empty.
fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
