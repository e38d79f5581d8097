//! Connection strings: the options of libpq that `tokio-postgres` does not know, and where TLS is required.

use std::borrow::Cow;
use std::error::Error as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation};

use super::error::misconfigured;
use super::tls;
use crate::store::StoreError;

/// Where the database is, and which certificates to trust there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    /// The only certificates to trust; `None` trusts the system's.
    pub(super) root: Option<PathBuf>,
}

/// A connection string, split into what `tokio-postgres` knows and what it does not.
#[derive(Default)]
struct Settings {
    /// The part that `tokio-postgres` reads.
    rest: String,
    sslmode: Option<Mode>,
    /// A file, or `system`.
    sslrootcert: Option<String>,
}

/// What `sslmode` asks for. Here TLS is always verified, so `require` and the `verify-…` modes mean the same.
#[derive(Clone, Copy)]
enum Mode {
    Disable,
    /// `allow` and `prefer`: without TLS if the server has no TLS.
    Prefer,
    Verify,
}

/// Reads `text`, a URL or libpq's `key=value` form. `root` is the file that the builder names instead of `sslrootcert`.
///
/// Nothing goes unencrypted to another machine unless `sslmode=disable` says so. Otherwise an attacker between could
/// say that the server has no TLS, and would get the password. On this machine TLS is used only when it is asked for.
pub(super) fn parse(text: &str, root: Option<&Path>) -> Result<Target, StoreError> {
    let settings = if is_url(text) { Settings::of_url(text)? } else { Settings::of_pairs(text)? };
    let mut config: Config = settings.rest.parse().map_err(|error| malformed(&error))?;
    // Errors and the server's messages show these. After a quote in the wrong place the password is a part of one.
    let shown = [
        hosts(&config),
        config.get_user().unwrap_or_default().into(),
        config.get_dbname().unwrap_or_default().into(),
    ];
    if shown.iter().any(|shown| may_hold_password(shown)) {
        return Err(misconfigured(
            "a host, the user or the database of the connection string contains `password`: look for a quote in the wrong \
             place. The value is not shown, because it may contain the password",
        ));
    }
    let named = settings.sslrootcert.as_deref();
    let of_file = named.filter(|named| *named != "system").map(PathBuf::from);
    let root = root.map(Path::to_owned).or(of_file);
    // A root certificate asks for TLS.
    let is_asked_for = root.is_some()
        || named.is_some()
        || config.get_ssl_negotiation() == SslNegotiation::Direct
        || config.get_channel_binding() == ChannelBinding::Require;
    config.ssl_mode(match settings.sslmode {
        Some(Mode::Disable) => SslMode::Disable,
        Some(Mode::Prefer) if is_local(&config) => SslMode::Prefer,
        None if is_local(&config) && !is_asked_for => SslMode::Disable,
        _ => SslMode::Require,
    });
    Ok(Target { config, root })
}

/// Adds to `fault` what to write in `text`, if the fault is that there was no verified TLS.
pub(super) fn explain(fault: StoreError, text: &str) -> StoreError {
    match parse(text, None) {
        Ok(target) => tls::explain(fault, &hosts(&target.config), if is_url(text) { '&' } else { ' ' }),
        Err(_) => fault,
    }
}

impl Settings {
    /// Splits a URL. The query begins where `tokio-postgres` sees it: after what it takes as the user and the password.
    fn of_url(url: &str) -> Result<Self, StoreError> {
        let host = url.find('@').map_or(0, |at| at + 1);
        let end = url[host..].find('?').map_or(url.len(), |query| host + query);
        if url[host..].contains('@') {
            // The text after the first `@` would be taken as the host, and shown as one.
            return Err(misconfigured(
                "the URL has more than one `@`: write an `@` in a user, a password or an option as %40",
            ));
        }
        let mut settings = Self { rest: url[..end].to_owned(), ..Self::default() };
        let mut separator = '?';
        for pair in url[end..].trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !settings.takes(&decoded(key)?, || decoded(value))? {
                settings.rest.push(separator);
                settings.rest.push_str(pair);
                separator = '&';
            }
        }
        Ok(settings)
    }

    fn of_pairs(text: &str) -> Result<Self, StoreError> {
        let malformed =
            || misconfigured("the connection string is neither a URL `postgres://…` nor pairs `key=value`");
        let mut settings = Self::default();
        let mut left = text.trim_start();
        while !left.is_empty() {
            let (key, after) = left.split_once('=').ok_or_else(malformed)?;
            let key = key.trim_end();
            // A key must not turn the pairs into a URL again.
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(malformed());
            }
            let (value, after) = pair_value(after.trim_start()).ok_or_else(malformed)?;
            if !settings.takes(key, || Ok(Cow::Borrowed(&value)))? {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                settings.rest.push_str(&format!("{key}='{value}' "));
            }
            left = after.trim_start();
        }
        Ok(settings)
    }

    /// Whether the setting is one that `tokio-postgres` must not see. If it is set twice, the last value counts, as in
    /// libpq.
    fn takes<'v>(
        &mut self,
        key: &str,
        value: impl FnOnce() -> Result<Cow<'v, str>, StoreError>,
    ) -> Result<bool, StoreError> {
        match key {
            "sslmode" => self.sslmode = Some(Mode::parse(&value()?)?),
            "sslrootcert" => self.sslrootcert = Some(value()?.into_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Mode {
    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" | "verify-ca" | "verify-full" => Ok(Self::Verify),
            _ => Err(misconfigured(
                "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
            )),
        }
    }
}

/// Whether `value` swallowed the option `password` of a connection string.
fn may_hold_password(value: &str) -> bool {
    let mut options =
        value.match_indices("password").map(|(place, name)| value[place + name.len()..].trim_start());
    options.any(|after| after.starts_with('='))
}

fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

fn decoded(text: &str) -> Result<Cow<'_, str>, StoreError> {
    let malformed = |_| misconfigured("an option after `?` in the URL is not UTF-8 once its %XX are decoded");
    percent_decode_str(text).decode_utf8().map_err(malformed)
}

/// The error for a connection string that `tokio-postgres` cannot read. It shows no part of the string that may be a
/// password.
fn malformed(error: &tokio_postgres::Error) -> StoreError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    if cause.starts_with("invalid value for option `") {
        // This text shows the name of an option that `tokio-postgres` knows, and not its value.
        return misconfigured(cause);
    }
    let option = cause.strip_prefix("unknown option `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(known) = option.and_then(|option| OF_LIBPQ.iter().find(|known| **known == option)) {
        return misconfigured(format!(
            "the option `{known}` of the connection string works in libpq only: it is not supported here"
        ));
    }
    misconfigured(if option.is_some() {
        "an option of the connection string is unknown. Its name is not shown, because it may be a part of a password. \
         In a URL write `?`, `&` and `=` in a password as %3F, %26 and %3D. In pairs put the password in single quotes"
    } else {
        "the connection string is malformed. In a URL write each character of a user or a password that is not a \
         letter or a digit as %XX. In pairs put values in single quotes"
    })
}

/// Options that libpq has and `tokio-postgres` does not have.
const OF_LIBPQ: [&str; 12] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "passfile",
    "require_auth",
    "service",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslpassword",
    "sslsni",
];

/// The value at the beginning of `text`, plain or in quotes, and the text after it. A backslash escapes the next
/// character.
fn pair_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut value = String::new();
    let mut characters = quoted.unwrap_or(text).chars();
    loop {
        let here = characters.as_str();
        match (characters.next(), quoted) {
            (Some('\''), Some(_)) => return Some((value, characters.as_str())),
            (None, Some(_)) => return None,
            (None, None) => return Some((value, here)).filter(|(value, _)| !value.is_empty()),
            (Some(c), None) if c.is_whitespace() => {
                return Some((value, here)).filter(|(value, _)| !value.is_empty());
            }
            (Some('\\'), _) => value.extend(characters.next()),
            (Some(c), _) => value.push(c),
        }
    }
}

/// Whether every host, and every `hostaddr`, is this machine. One host elsewhere is enough for `false`.
fn is_local(config: &Config) -> bool {
    let is_loopback = |address: &IpAddr| address.to_canonical().is_loopback();
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address| is_loopback(&address))
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(is_loopback)
}

/// The hosts, for an error text. Nothing else of the connection string is shown.
fn hosts(config: &Config) -> String {
    let names = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    });
    let names: Vec<_> = names.chain(config.get_hostaddrs().iter().map(ToString::to_string)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
