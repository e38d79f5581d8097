//! Secrets: random, redacted in `Debug`, without `Display`, wiped when dropped; and the hashes that are stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::InvalidSecret;
use super::random::{random_base64url, random_hex};
use super::secret_text::{digest, opaque, secret};
use super::text_or::{FromText, InvalidText};

secret! {
    /// A one-time exchange code: 32 random bytes as 64 lower-case hex characters.
    ExchangeCode
}

secret! {
    /// A PKCE code verifier: 43 to 128 of `[A-Za-z0-9-._~]` (RFC 7636 §4.1).
    CodeVerifier
}

secret! {
    /// The secret of a hook client: 32 random bytes as 43 characters of `[A-Za-z0-9_-]`.
    ClientSecret
}

secret! {
    /// A signed access token (RFC 9068).
    AccessToken
}

opaque! {
    /// A refresh token: 32 random bytes as 43 characters of `[A-Za-z0-9_-]`. Clients cannot read anything in it.
    RefreshToken as "refresh token",
    /// The SHA-256 of a [`RefreshToken`]. Only this hash is stored.
    RefreshHash
}

digest! {
    /// The SHA-256 of an [`ExchangeCode`]. Only this hash is stored.
    CodeHash
}

digest! {
    /// The SHA-256 of a client assertion's issuer and `jti` (RFC 7523 §3). Only this hash is stored.
    AssertionHash
}

digest! {
    /// The SHA-256 thumbprint of a client's public key (RFC 7638).
    KeyThumbprint
}

/// A PKCE `S256` challenge: the base64url SHA-256 of a [`CodeVerifier`] (RFC 7636 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// The SHA-256 of a [`ClientSecret`], or its HMAC-SHA-256 if a pepper is set. Only this hash is stored.
///
/// A secret of 256 random bits needs no slow hash, because nobody can guess it. A slow hash here would let an attacker
/// exhaust the CPU.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl ExchangeCode {
    /// A new code of 256 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex::<32>().as_str().into())
    }

    /// Parses 64 lower-case hex characters.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for any other text. Answer it like an unknown code.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_hex) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSecret { kind: "exchange code" })
        }
    }

    /// The hash of the code, which is stored.
    #[must_use]
    pub fn hash(&self) -> CodeHash {
        CodeHash(Sha256::digest(self.expose().as_bytes()).into())
    }
}

impl AssertionHash {
    /// The hash of the assertion that `client` made with this `jti`.
    #[must_use]
    pub fn of(client: &super::ClientId, jti: &str) -> Self {
        // A client id has no space: so no other pair makes the same text.
        Self(
            Sha256::new().chain_update(client.as_str()).chain_update(" ").chain_update(jti).finalize().into(),
        )
    }

    /// The hash of the message of a kind, such as a security event, that an external `issuer` signed with this `jti`.
    ///
    /// No assertion of a client has the same hash, because no client id is empty. No ticket has it, because no `jti` of a
    /// ticket begins with a space.
    pub(crate) fn of_message(kind: &'static str, issuer: &str, jti: &str) -> Self {
        let digest =
            Sha256::new().chain_update("  ").chain_update(kind).chain_update(" ").chain_update(issuer);
        Self(digest.chain_update(" ").chain_update(jti).finalize().into())
    }

    /// The hash of a ticket of ours with this `jti`. No assertion of a client has the same hash, because no client id is
    /// empty.
    pub(crate) fn of_ticket(jti: &str) -> Self {
        Self(Sha256::new().chain_update(" ").chain_update(jti).finalize().into())
    }
}

impl KeyThumbprint {
    /// The thumbprint of a key whose members are written as RFC 7638 §3 says.
    pub(crate) fn of(members: &[u8]) -> Self {
        Self(Sha256::digest(members).into())
    }

    /// The thumbprint in base64url, as it is used as a key id.
    pub(crate) fn to_base64url(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a thumbprint in base64url; `None` for any other text.
    pub(crate) fn from_base64url(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Self::from_bytes(&bytes))
    }

    /// Reads a thumbprint of 32 bytes; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl CodeVerifier {
    /// A new verifier of 256 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_base64url().as_str().into())
    }

    /// Parses 43 to 128 unreserved characters (RFC 7636 §4.1).
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if matches!(text.len(), 43..=128) && text.bytes().all(is_unreserved) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSecret { kind: "code verifier" })
        }
    }

    /// The `S256` challenge that this verifier answers.
    #[must_use]
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(URL_SAFE_NO_PAD.encode(Sha256::digest(self.expose().as_bytes())))
    }
}

impl CodeChallenge {
    /// Parses the 43 base64url characters of a SHA-256.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(digest) if digest.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(InvalidSecret { kind: "code challenge" }),
        }
    }

    /// The challenge as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClientSecret {
    /// How many characters a secret has that was made here.
    pub(crate) const LENGTH: usize = 43;

    /// A new secret of 256 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_base64url().as_str().into())
    }

    /// Parses a secret that a client presents: 1 to 128 characters of `[A-Za-z0-9_-]`.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for any other text. Answer it like a wrong secret.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        super::text::url_safe(text, 128)
            .map(|()| Self(text.into()))
            .map_err(|_| InvalidSecret { kind: "client secret" })
    }

    /// The hash of the secret, which is stored: its SHA-256, or its HMAC-SHA-256 with `pepper`.
    #[must_use]
    pub fn hash(&self, pepper: Option<&[u8]>) -> SecretHash {
        let secret = self.expose().as_bytes();
        SecretHash(match pepper {
            None => Sha256::digest(secret).into(),
            Some(pepper) => Hmac::<Sha256>::new_from_slice(pepper)
                .expect("HMAC takes a key of any length")
                .chain_update(secret)
                .finalize()
                .into_bytes()
                .into(),
        })
    }
}

impl SecretHash {
    /// Whether both are hashes of the same secret. The comparison takes constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub(crate) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a stored hash; `None` unless it has 32 bytes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl AccessToken {
    pub(crate) fn new(token: String) -> Self {
        Self(token.into())
    }

    /// `Bearer <token>`. The value is marked sensitive, so middleware that logs headers leaves it out.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.expose()));
        let mut value = HeaderValue::from_str(&text).expect("a JWT is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([redacted])")
    }
}

impl FromText for ClientSecret {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        let allowed = "must be 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'";
        Self::parse(text).map_err(|_| InvalidText::secret(what, allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_64_lower_case_hex_characters() {
        let code = ExchangeCode::random();
        assert!(ExchangeCode::parse(code.expose()).is_ok());
        for bad in ["", &"a".repeat(63), &"a".repeat(65), &"A".repeat(64), &"g".repeat(64), &"١".repeat(32)]
        {
            assert!(ExchangeCode::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ten_thousand_codes_are_distinct_and_use_every_digit_alike() {
        let codes: Vec<_> = (0..10_000).map(|_| ExchangeCode::random()).collect();
        let distinct: std::collections::HashSet<_> = codes.iter().map(ExchangeCode::expose).collect();
        assert_eq!(distinct.len(), codes.len());
        let mut counts = [0_u32; 16];
        for digit in codes.iter().flat_map(|code| code.expose().chars()) {
            counts[digit.to_digit(16).unwrap() as usize] += 1;
        }
        // 40 000 each; eight standard deviations are 1 550.
        assert!(counts.iter().all(|n| (38_450..41_550).contains(n)), "{counts:?}");
    }

    #[test]
    fn the_challenge_is_rfc_7636_appendix_b() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert_eq!(verifier.challenge(), challenge);
    }

    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        for (length, valid) in [(42, false), (43, true), (128, true), (129, false)] {
            assert_eq!(CodeVerifier::parse(&"a".repeat(length)).is_ok(), valid, "{length}");
        }
        assert!(CodeVerifier::parse(&"+".repeat(43)).is_err());
    }

    #[test]
    fn a_pepper_changes_the_stored_hash() {
        let secret = ClientSecret::random();
        assert!(secret.hash(None).matches(&secret.hash(None)));
        assert!(!secret.hash(Some(b"pepper")).matches(&secret.hash(None)));
        assert!(!ClientSecret::random().hash(None).matches(&secret.hash(None)));
    }

    #[test]
    fn debug_shows_no_secret() {
        let code = ExchangeCode::random();
        let secret = ClientSecret::random();
        let shown = format!("{code:?} {secret:?} {:?} {:?}", secret.hash(None), code.hash());
        assert!(!shown.contains(code.expose()) && !shown.contains(secret.expose()));
        assert!(!shown.contains(&code.hash().to_hex()));
        assert!(AccessToken::new("a.b.c".into()).to_header_value().is_sensitive());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = ExchangeCode::parse(&text);
            let _ = CodeVerifier::parse(&text);
            let _ = CodeChallenge::parse(&text);
            let _ = ClientSecret::parse(&text);
        }
    }
}
