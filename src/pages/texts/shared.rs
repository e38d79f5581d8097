//! The texts that several pages have.

use super::define::texts;
use crate::validate::BuildError;

texts! {
    /// The texts that several pages have.
    SharedTexts {
        /// The language of all texts, as a language tag (BCP 47).
        lang: "en";
        /// The direction of the language: `ltr` or `rtl`.
        direction: "ltr";
        /// Who is signed in.
        signed_in_as: "Signed in as {person}" with person;
        /// The link to sign in as another person.
        not_you: "Not you?";
        /// The button that lets a program in.
        allow: "Allow";
        /// The button that refuses a program.
        deny: "Deny";
        /// Above the facts about who asks.
        asks: "Who asks";
        /// The warning about a program that is known only by what it says about itself.
        unverified: "{gateway} does not know this program. The name “{program}” is what the program calls itself. \
            Allow it only if you know the host that publishes it." with gateway, program;
        /// The host that publishes what such a program says about itself.
        published_by: "Published by";
        /// The name of a program.
        program: "Program";
        /// The website of a program.
        website: "Website";
        /// The address that a request came from.
        address: "Address";
        /// The software that sent a request (`User-Agent`).
        software: "Software";
        /// The resource that the program may use (RFC 8707).
        resource: "Only for";
        /// Above the list of what a program will be able to do.
        will_be_able: "It will be able to:";
        /// What every program can do that a person lets in.
        act_for_you: "Use {gateway} in your name" with gateway;
        /// A scope that the host gave no words for (see [`Pages::scope`](crate::pages::Pages::scope)).
        other_scope: "Use “{scope}”" with scope;
        /// A moment. It is shown in UTC.
        moment: "{day} {month} {year}, {time} UTC" with day, month, year, time;
        /// The names of the twelve months, with spaces between them.
        months: "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
        /// The link to the next part of a list.
        more: "Show more";
    }
}

impl SharedTexts {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let refuse =
            |what, value: &str, allowed| Err(BuildError::Text { what, value: value.to_owned(), allowed });
        let is_tag = self.lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_tag || self.lang.len() > 35 {
            return refuse("SharedTexts::lang", &self.lang, "a language tag such as \"en\" or \"pt-BR\"");
        }
        if !["ltr", "rtl"].contains(&&*self.direction) {
            return refuse("SharedTexts::direction", &self.direction, "\"ltr\" or \"rtl\"");
        }
        if self.months.split_whitespace().count() != 12 {
            return refuse("SharedTexts::months", &self.months, "twelve names with spaces between them");
        }
        Ok(())
    }
}

texts! {
    /// What a page says about what has just been done.
    NoticeTexts {
        /// One device was signed out.
        device_ended: "The device is signed out.";
        /// All devices but one were signed out.
        others_ended: "All other devices are signed out.";
        /// All devices were signed out.
        all_ended: "All devices are signed out.";
        /// The device that was to be signed out had no live session.
        already_ended: "That device was signed out already.";
        /// An operator disabled a person.
        person_disabled: "The account is disabled, and all its devices are signed out.";
        /// An operator enabled a person.
        person_enabled: "The account is enabled.";
        /// An operator asked for a person whom the gateway does not know.
        unknown_person: "There is no such person.";
    }
}
