//! What a route requires of its callers.

use serde_json::Value;

use crate::caller::{Caller, CallerKind};
use crate::external_issuer::ExternalCaller;
use crate::header::Lines;
use crate::id::{Audience, Scope, Scopes, SessionId};
use crate::rejection::{InvalidCredential, Refusal, Rejection};
use crate::telemetry::{Known, quoted, quoted_list};
use crate::token::{Claims, ExternalClaims, told};

use super::admitted::Admitted;

#[derive(Debug, Clone)]
pub(super) struct Requirements {
    pub(super) audience: Audience,
    pub(super) scopes: Scopes,
    /// The only kind that may come in, when the host named one.
    pub(super) kind: Option<CallerKind>,
    /// Whether hook clients may come in, when the host named no kind.
    pub(super) hook_clients: bool,
    /// Whether workloads may come in, when the host named no kind.
    pub(super) workloads: bool,
    /// Whether callers without a session may come in.
    pub(super) external: bool,
}

impl Requirements {
    pub(super) fn new(audience: Audience) -> Self {
        let scopes = Scopes::default();
        Self { audience, scopes, kind: None, hook_clients: false, workloads: false, external: false }
    }

    /// Checks the audience of a token, and that its session is the one that the client declared.
    #[inline]
    pub(super) fn check_claims(&self, claims: &Claims, declared: Lines<'_>) -> Result<(), Refusal> {
        if !claims.audiences().contains(&self.audience) {
            return Err(self.wrong_audience(claims.known(), claims.audiences()));
        }
        if !declared.all_are(claims.session().as_str()) {
            return Err(another_session(claims, declared));
        }
        Ok(())
    }

    /// Lets in a caller of the required kind that holds the required scopes.
    #[inline]
    pub(super) fn grant(&self, caller: Caller) -> Result<Admitted, Refusal> {
        let required = || self.scopes.clone();
        let found = caller.kind();
        if !self.admits(found) {
            let rejection = Rejection::CallerKind { found, required: required() };
            return Err(Refusal::new(rejection, caller.claims().known()));
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(self.missing_scope(caller.claims().known(), caller.scopes()));
        }
        Ok(Admitted::Caller(caller))
    }

    /// Lets in a caller without a session that meets the requirements.
    pub(super) fn admit_external(&self, caller: ExternalCaller) -> Result<Admitted, Refusal> {
        if !caller.is_for(&self.audience) {
            return Err(self.wrong_external_audience(caller.claims()));
        }
        if !self.external || self.kind.is_some() {
            let rejection = Rejection::ExternalCaller { required: self.scopes.clone() };
            return Err(Refusal::new(rejection, caller.claims().known()));
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(self.missing_scope(caller.claims().known(), caller.scopes()));
        }
        Ok(Admitted::External(caller))
    }

    /// The refusal of an external issuer's token for another audience. The log shows what the token says.
    #[cold]
    pub(super) fn wrong_external_audience(&self, claims: &ExternalClaims) -> Refusal {
        let sent = claims.claim::<Value>("aud").as_ref().map_or("missing".to_owned(), told);
        let audience = quoted(self.audience.as_str());
        let detail = format!("wrong audience: aud is {sent}, none of which stands for {audience} here");
        Refusal::new(InvalidCredential::Audience, Known { detail: Some(detail), ..claims.known() })
    }

    #[cold]
    pub(super) fn wrong_audience(&self, known: Known, found: &[Audience]) -> Refusal {
        let found = quoted_list(found.iter().map(Audience::as_str));
        let detail = format!("wrong audience: aud is {found}, expected {}", quoted(self.audience.as_str()));
        Refusal::new(InvalidCredential::Audience, Known { detail: Some(detail), ..known })
    }

    #[cold]
    fn missing_scope(&self, known: Known, held: &Scopes) -> Refusal {
        let missing = self.scopes.iter().filter(|scope| !held.contains(scope.as_str())).map(Scope::as_str);
        let held = quoted_list(held.iter().map(Scope::as_str));
        let detail = format!("a scope is missing: {}; the token has {held}", quoted_list(missing));
        let required = self.scopes.clone();
        Refusal::new(Rejection::InsufficientScope { required }, Known { detail: Some(detail), ..known })
    }

    /// Whether callers of this kind may come in.
    #[inline]
    fn admits(&self, kind: CallerKind) -> bool {
        match (self.kind, kind) {
            (Some(required), kind) => kind == required,
            (None, CallerKind::User) => true,
            (None, CallerKind::HookClient) => self.hook_clients,
            (None, CallerKind::Workload) => self.workloads,
        }
    }
}

/// The refusal of a request whose `x-session-id` names another session. A value that has not the form of our own session
/// ids is not shown: it may be anything.
#[cold]
fn another_session(claims: &Claims, declared: Lines<'_>) -> Refusal {
    let declared = declared.first().and_then(|value| value.to_str().ok());
    let declared = match declared.filter(|text| text.starts_with("sess_") && SessionId::parse(text).is_ok()) {
        Some(id) => quoted(id),
        None => "another text".to_owned(),
    };
    let detail = format!("x-session-id is {declared}, and the token's session is another");
    Refusal::new(InvalidCredential::SessionIdMismatch, Known { detail: Some(detail), ..claims.known() })
}
