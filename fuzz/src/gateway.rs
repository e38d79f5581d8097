//! The gateway that the targets call.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use bridge_auth::audience::ProtectedResource;
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, GlobalTokenRevocation, IdentityAssertions, JwksError,
    JwksSource, SecurityEvents,
};
use bridge_auth::issue::{AccessRequest, RegisteredClient, TokenExchange};
use bridge_auth::pages::Pages;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::service::ForwardedHeader;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::KeyRing;
use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

use crate::{Signer, answer_is_sound, halves, request};

/// The issuer of the gateway.
pub const ISSUER: &str = "https://gateway.example";

/// The secret of the client `agent`, which may act for people.
pub const AGENT_SECRET: &str = "a-secret-that-only-the-agent-of-the-fuzzer-knows";

/// The issuer that the gateway trusts beside itself.
const TRUSTED: &str = "https://idp.example";

/// A whole gateway with every endpoint, a linked bridge and a hook client.
#[derive(Debug)]
pub struct Gateway {
    /// What the targets mount.
    pub bridge: Bridge,
    /// The same, behind a proxy that writes `Forwarded`.
    pub behind_forwarded: Bridge,
    /// The key of the gateway's own tokens.
    pub own: Signer,
    /// The key of the trusted issuer.
    pub trusted: Signer,
    runtime: Runtime,
    live: Mutex<(u32, Live)>,
}

/// What alice's bridge holds.
#[derive(Debug, Clone)]
pub struct Live {
    /// A good token.
    pub token: String,
    /// The session of the token.
    pub session: String,
    /// The secret of the hook client.
    pub secret: String,
}

impl Live {
    /// What stands for the placeholders in a seed.
    pub fn filled_in(&self) -> [(&str, &str); 4] {
        [
            ("{token}", &self.token),
            ("{session}", &self.session),
            ("{secret}", &self.secret),
            ("{issuer}", ISSUER),
        ]
    }
}

impl Gateway {
    /// After so many inputs alice links her bridge again: an input may have ended her session.
    const INPUTS_A_SESSION: u32 = 512;

    /// The one gateway of this process.
    pub fn get() -> &'static Self {
        static GATEWAY: OnceLock<Gateway> = OnceLock::new();
        GATEWAY.get_or_init(Self::start)
    }

    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (own, trusted) = (Signer::generate(), Signer::generate());
        let (bridge, behind_forwarded, live) = runtime.block_on(async {
            let bridge = build(&own, &trusted, ForwardedHeader::XForwardedFor).await;
            let live = link(&bridge).await;
            (bridge, build(&own, &trusted, ForwardedHeader::Forwarded).await, live)
        });
        Self { bridge, behind_forwarded, own, trusted, runtime, live: Mutex::new((0, live)) }
    }

    /// What alice's bridge holds now.
    pub fn live(&self) -> Live {
        let mut live = self.live.lock().unwrap();
        live.0 += 1;
        if live.0.is_multiple_of(Self::INPUTS_A_SESSION) {
            live.1 = self.runtime.block_on(link(&self.bridge));
        }
        live.1.clone()
    }

    /// The answer of `service` to `request`.
    pub fn ask<S, B>(&self, service: S, request: Request<Full<Bytes>>) -> Response<B>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    {
        self.runtime.block_on(service.oneshot(request)).unwrap_or_else(|never| match never {})
    }

    /// Sends the request in `bytes` to the endpoints twice: as alice who has signed in, and as nobody. Fails when an answer
    /// is not [sound](answer_is_sound).
    pub fn answers_alice_and_nobody(&self, bytes: &[u8]) {
        let live = self.live();
        for signed_in in [true, false] {
            let Some(mut asked) = request(bytes, &live.filled_in()) else { return };
            if signed_in {
                Self::sign_in(&mut asked);
            }
            answer_is_sound(&self.ask(self.bridge.service(), asked));
        }
    }

    /// An id that no input had before.
    fn next_id() -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// A JWT that the trusted issuer has signed, and its payload, from the two [halves] of an input. Each input has an id of its own: a
    /// message counts once.
    pub fn signed_by_trusted(&self, bytes: &[u8]) -> Option<(String, Vec<u8>)> {
        let id = Self::next_id();
        let filled_in = [("{issuer}", ISSUER), ("{kid}", "theirs"), ("{id}", id.as_str())];
        let (header, payload) = halves(bytes, &filled_in)?;
        Some((self.trusted.sign(&header, &payload), payload))
    }

    /// What `future` comes to.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Says that alice has signed in, as the login of a host does.
    pub fn sign_in<B>(request: &mut Request<B>) {
        let person = SignedIn::new(UserId::parse("alice").unwrap(), Scopes::parse("read write").unwrap());
        request.extensions_mut().insert(person);
    }
}

/// Alice links her bridge, which provisions its hook client.
async fn link(bridge: &Bridge) -> Live {
    let (user, scopes) = (UserId::parse("alice").unwrap(), Scopes::parse("read write").unwrap());
    // What was there before is ended: the limits are for one person's devices.
    let _ = bridge.admin().enable_user(&user).await.unwrap();
    bridge.admin().revoke_user(&user).await.unwrap();
    bridge.issuer().register_user(&SignedIn::new(user.clone(), scopes.clone())).await.unwrap();
    let access = bridge.issuer().open_access(AccessRequest::for_user(user, scopes)).await.unwrap();
    let token = access.token.expose().to_owned();
    let bearer = format!("Bearer {token}").parse().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let caller = bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
    let client = bridge.issuer().provision_client(&caller).await.unwrap();
    Live { token, session: access.session.to_string(), secret: client.secret.expose().to_owned() }
}

async fn build(own: &Signer, trusted: &Signer, header: ForwardedHeader) -> Bridge {
    let folder = tempfile::tempdir().unwrap().keep();
    let store = SqliteStore::open(folder.join("fuzz.db")).await.unwrap();
    let url = |path: &str| format!("{ISSUER}{path}");
    let keys = Published(serde_json::json!({ "keys": [trusted.jwk("theirs")] }).to_string().into());
    let external = ExternalIssuer::new(TRUSTED, keys, ExternalSessions::None)
        .audience("https://gateway.example/api", "bridge")
        .allow_scopes(Scopes::parse("read").unwrap())
        .insecure_accept_plain_jwts()
        .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
        .identity_assertions(
            IdentityAssertions::new().register_unknown_people(Scopes::parse("read").unwrap()),
        )
        .security_events(SecurityEvents::new(ISSUER))
        .backchannel_logout("gateway")
        .global_token_revocation(GlobalTokenRevocation::new(url("/global-token-revocation")))
        .revocations_per_minute(1_000_000);
    let client = RegisteredClient::new("editor", "Editor")
        .redirect_uri("http://127.0.0.1/callback")
        .redirect_uri("https://editor.example/back");
    Bridge::builder(ISSUER, KeyRing::new(own.signing_key()).unwrap(), store)
        .audiences(["bridge", "mcp", ISSUER])
        .protected_resource(ProtectedResource::new(ISSUER))
        .pages(Pages::new("/login"))
        .client(client)
        .client(RegisteredClient::new("agent", "Agent").secret(AGENT_SECRET).exchanges_tokens(true))
        .token_exchange(TokenExchange::new())
        .client(RegisteredClient::new("sp_bridge", "Bridge").redirect_uri("http://127.0.0.1/callback"))
        .authorization_endpoint(url("/authorize"))
        .device_authorization_endpoint(url("/device_authorization"))
        .verification_uri(url("/device"))
        .token_endpoint(url("/token"))
        .introspection_endpoint(url("/introspect"))
        .revocation_endpoint(url("/revoke"))
        .session_refresh_tokens(true)
        .rate_limits(RateLimits::off())
        .trusted_proxies(["0.0.0.0/0"])
        .forwarded_header(header)
        .peer_address(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .trust(external)
        .build()
        .unwrap()
}

/// A key set that never changes.
#[derive(Debug)]
struct Published(Bytes);

#[async_trait::async_trait]
impl JwksSource for Published {
    async fn fetch(&self) -> Result<Bytes, JwksError> {
        Ok(self.0.clone())
    }
}
