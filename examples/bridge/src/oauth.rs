//! Tokens from the gateway's token endpoint, fetched by a stock OAuth client.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, RefreshToken, RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};

use crate::credential::Life;
use crate::gateway::{Gateway, Problem, not_now};

/// Shorter than the gateway's refresh grace: within the grace, a lost answer can be requested again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stock OAuth client that knows its token endpoint.
pub type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// What the token endpoint returned.
pub struct Token {
    pub token: String,
    pub refresh_token: Option<String>,
    pub life: Life,
}

impl Gateway {
    /// Uses a refresh token. If the answer is lost, the same token can be used again within the gateway's refresh
    /// grace.
    pub async fn refresh(&self, client_id: &str, refresh_token: &str) -> Result<Token, Problem> {
        let client = self.oauth_client(client_id, None).await?;
        let life = Life::begins();
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        token(client.exchange_refresh_token(&refresh_token).request_async(self).await, life)
    }

    /// A token of the hook client (RFC 6749 §4.4). It is for one resource if `resource` names one (RFC 8707).
    pub async fn client_credentials(
        &self,
        (id, secret): (&str, &str),
        scope: Option<&str>,
        resource: Option<&str>,
    ) -> Result<Token, Problem> {
        let client = self.oauth_client(id, Some(secret)).await?;
        let life = Life::begins();
        let mut request = client.exchange_client_credentials();
        for scope in scope.into_iter().flat_map(str::split_whitespace) {
            request = request.add_scope(Scope::new(scope.to_owned()));
        }
        if let Some(resource) = resource {
            request = request.add_extra_param("resource", resource.to_owned());
        }
        token(request.request_async(self).await, life)
    }

    /// A stock client. Without a secret it is a public client, and names itself in the body.
    pub async fn oauth_client(&self, id: &str, secret: Option<&str>) -> Result<Client, Problem> {
        let url = TokenUrl::from_url(self.token_endpoint().await?);
        let mut client = BasicClient::new(ClientId::new(id.to_owned())).set_token_uri(url);
        client = match secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.to_owned())),
            None => client.set_auth_type(AuthType::RequestBody),
        };
        Ok(client)
    }

    /// Sends one request of the stock client. A 429 or a server error must not reach the client: it would read it as an
    /// answer of the token endpoint.
    pub async fn send_oauth(&self, request: HttpRequest) -> Result<HttpResponse, Problem> {
        let request =
            reqwest::Request::try_from(request).context("the OAuth client made a malformed request")?;
        let answer = self.send(self.request_of(request).timeout(PATIENCE)).await?;
        if let Some(problem) = not_now(answer.status(), answer.headers()) {
            return Err(problem);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let lost = |source: reqwest::Error| Problem::Unreachable {
            gateway: self.url().clone(),
            source: source.without_url(),
        };
        let mut response = HttpResponse::new(answer.bytes().await.map_err(lost)?.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Gateway {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Problem>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send_oauth(request))
    }
}

impl Token {
    /// The token of an answer. `life` began before the request.
    pub fn of(answer: &BasicTokenResponse, life: Life) -> Self {
        Self {
            token: answer.access_token().secret().clone(),
            refresh_token: answer.refresh_token().map(|token| token.secret().clone()),
            life: life.of(answer.expires_in().unwrap_or_default().as_secs()),
        }
    }
}

/// The token, or why there is none.
pub fn token(
    answer: Result<BasicTokenResponse, RequestTokenError<Problem, BasicErrorResponse>>,
    life: Life,
) -> Result<Token, Problem> {
    match answer {
        Ok(answer) => Ok(Token::of(&answer, life)),
        Err(error) => Err(refused(error)),
    }
}

/// Why an endpoint gave nothing.
pub fn refused(error: RequestTokenError<Problem, BasicErrorResponse>) -> Problem {
    match error {
        RequestTokenError::ServerResponse(error) => match error.error() {
            BasicErrorResponseType::InvalidGrant => Problem::InvalidGrant,
            BasicErrorResponseType::InvalidClient => Problem::InvalidClient,
            _ => Problem::NoToken(error.to_string()),
        },
        RequestTokenError::Request(problem) => problem,
        // The text of this error could contain the token.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Problem::NoToken("the answer of the gateway is malformed".to_owned())
        }
    }
}
