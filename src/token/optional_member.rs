//! Members of JSON that may be left out.

use serde::{Deserialize, Deserializer};

/// `null` is not the same as a missing member: otherwise `"owner":null` would turn a client into a person, and
/// `"code_challenge":null` would leave out PKCE.
pub(crate) fn never_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
