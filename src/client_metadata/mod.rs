//! Client metadata documents: OAuth clients whose id is the URL of a document about them.
//!
//! A program that nobody registered names itself by an https URL, such as `https://claude.ai/oauth/client.json`. The
//! document at the URL says what the program is called, and where a person may be sent back to
//! (draft-ietf-oauth-client-id-metadata-document). MCP clients do this. With the feature `client-metadata`,
//! `BridgeBuilder::client_metadata` accepts such clients: of any host, or of hosts on a list (`ClientMetadata`).
//!
//! # What a person can rely on
//!
//! All that a document says is the client's own word. Only the host of its URL is known to be true, so the consent page
//! shows the host. A home page on another host is not shown.
//!
//! # Which documents are accepted
//!
//! - **The URL** is https. It has a path, and no fragment, user, password, `.` or `..`, also not percent-encoded. It is
//!   in normal form, so that each client has one spelling, and has at most 262 characters.
//! - **`client_id`** is the URL that was sent, byte for byte.
//! - **`redirect_uris`** are https, http on loopback, or private-use schemes with a dot (RFC 8252 §7.1). Schemes without
//!   a dot are left out. A document with `javascript:`, `data:`, `file:` and the like is refused.
//! - **The client is public:** `token_endpoint_auth_method` is absent or `none`, and there is no `client_secret` and no private key. A client
//!   with `private_key_jwt` is accepted when its `token_endpoint_auth_methods_supported` has `none`.
//! - **`grant_types` and `response_types`,** if they are there, have `authorization_code` and `code`.
//!
//! # What a fetch may do
//!
//! Whoever signs in can make the gateway fetch. So a fetch connects to **public addresses only**. The addresses are
//! checked after the look-up of the name, and the connection goes to the checked ones: a name that changes its address
//! gains nothing. If one address of a name is not public, nothing is connected to. Not public are all special-purpose
//! addresses (RFC 6890) and those that have an IPv4 address inside. On a network that reaches IPv4 only through NAT64, allow
//! `64:ff9b::/96` with `danger_allow_addresses`, and keep private networks out of reach of the translator.
//!
//! A fetch follows no redirect, uses no proxy, sends no cookie, unpacks nothing, takes 5 seconds and reads 5 KiB at most.
//! Certificates are verified. At most 16 fetches run at a time, and 60 begin in a minute. Requests for one document share
//! one fetch. After a failure a document is not asked for in the next 10 seconds.
//!
//! # How long a document counts
//!
//! As long as `Cache-Control: max-age` says, but for 60 seconds to 24 hours. It is an hour when the server does not say.
//! While the server cannot be reached, or fails, the last document stays in use for 24 hours from its fetch, unless the
//! server forbids that (`no-store`, `no-cache`, `must-revalidate`). Each gateway keeps its own.
#![cfg_attr(
    feature = "client-metadata",
    doc = r#"
```
use std::time::Duration;

use bridge_auth::client_metadata::ClientMetadata;

// A company: programs of two hosts, one of them in the company's own network.
# fn set(authority: &[u8]) -> Result<ClientMetadata, Box<dyn std::error::Error>> {
let programs = ClientMetadata::from_hosts(["claude.ai", "programs.corp.example"])
    .root_certificate_pem(authority)
    .danger_allow_addresses(["10.20.30.0/24"])
    .cache(100, Duration::from_secs(3600));
# Ok(programs)
# }
```"#
)]

mod addresses;
mod cache_life;
mod client_url;
mod clients;
mod document;
mod error;
#[cfg(feature = "client-metadata")]
mod http_source;
#[cfg(feature = "client-metadata")]
mod resolver;
#[cfg(feature = "client-metadata")]
mod settings;
mod source;

pub(crate) use clients::MetadataClients;
pub(crate) use document::ClientDocument;
pub(crate) use error::ClientDocumentError;
#[cfg(feature = "client-metadata")]
pub use settings::ClientMetadata;

#[cfg(test)]
#[cfg(feature = "client-metadata")]
mod tests;

/// Reads a document as a fetch from `url` does. For the fuzz targets.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_document(url: &str, json: &[u8]) {
    let url = crate::id::ClientId::parse(url).ok().and_then(|id| client_url::ClientUrl::parse(&id).ok());
    if let Some(url) = url {
        let _ = ClientDocument::read(&url, json);
    }
}
