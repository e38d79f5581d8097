#![cfg(all(feature = "client-metadata", feature = "jwks-http", feature = "postgres", feature = "sqlite"))]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::bridge::{Bridge, BridgeBuilder, BridgeSettings};
use crate::store::{PostgresStoreBuilder, SessionLimit, SqliteStore, SqliteStoreBuilder, WhenFull};
use crate::token::{Algorithm, KeyRing, SigningKey};
use crate::{BuildError, Freshness};

/// As the page has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    issuer: String,
    key_file: PathBuf,
    algorithm: Algorithm,
    store: PostgresStoreBuilder,
    bridge: BridgeSettings,
}

const PAGE: &str = include_str!("../../../docs/guide/configuration-file.md");

/// The file that the page shows.
fn file_of_the_page() -> &'static str {
    PAGE.split_once("\n```toml\n").unwrap().1.split_once("\n```").unwrap().0
}

fn read(toml: &str) -> Result<BridgeSettings, String> {
    toml::from_str(toml).map_err(|error| error.to_string())
}

async fn builder(folder: &tempfile::TempDir) -> BridgeBuilder {
    let store = SqliteStore::open(folder.path().join("bridges.db")).await.unwrap();
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    Bridge::builder("https://gateway.example", keys, store)
}

/// What `build` makes of the settings in `toml`.
async fn build(toml: &str) -> Result<Bridge, BuildError> {
    let folder = tempfile::tempdir().unwrap();
    builder(&folder).await.settings(read(toml).unwrap()).build()
}

#[tokio::test]
async fn the_file_of_the_guide_makes_a_bridge() {
    let file: Configuration = toml::from_str(file_of_the_page()).unwrap();
    assert_eq!((&*file.issuer, file.algorithm), ("https://gateway.example", Algorithm::EdDsa));
    assert_eq!(file.key_file, PathBuf::from("/var/lib/gateway/gateway.key"));
    assert!(format!("{:?}", file.store).contains("pool_size: 16"));
    let folder = tempfile::tempdir().unwrap();
    let bridge = builder(&folder).await.settings(file.bridge).build().unwrap();
    let settings = &bridge.state.settings;
    assert_eq!(settings.tokens.life, Duration::from_secs(15 * 60));
    assert_eq!(settings.sessions.limit, SessionLimit::new(16, WhenFull::Refuse));
    assert_eq!(settings.endpoints.token.as_ref().unwrap().path(), "/v1/auth/bridge/token");
    assert_eq!(settings.clients.registered.len(), 1);
    assert_eq!(settings.clients.resource_servers.len(), 1);
    assert_eq!(settings.audiences.resources.len(), 1);
}

/// The keys that the error about an unknown one lists.
fn keys(refused: &str) -> BTreeSet<&str> {
    let (_, listed) = refused.split_once(", expected ").unwrap_or_else(|| panic!("{refused}"));
    listed.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_file_of_the_guide_has_every_key() {
    let lines: Vec<_> = file_of_the_page().lines().map(|line| line.trim_start_matches("# ")).collect();
    let has = |key: &str| {
        let starts = [format!("{key} = "), format!("[bridge.{key}]"), format!("[[bridge.{key}]]")];
        lines.iter().any(|line| starts.iter().any(|start| line.starts_with(start)))
    };
    let of_store = toml::from_str::<PostgresStoreBuilder>("nonsense = 1").unwrap_err().to_string();
    let tables = ["client", "protected_resource", "resource_server", "trust"].map(|key| format!("[[{key}]]"));
    let tables = tables
        .into_iter()
        .chain(["rate_limits", "pages", "client_metadata", "token_exchange"].map(|key| format!("[{key}]")));
    let refused =
        tables.chain([String::new()]).map(|table| read(&format!("{table}\nnonsense = 1")).unwrap_err());
    let mut count = 0;
    for refused in refused.chain([of_store]) {
        let missing: Vec<_> = keys(&refused).into_iter().filter(|key| !has(key)).collect();
        assert!(missing.is_empty(), "the page shows no {missing:?}");
        count += keys(&refused).len();
    }
    assert!(count > 90, "{count}");
}

#[test]
fn every_method_of_the_builder_is_a_key_or_takes_code() {
    const CODE: [&str; 8] = [
        "audit_trail",
        "build",
        "clock",
        "peer_address",
        "rejection_body",
        "route_template",
        "settings",
        "trust",
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bridge");
    let mut files = vec![folder.join("builder.rs")];
    files.extend(std::fs::read_dir(folder.join("builder")).unwrap().map(|entry| entry.unwrap().path()));
    let refused = read("nonsense = 1").unwrap_err();
    let keys = keys(&refused);
    let mut count = 0;
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for method in text.split("\n    pub fn ").skip(1).filter(|method| !method.starts_with("builder")) {
            let name = method.split(['(', '<']).next().unwrap();
            assert!(keys.contains(name) || CODE.contains(&name), "{name} is no key of BridgeSettings");
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn a_wrong_key_or_value_is_refused_where_it_stands() {
    for (toml, said) in [
        ("code_lifes = \"1s\"", "unknown field `code_lifes`"),
        ("code_life = 120", "expected a duration with its unit, such as \"500ms\""),
        ("code_life = \"soon\"", "invalid value: string \"soon\", expected a duration with its unit"),
        ("token_endpoint = \"gateway.example\"", "the value \"gateway.example\" must be a whole URL"),
        ("trusted_proxies = [\"10.0.0.1\"]", "must be a network with its prefix length"),
        ("hook_scopes = \"a  b\"", "the value \"a  b\" must be scopes"),
        ("audiences = [\"a b\"]", "the value \"a b\" must hold only visible ASCII characters"),
        ("freshness = \"fresh\"", "unknown variant `fresh`, expected `strict` or `watched`"),
        ("freshness = { watched = { max_lags = \"1s\" } }", "max_lags, available keys: max_lag"),
        ("assurance_level = \"aal4\"", "expected one of `aal1`, `aal2`, `aal3`"),
        ("session_limit = { max = 1, when_full = \"end\" }", "expected `evict` or `refuse`"),
        ("forwarded_header = \"via\"", "expected `x-forwarded-for` or `forwarded`"),
        ("drain_refused = { within = 30 }", "expected a duration with its unit"),
        ("rate_limits = { per_adress = 5 }", "unknown field `per_adress`"),
        ("rate_limits = { per_address = -5 }", "invalid value: integer `-5`"),
        ("[[client]]\nid = \"a\"", "missing field `name`"),
        ("[[client]]\nid = \"a\"\nname = \"A\"\nredirect = []", "unknown field `redirect`"),
        ("[client_metadata]\ntimeout = \"1s\"", "missing field `hosts`"),
        ("[client_metadata]\nhosts = \"all\"", "a list of hosts such as [\"claude.ai\"], or \"any\""),
        ("[pages]\nlogin = \"/login\"", "unknown field `login`"),
        ("token_exchange = { max_session = 1 }", "unknown field `max_session`"),
        ("[[trust]]\nissuer = \"https://a\"", "missing field `jwks_uri`"),
    ] {
        let refused = read(toml).unwrap_err();
        assert!(refused.contains(said), "{toml}: {refused}");
        // The format shows the line with the key.
        assert!(refused.contains(toml.lines().last().unwrap()) || said.starts_with("missing"), "{refused}");
    }
}

#[tokio::test]
async fn a_value_out_of_its_range_is_refused_by_build_with_the_name_of_the_key() {
    for (toml, said) in [
        ("code_life = \"11m\"", "(BridgeBuilder::code_life)"),
        ("max_devices = 0", "(BridgeBuilder::max_devices)"),
        ("freshness = { watched = { max_lag = \"2m\" } }", "max_lag is 120s"),
        ("rate_limits = { per_address = 0 }", "(RateLimits::per_address)"),
        (
            "token_endpoint = \"http://gateway.example/token\"",
            "the token endpoint \"http://gateway.example/token\"",
        ),
        ("session_refresh_tokens = true", "BridgeBuilder::token_endpoint"),
        ("oauth = true\n[token_exchange]\nmax_sessions = 33", "(TokenExchange::max_sessions)"),
        ("oauth = true\n[token_exchange]\ntoken_life = \"25h\"", "(TokenExchange::token_life)"),
        ("[token_exchange]", "BridgeBuilder::token_exchange needs the token endpoint"),
        ("[[client]]\nid = \"a\"\nname = \"A\"\nexchanges_tokens = true", "a client with a secret"),
        ("[[client]]\nid = \"a\"\nname = \"A\"\nimpersonates = true", "a client with a secret"),
        (
            "[[client]]\nid = \"a\"\nname = \"A\"\nimpersonates = true\nmanages_devices = true\n\
             secret = \"only-an-example-of-32-characters-or-more\"",
            "either impersonates or manages devices",
        ),
        ("[pages]\nlogin_url = \"login\"", "the login URL \"login\""),
        ("[client_metadata]\nhosts = [\"*.example\"]", "the host of clients \"*.example\""),
        (
            "[[trust]]\nissuer = \"https://a\"\njwks_uri = \"https://a/jwks\"\naudiences = { theirs = \"ours\" }",
            "for the audience \"ours\"",
        ),
    ] {
        let refused = build(toml).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{toml}: {refused}");
    }
}

#[tokio::test]
async fn no_secret_is_shown_by_debug_or_by_an_error() {
    let secret = "a-secret-of-this-file-of-32-characters";
    let server = |secret: &str| {
        format!(
            "pepper = \"{secret}\"\n[[resource_server]]\nid = \"tools\"\nsecret = \"{secret}\"\naudiences = [\"mcp\"]\n\
             [[client]]\nid = \"app\"\nname = \"App\"\nsecret = \"{secret}\""
        )
    };
    let settings = read(&server(secret)).unwrap();
    assert!(!format!("{settings:?}").contains(secret), "{settings:?}");
    assert!(build(&server(secret)).await.is_ok());
    let malformed = "not a secret, although it is long enough";
    let refused = build(&server(malformed)).await.unwrap_err();
    assert!(refused.to_string().starts_with("the secret of the resource server must be"), "{refused}");
    assert!(!format!("{refused:?} {refused}").contains(malformed));

    let store: PostgresStoreBuilder = toml::from_str("url = \"postgres://a:hunter2@db/b\"").unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_limit_that_the_file_names_wins_over_the_assurance_level() {
    let bridge = build("session_life = \"30m\"\nassurance_level = \"aal2\"").await.unwrap();
    let sessions = &bridge.state.settings.sessions;
    assert_eq!(sessions.life, Some(Duration::from_secs(30 * 60)));
    assert_eq!(sessions.max_life, Duration::from_secs(24 * 3600));
}

#[tokio::test]
async fn what_the_file_leaves_out_stays_and_what_is_called_later_wins() {
    let folder = tempfile::tempdir().unwrap();
    let settings = read("code_life = \"1m\"\ntoken_life = \"1m\"").unwrap();
    let builder = builder(&folder).await.leeway(Duration::from_secs(3)).settings(settings);
    let bridge = builder.token_life(Duration::from_secs(120)).build().unwrap();
    let settings = &bridge.state.settings;
    assert_eq!(settings.tokens.leeway, Duration::from_secs(3));
    assert_eq!(settings.codes.life, Duration::from_secs(60));
    assert_eq!(settings.tokens.life, Duration::from_secs(120));
}

#[tokio::test]
async fn a_store_in_a_file_is_opened_with_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let toml = format!("path = {path:?}\nreaders = 2\ntimeout = \"3s\"");
    let builder: SqliteStoreBuilder = toml::from_str(&toml).unwrap();
    assert!(format!("{builder:?}").contains("readers: 2, timeout: 3s"), "{builder:?}");
    assert!(builder.open().await.is_ok() && path.exists());

    let toml = "url = \"postgres://db/b\"\nwrite_timeout = \"4s\"\nwait_timeout = \"3s\"\nmigrate = false";
    let builder: PostgresStoreBuilder = toml::from_str(toml).unwrap();
    let shown = format!("{builder:?}");
    assert!(shown.contains("wait: 3s") && shown.contains("write: 4s") && shown.contains("migrate: false"));
    let refused = toml::from_str::<PostgresStoreBuilder>("url = \"postgres://db/b\"\npool = 3").unwrap_err();
    assert!(refused.to_string().contains("unknown field `pool`"), "{refused}");
}

#[test]
fn plain_settings_are_written_as_they_are_read() {
    let watched = Freshness::Watched { max_lag: Duration::from_millis(500) };
    for freshness in [Freshness::Strict, watched] {
        let written = serde_json::to_string(&freshness).unwrap();
        assert_eq!(serde_json::from_str::<Freshness>(&written).unwrap(), freshness, "{written}");
    }
    for algorithm in
        [Algorithm::EdDsa, Algorithm::Ed25519, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256]
    {
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        assert_eq!(serde_json::from_value::<Algorithm>(algorithm.name().into()).unwrap(), algorithm);
    }
}
