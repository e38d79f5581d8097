//! Typed identifiers and secrets. They are parsed once at the edge and compared byte for byte.

mod device_code;
mod random;
mod scope;
mod secret;
mod secret_text;
mod text;
mod text_or;
mod trace;

pub use device_code::{DeviceCode, DeviceCodeHash, UserCode};
pub(crate) use random::random_hex;
#[doc(hidden)]
pub use scope::CheckedScopes;
pub use scope::{InvalidScope, Scope, Scopes};
pub use secret::{
    AccessToken, AssertionHash, ClientSecret, CodeChallenge, CodeHash, CodeVerifier, ExchangeCode,
    KeyThumbprint, RefreshHash, RefreshToken, SecretHash,
};
pub use secret_text::InvalidSecret;
pub use text::InvalidId;
use text::text_id;
pub(crate) use text::{is_shown, shown_text};
pub(crate) use text_or::FirstInvalid;
#[cfg(feature = "serde")]
pub(crate) use text_or::TextOf;
pub use text_or::{InvalidText, TextOr};
pub(crate) use trace::Trace;
pub use trace::TraceId;

use sha2::{Digest, Sha256};

text_id! {
    /// A person, as the host's own login names them: 1 to 255 visible characters.
    UserId, |text| text::visible(text, 255)
}

text_id! {
    /// An OAuth client: the bridge itself (`sp_bridge`), a hook client (`bridge:<user id>`), or a client that the host
    /// named. 1 to 262 visible ASCII characters (RFC 6749, appendix A.1).
    ClientId, |text| text::visible_ascii(text, ClientId::MAX_CHARACTERS)
}

text_id! {
    /// A session. Its id is `sess_` and 32 hex characters if the server made it, otherwise what the bridge declared: 1
    /// to 128 characters of `[A-Za-z0-9_-]`.
    SessionId, |text| text::url_safe(text, 128)
}

text_id! {
    /// An audience of tokens (RFC 7519 §4.1.3): a short name or a resource URI (RFC 8707).
    Audience, |text| text::visible_ascii(text, 255)
}

text_id! {
    /// The version of the host's policy that a request is judged by. [`PolicyVersion::default`] is `unversioned`.
    PolicyVersion, |text| text::visible(text, 255)
}

text_id! {
    /// The kind of program that calls. [`CallSource::default`] is `bridge`.
    CallSource, |text| text::visible(text, 255)
}

impl ClientId {
    /// `bridge:` and a user id of 255 characters.
    const MAX_CHARACTERS: usize = 262;
    const HOOKS: &str = "bridge:";

    /// The client id of `user`'s hooks: `bridge:<user id>`.
    ///
    /// A client id is visible ASCII (RFC 6749, appendix A.1), so other characters of the user id, and `%`, are
    /// percent-encoded. If the result is too long, the id has `%~` and a SHA-256 in place of the user id; no
    /// percent-encoding begins with `%~`. Two users never have the same client id.
    #[must_use]
    pub fn for_hooks_of(user: &UserId) -> Self {
        let name = text::to_visible_ascii(user.as_str());
        let id = format!("{}{name}", Self::HOOKS);
        if id.len() <= Self::MAX_CHARACTERS {
            return Self(id.into());
        }
        let digest = random::hex(&Sha256::digest(user.as_str().as_bytes()));
        Self(format!("{}%~{digest}", Self::HOOKS).into())
    }

    /// Whether it could be the client id of a user's hooks.
    pub(crate) fn is_for_hooks(&self) -> bool {
        self.0.starts_with(Self::HOOKS)
    }
}

impl UserId {
    const WORKLOADS: &str = "client:";

    /// The user id under which the sessions of a workload are kept: `client:<client id>`. If that is too long, `§` and a
    /// SHA-256 stand in place of the client id; no client id has this character. No person has such an id.
    #[must_use]
    pub fn for_workload(client: &ClientId) -> Self {
        let id = format!("{}{client}", Self::WORKLOADS);
        if id.len() <= 255 {
            return Self(id.into());
        }
        let digest = random::hex(&Sha256::digest(client.as_str().as_bytes()));
        Self(format!("{}§{digest}", Self::WORKLOADS).into())
    }

    /// Whether it could be the user id of a workload.
    pub(crate) fn is_for_workload(&self) -> bool {
        self.0.starts_with(Self::WORKLOADS)
    }
}

impl SessionId {
    /// A new id of 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("sess_{}", random_hex::<16>().as_str()).into())
    }

    /// The id of the session that a workload gets by `token`: the same for the same token. Its signature does not count,
    /// because of some signatures anyone can make another good one.
    pub(crate) fn of_workload(token: &str) -> Self {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        Self(format!("work_{}", random::hex(&Sha256::digest(signed.as_bytes()))).into())
    }
}

impl PolicyVersion {
    pub(crate) const DEFAULT: &str = "unversioned";
}

impl CallSource {
    pub(crate) const DEFAULT: &str = "bridge";
}

impl Default for PolicyVersion {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl Default for CallSource {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn server_made_session_ids_are_128_random_bits_in_hex() {
        let id = SessionId::random();
        let hex = id.as_str().strip_prefix("sess_").unwrap();
        assert_eq!(hex.len(), 32);
        assert!(hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert_ne!(id, SessionId::random());
    }

    #[test]
    fn hook_client_ids_are_ascii_and_never_shared() {
        let of = |user: &str| ClientId::for_hooks_of(&UserId::parse(user).unwrap());
        assert_eq!(of("alice@example.com").as_str(), "bridge:alice@example.com");
        assert_eq!(of("é").as_str(), "bridge:%C3%A9");
        assert_ne!(of("é"), of("%C3%A9"));
        let long = of(&"é".repeat(255));
        assert!(long.as_str().starts_with("bridge:%~"));
        assert_eq!(ClientId::parse(long.as_str()), Ok(long));
        assert_eq!(of(&"a".repeat(255)).as_str().len(), 262);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_every_byte(text in any::<String>()) {
            if let Ok(id) = UserId::parse(&text) {
                prop_assert_eq!(id.as_str(), &text);
                let client = ClientId::for_hooks_of(&id);
                prop_assert!(client.as_str().is_ascii());
                prop_assert_eq!(ClientId::parse(client.as_str()), Ok(client));
            }
            if let Ok(id) = SessionId::parse(&text) {
                let value = id.to_header_value();
                prop_assert_eq!(value.as_bytes(), text.as_bytes());
            }
        }

        #[test]
        fn declared_session_ids_follow_their_alphabet(text in "[A-Za-z0-9_-]{1,128}") {
            prop_assert!(SessionId::parse(text).is_ok());
        }
    }
}
