//! The page on which a person lets a program in that sent them here (OAuth 2.1 §4.1.1).

use askama::Template;
use http::StatusCode;

use super::filters;
use super::frame::Frame;
use super::page::{Forms, Page};
use super::phrase::Phrase;
use super::settings::Pages;
use super::texts::ConsentTexts;
use crate::id::Scopes;

/// The page that asks whether the program may come in.
#[derive(Debug)]
pub(crate) struct ConsentView<'a> {
    pub(crate) person: &'a str,
    /// Where they go if they are somebody else.
    pub(crate) not_you: &'a str,
    /// The name of the program.
    pub(crate) program: &'a str,
    /// Its website. It is shown only if the host registered the program: others could name any site.
    pub(crate) site: Option<&'a str>,
    /// The host of its client id, if only the metadata document there says what the program is.
    pub(crate) client_host: Option<&'a str>,
    /// The host that the browser returns to, or the scheme of a program's own.
    pub(crate) redirect_host: &'a str,
    /// Whether that is the person's own computer.
    pub(crate) redirect_is_loopback: bool,
    pub(crate) scopes: &'a Scopes,
    pub(crate) resource: Option<&'a str>,
    pub(crate) ticket: &'a str,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    frame: Frame<'a>,
    t: &'a ConsentTexts,
    view: &'a ConsentView<'a>,
}

impl ConsentPage<'_> {
    fn heading(&self) -> Phrase<'_> {
        self.frame.phrase(&self.t.heading).with("program", self.view.program)
    }

    fn site(&self) -> Option<&str> {
        self.view.site.filter(|_| self.view.client_host.is_none())
    }

    fn this_computer(&self) -> Phrase<'_> {
        Phrase::new(&self.t.this_computer).with("host", self.view.redirect_host)
    }
}

impl Pages {
    /// The page that asks whether the program may come in.
    pub(crate) fn consent(&self, view: &ConsentView<'_>) -> Page {
        let frame = Frame::of_person(self, view.person, view.not_you);
        let page = ConsentPage { frame, t: &self.texts.consent, view };
        Page::new(StatusCode::OK, &page, &self.stylesheet, Forms::Anywhere)
    }
}
