//! Finds a client that people may link, by its id.

use std::sync::Arc;

use super::issuer::Issuer;
use super::registered_client::LinkableClient;
use crate::client_metadata::{ClientDocument, ClientDocumentError, MetadataClients};
use crate::id::ClientId;

/// Why a client cannot be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownClient {
    /// The host registered no such client, and accepts no metadata documents.
    #[error("the client is not registered here")]
    NotRegistered,
    /// Its metadata document was not accepted.
    #[error(transparent)]
    Document(#[from] ClientDocumentError),
}

impl Issuer {
    /// The client, as the pages show it. A client with a metadata document may be fetched: so ask only for a signed-in
    /// person.
    pub(crate) async fn linkable_client(&self, id: &ClientId) -> Result<Arc<LinkableClient>, UnknownClient> {
        if let Some(client) = self.registered_client(id) {
            return Ok(client);
        }
        let documents = self.documents.as_ref().filter(|_| MetadataClients::is_metadata_client_id(id));
        let document = documents.ok_or(UnknownClient::NotRegistered)?.find(id).await?;
        Ok(Arc::new(LinkableClient::described(&document)))
    }

    /// The client, when the host registered it, or when it is the bridge itself.
    pub(crate) fn registered_client(&self, id: &ClientId) -> Option<Arc<LinkableClient>> {
        let registered = self.settings.clients.registered(id).cloned();
        let is_bridge = *id == self.settings.bridge_client;
        registered.or_else(|| is_bridge.then(|| Arc::new(LinkableClient::unnamed(id.clone()))))
    }

    /// Whether clients with metadata documents are accepted.
    pub(crate) fn takes_documents(&self) -> bool {
        self.documents.is_some()
    }

    /// Whether `id` could be a client with a metadata document that is accepted here. Nothing is fetched.
    pub(crate) fn is_described(&self, id: &ClientId) -> bool {
        self.documents.as_ref().is_some_and(|documents| documents.accepts(id))
    }
}

impl LinkableClient {
    fn described(document: &ClientDocument) -> Self {
        Self {
            id: document.client_id.clone(),
            name: document.name.clone().unwrap_or_else(|| document.host().to_owned()),
            site: document.site.clone(),
            redirect_uris: document.redirect_uris.clone(),
            scopes: document.scopes.clone(),
            host: Some(document.host().to_owned()),
            manages_devices: false,
            exchanges_tokens: false,
            impersonates: false,
            secret: None,
        }
    }
}
