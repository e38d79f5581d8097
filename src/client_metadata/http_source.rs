//! Fetches documents over https.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use mime::Mime;
use reqwest::dns::Resolve;
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use url::Url;

use super::addresses::Addresses;
use super::cache_life::CacheLife;
use super::error::Refusal;
use super::resolver::{CheckedResolver, NotPublic};
use super::settings::ClientMetadata;
use super::source::{Answer, DocumentSource, FetchError};
use crate::validate::BuildError;

/// Fetches documents from hosts whose addresses may be reached.
#[derive(Debug)]
pub(super) struct HttpSource {
    client: Client,
}

impl HttpSource {
    /// What of the text of a fault is logged, in bytes.
    const MOST_LOGGED: usize = 300;

    pub(super) fn new(
        settings: &ClientMetadata,
        addresses: Arc<Addresses>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, BuildError> {
        let tls = |error: reqwest::Error| BuildError::Tls(error.into());
        let mut roots = Vec::new();
        for pem in &settings.roots {
            let certificates = Certificate::from_pem_bundle(pem).map_err(tls)?;
            if certificates.is_empty() {
                return Err(BuildError::Tls("a root certificate is not PEM with a certificate in it".into()));
            }
            roots.extend(certificates);
        }
        // Another crate may turn on any feature of reqwest. So all that must be off is turned off here.
        let client = Client::builder()
            .https_only(true)
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .referer(false)
            .no_hickory_dns()
            .dns_resolver(CheckedResolver::new(resolver, addresses))
            // A connection is used once: the next fetch checks the address again.
            .pool_max_idle_per_host(0)
            .tls_certs_merge(roots)
            .user_agent(concat!("bridge-auth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(tls)?;
        Ok(Self { client })
    }
}

#[async_trait]
impl DocumentSource for HttpSource {
    async fn fetch(&self, url: &Url) -> Result<Answer, FetchError> {
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(failed)?;
        check_head(&response).map_err(FetchError::Refused)?;
        let json = read(&mut response).await?;
        Ok(Answer { json, life: CacheLife::of(response.headers()) })
    }
}

fn check_head(response: &Response) -> Result<(), Refusal> {
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(Refusal::Redirect),
        status => return Err(Refusal::Status(status.as_u16())),
    }
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err(Refusal::Encoded);
    }
    if !is_json(response.headers()) {
        return Err(Refusal::ContentType);
    }
    match response.content_length() {
        Some(length) if length > Refusal::MAX_BYTES as u64 => Err(Refusal::TooLarge),
        _ => Ok(()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.parse::<Mime>().ok());
    kind.is_some_and(|kind| {
        kind.type_() == mime::APPLICATION
            && (kind.subtype() == mime::JSON || kind.suffix() == Some(mime::JSON))
    })
}

async fn read(response: &mut Response) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > Refusal::MAX_BYTES {
            return Err(FetchError::Refused(Refusal::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn failed(error: reqwest::Error) -> FetchError {
    // The URL is logged beside this text, and only there.
    let error = error.without_url();
    let causes = || successors(Some(&error as &dyn Error), |&error| error.source());
    if causes().any(<dyn Error>::is::<NotPublic>) {
        return FetchError::Refused(Refusal::AddressNotPublic);
    }
    // Parts of the text may come from the server, such as the names in its certificate.
    let text: Vec<_> = causes().map(ToString::to_string).collect();
    let mut text = text.join(": ").escape_default().to_string();
    text.truncate(HttpSource::MOST_LOGGED);
    FetchError::Unreachable(text)
}
