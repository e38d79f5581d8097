//! Actor tokens: who a client says is acting (RFC 8693 §2.1).

use super::external;
use super::pending::Token;
use super::state::AuthState;
use crate::caller::{ActingParty, CallerKind, NoActingParty};
use crate::clock::Moment;
use crate::rejection::{InvalidCredential, Rejection};
use crate::token::{Actor, InvalidClaims, InvalidToken};

impl AuthState {
    /// The party that `token` names. The token is of this gateway, and its session is live now; or it is of an external
    /// issuer and is meant for this gateway. It always asks the store and never trusts a cached verdict.
    pub(crate) async fn acting_party(&self, token: &str) -> Result<ActingParty, NoActingParty> {
        let token = self.verify(token.as_bytes(), Moment::now()).map_err(|refusal| refusal.rejection)?;
        let verified = match token {
            Token::Own(verified) => verified,
            Token::External(external) => return external::acting_party(self, external).await,
        };
        let caller = self.live_caller(verified).await.map_err(|refusal| refusal.rejection)?;
        let claims = caller.claims();
        if claims.actor().is_some() {
            return Err(NoActingParty::Delegated);
        }
        if caller.kind() == CallerKind::HookClient {
            return Err(NoActingParty::Hook);
        }
        let is_client = claims.sub() == claims.client().as_str();
        let actor = Actor::new(claims.sub(), None).map_err(|_| {
            Rejection::from(InvalidCredential::from(InvalidToken::from(InvalidClaims::Subject)))
        })?;
        let user = (!is_client).then(|| claims.user().clone());
        let session = Some(claims.session().clone());
        Ok(ActingParty { actor, user, session, expires_at: claims.expires_at() })
    }
}
