//! How people are found by the beginning of their ids and labels. Both stores search from this, so that they agree.

use super::{KnownUser, UserPage, UserQuery, UserRecord};
use crate::id::UserId;
use crate::id::shown_text;

/// A label as it is stored.
pub(crate) struct StoredLabel {
    /// As it is shown. Empty: the person has none.
    pub(crate) text: String,
    /// Without letter case.
    pub(crate) key: String,
}

impl KnownUser {
    /// The label to store; `None` keeps the one that is stored.
    pub(crate) fn stored_label(&self) -> Option<StoredLabel> {
        let text = shown_text(self.label.as_ref()?, 256).unwrap_or_default();
        Some(StoredLabel { key: fold(&text), text })
    }
}

/// Ranges of ids and of folded labels. An index finds each: the first text belongs to the range, and the last does not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserSearch {
    /// The ids that begin with the text, without those of earlier pages.
    pub(crate) ids: (String, String),
    pub(crate) labels: (String, String),
    /// The first id of this page, whatever it begins with.
    pub(crate) first: String,
    /// How many people to read: one more than the page has.
    pub(crate) people: u32,
}

impl UserSearch {
    /// How many people are looked at whose label begins with the text.
    pub(crate) const LABELS: u32 = 1000;

    /// The largest text. No id and no label has this character, because it is no character.
    const END: &str = "\u{10ffff}";
}

impl UserQuery {
    /// The most bytes that an id or a folded label may have; see the test below.
    const MAX_BYTES: usize = 256 * 6;

    /// What to look for; `None` when nobody can be found.
    pub(crate) fn search(&self) -> Option<UserSearch> {
        // PostgreSQL has no text with this character.
        if self.text.len() > Self::MAX_BYTES || self.text.contains('\0') {
            return None;
        }
        // No text of an id lies between an id and the same with this character.
        let first = self.after.as_ref().map(|after| format!("{after}\u{1}")).unwrap_or_default();
        // Everyone is found by their id already.
        let labels = if self.text.is_empty() { <_>::default() } else { beginning_with(&fold(&self.text)) };
        let (from, end) = beginning_with(&self.text);
        Some(UserSearch {
            ids: (from.max(first.clone()), end),
            labels,
            first,
            people: self.limit.max(1).saturating_add(1),
        })
    }
}

impl UserPage {
    /// The page that `query` asks for. `users` holds one more than its limit, if there are so many.
    pub(crate) fn of(mut users: Vec<UserRecord>, query: &UserQuery) -> Self {
        let limit = query.limit.max(1) as usize;
        let is_cut = users.len() > limit;
        users.truncate(limit);
        let next: Option<UserId> = users.last().filter(|_| is_cut).map(|last| last.id.clone());
        Self { users, next }
    }
}

/// The range of the texts that begin with `text`, byte for byte.
fn beginning_with(text: &str) -> (String, String) {
    let mut end = text.to_owned();
    while let Some(last) = end.pop() {
        // Surrogates are no characters, so the range of characters steps over them.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return (text.to_owned(), end);
        }
    }
    (text.to_owned(), UserSearch::END.to_owned())
}

/// The text without letter case. Each character is folded by itself: so the beginning of a text is folded to the beginning
/// of the folded text.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letter_case_is_gone_in_every_script() {
        for texts in [
            ["Alice@Example.com", "aLICE@eXAMPLE.COM"],
            ["ÄÖÜ", "äöü"],
            ["ΣΊΣΥΦΟΣ", "σίσυφος"],
            ["Straße", "STRASSE"],
        ] {
            assert_eq!(fold(texts[0]), fold(texts[1]));
        }
    }

    #[test]
    fn a_folded_label_fits_an_index_of_postgresql() {
        let longest = (char::MIN..=char::MAX).map(|c| fold(&c.to_string()).len()).max().unwrap();
        assert!(longest <= 6, "{longest}");
        // With an id of 255 characters, each of four bytes.
        const { assert!(UserQuery::MAX_BYTES + 4 * 255 < 2704 - 64) };
        let label = |text: &str| {
            KnownUser::new(UserId::parse("a").unwrap(), Default::default()).label(text).stored_label()
        };
        let long = label(&"\u{1f52}".repeat(10_000)).unwrap();
        assert_eq!((long.text.chars().count(), long.key.len()), (256, UserQuery::MAX_BYTES));
        assert_eq!(label(" \0\u{202e}").unwrap().text, "");
    }

    #[test]
    fn what_cannot_be_an_id_or_a_label_is_not_looked_for() {
        for text in ["a".repeat(10_000), "a\0".to_owned()] {
            assert_eq!(UserQuery::new(text).search(), None);
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_what_begins_with_its_text_and_nothing_else(
            text in "[a-c\u{d7ff}\u{e000}\u{10fffe}\u{10ffff}]{0,3}",
            other in "[a-c\u{d7ff}\u{e000}\u{10fffe}]{0,5}",
        ) {
            let (from, end) = beginning_with(&text);
            let is_in = from <= other && other < end;
            prop_assert_eq!(is_in, other.starts_with(&text), "{:?} {:?}", from, end);
        }

        #[test]
        fn a_beginning_is_folded_to_a_beginning(start in any::<String>(), rest in any::<String>()) {
            let whole = format!("{start}{rest}");
            prop_assert!(fold(&whole).starts_with(&fold(&start)));
        }
    }
}
