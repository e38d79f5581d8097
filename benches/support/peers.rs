//! The peers: guards from other crates, each in front of the same application.
//!
//! They promise less than `bridge-auth`. Two of them check a token's signature and claims, and know no sessions.
//! `axum-login` looks its session up in the memory of its own process, so another gateway sees nothing of it.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_jwt_auth::{Claims, Decoder, LocalDecoder};
use axum_login::tower_sessions::SessionManagerLayer;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, login_required};
use http::StatusCode;
use jwt_authorizer::{AuthError, IntoLayer, JwtAuthorizer};
use tower::util::MapResponseLayer;
use tower_sessions::MemoryStore;

use super::app::{App, PATH, Read, SIGN_IN, app};
use super::mint::{ISSUER, Mint};

/// `jwt-authorizer`: a layer. It is written against axum 0.7, so its refusal is converted into an answer of axum 0.8.
pub async fn jwt_authorizer(mint: &Mint) -> Router {
    type Verified = Extension<jsonwebtoken_9::TokenData<Read>>;
    async fn handler(State(app): State<Arc<App>>, Extension(token): Verified) -> &'static str {
        black_box(&token.claims.sub);
        app.answer
    }
    let validation = jwt_authorizer::Validation::new().aud(&["bridge"]).iss(&[ISSUER]).nbf(true);
    let authorizer: JwtAuthorizer<Read> = JwtAuthorizer::from_jwks_text(&mint.keys().jwks());
    let layer = authorizer.validation(validation).build().await.unwrap().into_layer();
    // The outermost layer comes first.
    app(handler).layer((
        MapResponseLayer::new(|Answer(response): Answer| response),
        layer,
        MapResponseLayer::new(Answer),
    ))
}

struct Answer(Response);

impl From<AuthError> for Answer {
    fn from(_: AuthError) -> Self {
        Self(StatusCode::UNAUTHORIZED.into_response())
    }
}

/// `axum-jwt-auth`: an extractor.
pub fn axum_jwt_auth(mint: &Mint) -> Router {
    #[derive(Clone)]
    struct Both {
        app: Arc<App>,
        decoder: Decoder<Read>,
    }
    impl FromRef<Both> for Arc<App> {
        fn from_ref(both: &Both) -> Self {
            both.app.clone()
        }
    }
    impl FromRef<Both> for Decoder<Read> {
        fn from_ref(both: &Both) -> Self {
            both.decoder.clone()
        }
    }
    async fn handler(State(app): State<Arc<App>>, user: Claims<Read>) -> &'static str {
        black_box(&user.claims.sub);
        app.answer
    }
    let mut validation = jsonwebtoken_10::Validation::new(jsonwebtoken_10::Algorithm::EdDSA);
    validation.set_audience(&["bridge"]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_nbf = true;
    let key = jsonwebtoken_10::DecodingKey::from_ed_components(&mint.public_key()).unwrap();
    let decoder = Arc::new(LocalDecoder::new(vec![key], validation).unwrap());
    let both = Both { app: Arc::new(App { answer: "ok" }), decoder };
    Router::new().route(PATH, get(handler).post(handler)).with_state(both)
}

/// `axum-login` over a store in memory. It has one more route, where a person signs in.
pub fn axum_login() -> Router {
    async fn handler(State(app): State<Arc<App>>, session: AuthSession<Everybody>) -> &'static str {
        black_box(&session.user);
        app.answer
    }
    async fn sign_in(mut session: AuthSession<Everybody>, name: String) -> StatusCode {
        let user = session.authenticate(name).await.unwrap().unwrap();
        session.login(&user).await.unwrap();
        StatusCode::NO_CONTENT
    }
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let login = AuthManagerLayerBuilder::new(Everybody, sessions).build();
    app(handler).layer(login_required!(Everybody)).route(SIGN_IN, post(sign_in)).layer(login)
}

/// Accepts every name. A host would ask its own database for the person, which is not measured here.
#[derive(Debug, Clone)]
struct Everybody;

#[derive(Debug, Clone)]
struct Person(String);

impl AuthUser for Person {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AuthnBackend for Everybody {
    type User = Person;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person(name)))
    }

    async fn get_user(&self, name: &String) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person(name.clone())))
    }
}
