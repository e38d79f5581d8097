//! One person writes in a loop over very many connections. Another person, the innocent one, makes calls at the same
//! time.
//!
//! Gateway, attacker and database are separate processes. This process makes the innocent person's calls. The attacker
//! runs with `nice`, because a real attacker has its own machine.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::token::{Algorithm, KeyRing};
use bridge_auth::{Bridge, Freshness, Scopes, SignedIn, UserId};
use futures_util::future::join_all;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::processes::{self, arguments};
use crate::support::database::{Address, Database};
use crate::support::drive::Measured;

#[derive(clap::Args)]
pub struct Options {
    /// How many connections the attacker has.
    #[arg(long, default_value_t = 40)]
    connections: usize,
    /// How many calls the innocent person makes, both alone and beside the attacker.
    #[arg(long, default_value_t = 500)]
    calls: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
}

#[derive(clap::Args)]
pub struct Server {
    #[arg(long)]
    watched: bool,
    #[arg(long)]
    limits: bool,
    #[arg(long)]
    postgres: Option<String>,
    #[arg(long)]
    sqlite: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Attacker {
    #[arg(long)]
    server: String,
    #[arg(long)]
    connections: usize,
}

const PREFIX: &str = "/v1/auth/bridge";
const PERSON: &str = "x-bench-person";

pub async fn run(options: &Options) {
    println!(
        "\n{} connections of one person post to /oauth-client and /logout in a loop. Another person makes {} calls at \
         the same time. Medians of {} rounds:\n",
        options.connections, options.calls, options.rounds
    );
    println!(
        "| store | guard | limits | alone p50 ms | p99 ms | beside p50 ms | p99 ms | p99 to alone | attacker's requests/s |"
    );
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|");
    let databases =
        [Database::postgres_not_analyzed(options.rows).await, Database::sqlite(options.rows).await];
    for database in &databases {
        for watched in [false, true] {
            for limits in [true, false] {
                let mut rounds = Vec::new();
                for _ in 0..options.rounds {
                    rounds.push(round(options, database, watched, limits).await);
                }
                rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
                let Round { alone, beside, asked } = &rounds[rounds.len() / 2];
                println!(
                    "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1}x | {asked:.0} |",
                    database.address.name(),
                    if watched { "watched" } else { "strict" },
                    if limits { "default" } else { "off" },
                    alone.p50 * 1e3,
                    alone.p99 * 1e3,
                    beside.p50 * 1e3,
                    beside.p99 * 1e3,
                    beside.p99 / alone.p99,
                );
            }
        }
    }
}

struct Round {
    alone: Measured,
    beside: Measured,
    asked: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.beside.p99 / self.alone.p99
    }
}

async fn round(options: &Options, database: &Database, watched: bool, limits: bool) -> Round {
    let at = match &database.address {
        Address::Postgres(url) => ("postgres", url.clone()),
        Address::Sqlite(path) => ("sqlite", path.display().to_string()),
    };
    let mut serve = arguments("serve-all", &[at]);
    serve.extend(watched.then(|| "--watched".to_owned()));
    serve.extend(limits.then(|| "--limits".to_owned()));
    let server = processes::start(&serve).await;
    let url = format!("http://{}", server.line);
    let client = client();
    let token = link(&client, &url, "innocent").await.unwrap();
    calls(&client, &url, &token, 100).await;
    let alone = calls(&client, &url, &token, options.calls).await;
    let attack =
        arguments("attack", &[("server", url.clone()), ("connections", options.connections.to_string())]);
    let attacker = processes::start_gently(&attack).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = asked(&client, &url).await;
    let begun = Instant::now();
    let beside = calls(&client, &url, &token, options.calls).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let asked = asked(&client, &url).await - before;
    drop(attacker);
    Round { alone, beside, asked: asked / elapsed }
}

/// How many answers the attacker got so far.
async fn asked(client: &Client, url: &str) -> f64 {
    let asked: Value = client.get(format!("{url}/asked")).send().await.unwrap().json().await.unwrap();
    asked.as_f64().unwrap()
}

/// Makes guarded calls, one after the other. All of them must be let in.
async fn calls(client: &Client, url: &str, token: &str, count: usize) -> Measured {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    for _ in 0..count {
        let sent = Instant::now();
        let answer = client.get(format!("{url}/guarded")).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "the innocent person was refused");
        answer.bytes().await.unwrap();
        latencies.push(sent.elapsed());
    }
    Measured::of(latencies, begun.elapsed())
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// Links a bridge of `person`. Returns its token, or nothing if the gateway refuses for now.
async fn link(client: &Client, url: &str, person: &str) -> Option<String> {
    let code = client.post(format!("{url}{PREFIX}/code")).header(PERSON, person).send().await.ok()?;
    let code: Value = code.error_for_status().ok()?.json().await.ok()?;
    let session =
        client.post(format!("{url}{PREFIX}/session")).json(&serde_json::json!({ "code": code["code"] }));
    let session: Value = session.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
    session["token"].as_str().map(ToOwned::to_owned)
}

/// The process that attacks.
pub async fn attack(options: &Attacker) {
    println!("ready");
    std::io::stdout().flush().unwrap();
    let connections = (0..options.connections).map(|_| {
        let url = options.server.clone();
        tokio::spawn(async move {
            let client = client();
            let mut token = "none".to_owned();
            loop {
                for path in ["/oauth-client", "/logout"] {
                    let request =
                        client.request(Method::POST, format!("{url}{PREFIX}{path}")).bearer_auth(&token);
                    let Ok(answer) = request.send().await else { continue };
                    if answer.status() == StatusCode::UNAUTHORIZED
                        && let Some(next) = link(&client, &url, "attacker").await
                    {
                        token = next;
                    }
                }
            }
        })
    });
    join_all(connections.collect::<Vec<_>>()).await;
}

/// The process that serves.
pub async fn serve(options: &Server) {
    let database = match (&options.postgres, &options.sqlite) {
        (Some(url), _) => Address::Postgres(url.clone()),
        (None, Some(path)) => Address::Sqlite(path.clone()),
        (None, None) => panic!("name a database: --postgres or --sqlite"),
    };
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyRing::load_or_generate(folder.path().join("key"), Algorithm::EdDsa).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let issuer = format!("http://{address}");
    let limits = if options.limits { RateLimits::default() } else { RateLimits::off() };
    let freshness = if options.watched { Freshness::watched() } else { Freshness::Strict };
    let bridge = Bridge::builder_with(&issuer, keys, database.open(8).await)
        .token_endpoint(format!("{issuer}{PREFIX}/token"))
        .freshness(freshness)
        .rate_limits(limits)
        .peer_address(|_| Some([127, 0, 0, 1].into()))
        .build()
        .unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let app = Router::new()
        .nest_service(PREFIX, bridge.service())
        .layer(axum::middleware::map_request(sign_in))
        .layer(axum::middleware::map_response(move |response: Response| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready(response)
        }))
        .route("/guarded", get(async || "ok").route_layer(bridge.layer("bridge").unwrap()))
        .route("/asked", get(move || std::future::ready(asked.load(Ordering::Relaxed).to_string())));
    println!("{address}");
    std::io::stdout().flush().unwrap();
    axum::serve(listener, app).await.unwrap();
}

/// The host's own login. It signs everyone in under the name that they send.
async fn sign_in(mut request: Request) -> Request {
    let person =
        request.headers().get(PERSON).and_then(|person| person.to_str().ok()?.parse::<UserId>().ok());
    if let Some(person) = person {
        request.extensions_mut().insert(SignedIn::new(person, Scopes::default()));
    }
    request
}
