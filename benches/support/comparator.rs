//! What a good engineer writes by hand: tower middleware that decodes the token and asks for its session by
//! primary key, with one prepared statement for each request over a pool.

use std::hint::black_box;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::ensure;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use deadpool_sqlite::rusqlite::OptionalExtension;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_postgres::NoTls;
use tower::{Layer, Service};
use uuid::Uuid;

use super::app::App;
use super::database::Address;
use super::mint::{ISSUER, Mint};

#[derive(Clone)]
pub struct ComparatorLayer(Arc<Guard>);

#[derive(Clone)]
pub struct Comparator<S> {
    inner: S,
    guard: Arc<Guard>,
}

/// Who calls, for the handlers.
#[derive(Debug, Clone, Deserialize)]
pub struct Identity {
    pub sub: String,
    pub sid: String,
    pub client_id: String,
    pub scope: String,
}

/// Answers requests that were let in, and reads who calls.
pub async fn handler(State(app): State<Arc<App>>, Extension(identity): Extension<Identity>) -> &'static str {
    black_box(&identity.sub);
    app.answer
}

struct Guard {
    key: DecodingKey,
    validation: Validation,
    sessions: Sessions,
}

enum Sessions {
    Postgres(deadpool_postgres::Pool),
    Sqlite(deadpool_sqlite::Pool),
}

impl ComparatorLayer {
    pub fn new(mint: &Mint, database: &Address, pool: usize) -> Self {
        let sessions = Sessions::open(database, pool);
        Self(Arc::new(Guard { key: mint.decoding_key(), validation: validation("bridge"), sessions }))
    }
}

/// The checks that a careful engineer makes on a token.
pub fn validation(audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    validation.validate_nbf = true;
    validation
}

impl Guard {
    async fn check(&self, headers: &HeaderMap) -> anyhow::Result<Identity> {
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str()).transpose()?;
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let identity = jsonwebtoken::decode::<Identity>(token, &self.key, &self.validation)?.claims;
        ensure!(self.sessions.is_live(&identity).await?, "the session is not live");
        Ok(identity)
    }
}

impl Sessions {
    fn open(database: &Address, size: usize) -> Self {
        match database {
            Address::Postgres(url) => {
                let config = tokio_postgres::Config::from_str(url).unwrap();
                let manager = deadpool_postgres::Manager::from_config(
                    config,
                    NoTls,
                    deadpool_postgres::ManagerConfig {
                        recycling_method: deadpool_postgres::RecyclingMethod::Fast,
                    },
                );
                Self::Postgres(deadpool_postgres::Pool::builder(manager).max_size(size).build().unwrap())
            }
            Address::Sqlite(path) => {
                let config = deadpool_sqlite::Config::new(path);
                let builder = config.builder(deadpool_sqlite::Runtime::Tokio1).unwrap();
                Self::Sqlite(builder.max_size(size).build().unwrap())
            }
        }
    }

    async fn is_live(&self, identity: &Identity) -> anyhow::Result<bool> {
        match self {
            Self::Postgres(pool) => {
                let digest = Sha256::digest(identity.sid.as_bytes());
                let key = Uuid::from_slice(&digest[..16])?;
                let client = pool.get().await?;
                let sql = "SELECT user_id, revoked_at IS NULL AND expires_at > now() FROM bridge_auth.sessions WHERE key = $1";
                let statement = client.prepare_cached(sql).await?;
                let row = client.query_opt(&statement, &[&key]).await?;
                Ok(row.is_some_and(|row| row.get::<_, &str>(0) == identity.sub && row.get(1)))
            }
            Self::Sqlite(pool) => {
                let id = identity.sid.clone();
                let sql = "SELECT user_id, revoked_at IS NULL AND expires_at > unixepoch() * 1000 FROM sessions WHERE id = ?";
                let connection = pool.get().await?;
                let row = connection.interact(move |connection| {
                    let mut statement = connection.prepare_cached(sql)?;
                    statement
                        .query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))
                        .optional()
                });
                let row = row.await.map_err(|error| anyhow::anyhow!("{error}"))??;
                Ok(row.is_some_and(|(user, live)| user == identity.sub && live))
            }
        }
    }
}

impl<S> Layer<S> for ComparatorLayer {
    type Service = Comparator<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Comparator { inner, guard: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for Comparator<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        Box::pin(async move {
            match guard.check(request.headers()).await {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    inner.call(request).await
                }
                Err(_) => Ok(StatusCode::UNAUTHORIZED.into_response()),
            }
        })
    }
}
