//! The key ring: one key signs, any number of keys verify. Keys can be replaced while requests run.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde::Serialize;

use super::compact::{Header, TYPE, encode};
use super::error::MAX_BYTES;
use super::jwk::PublishedJwk;
use super::{Algorithm, Claims, KeyError, SigningKey, VerifyingKey, key_file};
use crate::id::AccessToken;

/// The keys of a gateway. One key signs new tokens. This key and any number of others verify tokens.
///
/// Clones share the ring. When one clone changes the ring, all clones see the change at once, and requests take no
/// lock. Key ids are unique, and no key is in the ring twice: so a key is used with exactly one algorithm.
///
/// # Several gateways
///
/// All gateways that share a database and an issuer share the signing key too: give each the same key file. Gateways with keys
/// of their own answer 401 to each other's tokens. A gateway that refuses an unexpired token of its own issuer because it does
/// not have the key says so in its log (`WARN`), at most once in ten minutes.
///
/// # Rotation
///
/// No token is refused wrongly if each step waits until the step before is known everywhere:
///
/// 1. [`publish`](Self::publish) the next key's verifying key on every gateway. Wait as long as others may cache the JWKS.
/// 2. [`rotate`](Self::rotate) to the next key on every gateway. The previous key keeps verifying.
/// 3. [`remove`](Self::remove) the previous key once the last token that it signed has expired.
///
/// ```
/// use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
///
/// # fn main() -> Result<(), bridge_auth::token::KeyError> {
/// let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
/// let old = keys.signing_key_id();
///
/// let next = SigningKey::generate(Algorithm::EdDsa)?;
/// keys.publish(next.verifying_key().clone())?;
/// keys.rotate(next)?;
/// assert!(keys.remove(&old)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    keys: ArcSwap<Keys>,
    /// How often a key was removed: what was verified in an earlier generation must be verified again.
    ///
    /// The number grows after the key has gone. So a reader that first reads the number and then the keys can find a
    /// removed key only with an earlier number.
    generation: AtomicU64,
}

#[derive(Clone)]
struct Keys {
    signing: SigningKey,
    /// The keys that only verify.
    others: Vec<VerifyingKey>,
}

impl KeyRing {
    /// A ring with `key`, which signs and verifies. A self-test checks first that it does both.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when the key cannot verify what it signs.
    pub fn new(key: SigningKey) -> Result<Self, KeyError> {
        self_test(&key)?;
        let keys = ArcSwap::from_pointee(Keys { signing: key, others: Vec::new() });
        Ok(Self(Arc::new(Ring { keys, generation: AtomicU64::new(0) })))
    }

    /// A ring whose signing key is in the file `path` (PKCS#8 PEM). If the file is missing, a key is made, and the file
    /// gets mode 0600. Processes that start at the same time get the same key.
    ///
    /// This reads and writes a file: call it when the gateway starts, not in a request.
    ///
    /// # Errors
    ///
    /// The errors of [`SigningKey::from_file`], which name the file: [`KeyError::NotAKeyFile`] when it is something else
    /// than a key, [`KeyError::FileOwner`] and [`KeyError::FileMode`] when another user can use it,
    /// [`KeyError::InFile`] when its key is refused. [`KeyError::File`] when it cannot be read or written. Otherwise the
    /// errors of [`KeyRing::new`].
    pub fn load_or_generate(path: impl AsRef<Path>, algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(key_file::load_or_generate(path.as_ref(), algorithm)?)
    }

    /// Adds a key that verifies. It is [`KeyRing::publish`] for a ring that is being made.
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] when the ring has its key id or the key already.
    pub fn with_verifying_key(self, key: VerifyingKey) -> Result<Self, KeyError> {
        self.publish(key)?;
        Ok(self)
    }

    /// Adds a key that verifies and appears in the JWKS. It is the key of another signer, or the next signing key
    /// before its first use.
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] when the ring has its key id or the key already.
    pub fn publish(&self, key: VerifyingKey) -> Result<(), KeyError> {
        self.change(move |keys| {
            if keys.all().any(|held| held.clashes_with(&key)) {
                return Err(KeyError::Duplicate { key_id: key.key_id().to_owned() });
            }
            keys.others.push(key.clone());
            Ok(())
        })
    }

    /// Signs new tokens with `key` from now on. The previous key keeps verifying. `key` may have been published before.
    ///
    /// `key` may also be the key that signs now, under the other name of Ed25519 (see [`Algorithm`]). Then its new
    /// tokens and the JWK set have the new name, and its tokens with the old name are still accepted.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when the key cannot verify what it signs. [`KeyError::Duplicate`] when the ring has its
    /// id for another key, or has the key under another id or for another algorithm.
    pub fn rotate(&self, key: SigningKey) -> Result<(), KeyError> {
        self_test(&key)?;
        self.change(move |keys| {
            let next = key.verifying_key();
            let others: Vec<_> = keys.all().filter(|held| !held.is(next)).cloned().collect();
            if others.iter().any(|held| held.clashes_with(next)) {
                return Err(KeyError::Duplicate { key_id: next.key_id().to_owned() });
            }
            *keys = Keys { signing: key.clone(), others };
            Ok(())
        })
    }

    /// Removes the key `key_id`, and returns whether the ring had it. Its tokens are refused from now on.
    ///
    /// # Errors
    ///
    /// [`KeyError::InUse`] when the key signs new tokens.
    pub fn remove(&self, key_id: &str) -> Result<bool, KeyError> {
        let mut removed = false;
        self.change(|keys| {
            if keys.signing.key_id() == key_id {
                return Err(KeyError::InUse);
            }
            let before = keys.others.len();
            keys.others.retain(|held| held.key_id() != key_id);
            removed = keys.others.len() < before;
            Ok(())
        })?;
        if removed {
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        Ok(removed)
    }

    /// The id of the key that signs now.
    #[must_use]
    pub fn signing_key_id(&self) -> String {
        self.0.keys.load().signing.key_id().to_owned()
    }

    /// The ids of all keys. The signing key is first.
    pub(super) fn key_ids(&self) -> Vec<String> {
        self.0.keys.load().all().map(|key| key.key_id().to_owned()).collect()
    }

    /// The JWK Set (RFC 7517 §5) of all public keys, as JSON. The signing key is first.
    ///
    /// It has public members only. An HS256 key has no public members, and never appears.
    #[must_use]
    pub fn jwks(&self) -> String {
        let ring = self.0.keys.load();
        let keys = ring.all().filter_map(VerifyingKey::published).collect();
        serde_json::to_string(&Jwks { keys }).expect("strings always have a JSON form")
    }

    /// Signs with the current key and verifies the signature. So a key that does not work is found when the gateway
    /// starts, not when the first person links a bridge.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when the signature does not verify. [`KeyError::Crypto`] when the library cannot sign.
    pub fn self_test(&self) -> Result<(), KeyError> {
        self_test(&self.0.keys.load().signing)
    }

    /// Signs `claims` with the current key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Claims`] and [`KeyError::TokenTooLong`] when verification would refuse the token.
    /// [`KeyError::Crypto`] when the cryptographic library fails.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<AccessToken, KeyError> {
        claims.check()?;
        self.sign_compact(TYPE, claims.to_json().as_ref()).map(AccessToken::new)
    }

    /// Signs `payload` with the current key, as a JWT of the type `typ`.
    pub(super) fn sign_compact(&self, typ: &str, payload: &[u8]) -> Result<String, KeyError> {
        let key = &self.0.keys.load().signing;
        let header =
            Header { alg: key.verifying_key().algorithm().into(), kid: key.key_id().into(), typ: typ.into() };
        let header = serde_json::to_vec(&header).expect("strings always have a JSON form");
        let signed = format!("{}.{}", encode(header), encode(payload));
        let token = format!("{signed}.{}", encode(key.sign(signed.as_bytes())?));
        if token.len() > MAX_BYTES { Err(KeyError::TokenTooLong) } else { Ok(token) }
    }

    /// A number that changes when a key is removed: a token that was verified before may no longer be good.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The key that a token's header names.
    pub(super) fn find(&self, key_id: &str) -> Option<VerifyingKey> {
        self.0.keys.load().all().find(|key| key.key_id() == key_id).cloned()
    }

    /// Applies `change` to the newest state of the ring. No other change is lost.
    fn change(&self, mut change: impl FnMut(&mut Keys) -> Result<(), KeyError>) -> Result<(), KeyError> {
        let mut outcome = Ok(());
        self.0.keys.rcu(|keys| {
            let mut changed = Keys::clone(keys);
            outcome = change(&mut changed);
            if outcome.is_ok() { Arc::new(changed) } else { Arc::clone(keys) }
        });
        outcome
    }
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &VerifyingKey> {
        std::iter::once(self.signing.verifying_key()).chain(&self.others)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.keys.load();
        f.debug_struct("KeyRing").field("signing", &keys.signing).field("others", &keys.others).finish()
    }
}

fn self_test(key: &SigningKey) -> Result<(), KeyError> {
    let message = b"bridge-auth self-test";
    let signature = key.sign(message)?;
    let verifies = |message: &[u8]| key.verifying_key().verifies(message, &signature);
    if verifies(message) && !verifies(b"another message") { Ok(()) } else { Err(KeyError::SelfTest) }
}

#[derive(Serialize)]
struct Jwks<'a> {
    keys: Vec<PublishedJwk<'a>>,
}

#[cfg(test)]
mod tests;
