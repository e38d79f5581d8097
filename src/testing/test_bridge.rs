//! The bridge of a test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request, Response};

use crate::bridge::{Bridge, BridgeBuilder};
use crate::caller::Caller;
use crate::clock::TestClock;
use crate::id::{Scopes, SessionId, UserId};
use crate::issue::{Access, AccessRequest, SignedIn};
use crate::layer::BridgeAuthLayer;
use crate::rate_limit::RateLimits;
use crate::rejection::Rejection;
use crate::store::{Origin, SqliteStore};
use crate::token::{Algorithm, KeyRing, SigningKey};

/// A real bridge for tests, with a store in memory and a clock that the test moves.
///
/// The store runs the same statements as [`SqliteStore`] on a file. It ends with the last clone of the bridge. Every
/// `TestBridge` has a store, a key and a clock of its own. So tests that run at once do not disturb each other.
///
/// Two settings differ from those of [`Bridge::builder`]: there are no [rate limits](BridgeBuilder::rate_limits), because
/// they count by the machine's clock; and the [OAuth endpoints](BridgeBuilder::oauth) are on, because hooks need them. [`with`](Self::with) changes any setting.
///
/// # Panics
///
/// It is made for tests. So its methods panic when the bridge refuses what a test asks for, and the message says why.
///
/// # Example
///
/// See the [module](crate::testing).
#[derive(Clone)]
pub struct TestBridge {
    bridge: Bridge,
    clock: TestClock,
    is_down: Arc<AtomicBool>,
}

impl TestBridge {
    /// The issuer of every test bridge.
    pub const ISSUER: &str = "https://gateway.test";

    /// A test bridge with the default settings.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime: write `#[tokio::test]` above the test.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// A test bridge with the settings of your gateway.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bridge_auth::testing::TestBridge;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let bridges = TestBridge::with(|builder| builder.audiences(["models"]).token_life(Duration::from_secs(60))).await;
    /// assert!(bridges.bridge().layer("models").is_ok());
    /// # }
    /// ```
    ///
    /// Leave [`BridgeBuilder::clock`] out: the clock of the test would not move what it judges.
    ///
    /// # Panics
    ///
    /// When [`BridgeBuilder::build`] refuses the settings, and outside a Tokio runtime.
    pub async fn with(settings: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> Self {
        let (clock, is_down) = (TestClock::start(), Arc::<AtomicBool>::default());
        let store = done("the store in memory", SqliteStore::in_memory(clock.clone(), is_down.clone()).await);
        let key = done("the signing key", SigningKey::generate(Algorithm::EdDsa));
        let keys = done("the key ring", KeyRing::new(key));
        let builder = Bridge::builder(Self::ISSUER, keys, store)
            .clock(clock.clone())
            .rate_limits(RateLimits::off())
            .oauth();
        let bridge = done("the settings of the test bridge", settings(builder).build());
        Self { bridge, clock, is_down }
    }

    /// The bridge. Give it to the function that makes your app.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// A layer for the first audience of the bridge, for a test of one service.
    pub fn layer(&self) -> BridgeAuthLayer {
        done("the layer", self.bridge.layer(self.audience()))
    }

    /// Lets `request` pass the guard: it gets the token of a new session of `user` with these scopes.
    ///
    /// The token goes into `Authorization`. `scopes` is a list with spaces, and may be empty. The person becomes known,
    /// and holds exactly these scopes from now on. Tokens that were given out before keep their scopes.
    ///
    /// # Panics
    ///
    /// When `user` or `scopes` is malformed, or the bridge refuses to open the session.
    pub async fn authorize<B>(&self, request: &mut Request<B>, user: &str, scopes: &str) -> Access {
        let access = self.access(user, scopes).await;
        self.authorize_with(request, &access);
        access
    }

    /// Lets `request` pass the guard in a session that is there already.
    pub fn authorize_with<B>(&self, request: &mut Request<B>, access: &Access) {
        request.headers_mut().insert(AUTHORIZATION, bearer(access));
    }

    /// Lets `request` pass as a hook of `user`: a script with a token of its own.
    ///
    /// A layer admits hooks only after [`admit_hook_clients`](BridgeAuthLayer::admit_hook_clients). The access is that of
    /// the hook. Its device is a new session of `user`.
    ///
    /// # Panics
    ///
    /// When `user` or `scopes` is malformed, or `scopes` are not among the
    /// [`hook_scopes`](BridgeBuilder::hook_scopes) of the bridge.
    pub async fn authorize_hook<B>(&self, request: &mut Request<B>, user: &str, scopes: &str) -> Access {
        let scopes = done("the scopes of the hook", Scopes::parse(scopes));
        let required = &self.bridge.settings().hooks.provisioning_scopes;
        let device = self.caller(user, &required.to_string()).await;
        let issuer = self.bridge.issuer();
        let client = done("the client of the hook", issuer.provision_client(&device).await);
        let access = issuer.client_access(&client.id, &client.secret, Some(scopes), Origin::unknown()).await;
        let access = done("the token of the hook", access);
        self.authorize_with(request, &access);
        access
    }

    /// A token for a new session of `user`, as [`authorize`](Self::authorize) puts it into a request.
    ///
    /// # Panics
    ///
    /// When `user` or `scopes` is malformed, or the bridge refuses to open the session.
    pub async fn access(&self, user: &str, scopes: &str) -> Access {
        let person = signed_in(user, scopes);
        let issuer = self.bridge.issuer();
        done("the user", issuer.register_user(&person).await);
        let request = AccessRequest::for_user(person.user_id, person.scopes);
        done("the session", issuer.open_access(request).await)
    }

    /// A caller, for a handler that the test calls as a function.
    ///
    /// It is what the guard makes of a request of `user` with these scopes.
    ///
    /// # Panics
    ///
    /// When `user` or `scopes` is malformed, or the bridge refuses to open the session.
    pub async fn caller(&self, user: &str, scopes: &str) -> Caller {
        let access = self.access(user, scopes).await;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer(&access))]);
        let authenticator = done("the authenticator", self.bridge.authenticator(self.audience()));
        done("the caller", authenticator.authenticate(&headers).await)
    }

    /// Puts `user` into `request` as your login would: for the endpoints that a signed-in person calls.
    ///
    /// # Panics
    ///
    /// When `user` or `scopes` is malformed.
    pub fn sign_in<B>(&self, request: &mut Request<B>, user: &str, scopes: &str) {
        request.extensions_mut().insert(signed_in(user, scopes));
    }

    /// Ends all sessions of `user`, as an operator does.
    ///
    /// # Panics
    ///
    /// When `user` was never authorized.
    pub async fn revoke(&self, user: &str) {
        let revoked = self.bridge.admin().revoke_user(&user_id(user)).await;
        let revoked = done("the revocation", revoked);
        assert!(revoked.is_some(), "nobody has the user id {user:?}: call authorize or access first");
    }

    /// Ends one session: [`Access::session`].
    ///
    /// # Panics
    ///
    /// When there is no such session.
    pub async fn revoke_session(&self, session: &SessionId) {
        let revoked = self.bridge.admin().revoke_session(session).await;
        assert!(
            done("the revocation", revoked),
            "there is no session {session}: take it from Access::session"
        );
    }

    /// Every token that was given out until now expires. Sessions go on, unless they live no longer than a token.
    ///
    /// It [advances](Self::advance) the time by [`BridgeBuilder::token_life`].
    pub fn expire(&self) {
        self.advance(self.bridge.settings().tokens.life);
    }

    /// Moves the time on, for tokens, sessions and codes alike. Parts of a millisecond are cut off.
    ///
    /// The time stands still otherwise. What runs by the machine's clock does not move: rate limits, time-outs, and the
    /// age of proofs in [`Bridge::watch_status`].
    pub fn advance(&self, by: Duration) {
        // No verdict need be forgotten: a token lives no longer than its session, and its expiry is checked each time.
        self.clock.advance(by);
    }

    /// The store cannot answer from now on, as in an outage. The guard answers 503.
    pub fn stop_store(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// The store answers again.
    pub fn start_store(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// The first audience of the bridge.
    fn audience(&self) -> &str {
        let audience = done("the audience", self.bridge.settings().audiences.first());
        audience.as_str()
    }
}

impl fmt::Debug for TestBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBridge").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Why the guard refused the request of this answer: [`Rejection::reason`]. `None`: the guard did not refuse it.
///
/// The client never sees it.
#[must_use]
pub fn refusal<B>(answer: &Response<B>) -> Option<&'static str> {
    answer.extensions().get::<Rejection>().map(Rejection::reason)
}

fn bearer(access: &Access) -> HeaderValue {
    access.token.to_header_value()
}

fn signed_in(user: &str, scopes: &str) -> SignedIn {
    SignedIn::new(user_id(user), done(format_args!("the scopes {scopes:?}"), Scopes::parse(scopes)))
}

fn user_id(user: &str) -> UserId {
    done(format_args!("the user id {user:?}"), UserId::parse(user))
}

/// What was asked for. A test that asks for something else fails here, and its author reads why.
#[track_caller]
fn done<T, E: std::error::Error>(what: impl fmt::Display, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        panic!("bridge_auth::testing: {what}: {error}{cause}")
    })
}
