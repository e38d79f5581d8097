//! Text from outside, made fit for a line of the log.

use std::fmt::{self, Write as _};

use crate::id::is_shown;

/// A text from outside, as the log shows it: on one line, without invisible characters and quotes, and cut after `most`
/// characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'t> {
    pub(crate) text: &'t str,
    pub(crate) most: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.most) {
            match c {
                '\'' | '"' | '\\' => write!(f, "{}", c.escape_default())?,
                c if is_shown(c) => f.write_char(c)?,
                c => write!(f, "{}", c.escape_unicode())?,
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// A name from a token or a request, in quotes: at most 64 characters of it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", Shown { text, most: 64 })
}

/// Several names: the first eight of them.
pub(crate) fn quoted_list<'t>(names: impl IntoIterator<Item = &'t str>) -> String {
    const MOST: usize = 8;
    let mut names = names.into_iter();
    let mut shown: Vec<_> = names.by_ref().take(MOST).map(quoted).collect();
    match (shown.is_empty(), names.next()) {
        (true, _) => return "none".to_owned(),
        (false, Some(_)) => shown.push("…".to_owned()),
        (false, None) => {}
    }
    shown.join(", ")
}

/// The beginning of a text: at most `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// A path without its query. A long segment may be a secret that was put there by mistake, so only its beginning is
/// shown.
pub(crate) fn shown_path(path: &str) -> String {
    const LONGEST_SEGMENT: usize = 40;
    const KEPT: usize = 8;
    let mut shown = String::new();
    for (place, segment) in path.split('/').enumerate().take(16) {
        if place > 0 {
            shown.push('/');
        }
        let most = if segment.chars().nth(LONGEST_SEGMENT).is_some() { KEPT } else { LONGEST_SEGMENT };
        let _ = write!(shown, "{}", Shown { text: segment, most });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_break_stays_in_its_line() {
        assert_eq!(quoted("a\nb\u{1b}[31m\u{202e}\"é\\"), r#"'a\u{a}b\u{1b}[31m\u{202e}\"é\\'"#);
        assert_eq!(quoted(&"x".repeat(65)), format!("'{}…'", "x".repeat(64)));
    }

    #[test]
    fn what_may_be_a_secret_in_a_path_is_cut() {
        assert_eq!(shown_path("/v1/messages"), "/v1/messages");
        assert_eq!(shown_path(&format!("/code/{}/x", "ab".repeat(32))), "/code/abababab…/x");
        let session = format!("/sessions/sess_{}", "0".repeat(32));
        assert_eq!(shown_path(&session), session);
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(quoted_list([]), "none");
        assert_eq!(quoted_list(["a", "b"]), "'a', 'b'");
        assert!(quoted_list(["a"; 9]).ends_with("'a', …"));
    }

    proptest! {
        #[test]
        fn nothing_from_outside_is_long_or_breaks_a_line(text in any::<String>()) {
            for shown in [quoted(&text), shown_path(&text)] {
                prop_assert!(shown.len() < 9000 && !shown.chars().any(char::is_control), "{}", shown);
            }
        }
    }
}
