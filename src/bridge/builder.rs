//! How a [`Bridge`] is set up.

mod oauth;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::MonotonicClock;
use http::Extensions;
use ipnet::IpNet;
use secrecy::SecretSlice;
use url::Url;

use super::Bridge;
use crate::authenticate::{AuthState, Authenticator};
use crate::clock::{Clock, HostClock};
use crate::csrf::Origins;
use crate::external_issuer::{ExternalIssuer, Gateway, TrustedIssuers};
use crate::id::InvalidId;
use crate::issue::{Admin, AssuranceLevel, IssueSettings, Issuer};
use crate::layer::BridgeAuthLayer;
use crate::rate_limit::{Limits, RateLimits};
use crate::rejection::{Challenge, ProblemJson, RejectionBody, RejectionFormat};
use crate::service::{AddressSettings, ServiceState};
use crate::session::{Freshness, FreshnessSettings, Liveness};
use crate::store::{SessionLimit, Store};
use crate::token::{Claims, KeyRing, TokenVerifier};
use crate::validate::{BuildError, check_issuer, check_origin, check_path_prefix};

/// Sets up a [`Bridge`]; every option has a default that is safe.
#[must_use = "call build() to get the bridge"]
pub struct BridgeBuilder {
    settings: IssueSettings,
    keys: KeyRing,
    store: Arc<dyn Store>,
    clock: HostClock,
    freshness: FreshnessSettings,
    challenge: Challenge,
    addresses: AddressSettings,
    trusted_origins: Vec<Url>,
    prefix: String,
    rate_limits: RateLimits,
    rejection_body: Arc<dyn RejectionBody>,
    malformed: Option<BuildError>,
    trusted: Vec<ExternalIssuer>,
}

impl Bridge {
    /// Starts a bridge that issues tokens as `issuer` (the gateway's own https URL, RFC 8414 §2), signs
    /// them with `keys` and keeps its sessions in `store`.
    pub fn builder(issuer: impl Into<String>, keys: KeyRing, store: impl Store) -> BridgeBuilder {
        Self::builder_with(issuer, keys, Arc::new(store))
    }

    /// The same over a store that is shared or chosen at run time.
    pub fn builder_with(issuer: impl Into<String>, keys: KeyRing, store: Arc<dyn Store>) -> BridgeBuilder {
        BridgeBuilder::new(issuer.into(), keys, store)
    }
}

impl BridgeBuilder {
    fn new(issuer: String, keys: KeyRing, store: Arc<dyn Store>) -> Self {
        // Told before all else: hosts make other URLs of it.
        let malformed = check_issuer(&issuer).err();
        Self {
            settings: IssueSettings::new(issuer),
            keys,
            store,
            clock: HostClock::default(),
            freshness: FreshnessSettings::default(),
            challenge: Challenge::default(),
            addresses: AddressSettings::default(),
            trusted_origins: Vec::new(),
            prefix: "/v1/auth/bridge".to_owned(),
            rate_limits: RateLimits::default(),
            rejection_body: Arc::new(ProblemJson),
            malformed,
            trusted: Vec::new(),
        }
    }

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
        self.check()?;
        crate::telemetry::describe();
        let settings = Arc::new(self.settings);
        let deadline = settings.deadlines.read;
        let liveness = Arc::new(Liveness::new(self.store.clone(), self.freshness, deadline));
        let gateway = Gateway {
            issuer: &settings.issuer,
            audiences: &settings.audiences,
            leeway: settings.tokens.leeway,
            deadline,
            clock: &self.clock,
        };
        let trusted = TrustedIssuers::new(self.trusted, &gateway)?;
        let (issuer, leeway) = (settings.issuer.clone(), settings.tokens.leeway);
        let verifier =
            TokenVerifier::new(self.keys.clone(), issuer, self.clock.clone(), leeway, Claims::MAX_LIFE);
        let own_url =
            Url::parse(&settings.issuer).map_err(|_| BuildError::Issuer(settings.issuer.clone()))?;
        let origins = Origins::new(&own_url, &self.trusted_origins);
        let policy = settings.policy_version.clone();
        let auth = Arc::new(AuthState::new(verifier, liveness.clone(), policy, trusted, origins));
        let own = settings.audiences.of_bridges.first().ok_or(BuildError::Audiences)?.clone();
        let rejection_format =
            Arc::new(RejectionFormat { challenge: self.challenge, body: self.rejection_body });
        // Hook clients may log out; at the other endpoints `EndpointCaller::user` refuses them.
        let own_layer = BridgeAuthLayer::new(Authenticator::new(auth.clone(), own), rejection_format.clone())
            .admit_hook_clients();
        let state = ServiceState {
            admin: Admin::new(self.store.clone(), liveness, settings.clone()),
            issuer: Issuer::new(settings.clone(), self.keys.clone(), self.store, self.clock),
            settings,
            keys: self.keys,
            auth,
            rejection_format,
            own_layer,
            limits: Limits::new(self.rate_limits, MonotonicClock),
            addresses: self.addresses,
            prefix: self.prefix,
        };
        Ok(Bridge { state: Arc::new(state) })
    }

    fn check(&self) -> Result<(), BuildError> {
        self.settings.check()?;
        self.freshness.check()?;
        self.rate_limits.check()?;
        check_path_prefix(&self.prefix)?;
        self.challenge.check()?;
        self.trusted_origins.iter().try_for_each(check_origin)?;
        Ok(self.keys.self_test()?)
    }

    /// The audiences of the tokens that bridges get, 1 to 16. Default: `bridge` and `mcp`.
    pub fn audiences<A: AsRef<str>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.audiences.of_bridges = self.parse_all("audience", audiences);
        self
    }

    /// Audiences that a token is for only when it is asked for them: resource URIs by `resource` (RFC 8707), any by
    /// [`Issuer::open_access`]. Default: none.
    pub fn other_audiences<A: AsRef<str>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.audiences.others = self.parse_all("audience", audiences);
        self
    }

    /// How long an exchange code lives, in whole seconds up to 600. Default: 120 s.
    pub fn code_life(mut self, life: Duration) -> Self {
        self.settings.codes.life = life;
        self
    }

    /// How long an access token lives, in whole seconds up to 24 h; never longer than its session.
    /// Default: 3600 s.
    pub fn token_life(mut self, life: Duration) -> Self {
        self.settings.tokens.life = life;
        self
    }

    /// How long a session lives since it was opened, renewed or refreshed, in whole seconds up to 30 days: the limit of
    /// inactivity (NIST SP 800-63B-4 §5.2). Default: 24 h, and 14 days where [refresh tokens](Self::refresh_tokens) are on, so
    /// that a laptop may stay closed for as long.
    pub fn session_life(mut self, life: Duration) -> Self {
        self.settings.sessions.life = Some(life);
        self
    }

    /// How long a session lives at most since the person last signed in, however often it is refreshed, in whole
    /// seconds up to 30 days. Default: 30 days.
    pub fn max_session_life(mut self, life: Duration) -> Self {
        self.settings.sessions.max_life = life;
        self
    }

    /// Sets both limits of sessions to what NIST SP 800-63B-4 asks for at this level.
    pub fn assurance_level(mut self, level: AssuranceLevel) -> Self {
        let (idle, most) = level.limits();
        (self.settings.sessions.life, self.settings.sessions.max_life) = (Some(idle), most);
        self
    }

    /// Whether the token endpoint gives refresh tokens with the exchange of a code, and takes them. Default: no.
    pub fn refresh_tokens(mut self, on: bool) -> Self {
        self.settings.refresh.at_token_endpoint = on;
        self
    }

    /// Whether `POST /session` gives a refresh token too; with it [`refresh_tokens`](Self::refresh_tokens) is on. Default: no.
    pub fn session_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.refresh.at_session = on;
        self.settings.refresh.at_token_endpoint |= on;
        self
    }

    /// How long after its use a refresh token may be used again beside it, in whole seconds up to 600: by programs that share
    /// it and refresh at once. Default: 30 s.
    ///
    /// An answer that was lost needs no grace: while nothing that a token was answered with was used, it is answered again,
    /// however late. Nor can a thief be told from such a program while the grace lasts: keep it short.
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.settings.refresh.grace = grace;
        self
    }

    /// How far the `nbf` and `iat` of a token may lie ahead, in whole seconds up to 60. Default: 10 s.
    /// For `exp` there is none.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.tokens.leeway = leeway;
        self
    }

    /// How many open exchange codes a person may have; beyond that the oldest die. Default: 8.
    pub fn max_open_codes(mut self, max: u32) -> Self {
        self.settings.codes.max_open = max;
        self
    }

    /// How many live sessions a person may have, and what happens beyond. Default: 64, and those end that were renewed least
    /// recently.
    ///
    /// The sessions of hooks come on top, one for each of [`max_devices`](Self::max_devices): with the defaults at most 80
    /// live sessions hang on a person.
    pub fn session_limit(mut self, limit: SessionLimit) -> Self {
        self.settings.sessions.limit = limit;
        self
    }

    /// Whether a bridge may declare its own session id with `x-session-id` when it links. Default: yes.
    /// When off, the header is ignored there.
    pub fn declared_session_ids(mut self, allowed: bool) -> Self {
        self.settings.sessions.declared_ids = allowed;
        self
    }

    /// Whether a code is issued only for a PKCE challenge (RFC 7636). Default: no, `POST /session` takes codes without.
    pub fn require_pkce(mut self, required: bool) -> Self {
        self.settings.codes.require_pkce = required;
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

    /// A key kept outside the database, under which client secrets are hashed (HMAC-SHA-256), so that a
    /// stolen database cannot be used to check guesses. At least 32 bytes. Default: none, plain SHA-256.
    ///
    /// Setting or changing it makes every secret that was issued before useless.
    pub fn pepper(mut self, pepper: impl Into<Vec<u8>>) -> Self {
        self.settings.clients.pepper = Some(SecretSlice::from(pepper.into()));
        self
    }

    /// How old the proof may be that the server is still the primary, when a session is looked up; up to 60 s. Default: 1 s.
    ///
    /// The proof is a [tick](crate::store::Store::tick), which one look-up in a while waits for and all share. After a failover
    /// a session that was revoked through the new primary is refused by those on the old one once this long has passed. With
    /// zero each shared look-up makes a tick of its own: then strict freshness is linearizable whatever server takes over, and
    /// each look-up costs a write. Keep it above twice the time that a commit takes, or zero. A
    /// [watched](Freshness::Watched) bridge takes `max_lag` where that is shorter.
    ///
    /// **A synchronous standby that is gone cannot be told from one that has taken over.** While it is gone no write is acknowledged,
    /// and no proof is to be had: every request is refused with 503. Have two, and `ANY 1 (a, b)`.
    pub fn max_proof_age(mut self, age: Duration) -> Self {
        self.freshness.max_proof_age = Some(age);
        self
    }

    /// Takes the word of any server that answers, with no proof that it is still the primary. After a failover, gateways that still
    /// reach the old primary let in what was revoked through the new one, for as long as it runs. In return requests are
    /// judged while a synchronous standby is gone.
    pub fn danger_without_proof(mut self) -> Self {
        self.freshness.max_proof_age = None;
        self
    }

    /// How long the store may take for what only reads, such as looking a session up, before a request is refused with 503.
    /// Default: 2 s.
    pub fn store_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadlines.read = deadline;
        self
    }

    /// How long the store may take for what ends, opens or renews, before the answer is 503. Default: 10 s: what ends must not be
    /// given up early. A write that has begun runs to its end all the same. A store has a deadline of its own for that
    /// ([`PostgresStoreBuilder::write_timeout`](crate::store::PostgresStoreBuilder::write_timeout)).
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadlines.write = deadline;
        self
    }

    /// The seconds that `Retry-After` of a 503 names. Default: 1 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.challenge.retry_after = after;
        self
    }

    /// The `realm` of challenges. Default: none.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.challenge.realm = Some(realm.into());
        self
    }

    /// The protected resource metadata that challenges point to (RFC 9728 §5.1). Default: none.
    pub fn resource_metadata(mut self, url: Url) -> Self {
        self.challenge.resource_metadata = Some(url);
        self
    }

    /// How often secrets and codes may be tried. Default: [`RateLimits::default`].
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = limits;
        self
    }

    /// The networks of proxies whose `X-Forwarded-For` is believed. Default: none, the socket's address counts.
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.addresses.trusted_proxies = networks.into_iter().collect();
        self
    }

    /// Origins other than the issuer's whose pages too may ask for codes, and may use a cookie that a layer
    /// [reads the token from](BridgeAuthLayer::token_from): https, or http on loopback. Default: none.
    pub fn trusted_origins(mut self, origins: impl IntoIterator<Item = Url>) -> Self {
        self.trusted_origins = origins.into_iter().collect();
        self
    }

    /// Where a request's peer address stands. Default: the extension [`PeerAddr`](crate::service::PeerAddr).
    ///
    /// With axum and `into_make_service_with_connect_info::<SocketAddr>()`:
    /// `|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip())`.
    pub fn peer_address(
        mut self,
        find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.addresses.peer = Arc::new(find);
        self
    }

    /// The path under which [`Bridge::service`] is reached. Default: `/v1/auth/bridge`.
    pub fn prefix(mut self, path: impl Into<String>) -> Self {
        self.prefix = path.into();
        self
    }

    /// Writes the bodies of rejection_format, of every layer and of the guarded endpoints; a layer may have its own
    /// ([`BridgeAuthLayer::rejection_body`]). Default: [`ProblemJson`].
    pub fn rejection_body(mut self, body: impl RejectionBody) -> Self {
        self.rejection_body = Arc::new(body);
        self
    }

    /// What "live" promises. Default: [`Freshness::Strict`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness.mode = freshness;
        self
    }

    /// Lets tokens of another authorization server in, beside the bridge's own; see [`external_issuer`](crate::external_issuer).
    /// Default: none.
    pub fn trust(mut self, issuer: ExternalIssuer) -> Self {
        self.trusted.push(issuer);
        self
    }

    /// The clock that tokens are signed with and judged by. Default: the operating system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = HostClock::new(clock);
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

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
