//! Access tokens of other issuers (RFC 9068): what is read of a token before its signature is verified, and its claims
//! after.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::algorithm::Scheme;
use super::claims::{check_time, one_or_many};
use super::compact::{ACCESS_TOKEN_TYPES, Compact, json_object, json_object_with};
use super::error::MAX_BYTES;
use super::optional_member::never_null;
use super::spiffe_id::trust_domain_of;
use super::{
    Actor, Algorithm, Claims, InvalidClaims, InvalidToken, ScopeClaims, Subject, VerifyingKey, numeric_date,
};
use crate::clock::{Clock, HostClock};
use crate::id::{Audience, ClientId, Scope, Scopes, SessionId, UserId};

/// The claims of a verified access token of another issuer. Times are whole seconds since the Unix epoch. In the token
/// they may have a fraction (RFC 7519 §2): it is cut off, and an `nbf` with a fraction counts from the next second.
///
/// The subject is a person of that issuer, not of this gateway. So it is plain text and not a
/// [`UserId`](crate::UserId).
#[derive(Clone)]
pub struct ExternalClaims {
    issuer: Arc<str>,
    subject: String,
    client: Option<String>,
    audiences: Arc<[Audience]>,
    expires_at: u64,
    issued_at: u64,
    not_before: u64,
    token_id: Option<String>,
    scopes: Scopes,
    authenticated_at: Option<u64>,
    payload: Vec<u8>,
}

/// Verifies access tokens of one other issuer. The caller provides the key.
#[derive(Debug)]
pub(crate) struct ExternalVerifier {
    pub(crate) issuer: Arc<str>,
    /// The SPIFFE trust domain of its workloads, if it has one.
    pub(crate) trust_domain: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Whether `typ` may also be `JWT`.
    pub(crate) takes_plain_jwts: bool,
    /// Pairs of audiences: the issuer's name, and the name here.
    pub(crate) audiences: Vec<(Audience, Audience)>,
    pub(crate) scope_claims: ScopeClaims,
    /// The scopes that count here.
    pub(crate) scopes: Scopes,
    pub(crate) clock: HostClock,
    pub(crate) leeway: Duration,
    pub(crate) max_life: Duration,
}

/// A token whose form and header are allowed. Nothing in it is verified yet.
pub(crate) struct ParsedToken<'t> {
    token: Compact<'t>,
    scheme: Scheme,
    pub(crate) key_id: String,
}

/// The issuer that `token` names, not verified. It may only be used to choose the keys for the verification.
pub(crate) fn unverified_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    unverified::<Issuer>(token).map(|claims| claims.iss)
}

/// The SPIFFE trust domain that a token without `iss` names in `sub`, not verified. It may only be used to choose the keys for
/// the verification.
pub(crate) fn unverified_trust_domain(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Subject {
        #[serde(default, deserialize_with = "never_null")]
        iss: Option<IgnoredAny>,
        sub: String,
    }
    let claims: Subject = unverified(token)?;
    trust_domain_of(&claims.sub).filter(|_| claims.iss.is_none()).map(ToOwned::to_owned)
}

/// Some claims of `token`, not verified.
fn unverified<T: DeserializeOwned>(token: &str) -> Option<T> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    json_object(&payload)
}

impl ExternalVerifier {
    /// Splits an access token into its parts.
    pub(crate) fn parse<'t>(&self, token: &'t str) -> Result<ParsedToken<'t>, InvalidToken> {
        let [own, own_media_type] = ACCESS_TOKEN_TYPES;
        let types = [own, own_media_type, "JWT"];
        self.parse_as(token, if self.takes_plain_jwts { &types } else { &ACCESS_TOKEN_TYPES })
    }

    /// Splits a token of one of these types into its parts. Its algorithm must be an allowed one.
    ///
    /// A type that is empty stands for a header without a type.
    pub(crate) fn parse_as<'t>(
        &self,
        token: &'t str,
        types: &[&str],
    ) -> Result<ParsedToken<'t>, InvalidToken> {
        let token = Compact::parse(token)?;
        let header = token.external_header(types)?;
        let is_allowed = |scheme: &Scheme| self.algorithms.iter().any(|allowed| allowed.scheme() == *scheme);
        let scheme = Scheme::from_name(&header.alg).filter(is_allowed).ok_or(InvalidToken::Algorithm)?;
        let key_id = header.kid.into_owned();
        Ok(ParsedToken { token, scheme, key_id })
    }

    /// The claims of `token`, if everything in it is good. The audience is not checked: the layer does this.
    pub(crate) fn verify(
        &self,
        token: ParsedToken<'_>,
        key: &VerifyingKey,
    ) -> Result<ExternalClaims, InvalidToken> {
        let claims = self.read(token.signed_by(key)?)?;
        self.check_time(&claims)?;
        if Duration::from_secs(claims.expires_at.saturating_sub(claims.issued_at)) > self.max_life {
            return Err(InvalidToken::TooLongLived);
        }
        Ok(claims)
    }

    /// Whether a token with these claims is good now, by its times.
    pub(crate) fn check_time(&self, claims: &ExternalClaims) -> Result<(), InvalidToken> {
        let begins_at = claims.not_before.max(claims.issued_at);
        check_time(claims.expires_at, begins_at, self.clock.now(), self.leeway)
    }

    fn read(&self, payload: Vec<u8>) -> Result<ExternalClaims, InvalidToken> {
        let claims: Wire = json_object(&payload).ok_or(InvalidClaims::Json)?;
        let granted = json_object_with(&payload, &self.scope_claims).ok_or(InvalidClaims::Json)?;
        if *claims.iss != *self.issuer {
            return Err(InvalidToken::Issuer);
        }
        if claims.is_of_another_kind() {
            return Err(InvalidToken::Type);
        }
        claims.check()?;
        let is_ours = |(theirs, _): &&(Audience, Audience)| claims.aud.contains(theirs);
        let audiences = self.audiences.iter().filter(is_ours).map(|(_, ours)| ours.clone()).collect();
        let counts = |scope: &&str| granted.iter().any(|granted| granted == scope);
        let scopes = Scopes::collect(self.scopes.iter().map(Scope::as_str).filter(counts))
            .expect("some of a set are a set");
        Ok(ExternalClaims {
            issuer: self.issuer.clone(),
            subject: claims.sub,
            client: claims.client_id,
            audiences,
            expires_at: claims.exp,
            issued_at: claims.iat,
            not_before: claims.nbf.unwrap_or(claims.iat),
            token_id: claims.jti,
            scopes,
            authenticated_at: claims.auth_time,
            payload,
        })
    }
}

impl ParsedToken<'_> {
    /// The payload, if `key` has signed the token. A key of JWT-SVIDs signs nothing but the tokens of workloads.
    pub(crate) fn signed_by(self, key: &VerifyingKey) -> Result<Vec<u8>, InvalidToken> {
        if key.is_for_jwt_svids() {
            return Err(InvalidToken::UnknownKey);
        }
        self.signed_for_workload_by(key)
    }

    /// The payload, if `key` has signed the token of a workload.
    pub(crate) fn signed_for_workload_by(self, key: &VerifyingKey) -> Result<Vec<u8>, InvalidToken> {
        if key.scheme() != self.scheme {
            return Err(InvalidToken::Algorithm);
        }
        if !key.verifies(self.token.signed, &self.token.signature) {
            return Err(InvalidToken::Signature);
        }
        Ok(self.token.payload)
    }
}

impl ExternalClaims {
    /// Who issued the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject of the token, as its issuer names it: `sub`; 1 to 255 visible characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The OAuth client that the token was issued to, as its issuer names it: `client_id`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The audiences of this gateway that the token is for.
    /// [`ExternalIssuer::audience`](crate::external_issuer::ExternalIssuer::audience) says which values of `aud` stand
    /// for them.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// The scopes that the token has here: those of its
    /// [scope claims](crate::external_issuer::ExternalIssuer::scopes_from) that
    /// [`ExternalIssuer::allow_scopes`](crate::external_issuer::ExternalIssuer::allow_scopes) names.
    #[must_use]
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The second from which the token is no longer good: `exp`.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// When the token was issued: `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The token's own id: `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The claim `name`; `None` when the token does not have it, or it is not a `T`. Each call parses the claims again.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let mut claims: Map<String, Value> = json_object(&self.payload)?;
        T::deserialize(claims.remove(name)?).ok()
    }

    /// Who acts by the token: `act` (RFC 8693 §4.1). `None`: its subject alone. Whoever it names without `iss`, its issuer
    /// names.
    pub(crate) fn actor(&self) -> Result<Option<Box<Actor>>, InvalidClaims> {
        #[derive(Deserialize)]
        struct Delegated {
            #[serde(default, deserialize_with = "never_null")]
            act: Option<Actor>,
        }
        let claims: Delegated = json_object(&self.payload).ok_or(InvalidClaims::Actor)?;
        Ok(claims.act.map(|actor| Box::new(actor.said_by(&self.issuer))))
    }

    /// The claims of a caller that is mapped to `session`, a session of `user` and `client`.
    pub(crate) fn held_to(
        &self,
        session: SessionId,
        user: UserId,
        client: ClientId,
    ) -> Result<Claims, InvalidClaims> {
        Ok(Claims {
            issuer: self.issuer.clone(),
            subject: Subject::of_session(user, &client),
            audiences: self.audiences.clone(),
            expires_at: self.expires_at,
            issued_at: self.issued_at,
            not_before: self.not_before,
            token_id: self.token_id.clone().unwrap_or_default(),
            client,
            scopes: self.scopes.clone(),
            session,
            authenticated_at: self.authenticated_at.unwrap_or(self.issued_at),
            actor: self.actor()?,
            actor_sessions: None,
            may_act: None,
        })
    }

    /// Roughly how many bytes of memory the claims take.
    pub(crate) fn weight(&self) -> usize {
        2 * self.payload.len() + size_of::<Self>()
    }
}

impl fmt::Debug for ExternalClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalClaims")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("client_id", &self.client)
            .field("audiences", &self.audiences)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The JSON form. It is as strict as that of our own tokens, except for claims that other issuers leave out.
#[derive(Deserialize)]
struct Wire {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<Audience>,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
    #[serde(deserialize_with = "numeric_date::down")]
    iat: u64,
    #[serde(default, deserialize_with = "numeric_date::up_if_any")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "never_null")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "numeric_date::down_if_any")]
    auth_time: Option<u64>,
    nonce: Option<IgnoredAny>,
    at_hash: Option<IgnoredAny>,
    c_hash: Option<IgnoredAny>,
    events: Option<IgnoredAny>,
    cnf: Option<IgnoredAny>,
}

impl Wire {
    /// Whether it is another kind of token. An ID token (OpenID Connect Core §2, §3.3.2.11) and a security event (RFC
    /// 8417 §2.2) can only be recognised by their claims when `typ` is a plain `JWT`. A token that is bound to a key
    /// (RFC 7800 §3.1) is not a bearer token (RFC 9449 §7.2, RFC 8705 §3).
    fn is_of_another_kind(&self) -> bool {
        let others = [&self.nonce, &self.at_hash, &self.c_hash, &self.events, &self.cnf];
        others.into_iter().any(Option::is_some)
    }

    fn check(&self) -> Result<(), InvalidClaims> {
        if !(1..=Claims::MAX_AUDIENCES).contains(&self.aud.len()) {
            return Err(InvalidClaims::Audiences);
        }
        let is_client = |client: &String| ClientId::parse(client).is_ok();
        if UserId::parse(&self.sub).is_err() || !self.client_id.iter().all(is_client) {
            return Err(InvalidClaims::Subject);
        }
        if self.iat > self.exp { Err(InvalidClaims::IssuedAfterExpiry) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
