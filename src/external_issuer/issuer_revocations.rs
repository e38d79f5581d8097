//! Which revocations of an external issuer are taken, as a host says it.

use super::issuer::ExternalIssuer;
#[cfg(doc)]
use super::people::{ExternalSubject, PeopleMapper};
use super::revocation_settings::{GlobalTokenRevocation, SecurityEvents};
use crate::id::{Audience, TextOr};

impl ExternalIssuer {
    /// Takes its security events (SSF 1.0). Default: none are taken. It needs [`people`](Self::people).
    ///
    /// | event | what it does here |
    /// |---|---|
    /// | CAEP `session-revoked` | ends all sessions of the person, or the one that [`PeopleMapper::session`] names |
    /// | CAEP `credential-change`, `token-claims-change` | ends all sessions of the person |
    /// | RISC `account-disabled`, `account-purged` | disables the person, and ends all their sessions |
    /// | every other one | nothing: it is accepted, and an audit event tells of it |
    pub fn security_events(mut self, events: SecurityEvents) -> Self {
        self.revocations.events = Some(events);
        self
    }

    /// Takes its requests to revoke all that a person has (draft-parecki-oauth-global-token-revocation). Default: none are
    /// taken. It needs [`people`](Self::people).
    pub fn global_token_revocation(mut self, revocation: GlobalTokenRevocation) -> Self {
        self.revocations.global = Some(revocation);
        self
    }

    /// Takes its logout tokens (OpenID Connect Back-Channel Logout 1.0) for `client`, the client id that this gateway has
    /// at the issuer. Default: none are taken. It needs [`people`](Self::people).
    ///
    /// A logout token ends the session that [`PeopleMapper::session`] names, or else all sessions of the person.
    pub fn backchannel_logout(mut self, client: impl TextOr<Audience>) -> Self {
        self.revocations.logout_client = self.invalid.read("the client id of back-channel logout", client);
        self
    }

    /// The other issuers whose people it names in its events and requests: each exactly the `iss` of an identifier `iss_sub`. Default:
    /// none, so it speaks for its own people alone. 16 at most.
    ///
    /// An identity provider may sign its events under another name than its ID tokens. Then name the `iss` of the ID tokens here.
    /// [`people`](Self::people) sees such a person as that issuer's ([`ExternalSubject::issuer`]), and must look there, because two
    /// issuers may call different people alike. It counts for [`security_events`](Self::security_events) and
    /// [`global_token_revocation`](Self::global_token_revocation), and not for identity assertions.
    ///
    /// ```
    /// # use bridge_auth::external_issuer::{ExternalIssuer, ExternalSubject};
    /// # use bridge_auth::UserId;
    /// # fn with(events: ExternalIssuer) -> ExternalIssuer {
    /// events.speaks_for(["https://login.example"]).people(|who: &ExternalSubject| match who.issuer.as_str() {
    ///     "https://login.example" => UserId::parse(who.subject.as_deref()?).ok(),
    ///     _ => None,
    /// })
    /// # }
    /// ```
    pub fn speaks_for<I: Into<String>>(mut self, issuers: impl IntoIterator<Item = I>) -> Self {
        self.revocations.speaks_for = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// How many revocations of this issuer are taken in a minute, and at once: 1 to 1 000 000. Default: 600.
    ///
    /// Beyond that the answer is 429 with `Retry-After`, and nothing is done. It counts events, requests and logout tokens
    /// together. Messages by which nothing is to be done here have as much of their own, and so have revocations of people who
    /// were never here. Repeated ones count for their address alone. So nobody who has a copy can use up what the issuer may
    /// revoke. Each gateway counts for itself.
    pub const fn revocations_per_minute(mut self, revocations: u32) -> Self {
        self.revocations.per_minute = revocations;
        self
    }
}
