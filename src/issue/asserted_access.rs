//! Access by an assertion of an external issuer (RFC 7523): for a person, or for a workload.

use std::time::Duration;

use super::access::{Access, Grant, signed_in_at_the_latest};
use super::issuer::{Issuer, is_client};
use crate::clock::Clock;
use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};
use crate::store::{
    KnownUser, NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, SessionLimit,
    SpentAssertion, StoreError, WhenFull, within_deadline,
};
use crate::telemetry::{audit, note, note_reason};
use crate::token::{KeyError, Subject};

/// What a verified assertion of an external issuer gives access to.
#[derive(Debug, Clone)]
pub(crate) struct AssertedAccess {
    /// Whom the session is for.
    pub(crate) of: AssertedFor,
    /// The client that the token is for.
    pub(crate) client: ClientId,
    /// The issuer of the assertion.
    pub(crate) issuer: String,
    /// The subject of the assertion, as its issuer names it.
    pub(crate) subject: String,
    /// What was asked for. The session has those of them that the person or workload holds.
    pub(crate) scopes: Scopes,
    /// The one resource that the tokens of the session may be for. `None`: the default audiences.
    pub(crate) resource: Option<Audience>,
    /// The assertion that is spent with it. `None`: the token of a workload is good more than once.
    pub(crate) assertion: Option<SpentAssertion>,
    /// When the person signed in at the issuer, as far as the assertion says: in seconds since the Unix epoch.
    pub(crate) authenticated_at: Option<u64>,
    /// Where the client is.
    pub(crate) origin: Origin,
}

/// Whom an assertion is for here.
#[derive(Debug, Clone)]
pub(crate) enum AssertedFor {
    /// A person. When they are unknown, they are made known with these scopes, or refused.
    Person { user: UserId, registered_with: Option<KnownUser> },
    /// The client itself, which may do this. Its token may be shown again, and is good for this long. So its session is
    /// that of the token.
    Workload { scopes: Scopes, session: SessionId, left: Duration },
}

/// Why an assertion gives no access.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertedAccessError {
    /// The person is unknown or disabled, has an id that no person may have, or the assertion was used before. The
    /// caller is not told which.
    #[error("the assertion gives no access")]
    InvalidGrant,
    /// The person has as many live sessions as the limit allows.
    #[error("the person has too many sessions")]
    TooManySessions,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// How many live sessions a workload has: one for each token, and each of its replicas has a token.
    const WORKLOAD_SESSIONS: SessionLimit = SessionLimit { max: 1024, when_full: WhenFull::Evict };

    /// Opens a session for whom a verified assertion is about. Of several calls with one assertion exactly one succeeds,
    /// on any gateways. The session gets no refresh token: for more access the client needs another assertion.
    ///
    /// # Cancel safety
    ///
    /// Either the assertion is spent and its session is open, or neither.
    pub(crate) async fn asserted_access(&self, asked: AssertedAccess) -> Result<Access, AssertedAccessError> {
        let user = self.user_of(&asked).await?;
        let opened = match self.open_asserted(&asked, user.clone()).await {
            Err(OpenSessionError::UnknownUser) => self.register(&asked, user.clone()).await?,
            opened => opened,
        };
        let opened = opened.map_err(|error| refused(error, &asked, &user))?;
        let access = self.sign_asserted(opened, &asked)?;
        audit!("assertion_accepted", user_id = %access.user, session_id = %access.session,
            client_id = %access.client, issuer = %asked.issuer, subject = %asked.subject);
        Ok(access)
    }

    /// The user whose session it is. That of a workload is made known here.
    async fn user_of(&self, asked: &AssertedAccess) -> Result<UserId, AssertedAccessError> {
        match &asked.of {
            AssertedFor::Person { user, .. } if is_client(user, &asked.client) => {
                note_reason("reserved_user", "the person's user id is that of a client: map them to another");
                Err(refusal("reserved_user", asked, user))
            }
            AssertedFor::Person { user, .. } => Ok(user.clone()),
            AssertedFor::Workload { scopes, .. } => {
                let user = UserId::for_workload(&asked.client);
                if asked.client.is_for_hooks() {
                    note_reason("reserved_client", "the client id of a workload is that of a hook client");
                    return Err(refusal("reserved_client", asked, &user));
                }
                let known = KnownUser {
                    id: user.clone(),
                    scopes: scopes.clone(),
                    hook_scopes: Some(Scopes::default()),
                    label: None,
                };
                within_deadline(self.settings.deadlines.write, self.store.put_user(&known)).await?;
                Ok(user)
            }
        }
    }

    /// Makes an unknown person known, where the host wants that, and opens the session.
    async fn register(
        &self,
        asked: &AssertedAccess,
        user: UserId,
    ) -> Result<Result<OpenedSession, OpenSessionError>, StoreError> {
        let AssertedFor::Person { registered_with: Some(known), .. } = &asked.of else {
            return Ok(Err(OpenSessionError::UnknownUser));
        };
        within_deadline(self.settings.deadlines.write, self.store.add_user(known)).await?;
        audit!("user_registered", user_id = %user, client_id = %asked.client, issuer = %asked.issuer,
            subject = %asked.subject);
        Ok(self.open_asserted(asked, user).await)
    }

    async fn open_asserted(
        &self,
        asked: &AssertedAccess,
        user: UserId,
    ) -> Result<OpenedSession, OpenSessionError> {
        let (settings, origin) = (&self.settings, asked.origin.clone().issuer(&asked.issuer));
        let session = match &asked.of {
            // No refresh token makes it live longer. So it lives no longer than its token.
            AssertedFor::Person { .. } => NewSession {
                life: settings.session_life().min(settings.tokens.life),
                ..self.new_session(None, origin)
            },
            // The same token renews its session. After that was revoked, the token opens none. So its row must be kept as
            // long as the token is good.
            AssertedFor::Workload { session, left, .. } => NewSession {
                life: *left,
                limit: Self::WORKLOAD_SESSIONS,
                ..self.new_session(Some(session.clone()), origin)
            },
        };
        let session = NewSession {
            client: asked.client.clone(),
            max_life: session.life,
            resource: asked.resource.clone(),
            assertion: asked.assertion,
            ..session
        };
        let open = OpenSession::Vouched { user, scopes: asked.scopes.clone(), session };
        within_deadline(self.settings.deadlines.write, self.store.open_session(open)).await
    }

    fn sign_asserted(&self, opened: OpenedSession, asked: &AssertedAccess) -> Result<Access, KeyError> {
        let now = self.clock.now().as_secs();
        let grant = Grant {
            subject: Subject::of_session(opened.user.clone(), &asked.client),
            client: asked.client.clone(),
            audiences: self.audiences_of(asked.resource.as_ref()),
            token_life: self.settings.tokens.life,
        };
        let signed_in = asked.authenticated_at.filter(|at| *at < now);
        let opened = match signed_in {
            Some(at) => signed_in_at_the_latest(opened, at),
            None => opened,
        };
        self.sign(opened, grant)
    }
}

/// Tells the log and the audit log why. The caller learns less.
fn refused(error: OpenSessionError, asked: &AssertedAccess, user: &UserId) -> AssertedAccessError {
    note(|known| known.user = Some(user.clone()));
    let (reason, detail) = match error {
        OpenSessionError::TooManySessions => return AssertedAccessError::TooManySessions,
        OpenSessionError::Store(fault) => return AssertedAccessError::Store(fault),
        OpenSessionError::UnknownUser => ("unknown_user", "the person is unknown here"),
        OpenSessionError::UserDisabled => ("user_disabled", "the person is disabled"),
        OpenSessionError::AssertionUsed => {
            ("assertion_used", "it was used before, or all of the person was revoked after it was issued")
        }
        // The others cannot happen: the session shows no secret, and hangs on none.
        OpenSessionError::SessionTaken
        | OpenSessionError::WrongSecret
        | OpenSessionError::ParentEnded
        | OpenSessionError::TooDeep => {
            ("session_ended", "the session of this token has ended: get a new token")
        }
    };
    note_reason(reason, detail);
    refusal(reason, asked, user)
}

fn refusal(reason: &'static str, asked: &AssertedAccess, user: &UserId) -> AssertedAccessError {
    let address = asked.origin.address.map(tracing::field::display);
    audit!("assertion_refused", reason, user_id = %user, client_id = %asked.client, issuer = %asked.issuer,
        subject = %asked.subject, address);
    AssertedAccessError::InvalidGrant
}
