//! Sends requests to a transmitter over https.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::error::EventStreamError;
use crate::validate::BuildError;

/// A client that follows no redirect, keeps no cookie, and uses no proxy, whatever the environment says.
#[derive(Debug, Clone)]
pub(super) struct HttpClient(pub(super) Client);

impl HttpClient {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// Shorter than the time after which servers close a connection on which nothing is sent.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
    /// The most bytes of an answer.
    const MAX_BYTES: usize = 1 << 20;

    /// With `https_only`, no request goes out unencrypted, whatever URL the transmitter names.
    pub(super) fn new(https_only: bool) -> Result<Self, BuildError> {
        let client = Client::builder()
            .https_only(https_only)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .pool_idle_timeout(Self::IDLE_TIMEOUT)
            .user_agent(concat!("bridge-auth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BuildError::Tls(error.into()))?;
        Ok(Self(client))
    }

    /// The status and the body of a success.
    ///
    /// # Errors
    ///
    /// [`EventStreamError`] for any other status too. It says `what` was asked for.
    pub(super) async fn send(
        &self,
        what: &'static str,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Bytes), EventStreamError> {
        let failed = |error| failed(what, error);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(&response);
            return Err(EventStreamError::Status { what, status: status.as_u16(), retry_after });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > Self::MAX_BYTES {
                return Err(EventStreamError::TooLarge { what });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body.freeze()))
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). A date is not read.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn failed(what: &'static str, error: reqwest::Error) -> EventStreamError {
    // The URL may hold the id of the stream, and is known anyway.
    let error = error.without_url();
    if error.is_timeout() {
        EventStreamError::TimedOut { what }
    } else {
        EventStreamError::Unreachable { what, source: error.into() }
    }
}
