//! Texts that are used in a header or in a path.

use super::error::BuildError;

/// Whether `text` can be in a quoted string without escapes (RFC 9110 §5.6.4).
pub(crate) fn is_quotable(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}

/// Refuses a realm that would end its quoted string.
pub(crate) fn check_realm(realm: Option<&str>) -> Result<(), BuildError> {
    match realm {
        Some(realm) if !is_quotable(realm) => Err(BuildError::Text {
            what: "the realm",
            value: realm.to_owned(),
            allowed: "printable ASCII without '\"' and '\\'",
        }),
        _ => Ok(()),
    }
}

/// Refuses a text that cannot be the beginning of a path.
pub(crate) fn check_path_prefix(prefix: &str) -> Result<(), BuildError> {
    let is_path = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let well_formed = prefix.is_empty() || (prefix.starts_with('/') && !prefix.ends_with('/'));
    if well_formed && prefix.bytes().all(is_path) {
        return Ok(());
    }
    let allowed = "empty, or a path that begins with '/' and does not end with it";
    Err(BuildError::Text { what: "the prefix", value: prefix.to_owned(), allowed })
}
