//! Hook clients, as the store sees them.

use std::time::Duration;

use super::StoreError;
use crate::id::{ClientId, Scopes, SecretHash, SessionId, UserId};

/// A secret to add to a hook client, which is made when it is new.
#[derive(Debug, Clone)]
pub struct ProvisionClient {
    /// The client.
    pub client: ClientId,
    /// The person it belongs to.
    pub owner: UserId,
    /// The live session that asks: it names the device the secret is for.
    pub session: SessionId,
    /// The hash of the new secret.
    pub secret: SecretHash,
    /// What the client may ask for from now on.
    pub scopes: Scopes,
    /// How long the secrets it replaces stay good.
    pub overlap: Duration,
    /// How many devices may have secrets.
    pub max_devices: u32,
}

/// A client whose secret was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// The person it belongs to.
    pub owner: UserId,
    /// What it may ask for.
    pub scopes: Scopes,
}

/// Why a client got no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The asking session is no longer live.
    #[error("the session is not live")]
    SessionNotLive,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// As many devices as may be have a secret and a live session.
    #[error("the client has secrets of too many devices")]
    TooManyDevices,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
