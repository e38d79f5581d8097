//! The one object a host makes, and its builder.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use ipnet::IpNet;
use secrecy::SecretSlice;
use url::Url;

use crate::authenticate::{Authenticator, Guard};
use crate::caller::Caller;
use crate::clock::{Clock, SystemClock};
use crate::id::{Audience, InvalidId, Scopes};
use crate::issue::{Admin, Issuer};
use crate::layer::BridgeAuthLayer;
use crate::passage::Refusals;
use crate::reject::ProblemJson;
use crate::service::{
    AdminService, BridgeService, CapabilitiesService, CodeService, JwksService, LogoutService,
    OauthClientService, SessionService, SessionsService,
};
use crate::session::{Freshness, Liveness, WatchStatus};
use crate::settings::{BuildError, Settings};
use crate::store::{SessionLimit, Store};
use crate::token::{KeyRing, TokenVerifier};

/// Everything a gateway needs to let bridges in: hands out the layer, the endpoints and the operations.
///
/// Cloning is cheap, and clones are one bridge.
#[derive(Clone)]
pub struct Bridge {
    parts: Arc<Parts>,
}

struct Parts {
    settings: Arc<Settings>,
    keys: KeyRing,
    guard: Arc<Guard>,
    own_layer: BridgeAuthLayer,
    issuer: Issuer,
    admin: Admin,
}

/// Sets up a [`Bridge`]; every option has a default that is safe.
#[must_use = "call build() to get the bridge"]
pub struct BridgeBuilder {
    settings: Settings,
    keys: KeyRing,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    freshness: Freshness,
    malformed: Option<BuildError>,
}

impl Bridge {
    /// Starts a bridge that issues tokens as `issuer` (the gateway's own https URL, RFC 8414 §2), signs
    /// them with `keys` and keeps its sessions in `store`.
    pub fn builder(issuer: impl Into<String>, keys: KeyRing, store: impl Store) -> BridgeBuilder {
        Self::builder_with(issuer, keys, Arc::new(store))
    }

    /// The same over a store that is shared or chosen at run time.
    pub fn builder_with(issuer: impl Into<String>, keys: KeyRing, store: Arc<dyn Store>) -> BridgeBuilder {
        BridgeBuilder {
            settings: Settings::new(issuer.into()),
            keys,
            store,
            clock: Arc::new(SystemClock),
            freshness: Freshness::default(),
            malformed: None,
        }
    }

    /// The middleware that lets in only requests with a valid token for `audience` and a live session.
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownAudience`] when this bridge issues no token for `audience`.
    pub fn layer(&self, audience: &str) -> Result<BridgeAuthLayer, BuildError> {
        Ok(BridgeAuthLayer::new(self.authenticator(audience)?, refusals(&self.parts.settings)))
    }

    /// The decision alone, for those who need no middleware.
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownAudience`] when this bridge issues no token for `audience`.
    pub fn authenticator(&self, audience: &str) -> Result<Authenticator, BuildError> {
        let parsed = Audience::parse(audience).ok().filter(|audience| self.parts.settings.knows(audience));
        let audience = parsed.ok_or_else(|| BuildError::UnknownAudience(audience.to_owned()))?;
        Ok(Authenticator::new(self.parts.guard.clone(), audience))
    }

    /// The write side: codes, exchange, access and hook clients.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.parts.issuer
    }

    /// What operators do: list and revoke sessions, disable and enable people, sweep.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.parts.admin
    }

    /// The keys that tokens are signed and verified with.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.parts.keys
    }

    /// All the endpoints that bridges call, as one service; the guarded ones are guarded by it.
    #[must_use]
    pub fn service(&self) -> BridgeService {
        BridgeService::new(self)
    }

    /// The operators' endpoints, for the host to mount behind a guard of its own.
    #[must_use]
    pub fn admin_service(&self) -> AdminService {
        AdminService::new(self)
    }

    /// `POST /code` alone.
    #[must_use]
    pub fn code_service(&self) -> CodeService {
        CodeService::new(self)
    }

    /// `POST /session` alone.
    #[must_use]
    pub fn session_service(&self) -> SessionService {
        SessionService::new(self)
    }

    /// `POST /oauth-client` alone, to be mounted behind [`layer`](Self::layer).
    #[must_use]
    pub fn oauth_client_service(&self) -> OauthClientService {
        OauthClientService::new(self)
    }

    /// `GET /capabilities` alone.
    #[must_use]
    pub fn capabilities_service(&self) -> CapabilitiesService {
        CapabilitiesService::new(self)
    }

    /// `GET /sessions` and `DELETE /sessions/{id}` alone, to be mounted behind [`layer`](Self::layer).
    #[must_use]
    pub fn sessions_service(&self) -> SessionsService {
        SessionsService::new(self)
    }

    /// `POST /logout` alone, to be mounted behind [`layer`](Self::layer).
    #[must_use]
    pub fn logout_service(&self) -> LogoutService {
        LogoutService::new(self)
    }

    /// The public keys as a JWK set, for `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks_service(&self) -> JwksService {
        JwksService::new(self)
    }

    /// How the watcher of a [`Freshness::Watched`] bridge fares, for health pages; `None` for a strict one.
    #[must_use]
    pub fn watch_status(&self) -> Option<WatchStatus> {
        self.parts.guard.watch_status()
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.parts.settings
    }

    /// The layer around the guarded endpoints of [`service`](Self::service).
    pub(crate) fn own_layer(&self) -> &BridgeAuthLayer {
        &self.parts.own_layer
    }

    /// Whether it was a layer of this bridge that let `caller` in.
    pub(crate) fn vouches_for(&self, caller: &Caller) -> bool {
        caller.is_vouched_for_by(self.parts.guard.authority())
    }
}

impl BridgeBuilder {
    /// Checks the settings and the keys, and makes the bridge. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the setting and what it may be: a configuration that could not be safe is
    /// refused at start-up, not at the first request.
    pub fn build(self) -> Result<Bridge, BuildError> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        self.settings.check()?;
        self.freshness.check()?;
        self.keys.self_test()?;
        let settings = Arc::new(self.settings);
        let verifier = TokenVerifier::new(
            self.keys.clone(),
            settings.issuer.clone(),
            self.clock.clone(),
            settings.leeway,
            Settings::MAX_TOKEN_LIFE,
        );
        let liveness = Liveness::new(self.store.clone(), self.freshness, settings.store_deadline);
        let guard = Guard::new(verifier, liveness, settings.policy_version.clone());
        let admin = Admin::new(self.store.clone(), settings.store_deadline);
        let issuer = Issuer::new(settings.clone(), self.keys.clone(), self.store, self.clock);
        let guard = Arc::new(guard);
        let own = settings.audiences.first().ok_or(BuildError::Audiences)?.clone();
        let own_layer = BridgeAuthLayer::new(Authenticator::new(guard.clone(), own), refusals(&settings));
        let parts = Parts { settings, keys: self.keys, guard, own_layer, issuer, admin };
        Ok(Bridge { parts: Arc::new(parts) })
    }

    /// The audiences of the tokens that bridges get, 1 to 16. Default: `bridge` and `mcp`.
    pub fn audiences<A: AsRef<str>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.audiences = self.parse_all("audience", audiences);
        self
    }

    /// Audiences that only [`Issuer::open_access`] issues tokens for, such as resource URIs (RFC 8707).
    /// Default: none.
    pub fn other_audiences<A: AsRef<str>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.other_audiences = self.parse_all("audience", audiences);
        self
    }

    /// How long an exchange code lives, in whole seconds up to 600. Default: 120 s.
    pub fn code_life(mut self, life: Duration) -> Self {
        self.settings.code_life = life;
        self
    }

    /// How long an access token lives, in whole seconds up to 24 h; never longer than its session.
    /// Default: 3600 s.
    pub fn token_life(mut self, life: Duration) -> Self {
        self.settings.token_life = life;
        self
    }

    /// How long a session lives since it was opened or renewed, in whole seconds up to 30 days. Default:
    /// 24 h.
    pub fn session_life(mut self, life: Duration) -> Self {
        self.settings.session_life = life;
        self
    }

    /// How far the `nbf` and `iat` of a token may lie ahead, in whole seconds up to 60. Default: 10 s.
    /// For `exp` there is none.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.leeway = leeway;
        self
    }

    /// How many open exchange codes a person may have; beyond that the oldest die. Default: 8.
    pub fn max_open_codes(mut self, max: u32) -> Self {
        self.settings.max_open_codes = max;
        self
    }

    /// How many live sessions a person may have, and what happens beyond. Default: 64, and the oldest end.
    pub fn session_limit(mut self, limit: SessionLimit) -> Self {
        self.settings.session_limit = limit;
        self
    }

    /// Whether a bridge may declare its own session id with `x-session-id` when it links. Default: yes.
    /// When off, the header is ignored there.
    pub fn declared_session_ids(mut self, allowed: bool) -> Self {
        self.settings.declared_session_ids = allowed;
        self
    }

    /// The client id of the bridge itself. Default: `sp_bridge`.
    pub fn bridge_client_id(mut self, id: &str) -> Self {
        if let Some(id) = self.parse("bridge client id", id) {
            self.settings.bridge_client = id;
        }
        self
    }

    /// The call source of sessions opened by exchange. Default: `bridge`.
    pub fn call_source(mut self, source: &str) -> Self {
        if let Some(source) = self.parse("call source", source) {
            self.settings.call_source = source;
        }
        self
    }

    /// The version of the policy that requests are judged by. Default: `unversioned`.
    pub fn policy_version(mut self, version: &str) -> Self {
        if let Some(version) = self.parse("policy version", version) {
            self.settings.policy_version = version;
        }
        self
    }

    /// Where hook clients get their tokens. Without it there is no provisioning, and none is advertised.
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.settings.token_endpoint = Some(url);
        self
    }

    /// What a hook client may ask for. Default: `hook:govern hook:track`.
    pub fn hook_scopes(mut self, scopes: Scopes) -> Self {
        self.settings.hook_scopes = scopes;
        self
    }

    /// How long a replaced client secret stays good, in whole seconds up to 24 h. Default: 60 s.
    ///
    /// It covers answers that are still on their way when the next call replaces their secret: keep it
    /// longer than the store's deadline.
    pub fn secret_overlap(mut self, overlap: Duration) -> Self {
        self.settings.secret_overlap = overlap;
        self
    }

    /// How many devices of one person may have a hook secret. Default: 16.
    pub fn max_devices(mut self, max: u32) -> Self {
        self.settings.max_devices = max;
        self
    }

    /// A key kept outside the database, under which client secrets are hashed (HMAC-SHA-256), so that a
    /// stolen database cannot be used to check guesses. At least 32 bytes. Default: none, plain SHA-256.
    ///
    /// Setting or changing it makes every secret that was issued before useless.
    pub fn pepper(mut self, pepper: impl Into<Vec<u8>>) -> Self {
        self.settings.pepper = Some(SecretSlice::from(pepper.into()));
        self
    }

    /// How long the store may take to answer before a request is refused with 503. Default: 2 s.
    pub fn store_deadline(mut self, deadline: Duration) -> Self {
        self.settings.store_deadline = deadline;
        self
    }

    /// The seconds that `Retry-After` of a 503 names. Default: 1 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.settings.challenge.retry_after = after;
        self
    }

    /// The `realm` of challenges. Default: none.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.challenge.realm = Some(realm.into());
        self
    }

    /// The protected resource metadata that challenges point to (RFC 9728 §5.1). Default: none.
    pub fn resource_metadata(mut self, url: Url) -> Self {
        self.settings.challenge.resource_metadata = Some(url);
        self
    }

    /// The networks of proxies whose `X-Forwarded-For` is believed. Default: none, the socket's address counts.
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.settings.trusted_proxies = networks.into_iter().collect();
        self
    }

    /// Where a request's peer address stands. Default: the extension [`PeerAddr`](crate::PeerAddr).
    ///
    /// With axum and `into_make_service_with_connect_info::<SocketAddr>()`:
    /// `|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip())`.
    pub fn peer_address(
        mut self,
        find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.settings.peer_address = Arc::new(find);
        self
    }

    /// The path under which [`Bridge::service`] is reached. Default: `/v1/auth/bridge`.
    pub fn prefix(mut self, path: impl Into<String>) -> Self {
        self.settings.prefix = path.into();
        self
    }

    /// What "live" promises. Default: [`Freshness::Strict`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// The clock that tokens are signed with and judged by. Default: the operating system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Parses one setting; the first that is malformed is kept for [`build`](Self::build) to report.
    fn parse<T: FromStr<Err = InvalidId>>(&mut self, what: &'static str, value: &str) -> Option<T> {
        value
            .parse()
            .map_err(|reason| {
                let malformed = BuildError::Id { what, value: value.to_owned(), reason };
                self.malformed.get_or_insert(malformed);
            })
            .ok()
    }

    fn parse_all<T: FromStr<Err = InvalidId>, V: AsRef<str>>(
        &mut self,
        what: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> Vec<T> {
        values.into_iter().filter_map(|value| self.parse(what, value.as_ref())).collect()
    }
}

fn refusals(settings: &Settings) -> Refusals {
    Refusals { challenge: Arc::new(settings.challenge.clone()), body: Arc::new(ProblemJson) }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("issuer", &self.parts.settings.issuer).finish_non_exhaustive()
    }
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
