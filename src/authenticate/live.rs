//! From a verified token to its caller, by the store's word of its session.

use std::convert::Infallible;
use std::sync::Arc;

use super::Guard;
use crate::caller::{Caller, Context, Known};
use crate::id::CallSource;
use crate::reject::{InvalidCredential, Rejection};
use crate::session::Row;
use crate::store::{SessionState, SessionStatus, StoreErrorKind};
use crate::token::Claims;

impl Guard {
    /// The caller, when the session of a verified token is live, by the store's word.
    pub(super) async fn live_caller(&self, known: Arc<Known>) -> Result<Caller, Rejection> {
        let fence = self.liveness.fence(&known.claims);
        let seen = known.context.get().and_then(|context| Some((known.seen.mark()?, context)));
        let row = self.liveness.look_up(&known.session, seen.map(|(row, _)| row)).await;
        let row = row.map_err(Rejection::Unavailable)?.ok_or(InvalidCredential::SessionUnknown)?;
        let (expires_in, context) = match (row, seen) {
            // It fitted before, and no row changes in that.
            (Row::Seen { state, expires_in }, Some((_, context))) => {
                check_state(state)?;
                (expires_in, context)
            }
            (Row::Seen { .. }, None) => return Err(Rejection::Unavailable(StoreErrorKind::Failed)),
            (Row::Unseen(status), _) => {
                check_session(&known.claims, &status)?;
                let context = known.context.get_or_init(|| self.context(&status.call_source));
                if *context.call_source() != status.call_source {
                    // The row is another than at first: nothing is remembered of it.
                    return Ok(Caller::new(known.clone(), self.context(&status.call_source)));
                }
                known.seen.remember(status.row);
                (status.expires_in, context)
            }
        };
        if let Some(fence) = fence {
            self.liveness.remember(&known.slot, &fence, expires_in);
        }
        let context = context.clone();
        Ok(Caller::new(known, context))
    }

    /// What callers of this source have in common: made once for all of them.
    fn context(&self, source: &CallSource) -> Arc<Context> {
        let make = || Context::new(source.clone(), self.policy_version.clone(), self.authority.clone());
        let Ok(context) = self.contexts.get_or_insert_with(source, || Ok::<_, Infallible>(make().into()));
        context
    }
}

fn check_session(claims: &Claims, status: &SessionStatus) -> Result<(), InvalidCredential> {
    if status.user != *claims.user() || status.client != *claims.client() {
        return Err(InvalidCredential::SessionOfAnother);
    }
    check_state(status.state)
}

fn check_state(state: SessionState) -> Result<(), InvalidCredential> {
    match state {
        SessionState::Live => Ok(()),
        SessionState::Revoked => Err(InvalidCredential::SessionRevoked),
        SessionState::Expired => Err(InvalidCredential::SessionExpired),
    }
}
