//! How long it takes to end something. The person has everything that the limits allow, and very many dead rows. Other
//! people have a million sessions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::id::{ClientId, ClientSecret, ExchangeCode, RefreshToken, SecretHash};
use bridge_auth::store::KnownUser;
use bridge_auth::store::{
    ClientCredential, ClientProof, NewCode, NewSession, OpenSession, ProvisionClient, RedeemCode,
    RefreshSession, RequestedId, Revoke, SessionLimit, Store, WhenFull,
};
use bridge_auth::{Scopes, SessionId, UserId};
use futures_util::future::join_all;

use crate::support::database::{Address, Database, SESSIONS};
use crate::support::drive::Measured;
use crate::support::postgres::connect;

#[derive(clap::Args)]
pub struct Options {
    /// How often each thing is ended.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// How many dead sessions the person has; the person has as many dead codes.
    #[arg(long, default_value_t = 200_000)]
    dead: u64,
    /// How many tokens the person's hooks ask for before everything else.
    #[arg(long, default_value_t = 24_000)]
    tokens: usize,
    /// Analyses PostgreSQL's tables first.
    #[arg(long)]
    analyze: bool,
    #[arg(long)]
    sqlite: bool,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
}

const HOUR: Duration = Duration::from_secs(3600);
/// The defaults of a bridge.
const LIMIT: SessionLimit = SessionLimit::new(64, WhenFull::Evict);
const DEVICES: u32 = 16;

/// The person, and the store that knows them.
struct Person {
    store: Arc<dyn Store>,
    id: UserId,
    client: ClientId,
}

/// A device with a credential.
struct Device {
    session: SessionId,
    secret: SecretHash,
}

pub async fn run(options: &Options) {
    let database = match (options.sqlite, options.analyze) {
        (true, _) => Database::sqlite(options.rows).await,
        (false, true) => Database::postgres(options.rows).await,
        (false, false) => Database::postgres_not_analyzed(options.rows).await,
    };
    let person = Person::new(&database).await;
    bury(&database.address, options).await;
    let state = if options.analyze || options.sqlite { "" } else { ", never analysed" };
    println!(
        "\nTime to end something, {}{state}. Other people have {} sessions. The person has {} dead sessions and as \
         many dead codes. Each thing was ended {} times:\n",
        database.address.name(),
        options.rows,
        options.dead,
        options.times
    );
    println!("| what ends | p50 ms | p99 ms | max ms |");
    println!("|---|--:|--:|--:|");
    person.flood(options.tokens).await;
    for end in END {
        let mut latencies = Vec::new();
        for _ in 0..options.times {
            latencies.push(person.time(end).await);
        }
        let Measured { p50, p99, max, .. } = Measured::of(latencies, Duration::ZERO);
        println!("| {end} | {:.2} | {:.2} | {:.2} |", p50 * 1e3, p99 * 1e3, max * 1e3);
    }
}

const END: [&str; 9] = [
    "a device",
    "the person, all of it",
    "the person, disabled",
    "the hook client",
    "a code that is replayed",
    "a refresh token that is reused",
    "the session that is evicted",
    "a credential that is replaced",
    "a hook's session",
];

/// Gives the person very many dead rows, of every kind.
async fn bury(address: &Address, options: &Options) {
    let dead = options.dead.to_string();
    match address {
        Address::Postgres(url) => {
            let sql = include_str!("../support/bury_postgres.sql").replace("{dead}", &dead);
            let client = connect(url).await;
            client.batch_execute(&sql).await.unwrap();
            if options.analyze {
                client.batch_execute("VACUUM ANALYZE").await.unwrap();
            }
        }
        Address::Sqlite(path) => {
            let sql = include_str!("../support/bury_sqlite.sql").replace("{dead}", &dead);
            rusqlite::Connection::open(path).unwrap().execute_batch(&sql).unwrap();
        }
    }
}

impl Person {
    async fn new(database: &Database) -> Self {
        let store = database.open(8).await;
        let id = UserId::parse("victim").unwrap();
        let person = Self { client: ClientId::for_hooks_of(&id), store, id };
        person.known().await;
        person
    }

    async fn known(&self) {
        let scopes = Scopes::parse("bridge:call").unwrap();
        let user = KnownUser::new(self.id.clone(), scopes);
        self.store.put_user(&user).await.unwrap();
        self.store.enable_user(&self.id).await.unwrap();
    }

    /// Gives the person everything that may be live, ends one thing, and returns how long that took.
    async fn time(&self, end: &str) -> Duration {
        let devices = self.fill().await;
        let device = &devices[0];
        let store = &self.store;
        match end {
            "a device" => timed(store.revoke(&Revoke::Session(device.session.clone()))).await,
            "the person, all of it" => timed(store.revoke(&Revoke::User(self.id.clone()))).await,
            "the person, disabled" => {
                let took = timed(store.disable_user(&self.id)).await;
                self.known().await;
                took
            }
            "the hook client" => timed(store.revoke(&Revoke::Client(self.client.clone()))).await,
            "a code that is replayed" => {
                let hash = ExchangeCode::random().hash();
                let life = Duration::from_secs(120);
                let client = ClientId::parse("sp_bridge").unwrap();
                let code = NewCode::new(hash, self.id.clone(), client, Scopes::default(), life);
                store.issue_code(code).await.unwrap();
                let redeem = || RedeemCode::new(hash, session(SessionId::random()));
                store.redeem_code(redeem()).await.unwrap();
                timed(async { store.redeem_code(redeem()).await.unwrap_err() }).await
            }
            "a refresh token that is reused" => {
                let first = RefreshToken::random().hash();
                let id = SessionId::random();
                self.open(session(id).refresh(first)).await;
                let use_of = |presented| {
                    RefreshSession::new(
                        presented,
                        RefreshToken::random().hash(),
                        ClientId::parse("sp_bridge").unwrap(),
                        HOUR,
                    )
                    .grace(Duration::ZERO)
                };
                let second = use_of(first);
                store.refresh_session(second.clone()).await.unwrap();
                store.refresh_session(use_of(second.successor)).await.unwrap();
                timed(async { store.refresh_session(use_of(first)).await.unwrap_err() }).await
            }
            "the session that is evicted" => {
                let (opened, took) = with_time(self.open(session(SessionId::random()))).await;
                assert_eq!(opened.evicted.len(), 1);
                took
            }
            "a credential that is replaced" => timed(self.provision(&device.session)).await,
            "a hook's session" => {
                let hook = self.open_hook(device.secret).await;
                timed(store.revoke(&Revoke::Session(hook))).await
            }
            _ => unreachable!("every thing has a branch"),
        }
    }

    /// Opens as many sessions as allowed, and as many devices with two credentials and a hook session as allowed.
    async fn fill(&self) -> Vec<Device> {
        let missing = join_all((0..LIMIT.max).map(|n| {
            let id = SessionId::parse(format!("device-{n}-{}", SessionId::random())).unwrap();
            self.open(session(id))
        }));
        let opened = missing.await;
        let devices = opened.into_iter().rev().take(DEVICES as usize).map(|opened| async move {
            self.provision(&opened.id).await;
            let secret = self.provision(&opened.id).await;
            self.open_hook(secret).await;
            Device { session: opened.id, secret }
        });
        join_all(devices).await
    }

    /// A hook asks for tokens in a loop. Then its person is disabled, and that is timed.
    async fn flood(&self, tokens: usize) {
        let devices = self.fill().await;
        let begun = Instant::now();
        for _ in 0..tokens / 100 {
            join_all((0..100).map(|_| self.open_hook(devices[0].secret))).await;
        }
        let asked = begun.elapsed();
        let took = timed(self.store.disable_user(&self.id)).await;
        self.known().await;
        println!(
            "| the person, disabled after {tokens} tokens in {:.1} s | {:.2} | | |",
            asked.as_secs_f64(),
            took.as_secs_f64() * 1e3
        );
    }

    async fn open(&self, session: NewSession) -> bridge_auth::store::OpenedSession {
        let scopes = Scopes::parse("bridge:call").unwrap();
        let open = OpenSession::Vouched { user: self.id.clone(), scopes, session };
        self.store.open_session(open).await.unwrap()
    }

    async fn open_hook(&self, secret: SecretHash) -> SessionId {
        let (owner, proof) = (self.id.clone(), ClientProof::Secret(secret));
        let mut session = session(SessionId::random());
        session.client = self.client.clone();
        let open = OpenSession::Client { owner, proof, scopes: Scopes::default(), session };
        self.store.open_session(open).await.unwrap().id
    }

    async fn provision(&self, session: &SessionId) -> SecretHash {
        let secret = ClientSecret::random().hash(None);
        let provision = ProvisionClient::new(
            self.client.clone(),
            self.id.clone(),
            session.clone(),
            ClientCredential::Secret(secret),
        )
        .scopes(Scopes::parse("hook:track").unwrap())
        .overlap(Duration::from_secs(60))
        .max_devices(DEVICES);
        self.store.provision_client(provision).await.unwrap();
        secret
    }
}

fn session(id: SessionId) -> NewSession {
    NewSession::new(RequestedId::Fresh(id), ClientId::parse("sp_bridge").unwrap(), HOUR)
        .max_life(24 * HOUR)
        .limit(LIMIT)
}

async fn timed<T>(operation: impl Future<Output = T>) -> Duration {
    with_time(operation).await.1
}

async fn with_time<T>(operation: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let done = operation.await;
    (done, begun.elapsed())
}
