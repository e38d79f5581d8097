//! How people let programs in: the device grant, the authorize page and consent. CHECKLIST 1.L.

mod authorize;
mod clients;
mod consent;
mod device;
mod device_page;
mod devices;
#[cfg(feature = "client-metadata")]
mod documents;
mod gateway_login;
pub mod given;
mod off;
