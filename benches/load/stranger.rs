//! What one `POST /token` of a caller without valid credentials costs, however many keys the named client has.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::id::{ClientId, KeyThumbprint};
use bridge_auth::store::{
    ClientCredential, ClientKey, KnownUser, NewSession, OpenSession, ProvisionClient, RequestedId,
    SessionLimit, Store, WhenFull,
};
use bridge_auth::{Freshness, Scopes, SessionId, UserId};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::form_urlencoded::Serializer;

use crate::support::database::Database;
use crate::support::drive::Measured;
use crate::support::gateway::bridge;
use crate::support::mint::{ISSUER, Mint};
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// How many devices have two RSA keys of 4096 bits each. The default is the maximum.
    #[arg(long, default_value_t = 128)]
    devices: u16,
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
}

const HOUR: Duration = Duration::from_secs(3600);

pub async fn run(options: &Options) {
    println!(
        "\n`POST /token` without valid credentials, {} requests one after the other. The named client has {} RSA keys \
         of 4096 bits:\n",
        options.requests,
        2 * options.devices
    );
    println!("| store | what is shown | processor ms/request | p50 ms | p99 ms |");
    println!("|---|---|--:|--:|--:|");
    for database in
        [Database::postgres_not_analyzed(options.rows).await, Database::sqlite(options.rows).await]
    {
        provision(&*database.open(8).await, options.devices).await;
        let bridge = bridge(Freshness::Strict, 8, &Mint::new(), &database.address).await.bridge;
        let secret = |client: &str| vec![("client_id", client.to_owned()), ("client_secret", "s".repeat(43))];
        for (what, shown) in [
            ("a secret, client unknown", secret("bridge:nobody")),
            ("a secret", secret("bridge:victim")),
            ("an assertion, client unknown", assertion("bridge:nobody", None)),
            ("an assertion", assertion("bridge:victim", None)),
            ("an assertion, `kid` of all keys", assertion("bridge:victim", Some("one-for-all"))),
        ] {
            let form = Serializer::new(String::new())
                .append_pair("grant_type", "client_credentials")
                .extend_pairs(&shown)
                .finish();
            let ask = async || {
                let request = Request::post("/token")
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(Full::<Bytes>::from(form.clone()))
                    .unwrap();
                let begun = Instant::now();
                let answer = bridge.token_service().oneshot(request).await.unwrap();
                assert_eq!(answer.status(), 401);
                begun.elapsed()
            };
            ask().await;
            let processes = Processes::own().with_database(&database.address).await;
            let (before, begun) = (processes.seconds(), Instant::now());
            let mut latencies = Vec::new();
            for _ in 0..options.requests {
                latencies.push(ask().await);
            }
            #[allow(clippy::cast_precision_loss)]
            let cost = (processes.seconds() - before) / options.requests as f64;
            let Measured { p50, p99, .. } = Measured::of(latencies, begun.elapsed());
            let [cost, p50, p99] = [cost, p50, p99].map(|seconds| seconds * 1e3);
            println!("| {} | {what} | {cost:.2} | {p50:.2} | {p99:.2} |", database.address.name());
        }
    }
}

/// Creates a client whose devices have two keys each.
async fn provision(store: &dyn Store, devices: u16) {
    let owner = UserId::parse("victim").unwrap();
    let scopes = Scopes::parse("bridge:call").unwrap();
    store.put_user(&KnownUser::new(owner.clone(), scopes.clone())).await.unwrap();
    for device in 0..devices {
        let session = NewSession::new(
            RequestedId::Fresh(SessionId::random()),
            ClientId::parse("sp_bridge").unwrap(),
            HOUR,
        )
        .limit(SessionLimit::new(10_000, WhenFull::Refuse));
        let open = OpenSession::Vouched { user: owner.clone(), scopes: scopes.clone(), session };
        let session = store.open_session(open).await.unwrap().id;
        for key in 0..2 {
            let provision = ProvisionClient::new(
                ClientId::for_hooks_of(&owner),
                owner.clone(),
                session.clone(),
                ClientCredential::Key(rsa4096(2 * device + key)),
            )
            .scopes(Scopes::parse("hook:track").unwrap())
            .overlap(HOUR)
            .max_devices(10_000);
            store.provision_client(provision).await.unwrap();
        }
    }
}

/// A public key without a private key.
fn rsa4096(number: u16) -> ClientKey {
    let mut modulus = [0xff; 512];
    modulus[1..3].copy_from_slice(&number.to_be_bytes());
    let mut thumbprint = [0; 32];
    thumbprint[..2].copy_from_slice(&number.to_be_bytes());
    let n = URL_SAFE_NO_PAD.encode(modulus);
    let jwk =
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one-for-all", "n": n, "e": "AQAB" });
    ClientKey::new(KeyThumbprint::from_bytes(&thumbprint).unwrap(), jwk.to_string())
}

/// The fields of an assertion without a valid signature.
fn assertion(client: &str, kid: Option<&str>) -> Vec<(&'static str, String)> {
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let claims = json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": in_a_minute(), "jti": "1" });
    let signature = URL_SAFE_NO_PAD.encode([0x5a; 512]);
    vec![
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
        ("client_assertion", format!("{}.{}.{signature}", encode(header), encode(claims))),
    ]
}

fn in_a_minute() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() + 60
}
