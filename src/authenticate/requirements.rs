//! What a route requires of its callers.

use crate::caller::{Caller, CallerKind};
use crate::external_issuer::ExternalCaller;
use crate::header::Lines;
use crate::id::{Audience, Scopes};
use crate::rejection::{InvalidCredential, Rejection};
use crate::token::Claims;

use super::admitted::Admitted;

#[derive(Debug, Clone)]
pub(super) struct Requirements {
    pub(super) audience: Audience,
    pub(super) scopes: Scopes,
    /// The only kind that may come in, when the host named one.
    pub(super) kind: Option<CallerKind>,
    /// Whether hook clients may come in, when the host named no kind.
    pub(super) hook_clients: bool,
    /// Whether callers without a session may come in.
    pub(super) external: bool,
}

impl Requirements {
    pub(super) fn new(audience: Audience) -> Self {
        Self { audience, scopes: Scopes::default(), kind: None, hook_clients: false, external: false }
    }

    /// Checks the audience of a token, and that its session is the one that the client declared.
    #[inline]
    pub(super) fn check_claims(&self, claims: &Claims, declared: Lines<'_>) -> Result<(), InvalidCredential> {
        if !claims.audiences().contains(&self.audience) {
            return Err(InvalidCredential::Audience);
        }
        if !declared.all_are(claims.session().as_str()) {
            return Err(InvalidCredential::SessionIdMismatch);
        }
        Ok(())
    }

    /// Lets in a caller of the required kind that holds the required scopes.
    #[inline]
    pub(super) fn grant(&self, caller: Caller) -> Result<Admitted, Rejection> {
        let required = || self.scopes.clone();
        let found = caller.kind();
        if !self.admits(found) {
            return Err(Rejection::CallerKind { found, required: required() });
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(Rejection::InsufficientScope { required: required() });
        }
        Ok(Admitted::Caller(caller))
    }

    /// Lets in a caller without a session that meets the requirements.
    pub(super) fn admit_external(&self, caller: ExternalCaller) -> Result<Admitted, Rejection> {
        if !caller.is_for(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        if !self.external || self.kind.is_some() {
            return Err(Rejection::ExternalCaller { required: self.scopes.clone() });
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(Rejection::InsufficientScope { required: self.scopes.clone() });
        }
        Ok(Admitted::External(caller))
    }

    /// Whether callers of this kind may come in.
    #[inline]
    fn admits(&self, kind: CallerKind) -> bool {
        match self.kind {
            Some(required) => kind == required,
            None => kind == CallerKind::User || self.hook_clients,
        }
    }
}
