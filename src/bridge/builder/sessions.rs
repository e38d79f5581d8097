//! Settings of codes, tokens and sessions: how long they live, and how many a person may have.

use std::time::Duration;

use super::BridgeBuilder;
use crate::issue::AssuranceLevel;
use crate::store::SessionLimit;

impl BridgeBuilder {
    /// How long an exchange code lives: 1 to 600 s, in whole seconds. Default: 120 s.
    pub fn code_life(mut self, life: Duration) -> Self {
        self.settings.codes.life = life;
        self
    }

    /// How long an access token lives: 1 s to 24 h, in whole seconds. Default: 3600 s.
    ///
    /// A token never outlives its session.
    pub fn token_life(mut self, life: Duration) -> Self {
        self.settings.tokens.life = life;
        self
    }

    /// How long a session lives after it was opened, renewed or refreshed: 1 s to 30 days, in whole seconds.
    ///
    /// This is the inactivity limit of NIST SP 800-63B-4 §5.2. Default: 24 h. With [refresh
    /// tokens](Self::refresh_tokens) the default is 14 days, so that a laptop may stay closed for that long.
    pub fn session_life(mut self, life: Duration) -> Self {
        self.settings.sessions.life = Some(life);
        self
    }

    /// How long a session lives at most after the person last signed in: 1 s to 30 days, in whole seconds. Default: 30
    /// days.
    ///
    /// Refreshing does not extend this limit.
    pub fn max_session_life(mut self, life: Duration) -> Self {
        self.settings.sessions.max_life = life;
        self
    }

    /// Sets both limits of sessions to the values of NIST SP 800-63B-4 for this assurance level.
    pub fn assurance_level(mut self, level: AssuranceLevel) -> Self {
        let (idle, most) = level.limits();
        (self.settings.sessions.life, self.settings.sessions.max_life) = (Some(idle), most);
        self
    }

    /// Whether the token endpoint gives refresh tokens when a code is exchanged, and accepts them. Default: no.
    ///
    /// The token endpoint is on only with [`token_endpoint`](Self::token_endpoint).
    pub fn refresh_tokens(mut self, on: bool) -> Self {
        self.settings.refresh.at_token_endpoint = on;
        self
    }

    /// Whether `POST /session` gives a refresh token too. Default: no.
    ///
    /// `true` also turns [`refresh_tokens`](Self::refresh_tokens) on. Refresh tokens are accepted at the token endpoint
    /// only. So without [`token_endpoint`](Self::token_endpoint), [`build`](Self::build) refuses `true`.
    pub fn session_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.refresh.at_session = on;
        self.settings.refresh.at_token_endpoint |= on;
        self
    }

    /// How long a used refresh token may be used again: 0 to 600 s, in whole seconds. Default: 30 s.
    ///
    /// The grace is for programs that share a refresh token and refresh at the same time. Within the grace, a thief
    /// cannot be told from such a program: keep it short.
    ///
    /// A client that lost the answer needs no grace. The same refresh token is answered again, however late, as long as
    /// nothing from its earlier answers was used.
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.settings.refresh.grace = grace;
        self
    }

    /// How far in the future the `nbf` and `iat` of a token may lie: 0 to 60 s, in whole seconds. Default: 10 s.
    ///
    /// `exp` has no leeway.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.tokens.leeway = leeway;
        self
    }

    /// How many open exchange codes a person may have: 1 to 10 000. Default: 8.
    ///
    /// When a person asks for more, the oldest codes become invalid.
    pub fn max_open_codes(mut self, max: u32) -> Self {
        self.settings.codes.max_open = max;
        self
    }

    /// How many live sessions a person may have, and what happens when one more is opened.
    ///
    /// Default: 64. Beyond that, sessions end: those that an assertion opened first, each least recently renewed first. So an
    /// agent signs no bridge out as long as there is something else.
    ///
    /// Hook sessions are not counted here. A person has at most one for each of their
    /// [`max_devices`](Self::max_devices). So with the defaults a person has at most 80 live sessions.
    pub fn session_limit(mut self, limit: SessionLimit) -> Self {
        self.settings.sessions.limit = limit;
        self
    }

    /// Whether a bridge may choose its own session id with `x-session-id` when it links. Default: yes.
    ///
    /// With `false`, `POST /session` and the token endpoint ignore the header.
    pub fn declared_session_ids(mut self, allowed: bool) -> Self {
        self.settings.sessions.declared_ids = allowed;
        self
    }

    /// Whether a code is issued only with a PKCE challenge (RFC 7636). Default: no.
    ///
    /// By default `POST /session` accepts codes that have no challenge.
    pub fn require_pkce(mut self, required: bool) -> Self {
        self.settings.codes.require_pkce = required;
        self
    }
}
