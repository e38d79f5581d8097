//! How the provider is called: with the gateway's own HTTP client, and with bounds.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any metadata, key set or token answer.
const MAX_BODY: usize = 1024 * 1024;

pub struct Http(reqwest::Client);

impl Http {
    pub fn new() -> Result<Self> {
        // A redirect could lead to a machine that only this one can reach.
        Ok(Self(reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build()?))
    }

    async fn send(&self, request: HttpRequest) -> io::Result<HttpResponse> {
        let request = request.try_into().map_err(io::Error::other)?;
        let mut answer = self.0.execute(request).await.map_err(io::Error::other)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(io::Error::other)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return Err(io::Error::other(format!(
                    "the provider's answer has more than {MAX_BODY} bytes"
                )));
            }
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<HttpResponse>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
