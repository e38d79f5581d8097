//! The command line, and the environment variables that can replace it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bridge_auth::Freshness;
use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use clap::{Args, value_parser};
use etcetera::BaseStrategy;
use ipnet::IpNet;
use url::Url;

use super::company::CompanyOptions;
use super::database::Database;
use super::keys::AlgorithmName;
use super::login::LoginName;

/// How the gateway serves.
#[derive(Args)]
pub struct Options {
    /// The address to listen on; port 0 takes a free port [default: 127.0.0.1:8080, or a free port with --demo]
    #[arg(long, env = "BRIDGE_AUTH_LISTEN", value_name = "ADDR")]
    listen: Option<String>,

    /// `sqlite:FILE` or `postgres://…` [default: a SQLite file in your data folder, or a temporary one with --demo]
    #[arg(long, env = "BRIDGE_AUTH_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<Database>,

    /// The file of the signing key; created if it is missing [default: beside the database]
    #[arg(long, env = "BRIDGE_AUTH_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// The algorithm that tokens are signed with; the key in --key-file must be one for it
    #[arg(long, env = "BRIDGE_AUTH_ALGORITHM", value_name = "NAME", value_enum, default_value = "EdDSA")]
    pub algorithm: AlgorithmName,

    /// How people sign in
    #[arg(long, env = "BRIDGE_AUTH_LOGIN", value_enum, default_value = "demo")]
    pub login: LoginName,

    #[command(flatten)]
    pub oidc: OidcOptions,

    #[command(flatten)]
    pub company: CompanyOptions,

    /// Which programs may sign in by a metadata document, whose URL is their client id: `off`, `open` (any), or the hosts
    /// whose documents are accepted, such as `claude.ai,programs.example`
    #[arg(long, env = "BRIDGE_AUTH_CLIENT_METADATA", value_name = "off|open|HOSTS", default_value = "open")]
    pub client_metadata: AcceptedDocuments,

    /// Lets Claude Code sign in with its "Cloud gateway" login
    #[arg(long, env = "BRIDGE_AUTH_GATEWAY_LOGIN", value_parser = BoolishValueParser::new())]
    pub gateway_login: bool,

    /// The token that operators send to /admin; without this option, one is created and printed
    #[arg(long, env = "BRIDGE_AUTH_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new())]
    pub admin_token: Option<String>,

    /// The gateway's own URL, the same on every node [default: http:// and the address that it listens on]
    #[arg(long, env = "BRIDGE_AUTH_ISSUER", value_name = "URL")]
    issuer: Option<Url>,

    /// How long an exchange code lives
    #[arg(long, env = "BRIDGE_AUTH_CODE_LIFE", value_name = "SECONDS", default_value_t = 120)]
    pub code_life: u64,

    /// How long the code lives that a program without a browser shows
    #[arg(long, env = "BRIDGE_AUTH_DEVICE_CODE_LIFE", value_name = "SECONDS", default_value_t = 600)]
    pub device_code_life: u64,

    /// How long an access token lives
    #[arg(long, env = "BRIDGE_AUTH_TOKEN_LIFE", value_name = "SECONDS", default_value_t = 3600)]
    pub token_life: u64,

    /// How long a session lives without renewal [default: 14 days]
    #[arg(long, env = "BRIDGE_AUTH_SESSION_LIFE", value_name = "SECONDS")]
    pub session_life: Option<u64>,

    /// How soon a revocation takes effect: `strict` (at once) or `watched` (within this many milliseconds) [default:
    /// strict]
    #[arg(long, env = "BRIDGE_AUTH_FRESHNESS", value_name = "strict|watched[:MILLISECONDS]", default_value = "strict",
        value_parser = freshness, hide_default_value = true)]
    pub freshness: Freshness,

    /// How old the proof may be that the database server is still the primary: `0` for a new proof with each look-up,
    /// `off` for no proof
    #[arg(long, env = "BRIDGE_AUTH_MAX_PROOF_AGE", value_name = "MILLISECONDS|off", default_value = "1000",
        value_parser = max_proof_age)]
    pub max_proof_age: MaxProofAge,

    /// How many connections the gateway may have to PostgreSQL, at least 4
    #[arg(long, env = "BRIDGE_AUTH_POOL_SIZE", value_name = "CONNECTIONS", default_value_t = 8,
        value_parser = value_parser!(u16).range(4..))]
    pub pool_size: u16,

    #[command(flatten)]
    pub timeouts: TimeoutOptions,

    /// A network of proxies whose X-Forwarded-For header is trusted; may be repeated
    #[arg(long, env = "BRIDGE_AUTH_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<IpNet>,

    /// Turns all rate limits off, so that secrets and codes can be tried without end: only for measurements
    #[arg(long, env = "BRIDGE_AUTH_NO_RATE_LIMITS", value_parser = BoolishValueParser::new())]
    pub no_rate_limits: bool,

    /// Plays the whole life of a bridge, prints one line for each scene (what it proved, and how long it took) and ends
    #[arg(long, env = "BRIDGE_AUTH_DEMO", value_parser = BoolishValueParser::new())]
    pub demo: bool,

    /// With --demo: prints each request and each answer in full, with the secrets shortened
    #[arg(short, long, requires = "demo")]
    pub verbose: bool,
}

/// How long things may take, and how the gateway stops.
#[derive(Args, Clone)]
pub struct TimeoutOptions {
    /// How long the header of a request may take; a connection that waits for its next request is closed after the same
    /// time, so a proxy in front should close it sooner
    #[arg(long, env = "BRIDGE_AUTH_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 30,
        value_parser = value_parser!(u64).range(1..))]
    header_timeout: u64,

    /// How long the body of a request may take
    #[arg(long, env = "BRIDGE_AUTH_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 60,
        value_parser = value_parser!(u64).range(1..))]
    body_timeout: u64,

    /// How long the gateway accepts connections after SIGTERM, while /readyz answers 503: time for a balancer to see it
    #[arg(long, env = "BRIDGE_AUTH_DRAIN_PAUSE", value_name = "SECONDS", default_value_t = 5)]
    drain_pause: u64,

    /// How long requests in progress may take after that, before they are cut off
    #[arg(long, env = "BRIDGE_AUTH_STOP_TIMEOUT", value_name = "SECONDS", default_value_t = 20,
        value_parser = value_parser!(u64).range(1..))]
    stop_timeout: u64,
}

impl TimeoutOptions {
    pub fn header(&self) -> Duration {
        Duration::from_secs(self.header_timeout)
    }

    pub fn body(&self) -> Duration {
        Duration::from_secs(self.body_timeout)
    }

    pub fn drain_pause(&self) -> Duration {
        Duration::from_secs(self.drain_pause)
    }

    pub fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_timeout)
    }
}

/// The provider of `--login oidc`.
#[derive(Args)]
pub struct OidcOptions {
    /// With --login oidc: the provider's issuer URL
    #[arg(long, env = "BRIDGE_AUTH_OIDC_ISSUER", value_name = "URL", required_if_eq("login", "oidc"))]
    pub oidc_issuer: Option<Url>,

    /// With --login oidc: the id of this gateway at the provider
    #[arg(long, env = "BRIDGE_AUTH_OIDC_CLIENT_ID", value_name = "ID", required_if_eq("login", "oidc"))]
    pub oidc_client_id: Option<String>,

    /// With --login oidc: the secret of this gateway at the provider; better set by the variable, because other users
    /// of the machine can read the command line
    #[arg(long, env = "BRIDGE_AUTH_OIDC_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
}

impl Options {
    /// The address to listen on.
    pub fn listen(&self) -> &str {
        let default = if self.demo { "127.0.0.1:0" } else { "127.0.0.1:8080" };
        self.listen.as_deref().unwrap_or(default)
    }

    /// The own URL of a gateway that listens at `address`. It is the issuer of its tokens, and the resource that they
    /// are for.
    pub fn issuer(&self, address: SocketAddr) -> Result<String> {
        match &self.issuer {
            Some(issuer) => Ok(issuer.as_str().trim_end_matches('/').to_owned()),
            // Browsers have no passkeys for addresses, only for names.
            None if address.ip().is_loopback() && self.login == LoginName::Passkey => {
                Ok(format!("http://localhost:{}", address.port()))
            }
            None if address.ip().is_loopback() => Ok(format!("http://{address}")),
            None => {
                bail!(
                    "--issuer must name the gateway's own https URL, because other machines can reach {address}"
                )
            }
        }
    }

    /// From now on these are the options of one more gateway, beside the one at `address` that is known as `issuer`.
    pub fn become_another(&mut self, address: SocketAddr, issuer: &Url) {
        self.listen = Some(SocketAddr::new(address.ip(), 0).to_string());
        self.issuer = Some(issuer.clone());
    }

    /// How long after a revocation a gateway may still let in.
    pub fn lag(&self) -> Duration {
        match self.freshness {
            Freshness::Watched { max_lag } => max_lag,
            _ => Duration::ZERO,
        }
    }

    /// What the demo leaves behind, in sentences.
    pub fn left_by_demo(&self) -> String {
        let rows = self.database.as_ref().map(|database| match database {
            Database::Sqlite(file) => format!("The demo's rows stay in {}.", file.display()),
            Database::Postgres(_) => "The demo's rows stay in the PostgreSQL database.".to_owned(),
        });
        let beside = || self.database.as_ref().and_then(Database::key_file);
        let key = self.key_file.clone().or_else(beside);
        let nothing = if key.is_some() { "No server" } else { "No server and no file" };
        let key = key.map(|file| format!("The signing key stays in {}.", file.display()));
        let left = [Some(format!("{nothing} is left behind.")), rows, key];
        left.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Where the signing key is, by default beside the database or in `folder`.
    pub fn key_file(&self, folder: &Path) -> PathBuf {
        let file = self.key_file.clone().or_else(|| self.database(folder).key_file());
        file.unwrap_or_else(|| folder.join("gateway.key"))
    }

    /// The database, by default a file in `folder`.
    pub fn database(&self, folder: &Path) -> Database {
        self.database.clone().unwrap_or_else(|| Database::Sqlite(folder.join("gateway.db")))
    }
}

fn freshness(text: &str) -> Result<Freshness> {
    match text {
        "strict" => Ok(Freshness::Strict),
        "watched" => Ok(Freshness::watched()),
        _ => {
            let lag = text.strip_prefix("watched:").and_then(|lag| lag.parse().ok());
            let lag = lag.context("write strict, watched or watched:MILLISECONDS")?;
            Ok(Freshness::Watched { max_lag: Duration::from_millis(lag) })
        }
    }
}

/// Whose client metadata documents are accepted.
#[derive(Clone)]
pub enum AcceptedDocuments {
    Off,
    Open,
    Of(Vec<String>),
}

impl FromStr for AcceptedDocuments {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "off" => Self::Off,
            "open" => Self::Open,
            hosts => Self::Of(hosts.split(',').map(|host| host.trim().to_owned()).collect()),
        })
    }
}

/// Whether the server must prove that it is still the primary.
#[derive(Debug, Clone, Copy)]
pub enum MaxProofAge {
    Within(Duration),
    Off,
}

fn max_proof_age(text: &str) -> Result<MaxProofAge> {
    match text {
        "off" => Ok(MaxProofAge::Off),
        _ => {
            let age = text.parse().context("write a number of milliseconds, or off")?;
            Ok(MaxProofAge::Within(Duration::from_millis(age)))
        }
    }
}

/// The folder where this program keeps its user's data: `$XDG_DATA_HOME/bridge-auth` on Linux.
pub fn data_folder() -> Result<PathBuf> {
    let folders =
        etcetera::choose_base_strategy().map_err(|_| anyhow!("this user has no home folder: set HOME"))?;
    Ok(folders.data_dir().join("bridge-auth"))
}
