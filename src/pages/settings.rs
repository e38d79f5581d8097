//! What a host sets about the pages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::login_url::LoginUrl;
use super::page::Stylesheet;
use super::texts::Texts;
use crate::id::{FirstInvalid, Scope, TextOr};
use crate::validate::BuildError;

/// The pages that people see: where they let programs in, and where they see their devices.
///
/// Give it to [`BridgeBuilder::pages`](crate::BridgeBuilder::pages). The host's own login says who a person is; the pages do the rest. They need no
/// script, load nothing from anywhere, and adapt to narrow screens, dark mode and screen readers.
///
/// ```
/// use bridge_auth::pages::Pages;
///
/// let pages = Pages::new("/login")
///     .gateway_name("Example Gateway")
///     .scope("models", "Send prompts to models, at your team's cost");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "hand it to BridgeBuilder::pages"]
pub struct Pages {
    pub(super) login: LoginUrl,
    pub(super) switch_account: Option<LoginUrl>,
    pub(super) gateway_name: Cow<'static, str>,
    pub(super) texts: Texts,
    pub(super) stylesheet: Stylesheet,
    pub(super) scopes: BTreeMap<Scope, Cow<'static, str>>,
    invalid: FirstInvalid,
}

impl Pages {
    /// The stylesheet that the pages have unless the host sets another.
    ///
    /// Its colors are custom properties, such as `--accent`: see [`stylesheet`](Self::stylesheet).
    pub const STYLESHEET: &str = include_str!("templates/style.css");

    /// Pages for people who sign in at `login_url`: the path of the host's own login, such as `/login`, or its URL.
    ///
    /// A person who is not signed in is sent there, with the page that they came for as the query parameter
    /// `return_to`. It is a path with a query, percent-encoded. The login sends the person back to it.
    pub fn new(login_url: impl Into<String>) -> Self {
        Self {
            login: LoginUrl::new(login_url.into()),
            switch_account: None,
            gateway_name: Cow::Borrowed("AI gateway"),
            texts: Texts::default(),
            stylesheet: Stylesheet::new(Self::STYLESHEET),
            scopes: BTreeMap::new(),
            invalid: FirstInvalid::default(),
        }
    }

    /// Where a person goes who is not the one that the page names. Default: the login URL.
    ///
    /// It gets `return_to` like the login URL. It should sign the person out before it asks who they are.
    pub fn switch_account(mut self, url: impl Into<String>) -> Self {
        self.switch_account = Some(LoginUrl::new(url.into()));
        self
    }

    /// The name of the gateway, as people know it. Default: `AI gateway`.
    pub fn gateway_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.gateway_name = name.into();
        self
    }

    /// Replaces the texts, for another language or in the host's own words. Default: English.
    pub fn texts(mut self, texts: Texts) -> Self {
        self.texts = texts;
        self
    }

    /// Replaces the stylesheet. Default: [`Pages::STYLESHEET`].
    ///
    /// The style stands in the page itself. The browser loads nothing else: no font, no image except `data:` URLs.
    ///
    /// ```
    /// # use bridge_auth::pages::Pages;
    /// let own = format!("{}\n:root {{ --accent: #0f766e; }}", Pages::STYLESHEET);
    /// let pages = Pages::new("/login").stylesheet(own);
    /// ```
    pub fn stylesheet(mut self, css: impl AsRef<str>) -> Self {
        self.stylesheet = Stylesheet::new(css.as_ref());
        self
    }

    /// Says in words what a program with `scope` can do, such as `Send prompts to models`. Default: the scope itself.
    ///
    /// May be called several times.
    pub fn scope(mut self, scope: impl TextOr<Scope>, words: impl Into<Cow<'static, str>>) -> Self {
        let scope = self.invalid.read("the scope on the pages", scope);
        self.scopes.extend(scope.map(|scope| (scope, words.into())));
        self
    }

    /// Refuses what would make a page that is broken, unsafe or unreadable.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        self.invalid.check()?;
        self.login.check("the login URL")?;
        if let Some(url) = &self.switch_account {
            url.check("the URL to switch the account")?;
        }
        let blank = |text: &str| text.trim().is_empty();
        if blank(&self.gateway_name) {
            return Err(BuildError::Text {
                what: "the name of the gateway",
                value: self.gateway_name.to_string(),
                allowed: "a text that is not empty",
            });
        }
        // The blank words alone would not say which.
        if let Some((scope, _)) = self.scopes.iter().find(|(_, words)| blank(words)) {
            return Err(BuildError::Text {
                what: "the words for the scope",
                value: scope.to_string(),
                allowed: "a text that is not empty",
            });
        }
        self.stylesheet.check()?;
        self.texts.check()
    }

    /// The login, from which the person comes back to `return_to`: a path with a query.
    pub(crate) fn sign_in_url(&self, return_to: &str) -> String {
        self.login.returning_to(return_to)
    }

    /// The same for a person who is not the one that the page names.
    pub(crate) fn switch_account_url(&self, return_to: &str) -> String {
        self.switch_account.as_ref().unwrap_or(&self.login).returning_to(return_to)
    }
}
