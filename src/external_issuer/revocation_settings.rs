//! What a host says about the revocations of an external issuer.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

#[cfg(feature = "jwks-http")]
use crate::event_stream::EventStream;
use crate::id::{Audience, FirstInvalid, TextOr};
use crate::rate_limit::OneLimit;
use crate::validate::{BuildError, Setting, check_count, check_endpoint};

/// How an external issuer tells this gateway of its people with security event tokens (RFC 8417): OpenID Shared Signals
/// Framework 1.0, CAEP 1.0 and RISC 1.0.
///
/// Give it to [`ExternalIssuer::security_events`](crate::external_issuer::ExternalIssuer::security_events).
/// [`RevocationsService`](crate::service::RevocationsService) then takes its events at `POST /events` (RFC 8935).
///
/// ```
/// # use bridge_auth::external_issuer::{ExternalIssuer, ExternalSubject, SecurityEvents};
/// # use bridge_auth::UserId;
/// # fn with(issuer: ExternalIssuer) -> ExternalIssuer {
/// issuer
///     .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
///     .security_events(SecurityEvents::new("https://gateway.example"))
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to ExternalIssuer::security_events"]
pub struct SecurityEvents {
    audience: Option<Audience>,
    authorization: Option<HeaderDigest>,
    max_age: Duration,
    #[cfg(feature = "jwks-http")]
    stream: Option<EventStream>,
    invalid: FirstInvalid,
}

/// How an external issuer asks for the revocation of all that a person has (draft-parecki-oauth-global-token-revocation;
/// Okta calls it Universal Logout).
///
/// Give it to [`ExternalIssuer::global_token_revocation`](crate::external_issuer::ExternalIssuer::global_token_revocation).
/// [`RevocationsService`](crate::service::RevocationsService) then takes its requests at `POST /global-token-revocation`.
#[derive(Debug, Clone)]
#[must_use = "give it to ExternalIssuer::global_token_revocation"]
pub struct GlobalTokenRevocation {
    endpoint: Option<Url>,
    caller: Option<String>,
    invalid: FirstInvalid,
}

/// Which revocations of an external issuer are taken.
#[derive(Debug)]
pub(super) struct RevocationSettings {
    pub(super) events: Option<SecurityEvents>,
    pub(super) global: Option<GlobalTokenRevocation>,
    pub(super) logout_client: Option<Audience>,
    pub(super) speaks_for: Vec<String>,
    pub(super) per_minute: u32,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Revocations {
    pub(crate) events: Option<TrustedEvents>,
    pub(crate) global: Option<TrustedRevocation>,
    /// The client id of this gateway at the issuer: the `aud` of its logout tokens.
    pub(crate) logout_client: Option<Audience>,
    /// The other issuers whose people it names in its revocations.
    pub(crate) speaks_for: Vec<String>,
    /// How many revocations of the issuer are taken.
    pub(crate) limit: OneLimit,
    /// The same for messages that end nothing here. They must not use up what ends something: anybody may send a copy of one.
    pub(crate) idle_limit: OneLimit,
    /// The same for revocations of people who are not here. Copies of them take nothing of it.
    pub(crate) stranger_limit: OneLimit,
}

/// How security events of one issuer are judged.
#[derive(Debug)]
pub(crate) struct TrustedEvents {
    /// `None`: the issuer assigns it with the stream.
    pub(crate) audience: Option<Audience>,
    authorization: Option<HeaderDigest>,
    pub(crate) max_age: Duration,
    /// The stream that the gateway asks for.
    #[cfg(feature = "jwks-http")]
    pub(crate) stream: Option<EventStream>,
}

/// How the requests for a global revocation of one issuer are judged.
#[derive(Debug)]
pub(crate) struct TrustedRevocation {
    /// The URL that the issuer calls: the `aud` of its JWTs.
    pub(crate) endpoint: Url,
    /// The `sub` of its JWTs. `None`: any.
    pub(crate) caller: Option<String>,
}

/// The SHA-256 of the value of a header, which is a secret.
#[derive(Clone, Copy)]
struct HeaderDigest([u8; 32]);

impl SecurityEvents {
    /// Takes the events whose `aud` has `audience`: the name that the issuer has for this gateway, such as the `aud` of its
    /// stream (SSF 1.0 §8.1.1).
    ///
    /// Use a name that stands for this gateway and for nothing else. An event that was meant for another receiver must not
    /// end anything here.
    pub fn new(audience: impl TextOr<Audience>) -> Self {
        let mut invalid = FirstInvalid::default();
        let audience = invalid.read("the audience of security events", audience);
        Self {
            audience,
            authorization: None,
            max_age: Self::MAX_AGE,
            #[cfg(feature = "jwks-http")]
            stream: None,
            invalid,
        }
    }

    /// Takes the events whose `aud` is that of `stream`. The issuer assigns it: the gateway reads it in the issuer's answer
    /// about the stream (SSF 1.0 §8.1.1). Until then no event is taken, and the issuer sends them again.
    ///
    /// Use it for an issuer whose `aud` cannot be known before, such as Keycloak (`<client_id>/<stream_id>`). The issuer must
    /// give each receiver an `aud` of its own. If several receivers have the same one, use [`new`](Self::new) with another
    /// name: any of them could send its events on to this gateway, and what they say would be done here.
    ///
    /// The gateway uses any stream that the issuer shows for its access token. So another deployment needs a client of its own at the
    /// issuer, or [`EventStream::stream_id`].
    #[cfg(feature = "jwks-http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks-http")))]
    pub fn of_stream(stream: EventStream) -> Self {
        let invalid = FirstInvalid::default();
        Self { audience: None, authorization: None, max_age: Self::MAX_AGE, stream: Some(stream), invalid }
    }

    const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

    /// The value of the header `Authorization` that the issuer sends with each event (SSF 1.0 §6.1.1). Default: none is
    /// asked for.
    ///
    /// The signature of an event proves who sent it in any case. With this header a stranger's events are refused before
    /// their signature is checked.
    pub fn authorization_header(mut self, value: impl AsRef<str>) -> Self {
        self.authorization = Some(HeaderDigest::of(value.as_ref().as_bytes()));
        self
    }

    /// How old an event may be by its `iat`: 60 s to 30 days. Default: 7 days.
    ///
    /// An older event is refused. Each event is remembered for as long, so that it is done once. An issuer that could not
    /// reach this gateway sends its events later: so keep this longer than any outage.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The stream that the gateway asks the issuer for, and polls. Default: none, so events come only when the issuer is
    /// told to push them here.
    ///
    /// [`Bridge::maintain`](crate::Bridge::maintain) starts this.
    #[cfg(feature = "jwks-http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks-http")))]
    pub fn stream(mut self, stream: EventStream) -> Self {
        self.stream = Some(stream);
        self
    }
}

impl GlobalTokenRevocation {
    /// Takes requests whose JWT is for `endpoint`, the URL that the issuer calls: its `aud` must be exactly this text.
    ///
    /// The metadata of this gateway names it as `global_token_revocation_endpoint`.
    pub fn new(endpoint: impl TextOr<Url>) -> Self {
        let mut invalid = FirstInvalid::default();
        let endpoint = invalid.read("the URL of the global token revocation endpoint", endpoint);
        Self { endpoint, caller: None, invalid }
    }

    /// The `sub` that the JWT must have: the id of this gateway's integration at the issuer. Default: any.
    pub fn caller(mut self, subject: impl Into<String>) -> Self {
        self.caller = Some(subject.into());
        self
    }
}

impl Default for RevocationSettings {
    fn default() -> Self {
        Self { events: None, global: None, logout_client: None, speaks_for: Vec::new(), per_minute: 600 }
    }
}

impl RevocationSettings {
    /// Whether any revocation of the issuer is taken.
    pub(super) const fn is_any(&self) -> bool {
        self.events.is_some() || self.global.is_some() || self.logout_client.is_some()
    }

    /// The same, checked.
    pub(super) fn check(self) -> Result<Revocations, BuildError> {
        let limit = Setting::new("the limit of revocations", "ExternalIssuer::revocations_per_minute");
        check_count(limit, self.per_minute, &(1..=1_000_000), "1 to 1 000 000")?;
        check_issuers(&self.speaks_for)?;
        let per_minute = NonZeroU32::new(self.per_minute).unwrap_or(NonZeroU32::MIN);
        Ok(Revocations {
            events: self.events.map(SecurityEvents::check).transpose()?,
            global: self.global.map(GlobalTokenRevocation::check).transpose()?.flatten(),
            logout_client: self.logout_client,
            speaks_for: self.speaks_for,
            limit: OneLimit::per_minute(per_minute),
            idle_limit: OneLimit::per_minute(per_minute),
            stranger_limit: OneLimit::per_minute(per_minute),
        })
    }
}

/// Any text will do that a message may have as `iss`: some are no URL.
fn check_issuers(issuers: &[String]) -> Result<(), BuildError> {
    if issuers.len() > 16 {
        let setting = Setting::new("the number of other issuers", "ExternalIssuer::speaks_for");
        return Err(setting.out_of_range(issuers.len(), "at most 16"));
    }
    let may_be = |issuer: &String| (1..=255).contains(&issuer.len()) && !issuer.chars().any(char::is_control);
    match issuers.iter().find(|issuer| !may_be(issuer)) {
        None => Ok(()),
        Some(issuer) => Err(BuildError::Text {
            what: "ExternalIssuer::speaks_for",
            value: issuer.clone(),
            allowed: "an issuer of 1 to 255 bytes without control characters, exactly as its `iss` says it",
        }),
    }
}

impl SecurityEvents {
    fn check(self) -> Result<TrustedEvents, BuildError> {
        self.invalid.check()?;
        let Self { audience, authorization, max_age, .. } = self;
        if !(Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600)).contains(&max_age) {
            let setting = Setting::new("the age of security events", "SecurityEvents::max_age");
            return Err(setting.duration_out_of_range(max_age, "60 seconds to 30 days"));
        }
        Ok(TrustedEvents {
            audience,
            authorization,
            max_age,
            #[cfg(feature = "jwks-http")]
            stream: self.stream,
        })
    }
}

impl GlobalTokenRevocation {
    fn check(self) -> Result<Option<TrustedRevocation>, BuildError> {
        self.invalid.check()?;
        let Some(endpoint) = self.endpoint else { return Ok(None) };
        check_endpoint("the global token revocation endpoint", Some(&endpoint))?;
        Ok(Some(TrustedRevocation { endpoint, caller: self.caller }))
    }
}

impl TrustedEvents {
    /// Whether the sender has shown what it must: the values of the header `Authorization` are `shown`.
    pub(crate) fn admits<'h>(&self, mut shown: impl Iterator<Item = &'h [u8]>) -> bool {
        let Some(expected) = self.authorization else { return true };
        match (shown.next(), shown.next()) {
            (Some(one), None) => HeaderDigest::of(one).0.ct_eq(&expected.0).into(),
            _ => false,
        }
    }
}

impl HeaderDigest {
    fn of(value: &[u8]) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl fmt::Debug for HeaderDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderDigest")
    }
}
