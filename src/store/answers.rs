//! How to make what a store answers with, for implementations outside this crate.

use std::time::{Duration, SystemTime};

use super::{
    Client, Device, DeviceCursor, HookSession, OpenedSession, Origin, ProvisionedClient, RefreshStatus,
    Revocation, RevocationCursor, RevocationPage, RowMark, RowState, RowStates, Session, SessionState,
    SessionStatus, SessionStatuses, Tick,
};
use crate::id::{Audience, CallSource, ClientId, Scopes, SessionId, UserId};

impl OpenedSession {
    /// A session that lives for `expires_in` from now, by the database's clock.
    #[must_use]
    pub fn new(id: SessionId, user: UserId, scopes: Scopes, expires_in: Duration) -> Self {
        Self {
            id,
            user,
            call_source: CallSource::default(),
            scopes,
            authenticated_at: SystemTime::UNIX_EPOCH,
            expires_in,
            renewed: false,
            resource: None,
            evicted: Vec::new(),
        }
    }

    /// What kind of program it was opened for. Default: [`CallSource::default`].
    #[must_use]
    pub fn call_source(mut self, source: CallSource) -> Self {
        self.call_source = source;
        self
    }

    /// When the person last signed in. Default: the Unix epoch, so no sign-in passes for a new one.
    #[must_use]
    pub const fn authenticated_at(mut self, time: SystemTime) -> Self {
        self.authenticated_at = time;
        self
    }

    /// Whether it was live before. Default: it was not.
    #[must_use]
    pub const fn renewed(mut self, renewed: bool) -> Self {
        self.renewed = renewed;
        self
    }

    /// The one resource that its tokens may be for. Default: it is bound to none.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The sessions that it took the place of. Default: none.
    #[must_use]
    pub fn evicted(mut self, sessions: impl IntoIterator<Item = SessionId>) -> Self {
        self.evicted = sessions.into_iter().collect();
        self
    }
}

impl SessionStatus {
    /// The row of a session that has expired.
    #[must_use]
    pub fn new(id: SessionId, row: RowMark, user: UserId, client: ClientId) -> Self {
        let (call_source, expires_in, state) = (CallSource::default(), Duration::ZERO, SessionState::Expired);
        Self { id, row, user, client, call_source, expires_in, state }
    }

    /// What kind of program it was opened for. Default: [`CallSource::default`].
    #[must_use]
    pub fn call_source(mut self, source: CallSource) -> Self {
        self.call_source = source;
        self
    }

    /// How long it has left. Default: nothing.
    #[must_use]
    pub const fn expires_in(mut self, left: Duration) -> Self {
        self.expires_in = left;
        self
    }

    /// Whether it is live. Default: [`SessionState::Expired`].
    #[must_use]
    pub const fn state(mut self, state: SessionState) -> Self {
        self.state = state;
        self
    }
}

impl SessionStatuses {
    /// The sessions that have a row, and the newest tick that the same answer shows.
    #[must_use]
    pub const fn new(found: Vec<SessionStatus>, tick: Tick) -> Self {
        Self { found, tick }
    }
}

impl RowState {
    /// The row of the session whose id has this [digest](super::SessionKey::digest).
    #[must_use]
    pub const fn new(digest: u128, row: RowMark, expires_in: Duration, state: SessionState) -> Self {
        Self { digest, row, expires_in, state }
    }
}

impl RowStates {
    /// The rows that there are, and the newest tick that the same answer shows.
    #[must_use]
    pub const fn new(found: Vec<RowState>, tick: Tick) -> Self {
        Self { found, tick }
    }
}

impl Session {
    /// A live session. All of its times are the Unix epoch until they are set.
    #[must_use]
    pub fn new(id: SessionId, user: UserId, client: ClientId, scopes: Scopes) -> Self {
        let long_ago = SystemTime::UNIX_EPOCH;
        Self {
            id,
            user,
            client,
            call_source: CallSource::default(),
            scopes,
            origin: Origin::unknown(),
            created_at: long_ago,
            renewed_at: long_ago,
            expires_at: long_ago,
            ends_at: long_ago,
        }
    }

    /// What kind of program it was opened for. Default: [`CallSource::default`].
    #[must_use]
    pub fn call_source(mut self, source: CallSource) -> Self {
        self.call_source = source;
        self
    }

    /// Where it was opened or last renewed. Default: unknown.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// When it was opened.
    #[must_use]
    pub const fn created_at(mut self, time: SystemTime) -> Self {
        self.created_at = time;
        self
    }

    /// When it was last renewed, or opened.
    #[must_use]
    pub const fn renewed_at(mut self, time: SystemTime) -> Self {
        self.renewed_at = time;
        self
    }

    /// When it expires, unless it is renewed.
    #[must_use]
    pub const fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = time;
        self
    }

    /// When it ends for good.
    #[must_use]
    pub const fn ends_at(mut self, time: SystemTime) -> Self {
        self.ends_at = time;
        self
    }
}

impl Device {
    /// A device with nothing but its session.
    #[must_use]
    pub const fn new(session: Session) -> Self {
        Self { session, secret_since: None, key_since: None, hook_session: None, delegated: 0 }
    }

    /// Since when it has a hook secret. Default: it has none.
    #[must_use]
    pub const fn secret_since(mut self, time: SystemTime) -> Self {
        self.secret_since = Some(time);
        self
    }

    /// Since when it has a hook key. Default: it has none.
    #[must_use]
    pub const fn key_since(mut self, time: SystemTime) -> Self {
        self.key_since = Some(time);
        self
    }

    /// The live session of its hooks. Default: there is none.
    #[must_use]
    pub fn hook_session(mut self, session: HookSession) -> Self {
        self.hook_session = Some(session);
        self
    }

    /// How many delegated sessions hang on it. Default: none.
    #[must_use]
    pub const fn delegated(mut self, sessions: u64) -> Self {
        self.delegated = sessions;
        self
    }
}

impl HookSession {
    /// A live session of a device's hooks.
    #[must_use]
    pub const fn new(
        id: SessionId,
        created_at: SystemTime,
        renewed_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        Self { id, created_at, renewed_at, expires_at }
    }
}

impl DeviceCursor {
    /// The place of the device with this session, which was linked then.
    #[must_use]
    pub const fn new(created_at: SystemTime, session: SessionId) -> Self {
        Self { created_at, session }
    }
}

impl Client {
    /// A client that proved itself.
    #[must_use]
    pub const fn new(id: ClientId, owner: UserId, scopes: Scopes) -> Self {
        Self { id, owner, scopes }
    }
}

impl ProvisionedClient {
    /// What the client may ask for, and when its credential is dead at the latest.
    #[must_use]
    pub const fn new(scopes: Scopes, ends_at: SystemTime) -> Self {
        Self { scopes, ends_at }
    }
}

impl RefreshStatus {
    /// A token of `session`, which allows `scopes`.
    #[must_use]
    pub const fn new(session: SessionStatus, scopes: Scopes, issued_at: SystemTime, is_unused: bool) -> Self {
        Self { session, scopes, is_unused, issued_at }
    }
}

impl RevocationPage {
    /// The entries (`None` when they are too many), where to go on, and the newest tick that the same answer shows.
    #[must_use]
    pub const fn new(entries: Option<Vec<Revocation>>, next: RevocationCursor, tick: Tick) -> Self {
        Self { entries, next, tick }
    }
}

impl RevocationCursor {
    /// The place `place` in the life `era` of the log, in a page that showed `tick`. A log that has one life has one era.
    #[must_use]
    pub const fn new(place: u64, era: i64, tick: Tick) -> Self {
        Self { place, era, tick }
    }

    /// The place, as the store counts. Zero before the first page.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// Which of the log's lives the place belongs to. Zero before the first page.
    #[must_use]
    pub const fn era(&self) -> i64 {
        self.era
    }

    /// The tick that the page before showed.
    #[must_use]
    pub const fn tick(&self) -> Tick {
        self.tick
    }
}

impl Tick {
    /// The connection that it was made on.
    #[must_use]
    pub const fn lease(self) -> u128 {
        self.lease
    }

    /// Its number among the ticks of its lease.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}
