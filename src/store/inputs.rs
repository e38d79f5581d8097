//! How to make what a store is asked to do: the required parts first, then the options, each with its default.

use std::time::Duration;

use super::{
    ClientCredential, ClientKey, DeviceCursor, DeviceQuery, KeyQuery, KnownUser, NewCode, NewSession, Origin,
    ProvisionClient, RedeemCode, RefreshSession, RequestedId, SessionLimit, SpentAssertion, WhenFull,
};
use crate::id::{
    AssertionHash, Audience, CallSource, ClientId, CodeChallenge, CodeHash, KeyThumbprint, RefreshHash,
    Scopes, SessionId, UserId,
};

impl KnownUser {
    /// A person whose bridges may do `scopes`, and whose hooks all that the host lets any hook do.
    #[must_use]
    pub const fn new(id: UserId, scopes: Scopes) -> Self {
        Self { id, scopes, hook_scopes: None, label: None }
    }

    /// Narrows what the person's hooks may ask for. Default: they are not narrowed.
    #[must_use]
    pub fn hook_scopes(mut self, scopes: Scopes) -> Self {
        self.hook_scopes = Some(scopes);
        self
    }

    /// What operators also know the person by. Default: the label that is stored stays.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl NewCode {
    pub(crate) const MAX_OPEN: u32 = 8;

    /// A code of `user` for `client`. It passes on `scopes` and lives for `life`.
    #[must_use]
    pub const fn new(hash: CodeHash, user: UserId, client: ClientId, scopes: Scopes, life: Duration) -> Self {
        Self {
            hash,
            user,
            client,
            scopes,
            redirect_uri: None,
            ticket: None,
            challenge: None,
            resource: None,
            life,
            max_open: Self::MAX_OPEN,
        }
    }

    /// Where the code is sent. Default: to no redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// The ticket that is spent with the code, and how long it must be remembered. Default: none.
    #[must_use]
    pub const fn ticket(mut self, ticket: AssertionHash, life: Duration) -> Self {
        self.ticket = Some((ticket, life));
        self
    }

    /// Binds the code to a PKCE challenge. Default: none.
    #[must_use]
    pub fn challenge(mut self, challenge: CodeChallenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// Binds the code to a resource. Default: none.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// How many open codes the user may have, this one included. Default: 8.
    #[must_use]
    pub const fn max_open(mut self, codes: u32) -> Self {
        self.max_open = codes;
        self
    }
}

impl RedeemCode {
    /// Presents the code of this hash for `session`.
    #[must_use]
    pub const fn new(hash: CodeHash, session: NewSession) -> Self {
        Self { hash, challenge: None, redirect_uri: None, resource: None, session }
    }

    /// The challenge that the presented verifier answers. Default: no verifier was presented.
    #[must_use]
    pub fn challenge(mut self, challenge: CodeChallenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// The redirect URI that is presented. Default: none.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// The resource that the token is asked for. Default: none is named.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }
}

impl NewSession {
    /// A session of `client` that lives for `life` and cannot be extended.
    #[must_use]
    pub fn new(id: RequestedId, client: ClientId, life: Duration) -> Self {
        Self {
            id,
            client,
            call_source: CallSource::default(),
            origin: Origin::unknown(),
            life,
            max_life: life,
            refresh: None,
            limit: SessionLimit::default(),
            resource: None,
            assertion: None,
        }
    }

    /// Binds its tokens to one resource. Default: none.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The assertion that is spent with it. Default: none.
    #[must_use]
    pub const fn assertion(mut self, assertion: SpentAssertion) -> Self {
        self.assertion = Some(assertion);
        self
    }

    /// What kind of program calls. Default: [`CallSource::default`].
    #[must_use]
    pub fn call_source(mut self, source: CallSource) -> Self {
        self.call_source = source;
        self
    }

    /// Where it was asked for. Default: unknown.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// How long it may live at most, however often it is extended. Default: as long as `life`.
    #[must_use]
    pub const fn max_life(mut self, max_life: Duration) -> Self {
        self.max_life = max_life;
        self
    }

    /// The hash of its first refresh token. Default: it gets none.
    #[must_use]
    pub const fn refresh(mut self, token: RefreshHash) -> Self {
        self.refresh = Some(token);
        self
    }

    /// How many live sessions its user may have. Default: [`SessionLimit::default`].
    #[must_use]
    pub const fn limit(mut self, limit: SessionLimit) -> Self {
        self.limit = limit;
        self
    }
}

impl SessionLimit {
    /// At most `max` live sessions, and what happens when one more is asked for.
    #[must_use]
    pub const fn new(max: u32, when_full: WhenFull) -> Self {
        Self { max, when_full }
    }
}

impl Default for SessionLimit {
    /// 64, and [`WhenFull::Evict`].
    fn default() -> Self {
        Self::new(64, WhenFull::Evict)
    }
}

impl RefreshSession {
    pub(crate) const GRACE: Duration = Duration::from_secs(30);

    /// `client` presents a token, to be answered with `successor`. The session then lives for `life` from now.
    #[must_use]
    pub fn new(presented: RefreshHash, successor: RefreshHash, client: ClientId, life: Duration) -> Self {
        Self {
            presented,
            successor,
            client,
            scopes: None,
            resource: None,
            origin: Origin::unknown(),
            life,
            grace: Self::GRACE,
        }
    }

    /// What the access token allows. Default: all that the session does.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// The resource that the access token is asked for. Default: none is named.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// How long after its use the token may be used again. Default: 30 seconds.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl ProvisionClient {
    pub(crate) const OVERLAP: Duration = Duration::from_secs(60);
    pub(crate) const MAX_DEVICES: u32 = 16;

    /// A credential for the device that `session` names, of a client that belongs to `owner`.
    #[must_use]
    pub fn new(client: ClientId, owner: UserId, session: SessionId, credential: ClientCredential) -> Self {
        Self {
            client,
            owner,
            session,
            credential,
            scopes: Scopes::default(),
            overlap: Self::OVERLAP,
            max_devices: Self::MAX_DEVICES,
        }
    }

    /// What the client may ask for. Default: nothing.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// How long the credential it replaces stays good. Default: 60 seconds.
    #[must_use]
    pub const fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// How many devices may have credentials. Default: 16.
    #[must_use]
    pub const fn max_devices(mut self, devices: u32) -> Self {
        self.max_devices = devices;
        self
    }
}

impl ClientKey {
    /// The key of this thumbprint, as a JWK.
    #[must_use]
    pub fn new(thumbprint: KeyThumbprint, jwk: impl Into<String>) -> Self {
        Self { thumbprint, jwk: jwk.into() }
    }
}

impl KeyQuery {
    /// Asks for all keys of an algorithm.
    #[must_use]
    pub fn new(algorithm: impl Into<String>) -> Self {
        Self { algorithm: algorithm.into(), key_id: None }
    }

    /// Asks for the key of this id or thumbprint alone. Default: for all.
    #[must_use]
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }
}

impl DeviceQuery {
    /// Only what comes after this place. Default: the list from its beginning.
    #[must_use]
    pub fn after(mut self, place: DeviceCursor) -> Self {
        self.after = Some(place);
        self
    }

    /// How many at most. Default: 100.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}
