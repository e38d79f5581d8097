//! The compact form (RFC 7515 §7.1), taken apart before anything in it is believed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::error::{InvalidToken, MAX_BYTES};

/// The `typ` of the tokens we sign (RFC 9068 §2.1).
pub(super) const TYPE: &str = "at+jwt";

/// A token in its three parts.
pub(super) struct Compact<'a> {
    /// What the signature is over: the first two parts and the dot between them.
    pub(super) signed: &'a [u8],
    pub(super) header: Vec<u8>,
    /// To be believed only after the signature holds.
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// The header: these members, each once, and no other. So there is no `crit`, `b64`, `zip`, `jku`,
/// `jwk`, `x5u` or `x5c` whose meaning could be missed.
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

/// The header of another issuer's token: also the digests of a certificate, which are not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(rename = "x5t")]
    _x5t: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    _x5t_s256: Option<IgnoredAny>,
}

/// A media type, whose `application/` may be left out, in any case (RFC 7515 §4.1.9).
const ACCESS_TOKEN_TYPES: [&str; 2] = [TYPE, "application/at+jwt"];

impl<'a> Compact<'a> {
    /// Three parts of base64url: no padding, no foreign character, no loose trailing bit, so that
    /// no other text stands for the same token.
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

    /// The header of a token that another issuer signed; with `takes_plain_jwts`, its type may also be `JWT`.
    pub(super) fn foreign_header(&self, takes_plain_jwts: bool) -> Result<Header<'_>, InvalidToken> {
        let header: ForeignHeader<'_> = json_object(&self.header).ok_or(InvalidToken::Header)?;
        let header = Header { alg: header.alg, kid: header.kid, typ: header.typ };
        let is_plain_jwt = takes_plain_jwts && header.check(&["JWT"]).is_ok();
        if !is_plain_jwt {
            header.check(&ACCESS_TOKEN_TYPES)?;
        }
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

/// One part of the compact form.
pub(super) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// What a key may be called: it comes back from callers, so it is short and plain.
pub(super) fn is_key_id(text: &str) -> bool {
    matches!(text.len(), 1..=128) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The bytes of one part that was encoded well.
#[cfg(test)]
pub(super) fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// Reads a JSON object and nothing else, before or behind it.
pub(super) fn json_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    // `serde_json` checks UTF-8 only in the strings it keeps.
    let text = std::str::from_utf8(json).ok()?;
    // A derived `Deserialize` would also take an array of the values in order.
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}
