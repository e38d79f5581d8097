//! How a host describes an external issuer that it trusts.

use std::sync::Arc;
use std::time::Duration;

use super::identity_assertions::{Assertions, IdentityAssertions};
use super::jwks_fetch::{Keys, Timing};
use super::jwks_source::JwksSource;
use super::people::PeopleMapper;
use super::revocation_settings::RevocationSettings;
use super::session_mapping::ExternalSessions;
use super::trusted_issuer::TrustedIssuer;
use super::workloads::WorkloadMapper;
use crate::audience::Audiences;
use crate::clock::HostClock;
#[cfg(feature = "jwks-http")]
use crate::event_stream::VerificationStates;
use crate::id::{Audience, FirstInvalid, Scopes, TextOr};
#[cfg(feature = "jwks-http")]
use crate::token::KeyRing;
use crate::token::{Algorithm, Claims, ExternalVerifier, ScopeClaims, is_trust_domain};
use crate::validate::{BuildError, Setting, check_issuer};

/// An external authorization server whose access tokens the guard accepts.
///
/// See the [module](super).
#[derive(Debug)]
#[must_use = "give it to BridgeBuilder::trust"]
pub struct ExternalIssuer {
    issuer: String,
    source: Arc<dyn JwksSource>,
    sessions: ExternalSessions,
    audiences: Vec<(Audience, Audience)>,
    algorithms: Vec<Algorithm>,
    scope_claims: ScopeClaims,
    scopes: Scopes,
    takes_plain_jwts: bool,
    people: Option<Arc<dyn PeopleMapper>>,
    pub(super) revocations: RevocationSettings,
    assertions: Assertions,
    trust_domain: Option<String>,
    timing: Timing,
    pub(super) invalid: FirstInvalid,
}

/// The settings of the gateway that count for external tokens too.
#[derive(Debug)]
pub(crate) struct Gateway<'s> {
    pub(crate) issuer: &'s str,
    pub(crate) audiences: &'s Audiences,
    pub(crate) leeway: Duration,
    /// How long finding a session may take.
    pub(crate) deadline: Duration,
    pub(crate) clock: &'s HostClock,
    /// What signs the states of verification requests.
    #[cfg(feature = "jwks-http")]
    pub(crate) keys: &'s KeyRing,
}

impl ExternalIssuer {
    /// Describes the issuer whose tokens have exactly this `iss`, an https URL (RFC 8414 §2).
    ///
    /// `source` fetches the keys of the issuer. `sessions` says which sessions its callers have. The issuer needs at
    /// least one [`audience`](Self::audience), unless it is trusted for something else than access tokens:
    /// [`identity_assertions`](Self::identity_assertions), [`workloads`](Self::workloads), or revocations such as
    /// [`security_events`](Self::security_events).
    pub fn new(issuer: impl Into<String>, source: impl JwksSource, sessions: ExternalSessions) -> Self {
        Self {
            issuer: issuer.into(),
            source: Arc::new(source),
            sessions,
            audiences: Vec::new(),
            algorithms: vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256],
            scope_claims: ScopeClaims::Standard,
            scopes: Scopes::default(),
            takes_plain_jwts: false,
            people: None,
            revocations: RevocationSettings::default(),
            assertions: Assertions::default(),
            trust_domain: None,
            timing: Timing::default(),
            invalid: FirstInvalid::default(),
        }
    }

    /// Accepts tokens whose `aud` holds `external`, on layers for the audience `own`. Default: none, so no token is
    /// accepted.
    ///
    /// `own` is what [`Bridge::layer`](crate::Bridge::layer) is called with. Each call adds a pair: 16 at most.
    ///
    /// Use a name that stands for this gateway and for nothing else, such as its resource URI (RFC 8707). A token that
    /// was meant for another service must not open this one.
    pub fn audience(mut self, external: impl TextOr<Audience>, own: impl TextOr<Audience>) -> Self {
        let external = self.invalid.read("the external audience", external);
        let own = self.invalid.read("the own audience of an external issuer", own);
        self.audiences.extend(external.zip(own));
        self
    }

    /// The algorithms that may sign its tokens. Default: all of [`Algorithm`].
    ///
    /// [`Algorithm::EdDsa`] and [`Algorithm::Ed25519`] are the same here: each accepts both names.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The scopes of its tokens that count here. Default: none.
    ///
    /// All other scopes are ignored.
    pub fn allow_scopes(mut self, scopes: impl TextOr<Scopes>) -> Self {
        if let Some(scopes) = self.invalid.read("the allowed scopes of an external issuer", scopes) {
            self.scopes = scopes;
        }
        self
    }

    /// The claims in which it writes the scopes of its tokens. Default: `scope`, a text with a space between scopes (RFC
    /// 9068 §2.2.3).
    ///
    /// | issuer | claims |
    /// |---|---|
    /// | Microsoft Entra ID | `scp`: what a program may do for a person; `roles`: the app roles of a person or a program |
    /// | Okta | `scp` |
    ///
    /// A claim that is named here may be a text with a space between scopes, or a list of texts with one scope each. A
    /// token has the scopes of all these claims together, as far as they are [allowed](Self::allow_scopes). A claim that
    /// is missing grants nothing. A token in which one of them is of another type is refused. `scope` counts only when
    /// it is named too.
    ///
    /// The roles of a person are the person's, whatever program calls for them. So with `roles` every program that
    /// gets a token for this gateway can do what its person may do.
    ///
    /// ```
    /// # use bridge_auth::external_issuer::ExternalIssuer;
    /// # use bridge_auth::{BuildError, Scopes};
    /// # fn with(entra: ExternalIssuer) -> Result<ExternalIssuer, Box<dyn std::error::Error>> {
    /// Ok(entra.scopes_from(["scp", "roles"]).allow_scopes(Scopes::parse("tools:read Tools.Run")?))
    /// # }
    /// ```
    pub fn scopes_from<N: Into<String>>(mut self, claims: impl IntoIterator<Item = N>) -> Self {
        self.scope_claims = ScopeClaims::Named(claims.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts tokens of the type `JWT` too. Default: only `at+jwt` (RFC 9068 §2.1).
    ///
    /// With `JWT`, the header does not say that a token is an access token. ID tokens and security events are refused
    /// by the claims that only they have. For everything else you must make sure that the audience stands for this
    /// gateway alone.
    pub fn insecure_accept_plain_jwts(mut self) -> Self {
        self.takes_plain_jwts = true;
        self
    }

    /// Who the people of this issuer are here. Default: nobody is known.
    ///
    /// A closure will do: `|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok()`. Map by
    /// [`subject`](super::ExternalSubject::subject) where you can.
    pub fn people(mut self, mapper: impl PeopleMapper) -> Self {
        self.people = Some(Arc::new(mapper));
        self
    }

    /// Accepts its identity assertions at the token endpoint. Default: none.
    ///
    /// Each opens a session of the person whom [`people`](Self::people) finds. A client must prove who it is with its
    /// own secret ([`RegisteredClient::secret`](crate::issue::RegisteredClient::secret)).
    pub fn identity_assertions(mut self, settings: IdentityAssertions) -> Self {
        self.assertions.identity = Some(settings);
        self
    }

    /// Accepts its tokens of workloads at the token endpoint (RFC 7523), such as service account tokens of Kubernetes and
    /// JWT-SVIDs of SPIFFE. Default: none.
    ///
    /// The token is the proof of the workload: it needs no secret here. `aud` must be the issuer of this gateway alone, and `iss`
    /// this issuer. A workload whose `sub` is a SPIFFE ID needs [`spiffe_trust_domain`](Self::spiffe_trust_domain), with `iss`
    /// or without it.
    ///
    /// A workload may show its token again. It has one session for each token, which ends with the token at the latest. Once
    /// that session was revoked, the token opens none. A workload has at most 1024 live sessions; beyond that, those that
    /// were renewed least recently end. Only layers with [`admit_workloads`](crate::BridgeAuthLayer::admit_workloads) let
    /// workloads in.
    ///
    /// To lock a workload out, disable [`UserId::for_workload`](crate::UserId::for_workload).
    ///
    /// Give it an issuer that issues such tokens to nobody but workloads: their type does not say what they are.
    pub fn workloads(mut self, mapper: impl WorkloadMapper) -> Self {
        self.assertions.workloads = Some(Arc::new(mapper));
        self
    }

    /// The SPIFFE trust domain of its [`workloads`](Self::workloads), such as `example.org`. Default: none.
    ///
    /// A workload whose `sub` is a SPIFFE ID is let in only if the ID is in the trust domain of its issuer, such as
    /// `spiffe://example.org/ci`. So no issuer signs for the workloads of another trust domain, and one without a trust
    /// domain for none of SPIFFE. With a trust domain, the issuer has no other workloads.
    ///
    /// A JWT-SVID needs no `iss` (JWT-SVID §3), and SPIRE writes none unless its setting `jwt_issuer` is there. One without
    /// `iss` is the issuer's whose trust domain its `sub` names. When none of the tokens has `iss`, you choose the name of
    /// the issuer in [`new`](Self::new): an https URL that no other issuer has, such as `https://example.org`. Sessions,
    /// logs and [`ExternalSubject::issuer`](super::ExternalSubject::issuer) show it.
    ///
    /// The key set may be the trust bundle of the domain (SPIFFE Trust Domain and Bundle §4). Its keys of JWT-SVIDs (`use` is
    /// `jwt-svid`) verify the tokens of workloads and nothing else. Keys of X.509-SVIDs are ignored.
    pub fn spiffe_trust_domain(mut self, domain: impl Into<String>) -> Self {
        self.trust_domain = Some(domain.into());
        self
    }

    /// How often its keys are fetched: above 0, at most 24 h. Default: 10 min.
    ///
    /// A key that the issuer removed is refused after this time at the latest, while the issuer can be reached.
    pub fn refresh_every(mut self, interval: Duration) -> Self {
        self.timing.interval = interval;
        self
    }

    /// The least time between two fetches, whatever tokens come: above 0, at most
    /// [`refresh_every`](Self::refresh_every). Default: 30 s.
    ///
    /// A key that was published after the last fetch is called unknown for as long (401).
    pub fn refresh_at_most_every(mut self, interval: Duration) -> Self {
        self.timing.floor = interval;
        self
    }

    /// How long its keys are used when they cannot be fetched again: at most 7 days. Default: 24 h.
    ///
    /// The least value is [`refresh_every`](Self::refresh_every). After this time its tokens are answered with 503.
    pub fn stale_for(mut self, limit: Duration) -> Self {
        self.timing.stale_for = limit;
        self
    }

    /// How long a request waits for keys that are not known yet: above 0, at most 60 s. Default: 2 s.
    pub fn keys_deadline(mut self, deadline: Duration) -> Self {
        self.timing.deadline = deadline;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.issuer
    }

    pub(super) const fn trust_domain(&self) -> Option<&String> {
        self.trust_domain.as_ref()
    }

    pub(super) fn into_trusted(self, gateway: &Gateway<'_>) -> Result<TrustedIssuer, BuildError> {
        let clock = gateway.clock;
        check_issuer(&self.issuer)?;
        self.invalid.check()?;
        self.timing.check()?;
        if self.algorithms.is_empty() {
            let what = "the number of algorithms of an external issuer";
            return Err(Setting::new(what, "ExternalIssuer::algorithms").out_of_range(0, "at least 1"));
        }
        check_scope_claims(&self.scope_claims)?;
        self.assertions.check(self.people.as_ref())?;
        check_trust_domain(self.trust_domain.as_deref(), &self.assertions)?;
        let audiences = self.audiences;
        if let Some((_, unknown)) = audiences.iter().find(|(_, own)| !gateway.audiences.knows(own)) {
            return Err(BuildError::UnknownAudience(unknown.to_string()));
        }
        let least = usize::from(!self.assertions.are_accepted() && !self.revocations.is_any());
        if !(least..=16).contains(&audiences.len()) {
            return Err(BuildError::Audiences {
                count: audiences.len(),
                characters: audiences.iter().map(|(external, _)| external.as_str().len()).sum(),
                setter: "ExternalIssuer::audience",
            });
        }
        if self.revocations.is_any() && self.people.is_none() {
            return Err(BuildError::NoPeople(self.issuer));
        }
        let (people, revocations) = (self.people, self.revocations.check()?);
        let issuer: Arc<str> = self.issuer.into();
        let has_jwt_svids = self.trust_domain.is_some();
        let (algorithms, timing) = (self.algorithms.clone(), self.timing);
        let keys = Keys::new(issuer.clone(), self.source, algorithms, has_jwt_svids, timing, clock.clone());
        let verifier = ExternalVerifier {
            issuer,
            trust_domain: self.trust_domain,
            algorithms: self.algorithms,
            takes_plain_jwts: self.takes_plain_jwts,
            audiences,
            scope_claims: self.scope_claims,
            scopes: self.scopes,
            clock: clock.clone(),
            leeway: gateway.leeway,
            max_life: Claims::MAX_LIFE,
        };
        let (sessions, assertions, mapping_deadline) = (self.sessions, self.assertions, gateway.deadline);
        Ok(TrustedIssuer {
            #[cfg(feature = "jwks-http")]
            verification: Arc::new(VerificationStates::new(
                gateway.issuer,
                &verifier.issuer,
                gateway.keys.clone(),
                clock.clone(),
            )),
            #[cfg(feature = "jwks-http")]
            announced: Arc::default(),
            verifier,
            keys,
            sessions,
            people,
            assertions,
            revocations,
            mapping_deadline,
        })
    }
}

fn check_trust_domain(domain: Option<&str>, assertions: &Assertions) -> Result<(), BuildError> {
    let Some(domain) = domain else { return Ok(()) };
    if assertions.workloads.is_none() {
        return Err(BuildError::NoWorkloads(domain.to_owned()));
    }
    if is_trust_domain(domain) {
        return Ok(());
    }
    Err(BuildError::Text {
        what: "ExternalIssuer::spiffe_trust_domain",
        value: domain.to_owned(),
        allowed: "a name of 1 to 255 lowercase letters, digits, dots, dashes and underscores, such as `example.org`",
    })
}

fn check_scope_claims(claims: &ScopeClaims) -> Result<(), BuildError> {
    let ScopeClaims::Named(names) = claims else { return Ok(()) };
    if !(1..=16).contains(&names.len()) {
        let setting = Setting::new("the number of scope claims", "ExternalIssuer::scopes_from");
        return Err(setting.out_of_range(names.len(), "1 to 16"));
    }
    match names.iter().find(|name| !ScopeClaims::may_be(name)) {
        None => Ok(()),
        Some(name) => Err(BuildError::Text {
            what: "the scope claim of ExternalIssuer::scopes_from",
            value: name.clone(),
            allowed: "a claim of 1 to 255 bytes that has no other meaning, such as `scp` or `roles`",
        }),
    }
}
