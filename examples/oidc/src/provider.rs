//! The provider: what it says about itself, and what it says about a person.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreJwsSigningAlgorithm,
    CoreProviderMetadata,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use tokio::sync::Mutex;
use url::{Host, Url};

use crate::http::Http;
use gateway::options::OidcOptions;

/// How long the provider's metadata and keys are kept. Providers publish a key before they sign with it.
const FRESH: Duration = Duration::from_secs(300);

/// The algorithms of ID tokens: signatures with a public key alone.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 5] = [
    CoreJwsSigningAlgorithm::EdDsa,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
];

pub struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    http: Http,
    /// Held while it is fetched, so that many sign-ins fetch it once.
    metadata: Mutex<Option<(CoreProviderMetadata, Instant)>>,
}

/// Where to send a person, and what must be kept until they come back.
pub struct Departure {
    pub url: Url,
    pub state: CsrfToken,
    pub nonce: Nonce,
    pub verifier: PkceCodeVerifier,
}

/// What the provider says about a person.
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    pub name: Option<String>,
    /// Only an address that the provider has verified. Anyone can claim another one.
    pub email: Option<String>,
}

impl Provider {
    /// The provider that the options name, and that sends people back to `redirect`.
    pub fn new(options: &OidcOptions, redirect: &Url) -> Result<Self> {
        let issuer = options.oidc_issuer.as_ref().context("--oidc-issuer is missing")?;
        let client_id = options.oidc_client_id.clone().context("--oidc-client-id is missing")?;
        let is_loopback = match issuer.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        ensure!(
            issuer.scheme() == "https" || is_loopback,
            "--oidc-issuer is {issuer}: it must be an https URL, because who changes its answers signs in as anyone"
        );
        Ok(Self {
            // `Url` adds a slash to an issuer without a path, which the provider may not have.
            issuer: IssuerUrl::new(issuer.as_str().trim_end_matches('/').to_owned())?,
            client_id: ClientId::new(client_id),
            secret: options.oidc_client_secret.clone().map(ClientSecret::new),
            redirect: RedirectUrl::from_url(redirect.clone()),
            http: Http::new()?,
            metadata: Mutex::default(),
        })
    }

    /// What the provider says about itself.
    pub async fn metadata(&self) -> Result<CoreProviderMetadata> {
        let mut kept = self.metadata.lock().await;
        if let Some((metadata, since)) = &*kept
            && since.elapsed() < FRESH
        {
            return Ok(metadata.clone());
        }
        let fetched = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        let fetched = match fetched {
            Ok(metadata) => metadata,
            // Some issuers end with a slash (OpenID Connect Discovery §4.3 compares byte for byte).
            Err(first) => {
                let slashed = IssuerUrl::new(format!("{}/", self.issuer.as_str()))?;
                let second = CoreProviderMetadata::discover_async(slashed, &self.http).await;
                second.map_err(|_| first).with_context(|| {
                    format!(
                        "cannot read the metadata of the provider {} (--oidc-issuer)",
                        self.issuer.as_str()
                    )
                })?
            }
        };
        *kept = Some((fetched.clone(), Instant::now()));
        Ok(fetched)
    }

    /// Begins a sign-in. `afresh`: the person wants to sign in as somebody else.
    pub async fn depart(&self, afresh: bool) -> Result<Departure> {
        let metadata = self.metadata().await?;
        let client =
            CoreClient::from_provider_metadata(metadata, self.client_id.clone(), self.secret.clone())
                .set_redirect_uri(self.redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge);
        if afresh {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        let (url, state, nonce) = request.url();
        Ok(Departure { url, state, nonce, verifier })
    }

    /// Ends a sign-in: redeems the code, and checks all of the ID token: signature, issuer, audience, times, nonce.
    pub async fn arrive(&self, code: String, nonce: &Nonce, verifier: PkceCodeVerifier) -> Result<Identity> {
        let metadata = self.metadata().await?;
        let client =
            CoreClient::from_provider_metadata(metadata, self.client_id.clone(), self.secret.clone())
                .set_redirect_uri(self.redirect.clone());
        let request = client.exchange_code(AuthorizationCode::new(code))?.set_pkce_verifier(verifier);
        let answer = request.request_async(&self.http).await.context("the code was not redeemed")?;
        let token =
            answer.id_token().context("the provider sent no ID token: is it one of OpenID Connect?")?;
        let checker = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let claims = token.claims(&checker, nonce).context("the ID token is not good")?;
        if let Some(expected) = claims.access_token_hash() {
            let (algorithm, key) = (token.signing_alg()?, token.signing_key(&checker)?);
            let found = AccessTokenHash::from_token(answer.access_token(), algorithm, key)?;
            ensure!(found == *expected, "the access token is not the one that the ID token names");
        }
        Ok(identity(claims))
    }

    /// Whether the `iss` of an answer (RFC 9207) is this provider.
    pub async fn is(&self, issuer: &str) -> Result<bool> {
        Ok(self.metadata().await?.issuer().as_str() == issuer)
    }
}

fn identity(claims: &CoreIdTokenClaims) -> Identity {
    let email = claims.email().filter(|_| claims.email_verified() == Some(true));
    let email = email.map(|email| email.as_str().to_owned());
    let full = claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned());
    let short = || claims.preferred_username().map(|name| name.as_str().to_owned());
    Identity {
        issuer: claims.issuer().as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        name: full.or_else(short).or_else(|| email.clone()),
        email,
    }
}
