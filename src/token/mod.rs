//! Access tokens: their keys, key rotation and publication, and why a key or a token is refused.

mod actor;
mod algorithm;
mod assertion;
pub(crate) mod claims;
mod compact;
mod error;
mod explain;
pub(crate) mod external;
mod external_assertion;
mod jwk;
mod key_file;
mod key_ring;
mod key_set;
mod message;
mod missing_key;
mod numeric_date;
mod optional_member;
mod scope_claims;
mod signing_key;
mod spiffe_id;
mod ticket;
mod verify;
mod verifying_key;

pub use actor::Actor;
pub use algorithm::Algorithm;
pub(crate) use assertion::ClientAssertion;
pub(crate) use claims::CallerKind;
pub use claims::{Claims, Subject};
pub(crate) use error::MAX_BYTES as MAX_TOKEN_BYTES;
pub use error::{InvalidClaims, InvalidToken, KeyError};
pub(crate) use explain::told;
pub(crate) use external::{
    ExternalClaims, ExternalVerifier, ParsedToken, unverified_issuer, unverified_trust_domain,
};
pub(crate) use external_assertion::{AssertionKind, ExternalAssertion, InvalidAssertion};
pub use key_ring::KeyRing;
pub(crate) use key_set::KeySet;
pub(crate) use message::{Events, Message, Times, members};
pub(crate) use optional_member::never_null;
pub(crate) use scope_claims::ScopeClaims;
pub use signing_key::SigningKey;
pub(crate) use spiffe_id::is_trust_domain;
pub(crate) use ticket::Ticket;
pub(crate) use verify::TokenVerifier;
pub use verifying_key::VerifyingKey;

#[cfg(test)]
mod fixture;

/// Reads a key set as a fetch does. For the fuzz targets.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_key_set(json: &[u8]) {
    let every = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];
    let _ = KeySet::from_json(json, &every, true);
}
