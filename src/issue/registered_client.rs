//! The OAuth clients that a host registers in code, and how a client is found by its id.

use std::sync::Arc;

use url::Url;

use super::redirect_uri;
use crate::id::{ClientId, ClientSecret, FirstInvalid, InvalidText, Scopes, SecretHash, TextOr};
use crate::validate::{BuildError, Setting};

/// An OAuth client that people may link, registered by the host.
///
/// [`BridgeBuilder::client`](crate::BridgeBuilder::client) takes it. A client without a secret is public
/// (RFC 6749 §2.1): PKCE proves that a code is its own, and its refresh tokens rotate.
///
/// Give the id of the bridge itself (`sp_bridge`) to name the bridge on the pages, and to give it redirect URIs.
#[derive(Debug, Clone)]
#[must_use = "hand it to BridgeBuilder::client"]
pub struct RegisteredClient {
    id: Result<ClientId, InvalidText>,
    name: String,
    site: Option<Url>,
    redirect_uris: Vec<String>,
    manages_devices: bool,
    exchanges_tokens: bool,
    impersonates: bool,
    /// The hash of its secret, and how many characters the secret has.
    secret: Option<(SecretHash, usize)>,
    invalid: FirstInvalid,
}

/// A client that people may link, as the pages show it.
#[derive(Debug, Clone)]
pub(crate) struct LinkableClient {
    pub(crate) id: ClientId,
    pub(crate) name: String,
    pub(crate) site: Option<Url>,
    pub(crate) redirect_uris: Vec<String>,
    /// The most that it may ask for. `None`: it does not say.
    pub(crate) scopes: Option<Scopes>,
    /// The host of its metadata document, when that is all that is known of it. Then nobody vouches for its name.
    pub(crate) host: Option<String>,
    /// Whether it may do all that the bridge itself may.
    pub(crate) manages_devices: bool,
    /// Whether it may exchange tokens that were issued to other clients.
    pub(super) exchanges_tokens: bool,
    /// Whether a token that it exchanges need not name it.
    pub(super) impersonates: bool,
    pub(super) secret: Option<SecretHash>,
}

impl RegisteredClient {
    /// A public client. The pages call it `name`.
    pub fn new(id: impl TextOr<ClientId>, name: impl Into<String>) -> Self {
        Self {
            id: id.parsed("the id of the registered client"),
            name: name.into(),
            site: None,
            redirect_uris: Vec::new(),
            manages_devices: false,
            exchanges_tokens: false,
            impersonates: false,
            secret: None,
            invalid: FirstInvalid::default(),
        }
    }

    /// The page of the client for people. Default: none is shown.
    pub fn site(mut self, url: impl TextOr<Url>) -> Self {
        self.site = self.invalid.read("the site of the registered client", url);
        self
    }

    /// Adds a redirect URI. Default: none, and then the client can use the device grant only.
    ///
    /// `GET /authorize` compares it byte for byte. The port of `127.0.0.1` and `[::1]` is free (RFC 8252 §7.3). The port
    /// of `localhost` is free when this URI has none.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Whether the client may do what the bridge itself may: list and end the person's devices (`/sessions`), and get a
    /// client for their hooks (`/oauth-client`). Default: no, and these endpoints answer 403.
    ///
    /// Say yes only to a program of your own. Hooks may have scopes that the person did not let this client have.
    pub fn manages_devices(mut self, manages: bool) -> Self {
        self.manages_devices = manages;
        self
    }

    /// Whether the client may [exchange](super::TokenExchange) tokens that were issued to other clients. Default: no, only its
    /// own, and those that name it in `may_act`.
    ///
    /// It needs a [secret](Self::secret). A client that may do this acts for every person whose token it is given: but with no more
    /// than that token allows, and the new token names the client in `act`.
    pub fn exchanges_tokens(mut self, exchanges: bool) -> Self {
        self.exchanges_tokens = exchanges;
        self
    }

    /// Whether a token that the client [exchanges](super::TokenExchange) without an `actor_token` leaves out `act`
    /// (impersonation, RFC 8693 §1.1). Default: no, the client is named.
    ///
    /// It needs a [secret](Self::secret), and the client may not [manage devices](Self::manages_devices). What the client does with
    /// such a token looks as if the person had done it. The token itself says no more than which client has it: `client_id`.
    pub fn impersonates(mut self, impersonates: bool) -> Self {
        self.impersonates = impersonates;
        self
    }

    /// Makes the client confidential: it proves who it is with this secret, by `client_secret_basic` or
    /// `client_secret_post`. The secret has at least 32 characters.
    pub fn secret(mut self, secret: impl TextOr<ClientSecret>) -> Self {
        let secret = self.invalid.read::<ClientSecret>("the secret of the registered client", secret);
        self.secret = secret.map(|secret| (secret.hash(None), secret.expose().len()));
        self
    }
}

impl LinkableClient {
    /// A client that is known by its id alone.
    pub(crate) fn unnamed(id: ClientId) -> Self {
        let name = id.to_string();
        Self {
            id,
            name,
            site: None,
            redirect_uris: Vec::new(),
            scopes: None,
            host: None,
            manages_devices: true,
            exchanges_tokens: false,
            impersonates: false,
            secret: None,
        }
    }

    /// Its page for people, if it has one.
    pub(crate) fn shown_site(&self) -> Option<&str> {
        self.site.as_ref().map(Url::as_str)
    }

    /// Whether it must prove who it is.
    pub(crate) const fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether `secret` is its own.
    pub(super) fn has_secret(&self, secret: &ClientSecret) -> bool {
        self.secret.is_some_and(|own| own.matches(&secret.hash(None)))
    }

    /// The redirect URI to answer at. `sent` may be left out when the client has exactly one (OAuth 2.1 §2.3.2).
    pub(crate) fn redirect_uri<'a>(&'a self, sent: Option<&'a str>) -> Option<&'a str> {
        match (sent, self.redirect_uris.as_slice()) {
            (Some(sent), own) => own.iter().any(|own| redirect_uri::is(own, sent)).then_some(sent),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl TryFrom<RegisteredClient> for Arc<LinkableClient> {
    type Error = BuildError;

    fn try_from(client: RegisteredClient) -> Result<Self, BuildError> {
        let RegisteredClient {
            id,
            name,
            site,
            redirect_uris,
            manages_devices,
            exchanges_tokens,
            impersonates,
            secret,
            invalid,
        } = client;
        let text = |what, value: &str, allowed| BuildError::Text { what, value: value.to_owned(), allowed };
        let id = id?;
        invalid.check()?;
        if name.trim().is_empty() || name.chars().any(char::is_control) || name.chars().count() > 80 {
            let allowed = "1 to 80 characters without control characters";
            return Err(text("the name of the registered client", &name, allowed));
        }
        if let Some(uri) = redirect_uris.iter().find(|uri| !redirect_uri::may_be_registered(uri)) {
            let allowed = "an https URL, an http URL of 127.0.0.1, [::1] or localhost, or a URL with a scheme of the \
                program's own, without fragment and user";
            return Err(text("the redirect URI of the registered client", uri, allowed));
        }
        if let Some(site) = site.as_ref().filter(|site| !matches!(site.scheme(), "https" | "http")) {
            return Err(text("the site of the registered client", site.as_str(), "an https URL"));
        }
        if let Some((_, length @ ..32)) = secret {
            let setting =
                Setting::new("the length of a registered client's secret", "RegisteredClient::secret");
            return Err(setting.out_of_range(format_args!("{length} characters"), "at least 32 characters"));
        }
        if (exchanges_tokens || impersonates) && secret.is_none() {
            let allowed =
                "a client with a secret, because it exchanges tokens of others or without naming itself";
            return Err(text("the registered client", id.as_str(), allowed));
        }
        if impersonates && manages_devices {
            let allowed = "a client that either impersonates or manages devices: who has a token of it could get more \
                than the token allows";
            return Err(text("the registered client", id.as_str(), allowed));
        }
        let secret = secret.map(|(hash, _)| hash);
        Ok(Self::new(LinkableClient {
            id,
            name,
            site,
            redirect_uris,
            scopes: None,
            host: None,
            manages_devices,
            exchanges_tokens,
            impersonates,
            secret,
        }))
    }
}
