//! The tokens of other issuers: to a caller of a session here, or to one without.

use std::sync::Arc;

use http::HeaderMap;

use super::{Admitted, Authenticator, Begun, Guard, Pending, bearer};
use crate::caller::{Caller, Known};
use crate::foreign::{ForeignCaller, ForeignToken, Trusted};
use crate::reject::{InvalidCredential, Rejection};

/// A token of another issuer, as far as it got without I/O.
pub(crate) enum Foreign {
    /// It says it is of this issuer; its text has this digest.
    Unverified(u128, Arc<Trusted>),
    /// It is good.
    Verified(Arc<ForeignToken>),
}

impl Authenticator {
    /// All that needs no I/O, as with one of our own.
    pub(super) fn begin_foreign(&self, foreign: Foreign, headers: &HeaderMap) -> Result<Begun, Rejection> {
        let Foreign::Verified(token) = foreign else {
            return Ok(Begun::Pending(Pending::Foreign(foreign)));
        };
        if !token.issuer.is_mapped() {
            return self
                .admit_foreign(ForeignCaller::new(token))
                .map(|caller| Begun::Admitted(Admitted::Foreign(caller)));
        }
        if let Some(known) = token.mapped.load_full()
            && let Some(context) = self.guard.remembered_context(&known)
        {
            self.check_claims(&known.claims, headers)?;
            return self.grant(Caller::new(known, context)).map(Begun::Admitted);
        }
        Ok(Begun::Pending(Pending::Foreign(Foreign::Verified(token))))
    }

    /// The rest: its keys, then the session it is mapped to.
    pub(super) async fn finish_foreign(
        &self,
        foreign: Foreign,
        headers: &HeaderMap,
    ) -> Result<Admitted, Rejection> {
        let token = match foreign {
            Foreign::Verified(token) => token,
            Foreign::Unverified(place, issuer) => {
                let text = bearer::token68(self.find(headers)?)?;
                let token = issuer.verify(text, &self.guard.authority).await?;
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
        self.check_claims(&known.claims, headers)?;
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
        let status = self.liveness.status(session.clone()).await.map_err(Rejection::Unavailable)?;
        let status = status.ok_or(InvalidCredential::SessionUnknown)?;
        let claims = token.claims.held_to(session, status.user, status.client);
        // No generation of our own keys is asked for: the foreign token's verdict hangs on its issuer's.
        let known = Arc::new(Known::new(claims, 0, 0));
        token.mapped.store(Some(known.clone()));
        Ok(known)
    }
}
