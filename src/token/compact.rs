//! The compact form (RFC 7515 §7.1). It is split before anything in it is verified.

use std::borrow::Cow;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::error::{InvalidToken, MAX_BYTES};

/// The `typ` of the tokens we sign (RFC 9068 §2.1).
pub(super) const TYPE: &str = "at+jwt";

/// The `typ` of the tickets of our pages.
pub(super) const TICKET_TYPE: &str = "ticket+jwt";

/// The three parts of a token.
pub(super) struct Compact<'a> {
    /// What is signed: the first two parts and the dot between them.
    pub(super) signed: &'a [u8],
    pub(super) header: Vec<u8>,
    /// It must not be used before the signature is verified.
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// The header. Only these members are allowed, each once. So a token cannot have `crit`, `b64`, `zip`, `jku`, `jwk`,
/// `x5u` or `x5c`, whose meaning could be missed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    pub(super) alg: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) kid: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) typ: Cow<'a, str>,
}

/// The header of another issuer's token. It may also have the digests of a certificate, which are ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    /// The tokens of Kubernetes and of SPIFFE have none.
    #[serde(borrow, default)]
    typ: Cow<'a, str>,
    #[serde(rename = "x5t")]
    _x5t: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    _x5t_s256: Option<IgnoredAny>,
}

/// A media type without parameters. `application/` may be left out, and letter case does not matter (RFC 7515 §4.1.9).
pub(super) const ACCESS_TOKEN_TYPES: [&str; 2] = [TYPE, "application/at+jwt"];

impl<'a> Compact<'a> {
    /// Reads three parts of base64url. Padding, other characters and non-zero trailing bits are refused: so no other
    /// text stands for the same token.
    pub(super) fn parse(token: &'a str) -> Result<Self, InvalidToken> {
        if token.len() > MAX_BYTES {
            return Err(InvalidToken::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(InvalidToken::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Malformed);
        Ok(Self {
            signed: signed.as_bytes(),
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    pub(super) fn header(&self) -> Result<Header<'_>, InvalidToken> {
        let header: Header<'_> = json_object(&self.header).ok_or(InvalidToken::Header)?;
        header.check(&ACCESS_TOKEN_TYPES)?;
        Ok(header)
    }

    /// The header of a ticket.
    pub(super) fn ticket_header(&self) -> Result<Header<'_>, InvalidToken> {
        let header: Header<'_> = json_object(&self.header).ok_or(InvalidToken::Header)?;
        header.check(&[TICKET_TYPE])?;
        Ok(header)
    }

    /// The header of a token of another issuer, whose type is one of `types`. An empty one of them stands for a header
    /// without a type.
    pub(super) fn external_header(&self, types: &[&str]) -> Result<Header<'_>, InvalidToken> {
        let header: ExternalHeader<'_> = json_object(&self.header).ok_or(InvalidToken::Header)?;
        let header = Header { alg: header.alg, kid: header.kid, typ: header.typ };
        header.check(types)?;
        Ok(header)
    }
}

impl Header<'_> {
    fn check(&self, types: &[&str]) -> Result<(), InvalidToken> {
        if !is_key_id(&self.kid) {
            return Err(InvalidToken::Header);
        }
        let is_allowed = types.iter().any(|name| self.typ.eq_ignore_ascii_case(name));
        if is_allowed { Ok(()) } else { Err(InvalidToken::Type) }
    }
}

/// Encodes one part of the compact form.
pub(super) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Whether `text` may be a key id. It comes from callers, so it must be short and plain.
pub(super) fn is_key_id(text: &str) -> bool {
    matches!(text.len(), 1..=128) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Decodes one part that is well encoded.
#[cfg(test)]
pub(super) fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// Reads a JSON object. Nothing else may come before it or after it.
pub(super) fn json_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    json_object_with(json, PhantomData)
}

/// The same by a `seed`.
pub(super) fn json_object_with<'a, S: DeserializeSeed<'a>>(json: &'a [u8], seed: S) -> Option<S::Value> {
    // `serde_json` checks UTF-8 only in the strings it keeps.
    let text = std::str::from_utf8(json).ok()?;
    // A derived `Deserialize` would also take an array of the values in order.
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}
