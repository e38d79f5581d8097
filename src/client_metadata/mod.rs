//! Client metadata documents: OAuth clients whose id is the URL of a document about them.

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
pub(crate) use error::{ClientDocumentError, Refusal};
#[cfg(feature = "client-metadata")]
pub use settings::ClientMetadata;

#[cfg(all(test, feature = "client-metadata"))]
mod tests;
