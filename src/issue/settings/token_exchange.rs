//! Token exchange (RFC 8693).

use std::time::Duration;

use crate::store::{SessionLimit, WhenFull};
use crate::token::Claims;
use crate::validate::{BuildError, Setting, check_count, check_life};

/// Lets clients exchange a person's token for one with less power: for one audience, for another client, or for less time
/// (RFC 8693).
///
/// [`BridgeBuilder::token_exchange`](crate::BridgeBuilder::token_exchange) takes it. The new token has a *delegated
/// session*, which ends with the session of the old token. So once a person, a device or a client in the chain is revoked, every
/// gateway refuses all that was exchanged from it. The same holds for the session of an actor token.
///
/// A client may exchange the tokens that were issued to it. Of other tokens:
///
/// - the one that is named by `may_act` ([`AccessRequest::may_act`](crate::issue::AccessRequest::may_act)),
/// - all of them, when the host says so ([`RegisteredClient::exchanges_tokens`](crate::issue::RegisteredClient::exchanges_tokens)).
///
/// These clients need a secret.
///
/// ```
/// # use bridge_auth::{Bridge, BuildError, store::Store, token::KeyRing};
/// use bridge_auth::issue::{RegisteredClient, TokenExchange};
///
/// # fn build(keys: KeyRing, store: impl Store) -> Result<Bridge, BuildError> {
/// Bridge::builder("https://gateway.example", keys, store)
///     .oauth()
///     .client(
///         RegisteredClient::new("planner", "Planner")
///             .secret("only-an-example-of-32-characters-or-more")
///             .exchanges_tokens(true),
///     )
///     .token_exchange(TokenExchange::new())
///     .build()
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(deny_unknown_fields, default))]
#[must_use = "give it to BridgeBuilder::token_exchange"]
pub struct TokenExchange {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::validate::duration_text::given"))]
    token_life: Option<Duration>,
    max_sessions: u32,
}

impl TokenExchange {
    const MAX_SESSIONS: u32 = 32;

    /// Token exchange with the default settings.
    pub const fn new() -> Self {
        Self { token_life: None, max_sessions: Self::MAX_SESSIONS }
    }

    /// How long an exchanged token lives at most: 1 s to 24 h, in whole seconds. Default: as long as
    /// [other tokens](crate::BridgeBuilder::token_life).
    ///
    /// It never lives longer than the token that it was exchanged for.
    pub const fn token_life(mut self, life: Duration) -> Self {
        self.token_life = Some(life);
        self
    }

    /// How many live delegated sessions may hang on the session of one device, at any depth: 1 to 32. Default: 32.
    ///
    /// The next exchange is refused with 409 `too_many_sessions`. A client makes room by revoking a token that it no longer
    /// needs (RFC 7009).
    pub const fn max_sessions(mut self, most: u32) -> Self {
        self.max_sessions = most;
        self
    }

    /// The life of a new token when other tokens have the life `usual`.
    pub(crate) fn life(&self, usual: Duration) -> Duration {
        self.token_life.unwrap_or(usual)
    }

    pub(crate) const fn limit(&self) -> SessionLimit {
        SessionLimit::new(self.max_sessions, WhenFull::Refuse)
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        let sessions = Setting::new("the number of delegated sessions", "TokenExchange::max_sessions");
        check_count(sessions, self.max_sessions, &(1..=Self::MAX_SESSIONS), "1 to 32")?;
        let life = Setting::new("the life of an exchanged token", "TokenExchange::token_life");
        let allowed = "1 second to 24 hours, in whole seconds";
        self.token_life.map_or(Ok(()), |asked| check_life(life, asked, 1, Claims::MAX_LIFE, allowed))
    }
}

impl Default for TokenExchange {
    fn default() -> Self {
        Self::new()
    }
}
