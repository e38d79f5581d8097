//! Client metadata documents: OAuth clients whose id is the URL of a document about them.

mod client_url;
mod clients;
mod document;
mod error;
mod settings;

pub(crate) use clients::MetadataClients;
pub(crate) use document::ClientDocument;
pub(crate) use error::{ClientDocumentError, Refusal};
#[cfg(feature = "client-metadata")]
pub use settings::ClientMetadata;
