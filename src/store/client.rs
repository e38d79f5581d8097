//! Hook clients: what the store takes and returns.

use std::time::{Duration, SystemTime};

use super::StoreError;
use crate::id::{ClientId, KeyThumbprint, Scopes, SecretHash, SessionId, UserId};

/// A secret or key to add to a hook client. The client is made if it is new.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProvisionClient {
    /// The client.
    pub client: ClientId,
    /// The person it belongs to.
    pub owner: UserId,
    /// The live session that asks. It names the device that the credential is for.
    pub session: SessionId,
    /// What the device will prove itself with.
    pub credential: ClientCredential,
    /// What the client may ask for from now on, within [the hook scopes of its owner](super::KnownUser::hook_scopes).
    pub scopes: Scopes,
    /// How long the credential before stays good.
    pub overlap: Duration,
    /// How many devices of the client may have credentials.
    pub max_devices: u32,
}

/// A client that got a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvisionedClient {
    /// What it may ask for.
    pub scopes: Scopes,
    /// The latest time when the credential ends: the absolute end of the session that asked.
    pub ends_at: SystemTime,
}

/// What a client proves itself with, as it is stored.
#[derive(Debug, Clone)]
pub enum ClientCredential {
    /// A secret; only its hash is stored.
    Secret(SecretHash),
    /// A public key (`private_key_jwt`, RFC 7523).
    Key(ClientKey),
}

/// The public key of one of a client's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientKey {
    /// Its thumbprint (RFC 7638).
    pub thumbprint: KeyThumbprint,
    /// The key as a JWK (RFC 7517 §4), public members only, at most 4 KiB.
    pub jwk: String,
}

/// Which of a client's public keys may have signed an assertion.
///
/// Both fields come from the header of an assertion that is not verified yet. They may find a key. They must never
/// decide anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyQuery {
    /// The algorithm, as the `alg` of a stored JWK names it (RFC 7518 §3.1; Ed25519 is `EdDSA`).
    pub algorithm: String,
    /// The `kid` of the assertion, if it has one: the key's `kid`, or its thumbprint in base64url. 1 to 128 visible ASCII
    /// characters.
    pub key_id: Option<String>,
}

/// What a client proves itself with in a request. Code that makes [`Key`](Self::Key) has verified a signature with that
/// key.
#[derive(Debug, Clone, Copy)]
pub enum ClientProof {
    /// The hash of the secret it presented.
    Secret(SecretHash),
    /// The key that verified its assertion.
    Key(KeyThumbprint),
}

impl ClientCredential {
    /// The 32 bytes that distinguish it from other credentials of its kind.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        match self {
            Self::Secret(hash) => hash.as_bytes(),
            Self::Key(key) => key.thumbprint.as_bytes(),
        }
    }

    /// The public key, if this is a key.
    #[must_use]
    pub fn jwk(&self) -> Option<&str> {
        match self {
            Self::Secret(_) => None,
            Self::Key(key) => Some(&key.jwk),
        }
    }
}

impl KeyQuery {
    /// The thumbprint, if [`key_id`](Self::key_id) is one: 32 bytes in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> Option<KeyThumbprint> {
        self.key_id.as_deref().and_then(KeyThumbprint::from_base64url)
    }
}

impl ClientProof {
    /// The 32 bytes that a credential of its kind must have, for a comparison in constant time.
    #[must_use]
    pub fn digest(&self) -> SecretHash {
        match self {
            Self::Secret(hash) => *hash,
            Self::Key(thumbprint) => SecretHash::of_bytes(*thumbprint.as_bytes()),
        }
    }

    /// Whether only a key fits it.
    #[must_use]
    pub fn is_key(&self) -> bool {
        matches!(self, Self::Key(_))
    }
}

/// A client that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// The person it belongs to.
    pub owner: UserId,
    /// What it may ask for.
    pub scopes: Scopes,
}

/// Why a client got no credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionClientError {
    /// The asking session is no longer live.
    #[error("the session is not live")]
    SessionNotLive,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The most devices that are allowed have a credential and a live session.
    #[error("the client has credentials for as many devices as it may have")]
    TooManyDevices,
    /// Two other calls for this device were answered while this one waited. A third credential would end one of theirs
    /// before its answer arrives. Nothing has changed: try again.
    #[error("two other calls just got credentials for this device: try again")]
    Overlapped,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_a_thumbprint_in_one_form_alone() {
        let thumbprint = KeyThumbprint::from_bytes(&[0xfb; 32]).unwrap();
        let of = |key_id: &str| {
            KeyQuery { algorithm: "EdDSA".to_owned(), key_id: Some(key_id.to_owned()) }.thumbprint()
        };
        let text = thumbprint.to_base64url();
        assert_eq!(of(&text), Some(thumbprint));
        for other in
            ["", "laptop", &text[1..], &format!("{text}="), &format!("{}_", &text[..42]), &"A".repeat(44)]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(KeyQuery { algorithm: "EdDSA".to_owned(), key_id: None }.thumbprint(), None);
    }
}
