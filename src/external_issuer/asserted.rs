//! A verified assertion of an external issuer, and whom it is about here.

use std::sync::Arc;

use super::identity_assertions::Assertions;
use super::people::ExternalSubject;
use super::trusted_issuer::TrustedIssuer;
use super::trusted_issuers::TrustedIssuers;
use super::workloads::Workload;
use crate::id::{Scopes, UserId};
use crate::store::{StoreErrorKind, log_fault, within_deadline};
use crate::token::{
    AssertionKind, ExternalAssertion, InvalidAssertion, InvalidToken, ParsedToken, unverified_trust_domain,
};

/// A verified assertion of an issuer. Whom it is about here is not known yet.
#[derive(Debug)]
pub(crate) struct Asserted {
    issuer: Arc<TrustedIssuer>,
    pub(crate) kind: AssertionKind,
    pub(crate) claims: ExternalAssertion,
    who: ExternalSubject,
}

/// Whom an assertion is about here.
#[derive(Debug)]
pub(crate) enum AssertedSubject {
    /// A person. When they are unknown, they are made known with `registered_with`, or refused.
    Person { user: UserId, registered_with: Option<Scopes> },
    /// A workload.
    Workload(Workload),
}

/// Why an assertion is not accepted.
#[derive(Debug)]
pub(crate) enum AssertionRefusal {
    /// No issuer whose assertions are accepted has issued it. If it has no `iss`, it may name a SPIFFE trust domain, not
    /// verified.
    Untrusted { domain: Option<String> },
    /// It is not good. The text is for the log.
    Invalid(String),
    /// The keys of its issuer could not be fetched.
    KeysUnavailable,
}

impl TrustedIssuers {
    /// Whether some issuer is trusted for this kind of assertion.
    pub(crate) fn accept_assertions(&self, kind: AssertionKind) -> bool {
        self.iter().any(|issuer| issuer.assertions.accept(kind))
    }

    /// Verifies an assertion for `audience`, the issuer of this gateway: its signature and its claims. Which client and
    /// person it is about is not checked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn assertion(&self, text: &str, audience: &str) -> Result<Asserted, AssertionRefusal> {
        let issuer = self.asserting(text).filter(|issuer| issuer.assertions.are_accepted());
        let issuer =
            issuer.ok_or_else(|| AssertionRefusal::Untrusted { domain: unverified_trust_domain(text) })?;
        let refused =
            |reason: InvalidAssertion| AssertionRefusal::Invalid(self.detail(issuer, text, &reason));
        let (kind, parsed) = parse(issuer, text).map_err(|reason| refused(reason.into()))?;
        let found = issuer.keys.find(&parsed.key_id).await;
        let found = found.map_err(|_| AssertionRefusal::KeysUnavailable)?;
        let (key, _) = found.ok_or_else(|| refused(InvalidToken::UnknownKey.into()))?;
        let payload = match kind {
            AssertionKind::Person => parsed.signed_by(&key),
            AssertionKind::Workload => parsed.signed_for_workload_by(&key),
        };
        let payload = payload.map_err(|reason| refused(reason.into()))?;
        let claims = issuer.verifier.read_assertion(kind, &payload, audience).map_err(refused)?;
        Ok(Asserted::new(issuer.clone(), kind, claims))
    }

    /// What exactly is wrong with an assertion.
    fn detail(&self, issuer: &TrustedIssuer, text: &str, reason: &InvalidAssertion) -> String {
        let explained = match reason {
            InvalidAssertion::Token(
                token @ (InvalidToken::Header
                | InvalidToken::Algorithm
                | InvalidToken::UnknownKey
                | InvalidToken::Signature
                | InvalidToken::Expired
                | InvalidToken::NotYetValid),
            ) => issuer.explain(text, *token, &self.names()).detail,
            _ => None,
        };
        explained.unwrap_or_else(|| reason.to_string())
    }
}

/// Splits an assertion into its parts. Its type says what it is about.
fn parse<'t>(
    issuer: &TrustedIssuer,
    text: &'t str,
) -> Result<(AssertionKind, ParsedToken<'t>), InvalidToken> {
    let mut parsed = Err(InvalidToken::Type);
    for kind in [AssertionKind::Person, AssertionKind::Workload] {
        if issuer.assertions.accept(kind) && matches!(parsed, Err(InvalidToken::Type)) {
            parsed = issuer.verifier.parse_as(text, kind.types()).map(|parsed| (kind, parsed));
        }
    }
    parsed
}

impl Asserted {
    fn new(issuer: Arc<TrustedIssuer>, kind: AssertionKind, claims: ExternalAssertion) -> Self {
        let who = ExternalSubject {
            issuer: issuer.name().to_owned(),
            subject: Some(claims.subject.clone()),
            email: claims.email.clone(),
            opaque: None,
            session: claims.session.clone(),
            tenant: claims.tenant.clone(),
        };
        Self { issuer, kind, claims, who }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.name()
    }

    /// The e-mail address that the issuer vouches for.
    pub(crate) fn email(&self) -> Option<&str> {
        self.who.email.as_deref()
    }

    /// What the assertion grants to whom it is about: to a person its scopes, or else the default ones. To a workload those
    /// that the host gave it, as far as its token has them, if that says any.
    pub(crate) fn scopes(&self, subject: &AssertedSubject) -> Scopes {
        let own = self.claims.scopes.as_ref();
        match subject {
            AssertedSubject::Person { .. } => {
                let settings = self.issuer.assertions.identity.as_ref();
                own.or(settings.map(|settings| &settings.default_scopes)).cloned().unwrap_or_default()
            }
            AssertedSubject::Workload(workload) => {
                own.map_or_else(|| workload.scopes.clone(), |own| workload.scopes.intersection(own))
            }
        }
    }

    /// Whom the assertion is about. `None`: the host does not know them.
    ///
    /// # Errors
    ///
    /// The host cannot find out. It is logged.
    pub(crate) async fn subject(&self) -> Result<Option<AssertedSubject>, StoreErrorKind> {
        let Assertions { identity, workloads } = &self.issuer.assertions;
        let people = &self.issuer.people;
        let deadline = self.issuer.mapping_deadline;
        let found = match (self.kind, people, workloads) {
            (AssertionKind::Person, Some(people), _) => {
                let person = within_deadline(deadline, people.person(&self.who)).await;
                let registered_with = identity.as_ref().and_then(|settings| settings.registered_with.clone());
                person.map(|user| user.map(|user| AssertedSubject::Person { user, registered_with }))
            }
            (AssertionKind::Workload, _, Some(workloads)) => {
                let workload = within_deadline(deadline, workloads.workload(&self.who)).await;
                workload.map(|workload| workload.map(AssertedSubject::Workload))
            }
            _ => Ok(None),
        };
        found.map_err(|fault| {
            log_fault(&fault, "it could not be found out whom an assertion is about");
            fault.kind()
        })
    }
}
