//! How a [`Bridge`] is set up.

mod connection;
mod log;
mod oauth;
mod sessions;
#[cfg(feature = "serde")]
mod settings;
mod sign_in;
mod sign_in_settings;
mod texts;
mod urls;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::MonotonicClock;
use http::Extensions;
use ipnet::IpNet;
use secrecy::SecretSlice;
use url::Url;

use self::sign_in_settings::SignInSettings;
use super::Bridge;
use crate::authenticate::{AuthState, Authenticator};
use crate::background_task::Background;
use crate::client_address::AddressSettings;
use crate::clock::{Clock, HostClock};
use crate::csrf::Origins;
use crate::drain::DrainLimits;
use crate::external_issuer::{ExternalIssuer, Gateway, TrustedIssuers};
use crate::id::{Audience, CallSource, ClientId, PolicyVersion, TextOr};
use crate::issue::{Admin, IssueSettings, Issuer};
use crate::layer::BridgeAuthLayer;
use crate::rate_limit::{Limits, RateLimits};
use crate::rejection::{Challenge, ProblemJson, RejectionBody, RejectionFormat};
use crate::security_events::Receiver;
#[cfg(feature = "jwks-http")]
use crate::security_events::event_streams;
use crate::service::{Health, ServiceState};
use crate::session::{Freshness, FreshnessSettings, Liveness};
use crate::store::Store;
use crate::telemetry::{FindRoute, RequestLog};
use crate::token::{Claims, KeyRing, TokenVerifier};
use crate::validate::{BuildError, check_issuer, check_origin, check_path_prefix};

/// Sets up a [`Bridge`].
///
/// Every option has a safe default. An option takes its type or the text of it ([`TextOr`]). A text that cannot be parsed is
/// an error of [`build`](Self::build).
#[must_use = "call build() to get the bridge"]
pub struct BridgeBuilder {
    settings: IssueSettings,
    keys: KeyRing,
    store: Arc<dyn Store>,
    clock: HostClock,
    freshness: FreshnessSettings,
    challenge: Challenge,
    addresses: AddressSettings,
    drain: DrainLimits,
    route: Option<FindRoute>,
    trusted_origins: Vec<Url>,
    prefix: String,
    /// Whether the endpoints that the host has not named get their URLs from the issuer and the prefix.
    oauth: bool,
    rate_limits: RateLimits,
    /// `None`: the host named none.
    rejection_body: Option<Arc<dyn RejectionBody>>,
    malformed: Option<BuildError>,
    trusted: Vec<ExternalIssuer>,
    sign_in: SignInSettings,
}

impl Bridge {
    /// Starts the setup of a bridge.
    ///
    /// The bridge issues tokens as `issuer`, signs them with `keys` and keeps its sessions in `store`. `issuer` is the
    /// https URL of the gateway itself (RFC 8414 §2).
    pub fn builder(issuer: impl Into<String>, keys: KeyRing, store: impl Store) -> BridgeBuilder {
        Self::builder_with(issuer, keys, Arc::new(store))
    }

    /// Does the same as [`builder`](Self::builder), with a store that is shared or chosen at run time.
    pub fn builder_with(issuer: impl Into<String>, keys: KeyRing, store: Arc<dyn Store>) -> BridgeBuilder {
        BridgeBuilder::new(issuer.into(), keys, store)
    }
}

impl BridgeBuilder {
    fn new(issuer: String, keys: KeyRing, store: Arc<dyn Store>) -> Self {
        // This error is told before all others, because hosts derive other URLs from the issuer.
        let malformed = check_issuer(&issuer).err();
        Self {
            settings: IssueSettings::new(issuer),
            keys,
            store,
            clock: HostClock::default(),
            freshness: FreshnessSettings::default(),
            challenge: Challenge::default(),
            addresses: AddressSettings::default(),
            drain: DrainLimits::default(),
            route: None,
            trusted_origins: Vec::new(),
            prefix: "/v1/auth/bridge".to_owned(),
            oauth: false,
            rate_limits: RateLimits::default(),
            rejection_body: None,
            malformed,
            trusted: Vec::new(),
            sign_in: SignInSettings::default(),
        }
    }

    /// Checks the settings and the keys, and makes the bridge.
    ///
    /// Does no I/O.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the setting and its allowed values. An unsafe configuration is refused here, at start-up,
    /// and not at the first request.
    pub fn build(mut self) -> Result<Bridge, BuildError> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        self.name_endpoints()?;
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
            #[cfg(feature = "jwks-http")]
            keys: &self.keys,
        };
        let trusted = TrustedIssuers::new(self.trusted, &gateway)?.map(Arc::new);
        let (issuer, leeway) = (settings.issuer.clone(), settings.tokens.leeway);
        let verifier =
            TokenVerifier::new(self.keys.clone(), issuer, self.clock.clone(), leeway, Claims::MAX_LIFE);
        let own_url =
            Url::parse(&settings.issuer).map_err(|_| BuildError::Issuer(settings.issuer.clone()))?;
        let origins = Origins::new(&own_url, &self.trusted_origins);
        let policy = settings.policy_version.clone();
        let auth = Arc::new(AuthState::new(verifier, liveness.clone(), policy, trusted.clone(), origins));
        let own = settings.audiences.first()?.clone();
        let sign_in = self.sign_in.configure(&settings, &own_url, &self.prefix, &self.clock)?;
        let problem_json: Arc<dyn RejectionBody> = Arc::new(ProblemJson);
        let own_body = self.rejection_body.clone().unwrap_or_else(|| problem_json.clone());
        let body = self.rejection_body.or(sign_in.rejection_body).unwrap_or(problem_json);
        let request_log = Arc::new(RequestLog::new(self.addresses, self.route));
        let format = |body| {
            let (challenge, request_log) = (self.challenge.clone(), request_log.clone());
            Arc::new(RejectionFormat { challenge, body, request_log })
        };
        let (own_format, rejection_format) = (format(own_body), format(body));
        // Hook clients may log out. At the other endpoints `EndpointCaller::bridge` refuses them.
        let own_layer = BridgeAuthLayer::new(Authenticator::new(auth.clone(), own), own_format, self.drain)
            .admit_hook_clients();
        let admin = Admin::new(self.store.clone(), liveness, settings.clone(), sign_in.audit_trail);
        let receiver = Receiver::new(trusted.clone(), admin.clone());
        let state = ServiceState {
            #[cfg(feature = "jwks-http")]
            event_streams: event_streams(trusted.as_deref(), &receiver)?,
            receiver,
            admin,
            issuer: Issuer::new(
                settings.clone(),
                self.keys.clone(),
                self.store,
                self.clock,
                sign_in.documents,
            ),
            settings,
            keys: self.keys,
            auth,
            rejection_format,
            own_layer,
            limits: Limits::new(self.rate_limits, MonotonicClock),
            drain: self.drain,
            prefix: self.prefix,
            pages: sign_in.pages,
            gateway_login: sign_in.gateway_login,
            health: Health::default(),
            maintenance: Background::default(),
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
        self.sign_in.check(&self.settings.endpoints)?;
        Ok(self.keys.self_test()?)
    }

    /// The audiences of the tokens that bridges get: 1 to 16, of 1024 characters in all. Default: `bridge` and `mcp`.
    pub fn audiences<A: TextOr<Audience>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.audiences.of_bridges = self.read_all("the audience", audiences);
        self
    }

    /// More audiences, which a token has only when it is asked for them. Default: none.
    ///
    /// A client asks for a resource URI with `resource` (RFC 8707). [`Issuer::open_access`] can ask for any of them.
    pub fn other_audiences<A: TextOr<Audience>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.settings.audiences.others = self.read_all("the audience", audiences);
        self
    }

    /// The client id of the bridge itself. Default: `sp_bridge`.
    pub fn bridge_client_id(mut self, id: impl TextOr<ClientId>) -> Self {
        if let Some(id) = self.read("the client id of the bridge", id) {
            self.settings.bridge_client = id;
        }
        self
    }

    /// The call source of sessions that an exchange opens. Default: `bridge`.
    pub fn call_source(mut self, source: impl TextOr<CallSource>) -> Self {
        if let Some(source) = self.read("the call source", source) {
            self.settings.call_source = source;
        }
        self
    }

    /// The version of the policy that requests are judged by. Default: `unversioned`.
    pub fn policy_version(mut self, version: impl TextOr<PolicyVersion>) -> Self {
        if let Some(version) = self.read("the policy version", version) {
            self.settings.policy_version = version;
        }
        self
    }

    /// A key outside the database that hashes client secrets (HMAC-SHA-256): at least 32 bytes. Default: none, plain
    /// SHA-256.
    ///
    /// With a pepper, a stolen database does not let anyone check guesses of secrets. When you set or change the
    /// pepper, every secret that was issued before becomes useless.
    pub fn pepper(mut self, pepper: impl Into<Vec<u8>>) -> Self {
        self.settings.clients.pepper = Some(SecretSlice::from(pepper.into()));
        self
    }

    /// How old the proof may be that the server is still the primary, at each session look-up: 0 to 60 s. Default: 1 s.
    ///
    /// The proof is a [tick](crate::store::Store::tick). When the newest tick is too old, a look-up waits for a new one,
    /// and all look-ups share it. After a failover, gateways on the old primary may let in a session that was revoked
    /// through the new primary. Once this time has passed, they refuse it.
    ///
    /// With zero, each shared look-up makes its own tick. Then strict freshness is linearizable, whatever server takes
    /// over, and each look-up costs a write. Otherwise choose more than twice the time of a commit. A
    /// [watched](Freshness::Watched) bridge uses `max_lag` where `max_lag` is shorter.
    ///
    /// **A lost synchronous standby looks like a standby that has taken over.** While it is lost, no write is
    /// acknowledged and there is no proof: every request is refused with 503. Run two standbys, and let Patroni name
    /// the synchronous one. With a list of your own, such as `ANY 1 (a, b)`, read "What your database promises" in
    /// OPERATIONS.md first.
    pub fn max_proof_age(mut self, age: Duration) -> Self {
        self.freshness.max_proof_age = Some(age);
        self
    }

    /// Trusts any server that answers, without a proof that the server is still the primary.
    ///
    /// After a failover, gateways that still reach the old primary let in what was revoked through the new primary, for
    /// as long as the old primary runs. In return, requests are judged while a synchronous standby is lost.
    pub fn danger_without_proof(mut self) -> Self {
        self.freshness.max_proof_age = None;
        self
    }

    /// How long the store may take for a read, such as a session look-up: up to 60 s. Default: 2 s.
    ///
    /// After that the answer is 503.
    pub fn store_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadlines.read = deadline;
        self
    }

    /// How long the store may take for a write (end, open or renew a session): up to 60 s. Default: 10 s.
    ///
    /// After that the answer is 503. A revocation must not be given up early, so keep this long. A write that has begun
    /// runs to its end in any case. For that the store has its own deadline
    /// ([`PostgresStoreBuilder::write_timeout`](crate::store::PostgresStoreBuilder::write_timeout)).
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadlines.write = deadline;
        self
    }

    /// The time in the `Retry-After` header of a 503: in whole seconds, at least 1 s. Default: 1 s.
    ///
    /// A part of a second is cut off. A shorter time is sent as 1 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.challenge.retry_after = after;
        self
    }

    /// The `realm` of challenges. Default: none.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.challenge.realm = Some(realm.into());
        self
    }

    /// The URL of the protected resource metadata that challenges name (RFC 9728 §5.1). Default: none.
    pub fn resource_metadata(mut self, url: impl TextOr<Url>) -> Self {
        self.challenge.resource_metadata = self.read("the URL of the resource metadata", url);
        self
    }

    /// How often secrets and codes may be tried. Default: [`RateLimits::default`].
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = limits;
        self
    }

    /// The networks of proxies whose [header](Self::forwarded_header) is believed. Default: none, only the address of
    /// the socket counts.
    pub fn trusted_proxies<N: TextOr<IpNet>>(mut self, networks: impl IntoIterator<Item = N>) -> Self {
        self.addresses.trusted_proxies = self.read_all("the network of trusted proxies", networks);
        self
    }

    /// More origins whose pages may ask for codes, beside the issuer's own origin. Default: none.
    ///
    /// Their pages may also use a cookie that a layer [reads the token from](BridgeAuthLayer::token_from). An origin is
    /// https. http is allowed for loopback only.
    pub fn trusted_origins<O: TextOr<Url>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.trusted_origins = self.read_all("the trusted origin", origins);
        self
    }

    /// How to find the peer address of a request. Default: the extension [`PeerAddr`](crate::service::PeerAddr).
    ///
    /// With axum and `into_make_service_with_connect_info::<SocketAddr>()`, give `|extensions|
    /// Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip())`.
    pub fn peer_address(
        mut self,
        find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.addresses.peer = Arc::new(find);
        self
    }

    /// The path under which clients reach [`Bridge::service`]. Default: `/v1/auth/bridge`.
    ///
    /// [`oauth`](Self::oauth) derives the URLs of the endpoints from it.
    pub fn prefix(mut self, path: impl Into<String>) -> Self {
        self.prefix = path.into();
        self
    }

    /// What writes the bodies of rejections, for every layer and for the guarded endpoints. Default: [`ProblemJson`].
    ///
    /// A layer may have its own ([`BridgeAuthLayer::rejection_body`]).
    pub fn rejection_body(mut self, body: impl RejectionBody) -> Self {
        self.rejection_body = Some(Arc::new(body));
        self
    }

    /// How soon a revocation takes effect. Default: [`Freshness::Strict`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness.mode = freshness;
        self
    }

    /// Lets in tokens of an external issuer, beside the bridge's own tokens. Default: none.
    ///
    /// See [`external_issuer`](crate::external_issuer).
    pub fn trust(mut self, issuer: ExternalIssuer) -> Self {
        self.trusted.push(issuer);
        self
    }

    /// The clock that signs and judges tokens. Default: the clock of the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = HostClock::new(clock);
        self
    }
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
