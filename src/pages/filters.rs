//! What the templates do to a value before they escape it.

use std::fmt::Display;

use askama::Values;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::id::is_shown;

/// How many characters of a value are shown. A longer one would push what matters out of sight.
const MOST_CHARACTERS: usize = 256;

/// How many of them within a sentence or a heading.
const MOST_IN_A_SENTENCE: usize = 80;

/// How many marks may stand on one character. More would cover the lines above and below.
const MOST_MARKS: u32 = 3;

/// Drops what would make one name look like another: characters that are invisible, or turn the text around. A client
/// that is known by its own document chooses such texts itself.
#[askama::filter_fn]
pub(super) fn shown(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(cut(&value.to_string(), MOST_CHARACTERS))
}

/// The same for a name in a sentence or a heading.
#[askama::filter_fn]
pub(super) fn name(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(in_a_sentence(&value.to_string()))
}

pub(super) fn in_a_sentence(text: &str) -> String {
    cut(text, MOST_IN_A_SENTENCE)
}

fn cut(text: &str, most: usize) -> String {
    let mut marks = 0;
    let mut is_kept = |c: &char| {
        let is_mark = c.general_category_group() == GeneralCategoryGroup::Mark;
        marks = if is_mark { marks + 1 } else { 0 };
        marks <= MOST_MARKS && is_shown(*c)
    };
    let mut left = text.chars().filter(&mut is_kept);
    let mut shown: String = left.by_ref().take(most).collect();
    if left.next().is_some() {
        shown.push('…');
    }
    // A name that cannot be seen must not look as if there were none.
    if shown.trim().is_empty() { "—".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_shows_nothing_that_would_mislead() {
        for (text, shown) in [
            ("Claude Code", "Claude Code"),
            ("pay\u{202e}lap", "paylap"),
            ("a\u{200b}\u{2066}b\nc", "abc"),
            ("\u{200b}\u{feff} ", "—"),
            ("", "—"),
            ("e\u{301}", "e\u{301}"),
        ] {
            assert_eq!(cut(text, 80), shown, "{text:?}");
        }
        assert_eq!(cut(&format!("a{}b", "\u{301}".repeat(50)), 80), "a\u{301}\u{301}\u{301}b");
    }

    #[test]
    fn a_long_value_has_an_end_that_is_seen() {
        assert_eq!(cut(&"é".repeat(80), 80), "é".repeat(80));
        assert_eq!(cut(&"é".repeat(81), 80), format!("{}…", "é".repeat(80)));
    }
}
