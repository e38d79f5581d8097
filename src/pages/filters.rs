//! What the templates do to a value before they escape it.

use std::fmt::Display;

use askama::Values;

use crate::id::is_shown;

/// How many characters of a value are shown. A longer one would push what matters out of sight.
const MOST_CHARACTERS: usize = 256;

/// Drops what would make one name look like another: characters that are invisible, or turn the text around. A client
/// that is known by its own document chooses such texts itself.
#[askama::filter_fn]
pub(super) fn shown(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(shown_text(&value.to_string()))
}

pub(super) fn shown_text(text: &str) -> String {
    let mut left = text.chars().filter(|c| is_shown(*c));
    let mut shown: String = left.by_ref().take(MOST_CHARACTERS).collect();
    if left.next().is_some() {
        shown.push('…');
    }
    shown
}
