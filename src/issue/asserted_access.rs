//! Access by an assertion of an external issuer (RFC 7523): for a person, or for a workload.

use std::time::Duration;

use super::access::{Access, Grant};
use super::issuer::{Issuer, is_client};
use crate::clock::Clock;
use crate::id::{Audience, ClientId, Scopes, UserId};
use crate::store::{
    KnownUser, NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, SpentAssertion, StoreError,
    within_deadline,
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
    /// The assertion that is spent with it. `None`: it is good more than once.
    pub(crate) assertion: Option<SpentAssertion>,
    /// When the person signed in at the issuer, as far as the assertion says: in seconds since the Unix epoch.
    pub(crate) authenticated_at: Option<u64>,
    /// How long the session may live at most, in whole seconds.
    pub(crate) max_life: Option<Duration>,
    /// Where the client is.
    pub(crate) origin: Origin,
}

/// Whom an assertion is for here.
#[derive(Debug, Clone)]
pub(crate) enum AssertedFor {
    /// A person. When they are unknown, they are made known with these scopes, or refused.
    Person { user: UserId, registered_with: Option<KnownUser> },
    /// The client itself, which may do this.
    Workload { scopes: Scopes },
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
            AssertedFor::Workload { scopes } => {
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
        within_deadline(self.settings.deadlines.write, self.store.put_user(known)).await?;
        audit!("user_registered", user_id = %user, client_id = %asked.client, issuer = %asked.issuer,
            subject = %asked.subject);
        Ok(self.open_asserted(asked, user).await)
    }

    async fn open_asserted(
        &self,
        asked: &AssertedAccess,
        user: UserId,
    ) -> Result<OpenedSession, OpenSessionError> {
        // No refresh token makes it live longer. So it lives no longer than its token.
        let life = self.settings.session_life().min(self.settings.tokens.life);
        let life = asked.max_life.map_or(life, |most| life.min(most));
        let session = NewSession {
            client: asked.client.clone(),
            life,
            max_life: life,
            resource: asked.resource.clone(),
            assertion: asked.assertion,
            ..self.new_session(None, asked.origin.clone().issuer(&asked.issuer))
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
        let signed_in = asked.authenticated_at.filter(|at| *at < now).map(Duration::from_secs);
        let authenticated_at = signed_in
            .and_then(|at| std::time::UNIX_EPOCH.checked_add(at))
            .map_or(opened.authenticated_at, |at| at.min(opened.authenticated_at));
        self.sign(OpenedSession { authenticated_at, ..opened }, grant)
    }
}

/// Tells the log and the audit log why. The caller learns less.
fn refused(error: OpenSessionError, asked: &AssertedAccess, user: &UserId) -> AssertedAccessError {
    note(|known| known.user = Some(user.clone()));
    let (reason, detail) = match error {
        OpenSessionError::TooManySessions => return AssertedAccessError::TooManySessions,
        OpenSessionError::Store(fault) => return AssertedAccessError::Store(fault),
        OpenSessionError::UnknownUser => ("unknown_user", "the person is unknown here"),
        OpenSessionError::UserDisabled => (
            "user_disabled",
            "the person is disabled, or all of theirs was revoked after the assertion was issued",
        ),
        OpenSessionError::AssertionUsed => {
            ("assertion_used", "an assertion of this issuer with this jti was used before")
        }
        // They cannot happen: the session has a new id, shows no secret, and hangs on none.
        OpenSessionError::WrongSecret
        | OpenSessionError::SessionTaken
        | OpenSessionError::ParentEnded
        | OpenSessionError::TooDeep => ("session", "the session could not be opened"),
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
