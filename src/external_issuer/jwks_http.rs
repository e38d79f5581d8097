//! Fetches the keys of an external issuer over https.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use url::Url;

use super::jwks_source::{JwksError, JwksSource};
use crate::id::TextOr;
use crate::validate::{BuildError, check_endpoint};

/// Fetches a JWK set over https.
///
/// It follows no redirect, keeps no cookie, and uses no proxy, whatever the environment says. It waits 2 s for a
/// connection and 5 s for the whole answer. It reads 256 KiB at most. It verifies certificates with the roots that the
/// operating system trusts. Nothing in a token can make it fetch from another place.
///
/// ```
/// use bridge_auth::external_issuer::{ExternalIssuer, ExternalSessions, HttpJwks};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = HttpJwks::new("https://login.partner.example/.well-known/jwks.json")?;
/// let partner = ExternalIssuer::new("https://login.partner.example", keys, ExternalSessions::None)
///     .audience("https://gateway.example/mcp", "mcp");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpJwks {
    url: Url,
    client: Client,
}

impl HttpJwks {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// Fetches from `url`, the `jwks_uri` of the issuer's metadata (RFC 8414 §2).
    ///
    /// Does no I/O.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidText`] when `url` is not a URL. [`BuildError::Text`] when it is not https (http is allowed for loopback only). [`BuildError::Tls`] when no
    /// TLS client can be made.
    pub fn new(url: impl TextOr<Url>) -> Result<Self, BuildError> {
        let url = url.parsed("the JWKS URL")?;
        check_endpoint("the JWKS URL", Some(&url))?;
        let client = Client::builder()
            .https_only(url.scheme() == "https")
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .timeout(Self::TIMEOUT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("bridge-auth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BuildError::Tls(error.into()))?;
        Ok(Self { url, client })
    }
}

#[async_trait]
impl JwksSource for HttpJwks {
    async fn fetch(&self) -> Result<Bytes, JwksError> {
        let request =
            self.client.get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(JwksError::Status(response.status().as_u16()));
        }
        let is_too_large = |length: u64| length > JwksError::MAX_BYTES as u64;
        if response.content_length().is_some_and(is_too_large) {
            return Err(JwksError::TooLarge);
        }
        let mut set = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if set.len() + chunk.len() > JwksError::MAX_BYTES {
                return Err(JwksError::TooLarge);
            }
            set.extend_from_slice(&chunk);
        }
        Ok(set.freeze())
    }
}

fn failed(error: reqwest::Error) -> JwksError {
    if error.is_timeout() { JwksError::TimedOut } else { JwksError::Unreachable(error.into()) }
}
