//! The URLs that follow from the issuer and the prefix.

use url::Url;

/// The URL of what is at `path` under the issuer and the prefix.
pub(super) fn below(issuer: &Url, prefix: &str, path: &str) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("{}{prefix}{path}", issuer.path().trim_end_matches('/')));
    url
}
