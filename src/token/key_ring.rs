//! One key that signs, any number that verify, exchanged while requests run.

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

/// The keys of a gateway: one signs new tokens, that one and any number of others verify.
///
/// Clones share the ring: a change through one is seen by all, at once and without a lock on the
/// side of requests. Key ids are unique, and no key is held twice, so a key is used with exactly
/// one algorithm.
///
/// # Several gateways
///
/// All gateways that share a database and an issuer share the signing key too: give each the same key file. Gateways with keys
/// of their own answer 401 to each other's tokens. A gateway that refuses an unexpired token of its own issuer because it does
/// not have the key says so in its log (`WARN`), at most once in ten minutes.
///
/// # Rotation
///
/// No token is refused wrongly when each step waits for the one before to be known everywhere:
///
/// 1. [`publish`](Self::publish) the next key's verifying key on every node, and wait as long as
///    others may cache the JWKS;
/// 2. [`rotate`](Self::rotate) to the next key on every node: the one before keeps verifying;
/// 3. [`remove`](Self::remove) the one before once the last token it signed has expired.
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
    /// How often a key was removed: what was verified in an earlier generation must be verified again. It grows after the key
    /// has gone: who reads it first and the keys then, has read a key that has gone in an earlier generation only.
    generation: AtomicU64,
}

#[derive(Clone)]
struct Keys {
    signing: SigningKey,
    /// Those that verify besides the signing key's own.
    others: Vec<VerifyingKey>,
}

impl KeyRing {
    /// A ring whose `key` signs and verifies, after a test that it really does both.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when what the key signs does not verify.
    pub fn new(key: SigningKey) -> Result<Self, KeyError> {
        self_test(&key)?;
        let keys = ArcSwap::from_pointee(Keys { signing: key, others: Vec::new() });
        Ok(Self(Arc::new(Ring { keys, generation: AtomicU64::new(0) })))
    }

    /// A ring whose signing key is kept in the file `path` (PKCS#8 PEM), and is made there with mode
    /// 0600 when the file is missing. Processes that start at once get the same key.
    ///
    /// This reads and writes a file: call it while starting, not in a request.
    ///
    /// # Errors
    ///
    /// [`KeyError::FileMode`] when others than the owner can use the file (on Unix),
    /// [`KeyError::File`] when it cannot be read or written, else as
    /// [`SigningKey::from_pem`] and [`KeyRing::new`].
    pub fn load_or_generate(path: impl AsRef<Path>, algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(key_file::load_or_generate(path.as_ref(), algorithm)?)
    }

    /// Adds a key that verifies: [`KeyRing::publish`] for use while the ring is made.
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] when the ring holds its id or the key itself.
    pub fn with_verifying_key(self, key: VerifyingKey) -> Result<Self, KeyError> {
        self.publish(key)?;
        Ok(self)
    }

    /// Adds a key that verifies, and appears in the JWKS: another signer's, or the next one's
    /// before its first use.
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] when the ring holds its id or the key itself.
    pub fn publish(&self, key: VerifyingKey) -> Result<(), KeyError> {
        self.change(move |keys| {
            if keys.all().any(|held| held.clashes_with(&key)) {
                return Err(KeyError::Duplicate);
            }
            keys.others.push(key.clone());
            Ok(())
        })
    }

    /// Signs new tokens with `key` from now on; the one before keeps verifying. `key` may have been
    /// published before.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when what the key signs does not verify, [`KeyError::Duplicate`] when
    /// the ring holds its id for another key, or the key under another id or for another algorithm.
    pub fn rotate(&self, key: SigningKey) -> Result<(), KeyError> {
        self_test(&key)?;
        self.change(move |keys| {
            let next = key.verifying_key();
            let others: Vec<_> = keys.all().filter(|held| !held.is(next)).cloned().collect();
            if others.iter().any(|held| held.clashes_with(next)) {
                return Err(KeyError::Duplicate);
            }
            *keys = Keys { signing: key.clone(), others };
            Ok(())
        })
    }

    /// Removes the key `key_id`: its tokens are refused from now on. Tells whether the ring held it.
    ///
    /// # Errors
    ///
    /// [`KeyError::InUse`] for the key that signs.
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

    /// The ids of all keys, the signing one first.
    pub(super) fn key_ids(&self) -> Vec<String> {
        self.0.keys.load().all().map(|key| key.key_id().to_owned()).collect()
    }

    /// The JWK Set (RFC 7517 §5) of all public keys, as JSON, the signing one first.
    ///
    /// It holds public members alone; an HS256 key, which has none, never appears.
    #[must_use]
    pub fn jwks(&self) -> String {
        let ring = self.0.keys.load();
        let keys = ring.all().filter_map(VerifyingKey::published).collect();
        serde_json::to_string(&Jwks { keys }).expect("strings always have a JSON form")
    }

    /// Signs with the current key and verifies what it signed: a key that cannot do its work is found
    /// when the gateway starts, not when the first person links.
    ///
    /// # Errors
    ///
    /// [`KeyError::SelfTest`] when it does not verify, [`KeyError::Crypto`] when it cannot be signed.
    pub fn self_test(&self) -> Result<(), KeyError> {
        self_test(&self.0.keys.load().signing)
    }

    /// Signs `claims` with the current key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Claims`] and [`KeyError::TokenTooLong`] when verification would refuse the
    /// token, [`KeyError::Crypto`] when the cryptographic library fails.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<AccessToken, KeyError> {
        claims.check()?;
        let key = &self.0.keys.load().signing;
        let header = Header {
            alg: key.verifying_key().scheme().name().into(),
            kid: key.key_id().into(),
            typ: TYPE.into(),
        };
        let header = serde_json::to_vec(&header).expect("strings always have a JSON form");
        let signed = format!("{}.{}", encode(header), encode(claims.to_json()));
        let token = format!("{signed}.{}", encode(key.sign(signed.as_bytes())?));
        if token.len() > MAX_BYTES { Err(KeyError::TokenTooLong) } else { Ok(AccessToken::new(token)) }
    }

    /// Changes whenever a key is removed: a token that was verified before may no longer be good.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The key that a token's header names.
    pub(super) fn find(&self, key_id: &str) -> Option<VerifyingKey> {
        self.0.keys.load().all().find(|key| key.key_id() == key_id).cloned()
    }

    /// Applies `change` to the ring as it is then; no other change is lost.
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
