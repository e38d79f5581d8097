//! The tokens of other issuers: to a caller of a session here, or to one without.

use std::sync::Arc;

use super::{Admitted, AuthState, Authenticator, Begun, Pending};
use crate::caller::VerifiedToken;
use crate::external_issuer::{ExternalCaller, ExternalToken, TrustedIssuer};
use crate::header::{Head, OwnedLines};
use crate::rejection::{InvalidCredential, Rejection};
use crate::session::Moment;

/// A token of another issuer, as far as it got without I/O.
pub(crate) enum External {
    /// This text, with this digest, says it is of this issuer.
    Unverified(u128, Box<str>, Arc<TrustedIssuer>),
    /// It is good.
    Verified(Arc<ExternalToken>),
}

/// What is left to ask about a external token. It holds nothing of the request but the session that was declared with it.
pub(crate) struct PendingExternal {
    external: External,
    declared: OwnedLines,
}

impl Authenticator {
    /// All that needs no I/O, as with one of our own.
    pub(super) fn begin_external(
        &self,
        external: External,
        head: &Head<'_>,
        now: Moment,
    ) -> Result<Begun, Rejection> {
        let pending = |external| {
            let declared = head.session().to_owned();
            Begun::Pending(Pending::External(PendingExternal { external, declared }))
        };
        let External::Verified(token) = external else { return Ok(pending(external)) };
        if !token.issuer.is_mapped() {
            return self
                .admit_external(ExternalCaller::new(token))
                .map(|caller| Begun::Admitted(Admitted::External(caller)));
        }
        if let Some(verified) = token.mapped.load_full()
            && let Ok(caller) = self.state.remembered_caller(verified, now)
        {
            self.check_claims(caller.claims(), head.session())?;
            return self.grant(caller).map(Begun::Admitted);
        }
        Ok(pending(External::Verified(token)))
    }

    /// The rest: its keys, then the session it is mapped to.
    pub(super) async fn finish_external(&self, pending: PendingExternal) -> Result<Admitted, Rejection> {
        let token = match pending.external {
            External::Verified(token) => token,
            External::Unverified(place, text, issuer) => {
                let token = issuer.verify(&text, &self.state.authority).await?;
                self.state.remember_foreign(place, &token);
                token
            }
        };
        if !token.issuer.is_mapped() {
            return self.admit_external(ExternalCaller::new(token)).map(Admitted::External);
        }
        if !token.claims.audiences().contains(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        let verified = match token.mapped.load_full() {
            Some(verified) => verified,
            None => self.state.map(&token).await?,
        };
        self.check_claims(&verified.claims, pending.declared.lines())?;
        match self.state.live_caller(verified).await {
            Ok(caller) => self.grant(caller),
            Err(rejection) => {
                // The mapper may know of another session by the next request.
                if matches!(rejection, Rejection::InvalidCredential(_)) {
                    token.mapped.store(None);
                }
                Err(rejection)
            }
        }
    }

    /// Holds a caller without a session to what is required.
    pub(super) fn admit_external(&self, caller: ExternalCaller) -> Result<ExternalCaller, Rejection> {
        if !caller.is_for(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        if !self.external || self.kind.is_some() {
            return Err(Rejection::ExternalCaller { required: self.scopes.clone() });
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(Rejection::InsufficientScope { required: self.scopes.clone() });
        }
        Ok(caller)
    }
}

impl AuthState {
    fn remember_foreign(&self, place: u128, token: &Arc<ExternalToken>) {
        if let Some(trusted) = &self.trusted {
            trusted.remember(place, token.clone());
        }
    }

    /// Finds the session of a verified token, and whose it is by the store's word.
    async fn map(&self, token: &ExternalToken) -> Result<Arc<VerifiedToken>, Rejection> {
        let session = token.issuer.session(&token.claims).await.map_err(Rejection::Unavailable)?;
        let session = session.ok_or(InvalidCredential::SessionUnknown)?;
        let status = self.liveness.status(session.clone()).await.map_err(Rejection::Unavailable)?;
        let status = status.ok_or(InvalidCredential::SessionUnknown)?;
        let claims = token.claims.held_to(session, status.user, status.client);
        // No generation of our own keys is asked for: the external token's verdict hangs on its issuer's.
        let verified = Arc::new(VerifiedToken::new(claims, 0, 0));
        token.mapped.store(Some(verified.clone()));
        Ok(verified)
    }
}
