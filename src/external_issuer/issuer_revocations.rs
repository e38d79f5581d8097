//! Which revocations of an external issuer are taken, as a host says it.

use super::issuer::ExternalIssuer;
#[cfg(doc)]
use super::people::PeopleMapper;
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

    /// How many revocations of this issuer are taken in a minute, and at once: 1 to 1 000 000. Default: 600.
    ///
    /// Beyond that the answer is 429 with `Retry-After`, and nothing is done. It counts events, requests and logout tokens
    /// together. Those that end nothing here have as much of their own, and repeated ones count for their address alone: so nobody who
    /// has a copy can use up what the issuer may send. Each gateway counts for itself.
    pub const fn revocations_per_minute(mut self, revocations: u32) -> Self {
        self.revocations.per_minute = revocations;
        self
    }
}
