//! Where a gateway's OAuth endpoints are: its metadata (RFC 8414).

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::gateway::{Gateway, Problem, succeeded};

/// The gateway's metadata (RFC 8414 §2), as far as a bridge needs it.
#[derive(Deserialize)]
pub struct Metadata {
    pub issuer: String,
    token_endpoint: Option<Url>,
    authorization_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    /// Whether an answer at the redirect URI names the issuer (RFC 9207 §3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Gateway {
    /// The metadata. It is fetched once.
    pub async fn metadata(&self) -> Result<&Metadata, Problem> {
        self.metadata.get_or_try_init(|| self.discover()).await
    }

    pub async fn token_endpoint(&self) -> Result<Url, Problem> {
        self.endpoint(self.metadata().await?.token_endpoint.as_ref(), "token endpoint")
    }

    pub async fn device_authorization_endpoint(&self) -> Result<Url, Problem> {
        let endpoint = self.metadata().await?.device_authorization_endpoint.as_ref();
        self.endpoint(endpoint, "device_authorization_endpoint")
    }

    /// The page where a person allows a program. Without PKCE, a code could be stolen on its way to the program. So a
    /// gateway that does not say that it checks PKCE is refused.
    pub async fn authorization_endpoint(&self) -> Result<Url, Problem> {
        let metadata = self.metadata().await?;
        let endpoint = self.endpoint(metadata.authorization_endpoint.as_ref(), "authorization_endpoint")?;
        if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            let gateway = self.base();
            return Err(Problem::NotOffered(format!("{gateway} does not say that it checks PKCE with S256")));
        }
        Ok(endpoint)
    }

    /// `None`: the gateway has none.
    pub async fn revocation_endpoint(&self) -> Result<Option<Url>, Problem> {
        let Some(endpoint) = &self.metadata().await?.revocation_endpoint else { return Ok(None) };
        self.check_is_private(endpoint)?;
        Ok(Some(endpoint.clone()))
    }

    fn endpoint(&self, url: Option<&Url>, name: &str) -> Result<Url, Problem> {
        let Some(url) = url else {
            return Err(Problem::NotOffered(format!("the metadata of {} names no {name}", self.base())));
        };
        // It must be http or https: the person's browser opens some of these URLs.
        self.check_is_private(url)?;
        Ok(url.clone())
    }

    /// RFC 8414 §3. A gateway without metadata has its token endpoint at the usual path.
    async fn discover(&self) -> Result<Metadata, Problem> {
        let mut well_known = self.url().clone();
        let path = self.url().path().trim_end_matches('/');
        well_known.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
        let answer = self.send(self.request_to(Method::GET, &well_known)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(self.usual()?);
        }
        let malformed = || format!("the metadata at {well_known} is malformed: check the gateway's URL");
        let metadata: Metadata = succeeded(answer).await?.json().await.with_context(malformed)?;
        self.check_issuer(&metadata.issuer)?;
        Ok(metadata)
    }

    fn usual(&self) -> Result<Metadata> {
        let token = format!("{}/v1/auth/bridge/token", self.base());
        Ok(Metadata {
            issuer: self.base().to_owned(),
            token_endpoint: Some(token.parse().context("the gateway's URL does not take a path")?),
            authorization_endpoint: None,
            device_authorization_endpoint: None,
            revocation_endpoint: None,
            code_challenge_methods_supported: Vec::new(),
            authorization_response_iss_parameter_supported: false,
        })
    }

    fn check_issuer(&self, issuer: &str) -> Result<()> {
        // RFC 8414 §3.3: the issuer must match byte for byte. Otherwise the metadata may be another server's.
        ensure!(issuer == self.base(), "{} says that it is {issuer}: write that URL", self.base());
        Ok(())
    }
}
