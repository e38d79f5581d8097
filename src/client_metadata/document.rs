//! What a client says about itself.

use url::Url;

use super::client_url::{ClientUrl, authority};
use super::error::Refusal;
use crate::id::{ClientId, Scopes};

/// A client metadata document that breaks no rule.
///
/// What it says is the client's own word. Only [`host`](Self::host) is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientDocument {
    pub(crate) client_id: ClientId,
    /// Fit to be shown: see `shown_text`.
    pub(crate) name: Option<String>,
    /// Its home page, if that is https on the same host as the client id.
    pub(crate) site: Option<Url>,
    /// As they are written, to be compared byte for byte. There is at least one.
    pub(crate) redirect_uris: Vec<String>,
    /// The most that it may ask for. `None`: it does not say.
    pub(crate) scopes: Option<Scopes>,
    host: String,
}

impl ClientDocument {
    /// The host that the document was fetched from, with its port if that is not 443. A consent page shows it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}
