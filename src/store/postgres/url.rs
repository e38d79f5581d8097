//! The part of libpq's URLs that `tokio-postgres` does not know.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::error::failed;
use crate::store::StoreError;

/// Reads `url`, and the root certificate file it names.
///
/// `sslmode=verify-ca` and `verify-full` mean `require` here, which verifies the certificate and the
/// host name as they do. With `sslrootcert` and no `sslmode` TLS is required: who names a root wants
/// it checked.
pub(super) fn parse(url: &str) -> Result<(Config, Option<PathBuf>), StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut root = None;
    let mut verify = false;
    let mut sslmode = false;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "verify-ca" | "verify-full")) => verify = true,
            Some(("sslrootcert", "system")) => verify = true,
            Some(("sslrootcert", path)) => {
                root = Some(PathBuf::from(&*percent_decode_str(path).decode_utf8().map_err(failed)?));
            }
            other => {
                sslmode |= matches!(other, Some(("sslmode", _)));
                kept.push(pair);
            }
        }
    }
    let url = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    let mut config: Config = url.parse().map_err(failed)?;
    if verify || (root.is_some() && !sslmode) {
        config.ssl_mode(SslMode::Require);
    }
    Ok((config, root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn mode_and_root(query: &str) -> (SslMode, Option<PathBuf>) {
        let (config, root) = parse(&format!("postgres://u:p@h:1/d{query}")).unwrap();
        assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
        (config.get_ssl_mode(), root)
    }

    #[test]
    fn verify_modes_and_a_root_certificate_require_tls() {
        assert_eq!(mode_and_root(""), (SslMode::Prefer, None));
        assert_eq!(mode_and_root("?sslmode=disable"), (SslMode::Disable, None));
        assert_eq!(mode_and_root("?sslmode=verify-full&application_name=a"), (SslMode::Require, None));
        assert_eq!(mode_and_root("?application_name=a&sslmode=verify-ca"), (SslMode::Require, None));
        let (mode, root) = mode_and_root("?sslrootcert=/a%20b/ca.pem");
        assert_eq!((mode, root.as_deref()), (SslMode::Require, Some(Path::new("/a b/ca.pem"))));
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        let error = parse("postgres://u:hunter2@h:port/d?sslmode=maybe").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
