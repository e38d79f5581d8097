//! What all pages have around what they show.

use super::moment::Moment;
use super::phrase::{Phrase, plain};
use super::settings::Pages;
use super::texts::SharedTexts;
use crate::id::Scopes;

/// What all pages have around what they show.
pub(super) struct Frame<'a> {
    pub(super) pages: &'a Pages,
    pub(super) person: Option<Person<'a>>,
    /// Whether the page has a form. Its referrer policy then lets the browser say from where a form comes.
    pub(super) has_form: bool,
}

/// Who is signed in.
pub(super) struct Person<'a> {
    pub(super) name: &'a str,
    /// Where they go if they are somebody else.
    pub(super) not_you: Option<&'a str>,
}

impl<'a> Frame<'a> {
    pub(super) fn of_person(pages: &'a Pages, name: &'a str, not_you: &'a str) -> Self {
        Self { pages, person: Some(Person { name, not_you: Some(not_you) }), has_form: true }
    }

    pub(super) fn shared(&self) -> &'a SharedTexts {
        &self.pages.texts.shared
    }

    pub(super) fn gateway(&self) -> &'a str {
        &self.pages.gateway_name
    }

    pub(super) fn css(&self) -> &'a str {
        &self.pages.stylesheet.css
    }

    pub(super) fn signed_in(&self, person: &Person<'a>) -> Phrase<'a> {
        Phrase::new(&self.shared().signed_in_as).with("person", person.name)
    }

    /// A text with the name of the gateway.
    pub(super) fn phrase(&self, text: &'a str) -> Phrase<'a> {
        Phrase::new(text).with("gateway", self.gateway())
    }

    /// The warning about a program that is known only by what it says about itself.
    pub(super) fn unverified(&self, program: &'a str) -> Phrase<'a> {
        self.phrase(&self.shared().unverified).with("program", program)
    }

    pub(super) fn moment(&self, at: &std::time::SystemTime) -> Moment {
        Moment::new(*at, self.shared())
    }

    /// What a program with these scopes can do, in words.
    pub(super) fn abilities(&self, scopes: &Scopes) -> Vec<String> {
        let shared = self.shared();
        let always = plain(&shared.act_for_you, &[("gateway", self.gateway())]);
        let more = scopes.iter().map(|scope| match self.pages.scopes.get(scope) {
            Some(words) => words.clone().into_owned(),
            None => plain(&shared.other_scope, &[("scope", scope.as_str())]),
        });
        std::iter::once(always).chain(more).collect()
    }
}
