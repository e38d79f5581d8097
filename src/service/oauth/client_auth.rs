//! How a client shows who it is in a request (RFC 6749 §2.3, RFC 7523 §2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::error::invalid_client;
use super::form::Form;
use crate::id::{ClientId, ClientSecret};
use crate::issue::{ClientAuthError, OauthClient, ShownClient};
use crate::request_context::SetAside;
use crate::service::answer::EndpointError;
use crate::service::state::ServiceState;
use crate::service::{gateway_login, rate_limited};
use crate::telemetry::{note, note_reason, quoted};
use crate::token::ClientAssertion;

/// Finds out which client sent the request. The attempt begins here, and a failure is counted here.
pub(in crate::service) async fn authenticate(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
) -> Result<OauthClient, EndpointError> {
    let set_aside = parts.extensions.get().map(|SetAside(authorization)| authorization);
    let authorizations = parts.headers.get_all(AUTHORIZATION).iter().chain(set_aside);
    let by_login = gateway_login::client_of(state, parts, form);
    let shown = match by_login {
        Some(client) => Some(ShownClient::Nothing(client.clone())),
        None => shown(authorizations, form)?,
    };
    let Some(shown) = shown else {
        note_named(state, form);
        return Err(invalid_client(state));
    };
    let attempt = rate_limited::client(state, parts, shown.proves())?;
    match state.issuer.authenticate_client(&shown).await {
        Ok(client) => {
            attempt.succeeded();
            Ok(client)
        }
        Err(ClientAuthError::InvalidClient) => {
            attempt.failed();
            Err(invalid_client(state))
        }
        Err(ClientAuthError::Store(fault)) => Err(EndpointError::unavailable(state, &fault)),
    }
}

/// Whether the request shows nothing that could prove a client. It may name one.
pub(in crate::service) fn proves_nothing(parts: &Parts, form: &Form) -> bool {
    let has_authorization =
        parts.headers.contains_key(AUTHORIZATION) || parts.extensions.get::<SetAside>().is_some();
    let proofs = ["client_secret", "client_assertion", "client_assertion_type"];
    !has_authorization && proofs.into_iter().all(|name| form.value(name).is_none())
}

/// Notes for the log which client the form names, unless the name may be a secret.
fn note_named(state: &ServiceState, form: &Form) {
    let named = form.value("client_id").and_then(|id| ClientId::parse(id).ok());
    if let Some(id) = named.filter(|id| state.issuer.may_be_logged(id)) {
        note(|known| known.claimed_client = Some(id));
    }
}

/// What the client shows, by one method. `None`: what it shows can prove nothing. The log learns why.
fn shown<'h>(
    mut authorizations: impl Iterator<Item = &'h HeaderValue>,
    form: &Form,
) -> Result<Option<ShownClient>, EndpointError> {
    let authorization = authorizations.next();
    let secret = form.value("client_secret");
    let assertion = match (form.value("client_assertion_type"), form.value("client_assertion")) {
        (None, None) => None,
        (Some(kind), Some(assertion)) => Some((kind, assertion)),
        _ => return Err(HALF_AN_ASSERTION),
    };
    let methods = [authorization.is_some(), secret.is_some(), assertion.is_some()];
    if authorizations.next().is_some() || methods.into_iter().filter(|shows| *shows).count() > 1 {
        return Err(SEVERAL_METHODS);
    }
    let named = form.value("client_id");
    let named_id = named.and_then(|id| ClientId::parse(id).ok());
    if let Some(authorization) = authorization {
        return match basic(authorization.as_bytes()) {
            Ok(basic) => basic.named(named),
            Err(fault) => {
                note_reason("malformed_authorization", fault);
                Ok(None)
            }
        };
    }
    if let Some(secret) = secret {
        let id = named.map(|_| named_id).ok_or(NO_CLIENT_ID)?;
        let secret = ClientSecret::parse(secret).ok();
        if id.is_none() || secret.is_none() {
            note_reason("malformed_secret", if id.is_none() { MALFORMED_ID } else { MALFORMED_SECRET });
        }
        return Ok(id.zip(secret).map(|(id, secret)| ShownClient::Secret { ids: vec![id], secret }));
    }
    Ok(match assertion {
        Some((JWT_BEARER, assertion)) if named.is_none() || named_id.is_some() => {
            // Most clients are named in the assertion only. The rate limits count by the client that the caller claims
            // to be.
            let id = named_id.or_else(|| ClientAssertion::parse(assertion).ok()?.client().clone().into());
            Some(ShownClient::Assertion { id, assertion: Zeroizing::new(assertion.to_owned()) })
        }
        Some((JWT_BEARER, _)) => {
            note_reason("malformed_client_id", MALFORMED_ID);
            None
        }
        Some((kind, _)) => {
            // A long text that is no URN may be a secret in the wrong field.
            let is_shown = kind.starts_with("urn:") || kind.len() <= 16;
            let kind = if is_shown { quoted(kind) } else { "another text".to_owned() };
            let detail = format!("client_assertion_type is {kind}, expected '{JWT_BEARER}'");
            note_reason("unknown_assertion_type", detail);
            None
        }
        None => {
            if named_id.is_none() {
                note_reason("no_client", if named.is_some() { MALFORMED_ID } else { NO_CLIENT });
            }
            named_id.map(ShownClient::Nothing)
        }
    })
}

const NO_CLIENT: &str = "the request names no client: there is no Authorization header, client_id, client_secret or client_assertion";
const MALFORMED_ID: &str = "client_id is malformed";
const MALFORMED_SECRET: &str =
    "the secret is malformed: a secret has 1 to 128 characters of A-Z, a-z, 0-9, _ and -";

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const SEVERAL_METHODS: EndpointError = EndpointError::invalid_request(
    "The client uses more than one authentication method. Use one method in a request.",
);
const HALF_AN_ASSERTION: EndpointError =
    EndpointError::invalid_request("Send client_assertion and client_assertion_type together.");
const NO_CLIENT_ID: EndpointError =
    EndpointError::invalid_request("Send client_id together with client_secret.");
const ANOTHER_CLIENT_ID: EndpointError =
    EndpointError::invalid_request("client_id and the Authorization header name different clients.");

/// A user name and password of RFC 7617, filled in as RFC 6749 §2.3.1 says.
struct Basic {
    /// The ids that the name may stand for: the name itself, and the name form-decoded. Clients should form-encode it,
    /// and many do not.
    ids: Vec<ClientId>,
    /// `None`: the password is empty. A public client that uses Basic for everything shows its id in this way.
    secret: Option<ClientSecret>,
}

impl Basic {
    /// What the credentials show, held against the client id in the body, where there is one.
    fn named(mut self, named: Option<&str>) -> Result<Option<ShownClient>, EndpointError> {
        self.ids.retain(|id| named.is_none_or(|named| id.as_str() == named));
        if self.ids.is_empty() {
            return Err(ANOTHER_CLIENT_ID);
        }
        Ok(match self.secret {
            Some(secret) => Some(ShownClient::Secret { ids: self.ids, secret }),
            // An empty secret proves nothing. So this is the method `none`, which no confidential client may use.
            None => self.ids.pop().map(ShownClient::Nothing),
        })
    }
}

/// The credentials in an `Authorization` header of the scheme `Basic`.
///
/// A secret has no colon, and an id may have one. So the last colon separates them. An error says what is wrong, and shows
/// nothing of the value.
fn basic(value: &[u8]) -> Result<Basic, &'static str> {
    let space = value.iter().position(|b| *b == b' ').ok_or("Authorization has no scheme, expected Basic")?;
    let (scheme, encoded) = value.split_at(space);
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Err("Authorization has the scheme Bearer, expected Basic: an access token proves no client");
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err("Authorization has another scheme, expected Basic");
    }
    let decoded = STANDARD.decode(encoded.trim_ascii());
    let decoded = Zeroizing::new(decoded.map_err(|_| "Basic is not base64 with padding (RFC 7617 §2)")?);
    let text = std::str::from_utf8(&decoded).map_err(|_| "what Basic encodes is not UTF-8")?;
    let (id, secret) = text.rsplit_once(':').ok_or("what Basic encodes has no colon")?;
    let secret = match secret {
        "" => None,
        secret => {
            let parsed = ClientSecret::parse(secret).or_else(|_| ClientSecret::parse(&form_decoded(secret)));
            Some(parsed.map_err(|_| MALFORMED_SECRET)?)
        }
    };
    let mut ids: Vec<_> =
        ClientId::parse(id).into_iter().chain(ClientId::parse(&*form_decoded(id))).collect();
    ids.dedup();
    if ids.is_empty() { Err(MALFORMED_ID) } else { Ok(Basic { ids, secret }) }
}

/// Form-decodes `text`. The result is empty when it is not UTF-8.
fn form_decoded(text: &str) -> Zeroizing<String> {
    let spaced = Zeroizing::new(text.replace('+', " "));
    Zeroizing::new(percent_decode_str(&spaced).decode_utf8().map(Into::into).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Option<(Vec<String>, String)> {
        let basic = basic(&[b"Basic ", STANDARD.encode(text).as_bytes()].concat()).ok()?;
        let secret = basic.secret.as_ref().map_or("", ClientSecret::expose);
        Some((basic.ids.iter().map(ToString::to_string).collect(), secret.to_owned()))
    }

    #[test]
    fn every_way_to_write_a_client_id_is_read() {
        let id = "bridge:alice@example.com";
        for written in [
            id,
            "bridge%3Aalice%40example.com",
            "bridge%3aalice%40example%2ecom",
            "bridge%3Aalice@example.com",
        ] {
            let (ids, secret) = read(format!("{written}:s3cret_-").as_bytes()).unwrap();
            assert_eq!(ids.last().unwrap(), id, "{written}");
            assert_eq!((ids[0].as_str(), secret.as_str()), (written, "s3cret_-"));
        }
        let (ids, _) = read(b"bridge:%C3%A9:s").unwrap();
        assert_eq!(ids, ["bridge:%C3%A9"]);
        let (ids, _) = read(b"bridge%3A%25C3%25A9:s").unwrap();
        assert_eq!(ids.last().unwrap(), "bridge:%C3%A9");
        assert_eq!(read(b"a:%73%2D").unwrap().1, "s-");
    }

    #[test]
    fn what_is_no_id_and_secret_is_nothing() {
        for text in [
            &b""[..],
            b":",
            b"a",
            b":s",
            b"a:s\0",
            b"a\0:s",
            b"\xff:s",
            b"a:\xff",
            b"a b:s",
            b"a:s s",
            b"a:%ff",
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic %",
            "Basic YTpz=",
            "Basic YTpz YTpz",
            "Bearer YTpz",
            "Basic\tYTpz",
            "Basic:YTpz",
        ] {
            assert!(basic(header.as_bytes()).is_err(), "{header}");
        }
        for header in ["Basic YTpz", "bASIC  YTpz", "BASIC YTpz "] {
            assert!(basic(header.as_bytes()).is_ok(), "{header}");
        }
    }

    #[test]
    fn row_l18_an_id_with_an_empty_password_shows_the_id_alone() {
        for (text, id) in [(&b"a:"[..], "a"), (b"a%3Ab:", "a:b"), (b"a:b:", "a:b"), (b"a+b:", "a+b")] {
            let basic = basic(&[b"Basic ", STANDARD.encode(text).as_bytes()].concat()).unwrap();
            let shown = basic.named(None).unwrap();
            assert!(matches!(shown, Some(ShownClient::Nothing(shown)) if shown.as_str() == id), "{id}");
        }
        // What decodes to nothing is a wrong secret, not an empty one.
        for text in [&b"a:%ff"[..], b"a: ", b"a:+", b"a:\0", b"::", b":"] {
            let basic = basic(&[b"Basic ", STANDARD.encode(text).as_bytes()].concat());
            assert!(!basic.is_ok_and(|basic| basic.ids[0].as_str() != ":"), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(header in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
            let _ = basic(&header);
            let _ = read(&text);
        }

        #[test]
        fn every_client_is_read_form_encoded_and_raw(id in "[!-~]{1,60}", secret in "[A-Za-z0-9_-]{1,60}") {
            let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            for written in [&id, &encoded] {
                let (ids, read) = read(format!("{written}:{secret}").as_bytes()).unwrap();
                prop_assert!(ids.contains(&id) && read == secret);
            }
        }
    }
}
