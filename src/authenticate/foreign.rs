//! The tokens of other issuers: to a caller of a session here, or to one without.

use std::sync::Arc;

use super::{Admitted, Authenticator, Begun, Guard, Pending};
use crate::caller::{Caller, Known};
use crate::foreign::{ForeignCaller, ForeignToken, Trusted};
use crate::header::{Head, OwnedLines};
use crate::reject::{InvalidCredential, Rejection};
use crate::session::Moment;

/// A token of another issuer, as far as it got without I/O.
pub(crate) enum Foreign {
    /// This text, with this digest, says it is of this issuer.
    Unverified(u128, Box<str>, Arc<Trusted>),
    /// It is good.
    Verified(Arc<ForeignToken>),
}

/// What is left to ask about a foreign token. It holds nothing of the request but the session that was declared with it.
pub(crate) struct PendingForeign {
    foreign: Foreign,
    declared: OwnedLines,
}

impl Authenticator {
    /// All that needs no I/O, as with one of our own.
    pub(super) fn begin_foreign(
        &self,
        foreign: Foreign,
        head: &Head<'_>,
        now: Moment,
    ) -> Result<Begun, Rejection> {
        let pending = |foreign| {
            let declared = head.session().to_owned();
            Begun::Pending(Pending::Foreign(PendingForeign { foreign, declared }))
        };
        let Foreign::Verified(token) = foreign else { return Ok(pending(foreign)) };
        if !token.issuer.is_mapped() {
            return self
                .admit_foreign(ForeignCaller::new(token))
                .map(|caller| Begun::Admitted(Admitted::Foreign(caller)));
        }
        if let Some(known) = token.mapped.load_full()
            && let Some(context) = self.guard.remembered_context(&known, now)
        {
            self.check_claims(&known.claims, head.session())?;
            return self.grant(Caller::new(known, context)).map(Begun::Admitted);
        }
        Ok(pending(Foreign::Verified(token)))
    }

    /// The rest: its keys, then the session it is mapped to.
    pub(super) async fn finish_foreign(&self, pending: PendingForeign) -> Result<Admitted, Rejection> {
        let token = match pending.foreign {
            Foreign::Verified(token) => token,
            Foreign::Unverified(place, text, issuer) => {
                let token = issuer.verify(&text, &self.guard.authority).await?;
                self.guard.remember_foreign(place, &token);
                token
            }
        };
        if !token.issuer.is_mapped() {
            return self.admit_foreign(ForeignCaller::new(token)).map(Admitted::Foreign);
        }
        if !token.claims.audiences().contains(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        let known = match token.mapped.load_full() {
            Some(known) => known,
            None => self.guard.map(&token).await?,
        };
        self.check_claims(&known.claims, pending.declared.lines())?;
        match self.guard.live_caller(known).await {
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
    pub(super) fn admit_foreign(&self, caller: ForeignCaller) -> Result<ForeignCaller, Rejection> {
        if !caller.is_for(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        if !self.foreign || self.kind.is_some() {
            return Err(Rejection::ForeignCaller { required: self.scopes.clone() });
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(Rejection::InsufficientScope { required: self.scopes.clone() });
        }
        Ok(caller)
    }
}

impl Guard {
    fn remember_foreign(&self, place: u128, token: &Arc<ForeignToken>) {
        if let Some(trusted) = &self.trusted {
            trusted.remember(place, token.clone());
        }
    }

    /// Finds the session of a verified token, and whose it is by the store's word.
    async fn map(&self, token: &ForeignToken) -> Result<Arc<Known>, Rejection> {
        let session = token.issuer.session(&token.claims).await.map_err(Rejection::Unavailable)?;
        let session = session.ok_or(InvalidCredential::SessionUnknown)?;
        let status = self.liveness.look_up(&session).await.map_err(Rejection::Unavailable)?;
        let status = status.ok_or(InvalidCredential::SessionUnknown)?;
        let claims = token.claims.held_to(session, status.user, status.client);
        // No generation of our own keys is asked for: the foreign token's verdict hangs on its issuer's.
        let known = Arc::new(Known::new(claims, 0, 0));
        token.mapped.store(Some(known.clone()));
        Ok(known)
    }
}
