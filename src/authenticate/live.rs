//! From a verified token to its caller, by the session row in the store.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::join_all;

use super::pending::Token;
use super::state::AuthState;
use crate::caller::{ActorSession, Caller, CallerGroup, VerifiedToken};
use crate::clock::Moment;
use crate::id::CallSource;
use crate::rejection::{InvalidCredential, Refusal, Rejection};
use crate::session::Row;
use crate::store::{SessionState, SessionStatus, StoreErrorKind};
use crate::token::{Claims, InvalidToken};

impl AuthState {
    /// The caller of `token`, for any audience. It always asks the store and never trusts a cached verdict.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Caller, Rejection> {
        match self.verify(token.as_bytes(), Moment::now()).map_err(|refusal| refusal.rejection)? {
            Token::Own(verified) => self.live_caller(verified).await.map_err(|refusal| refusal.rejection),
            // Only its issuer can say whether an external token is valid.
            Token::External(_) => Err(InvalidCredential::from(InvalidToken::Issuer).into()),
        }
    }

    /// The caller of a verified token, when the store says that its session is live.
    pub(super) async fn live_caller(&self, verified: Arc<VerifiedToken>) -> Result<Caller, Refusal> {
        let live = match verified.actors().is_empty() {
            true => self.live_group(&verified).await,
            // Few tokens have actors with sessions: those of all others shall not pay for the size of this future.
            false => Box::pin(self.live_with_actors(&verified)).await,
        };
        match live {
            Ok(group) => Ok(Caller::new(verified, group)),
            Err(rejection) => Err(Refusal::new(rejection, verified.claims.known())),
        }
    }

    /// The same for a token that depends on the sessions of its actors too. All are asked for at once: so they share queries, and
    /// wait for one deadline.
    async fn live_with_actors(&self, verified: &VerifiedToken) -> Result<Arc<CallerGroup>, Rejection> {
        let actors = verified.actors().iter().map(|actor| self.actor_is_live(actor));
        let (group, actors) = tokio::join!(self.live_group(verified), join_all(actors));
        let group = group?;
        actors.into_iter().collect::<Result<(), _>>()?;
        Ok(group)
    }

    /// Checks that the session of an actor is live, and is still that of whoever had it when it was first seen.
    async fn actor_is_live(&self, actor: &ActorSession) -> Result<(), Rejection> {
        let row = self.liveness.look_up(&actor.session, actor.matched_row.mark()).await;
        let is_live = match row.map_err(Rejection::Unavailable)? {
            Some(Row::Seen { state, .. }) => state == SessionState::Live,
            Some(Row::Unseen(SessionStatus { user, client, row, state, .. })) => {
                let holder = (user, client);
                let is_holder = *actor.holder.get_or_init(|| holder.clone()) == holder;
                if is_holder {
                    actor.matched_row.remember(row);
                }
                is_holder && state == SessionState::Live
            }
            None => false,
        };
        if is_live { Ok(()) } else { Err(InvalidCredential::ActorSessionEnded.into()) }
    }

    /// The group of the caller of a verified token, when the store says that its session is live.
    async fn live_group(&self, verified: &VerifiedToken) -> Result<Arc<CallerGroup>, Rejection> {
        // A verdict is remembered of one session. So it is none of a token that depends on several.
        let depends_on_one = verified.actors().is_empty();
        let fence = depends_on_one.then(|| self.liveness.fence(&verified.claims)).flatten();
        let seen = verified.group.get().and_then(|group| Some((verified.matched_row.mark()?, group)));
        let row = self.liveness.look_up(&verified.session, seen.map(|(row, _)| row)).await;
        let row = row.map_err(Rejection::Unavailable)?.ok_or(InvalidCredential::SessionUnknown)?;
        let (expires_in, group) = match (row, seen) {
            // The row matched this token before, and a row never changes its user, client and call source.
            (Row::Seen { state, expires_in }, Some((_, group))) => {
                check_state(state)?;
                (expires_in, group)
            }
            (Row::Seen { .. }, None) => return Err(Rejection::Unavailable(StoreErrorKind::Failed)),
            (Row::Unseen(status), _) => {
                check_session(&verified.claims, &status)?;
                let group = verified.group.get_or_init(|| self.group(&status.call_source));
                if *group.call_source() != status.call_source {
                    // This is another row than at first. So nothing is cached for it.
                    return Ok(self.group(&status.call_source));
                }
                verified.matched_row.remember(status.row);
                (status.expires_in, group)
            }
        };
        if let Some(fence) = fence {
            self.liveness.remember(&verified.verdict, &fence, expires_in);
        }
        Ok(group.clone())
    }

    /// What the callers of this call source have in common. It is made once for all of them.
    fn group(&self, source: &CallSource) -> Arc<CallerGroup> {
        let make = || CallerGroup::new(source.clone(), self.policy_version.clone(), self.authority.clone());
        let Ok(group) = self.groups.get_or_insert_with(source, || Ok::<_, Infallible>(make().into()));
        group
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
