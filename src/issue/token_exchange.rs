//! Token exchange (RFC 8693): a client exchanges a person's token for one with less power, of a session that hangs on the
//! old one's.

use std::time::Duration;

use super::access::{Access, Delegation, Grant, signed_in_at_the_latest};
use super::issuer::{Issuer, is_client};
use super::settings::TokenExchange;
use crate::caller::{ActingParty, Caller};
use crate::clock::Clock;
use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};
use crate::store::{
    NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, Revoke, StoreError, within_deadline,
};
use crate::telemetry::{audit, note, note_reason};
use crate::token::{Actor, Claims, KeyError, Subject};

/// What a client exchanges, and what for.
pub(crate) struct TokenExchangeRequest {
    /// The client, which has proved who it is, or is public.
    pub(crate) client: ClientId,
    /// The caller of the token that is exchanged. Its session is live.
    pub(crate) subject: Caller,
    /// The party of the actor token. `None`: the client itself acts.
    pub(crate) actor: Option<ActingParty>,
    /// The scopes of the new token. `None`: all of the old one.
    pub(crate) scopes: Option<Scopes>,
    /// The audiences of the new token. None: all of the old one.
    pub(crate) audiences: Vec<Audience>,
    /// The address and program of the client.
    pub(crate) origin: Origin,
}

/// Why a token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenExchangeError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("a scope that the token or the person does not have")]
    Scope,
    #[error("an audience that the token does not have")]
    Target,
    #[error("too many delegated sessions hang on the session of the device")]
    TooManySessions,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the old token, or the acting party, is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the token is no person's")]
    NotAPerson,
    #[error("the token was issued to another client, and this one may not exchange it")]
    AnotherClient,
    #[error("the token names another party in may_act")]
    MayAct,
    #[error("the chain of actors is as long as it may be")]
    TooDeep,
    #[error("the names of the actors are so long that the new token would be longer than any may be")]
    TooLong,
    #[error("the token of the subject or of the actor is about to expire")]
    Expired,
    #[error("the session of the token has ended, or its person is locked out")]
    SessionEnded,
    #[error("the person has the id of the client, or the actor has the id of a client")]
    ReservedUser,
}

/// What is decided about an exchange before the store is asked.
struct Decided {
    actor: Option<Box<Actor>>,
    scopes: Scopes,
    audiences: Vec<Audience>,
    /// The second after which the new token is not good.
    ends_at: u64,
    life: Duration,
}

impl Issuer {
    /// Opens a session that hangs on the session of the old token, and signs a token for it.
    ///
    /// # Cancel safety
    ///
    /// The session is opened or not, never half. A session whose token was not returned expires by itself.
    pub(crate) async fn exchange_token(
        &self,
        exchange: &TokenExchange,
        request: TokenExchangeRequest,
    ) -> Result<Access, TokenExchangeError> {
        let claims = request.subject.claims().clone();
        let (client, address) = (request.client.clone(), request.origin.address);
        let party = request.actor.as_ref().map(|party| party.actor.clone());
        note(|known| {
            (known.user, known.session) = (Some(claims.user().clone()), Some(claims.session().clone()));
        });
        let exchanged = self.exchanged(exchange, request).await;
        match &exchanged {
            Ok((access, actor)) => {
                audit!("token_exchanged", user_id = %access.user, session_id = %access.session, client_id = %client,
                    from_session_id = %claims.session(), from_client_id = %claims.client(),
                    actor = actor.as_ref().map(tracing::field::display), scopes = %access.scopes);
            }
            Err(error) => {
                let Some(reason) = error.reason() else { return exchanged.map(|(access, _)| access) };
                note_reason(reason, error.to_string());
                audit!("token_exchange_refused", reason, user_id = %claims.user(), session_id = %claims.session(),
                    client_id = %client, from_client_id = %claims.client(),
                    actor = party.as_ref().map(tracing::field::display),
                    address = address.map(tracing::field::display));
            }
        }
        exchanged.map(|(access, _)| access)
    }

    /// The access, and who acts by it.
    async fn exchanged(
        &self,
        exchange: &TokenExchange,
        request: TokenExchangeRequest,
    ) -> Result<(Access, Option<Box<Actor>>), TokenExchangeError> {
        let decided = self.decide(exchange, &request)?;
        let claims = request.subject.claims();
        let resource = <&[Audience; 1]>::try_from(&*decided.audiences).ok().map(|[only]| only.clone());
        let session = NewSession {
            client: request.client.clone(),
            call_source: request.subject.call_source().clone(),
            life: decided.life,
            max_life: decided.life,
            limit: exchange.limit(),
            resource,
            ..self.new_session(None, request.origin)
        };
        let open = OpenSession::Delegated {
            user: claims.user().clone(),
            parent: claims.session().clone(),
            actor: decided.actor.clone(),
            scopes: decided.scopes,
            session,
        };
        let opened = within_deadline(self.settings.deadlines.write, self.store.open_session(open)).await?;
        self.keep_only_if_all(request.scopes.as_ref(), &opened).await?;
        // Of an assertion, the token says when its person signed in, and the row when the session was opened.
        let opened = signed_in_at_the_latest(opened, claims.authenticated_at());
        let grant = Grant {
            subject: Subject::User(opened.user.clone()),
            client: request.client,
            audiences: &decided.audiences,
            token_life: decided.life,
        };
        let shown = request.actor.and_then(|party| party.session);
        let shown = shown.filter(|session| !claims.actor_sessions().contains(session));
        let delegation = Delegation {
            actor: decided.actor.clone(),
            actor_sessions: claims.actor_sessions().iter().cloned().chain(shown).collect(),
            may_act: claims.may_act().cloned().map(Box::new),
            ends_at: Some(decided.ends_at),
        };
        let opened_id = opened.id.clone();
        match self.sign_delegated(opened, grant, delegation) {
            Ok(access) => Ok((access, decided.actor)),
            Err(KeyError::TokenTooLong) => {
                self.end_again(opened_id).await?;
                Err(Denied::TooLong.into())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn decide(
        &self,
        exchange: &TokenExchange,
        request: &TokenExchangeRequest,
    ) -> Result<Decided, TokenExchangeError> {
        let claims = request.subject.claims();
        let Subject::User(user) = claims.subject() else { return Err(Denied::NotAPerson.into()) };
        let actor = self.actor(request, claims)?;
        if is_client(user, &request.client) {
            return Err(Denied::ReservedUser.into());
        }
        let scopes = request.scopes.as_ref().unwrap_or(claims.scopes());
        if !claims.scopes().contains_all(scopes) {
            return Err(TokenExchangeError::Scope);
        }
        let audiences = match &*request.audiences {
            [] => claims.audiences(),
            asked => asked,
        };
        let has = |audience: &Audience| claims.audiences().contains(audience);
        if !audiences.iter().all(has) || !self.settings.audiences.knows_all(audiences) {
            return Err(TokenExchangeError::Target);
        }
        let ends_at =
            request.actor.as_ref().map_or(u64::MAX, |party| party.expires_at).min(claims.expires_at());
        let left = Duration::from_secs(ends_at.saturating_sub(self.clock.now().as_secs()));
        if left.is_zero() {
            return Err(Denied::Expired.into());
        }
        Ok(Decided {
            actor,
            scopes: scopes.clone(),
            audiences: audiences.to_vec(),
            ends_at,
            life: exchange.life(self.settings.tokens.life).min(left),
        })
    }

    /// Who acts by the new token, if the client may exchange the old one for this party. `None`: nobody is named.
    fn actor(&self, request: &TokenExchangeRequest, claims: &Claims) -> Result<Option<Box<Actor>>, Denied> {
        let issuer = &self.settings.issuer;
        let registered = self.settings.clients.registered(&request.client);
        let registered = registered.filter(|client| client.is_confidential());
        let client = Actor::client(&request.client).map_err(|_| Denied::AnotherClient)?;
        let is_named = claims.may_act().is_some_and(|only| client.is_same_party(only, issuer));
        let may_exchange = *claims.client() == request.client
            || registered.is_some_and(|client| is_named || client.exchanges_tokens);
        if !may_exchange {
            return Err(Denied::AnotherClient);
        }
        let party = request.actor.as_ref().map_or(&client, |party| &party.actor);
        if claims.may_act().is_some_and(|only| !party.is_same_party(only, issuer)) {
            return Err(Denied::MayAct);
        }
        let named = request.actor.as_ref().and_then(|party| party.user.as_ref());
        if named.is_some_and(|user| self.is_id_of_client(user)) {
            return Err(Denied::ReservedUser);
        }
        let earlier = claims.actor().cloned().map(Box::new);
        let impersonates = registered.is_some_and(|client| client.impersonates);
        if impersonates && request.actor.is_none() && earlier.is_none() {
            return Ok(None);
        }
        let actor = party.clone().after(earlier).ok_or(Denied::TooDeep)?;
        Ok(Some(Box::new(actor)))
    }

    /// Whether `user` has the id of a client. In `act` nobody could tell them apart.
    fn is_id_of_client(&self, user: &UserId) -> bool {
        ClientId::parse(user.as_str())
            .is_ok_and(|id| self.may_be_logged(&id) || id.as_str().starts_with("https://"))
    }

    /// Ends the session again when the person no longer has all scopes that were asked for by name.
    async fn keep_only_if_all(
        &self,
        asked: Option<&Scopes>,
        opened: &OpenedSession,
    ) -> Result<(), TokenExchangeError> {
        if asked.is_none_or(|asked| opened.scopes.contains_all(asked)) {
            return Ok(());
        }
        self.end_again(opened.id.clone()).await?;
        Err(TokenExchangeError::Scope)
    }

    /// Ends a session whose token nobody gets.
    async fn end_again(&self, session: SessionId) -> Result<(), StoreError> {
        let end = Revoke::Session(session);
        within_deadline(self.settings.deadlines.write, self.store.revoke(&end)).await.map(drop)
    }
}

impl TokenExchangeError {
    /// A word for the logs. `None`: it is no refusal.
    fn reason(&self) -> Option<&'static str> {
        Some(match self {
            Self::Denied(denied) => match denied {
                Denied::NotAPerson => "not_a_person",
                Denied::AnotherClient => "another_client",
                Denied::MayAct => "may_act",
                Denied::TooDeep => "too_deep",
                Denied::TooLong => "actors_too_long",
                Denied::Expired => "about_to_expire",
                Denied::SessionEnded => "session_ended",
                Denied::ReservedUser => "reserved_user",
            },
            Self::Scope => "scopes",
            Self::Target => "wrong_resource",
            Self::TooManySessions => "too_many_sessions",
            Self::Key(_) | Self::Store(_) => return None,
        })
    }
}

impl From<OpenSessionError> for TokenExchangeError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::TooDeep => Denied::TooDeep.into(),
            OpenSessionError::TooManySessions => Self::TooManySessions,
            OpenSessionError::Store(fault) => Self::Store(fault),
            // No secret is shown, no id is declared, and no assertion is spent. So the others do not happen.
            OpenSessionError::ParentEnded
            | OpenSessionError::UnknownUser
            | OpenSessionError::UserDisabled
            | OpenSessionError::WrongSecret
            | OpenSessionError::SessionTaken
            | OpenSessionError::AssertionUsed => Denied::SessionEnded.into(),
        }
    }
}
