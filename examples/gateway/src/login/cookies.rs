//! The attributes of cookies.

use axum_extra::extract::cookie::{Cookie, SameSite};
use url::Url;

/// What all cookies of one gateway have in common.
#[derive(Debug, Clone, Copy)]
pub struct CookieKind {
    secure: bool,
}

impl CookieKind {
    /// The cookies of the gateway that people reach at `issuer`.
    pub fn of(issuer: &Url) -> Self {
        Self { secure: issuer.scheme() == "https" }
    }

    /// The name of the cookie `name`. The prefix tells browsers that no other host may set the cookie; they take it
    /// over https alone.
    pub fn name(self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// No script reads it. `Lax`, not `Strict`: a link in a mail, on another site or from a provider's login leads to
    /// these pages, and a `Strict` cookie would stay behind, so that the person seems to be signed out. A `Lax` cookie
    /// comes with links alone, which change nothing here. It does not come with what another site posts.
    pub fn cookie(self, name: &str, value: String) -> Cookie<'static> {
        Cookie::build((self.name(name), value))
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .path("/")
            .build()
    }

    /// What makes a browser forget the cookie.
    pub fn forgotten(self, name: &str) -> Cookie<'static> {
        self.cookie(name, String::new())
    }
}
