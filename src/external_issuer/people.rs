//! Who the people of an external issuer are here.

use std::fmt;

use async_trait::async_trait;

use crate::id::{SessionId, UserId};
use crate::store::StoreError;

/// Somebody, as an external issuer names them in an identity assertion or a security event whose signature is verified.
///
/// It may have several names at once (RFC 9493 §3.2.8, §4): all of them name the same person. A name that is missing is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExternalSubject {
    /// The issuer whose names these are. It is the one that signed: `iss` of the assertion or event. Only when a revocation
    /// names the person by `iss_sub` with an `iss` that [`speaks_for`](super::ExternalIssuer::speaks_for) allows, it is that `iss`.
    pub issuer: String,
    /// The person, as `issuer` names them: `sub`, or the `sub` of the identifier `iss_sub`.
    pub subject: Option<String>,
    /// The e-mail address, only when the issuer says that it is verified: by `email_verified: true`, or by the identifier
    /// `email` (RFC 9493 §3.2.2), which stands for an account that the issuer manages.
    pub email: Option<String>,
    /// The identifier `opaque` (RFC 9493 §3.2.4) of the person.
    pub opaque: Option<String>,
    /// The session at the issuer: `sid`, or the member `session` of a complex subject.
    pub session: Option<String>,
    /// The tenant: the member `tenant` of a complex subject, or the claim of an assertion.
    pub tenant: Option<String>,
}

/// Finds the person of this gateway whom an external issuer names.
///
/// A closure `Fn(&ExternalSubject) -> Option<UserId>` is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who the people of an external issuer are",
    label = "give a closure `|who: &ExternalSubject| -> Option<UserId>`, or a type that implements `PeopleMapper`"
)]
#[async_trait]
pub trait PeopleMapper: Send + Sync + 'static {
    /// The person of this gateway. `None`: the host does not know them.
    ///
    /// Map by [`ExternalSubject::subject`] where you can (OpenID Connect Core §5.7): an e-mail address may be given to
    /// another person later.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be found out: the answer is 503.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes longer than [`store_deadline`](crate::BridgeBuilder::store_deadline).
    async fn person(&self, who: &ExternalSubject) -> Result<Option<UserId>, StoreError>;

    /// The one session of this gateway that [`ExternalSubject::session`] stands for. `None`, the default: the host does not
    /// know it. Then an event about that session ends all sessions of the person.
    ///
    /// # Errors
    ///
    /// The same as for [`person`](Self::person).
    async fn session(&self, _who: &ExternalSubject) -> Result<Option<SessionId>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl<F> PeopleMapper for F
where
    F: Fn(&ExternalSubject) -> Option<UserId> + Send + Sync + 'static,
{
    async fn person(&self, who: &ExternalSubject) -> Result<Option<UserId>, StoreError> {
        Ok(self(who))
    }
}

impl fmt::Debug for dyn PeopleMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeopleMapper")
    }
}
