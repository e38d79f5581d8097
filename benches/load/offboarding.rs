//! How long it takes to end a person whose every device has as many delegated sessions as the limit allows, and whether any
//! later call is let in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::id::{AssertionHash, ClientId};
use bridge_auth::store::{
    EventAction, EventOutcome, KnownUser, NewSession, OpenSession, RequestedId, SecurityEvent, SessionLimit,
    Store, WhenFull,
};
use bridge_auth::token::Actor;
use bridge_auth::{Bridge, Freshness, Scopes, SessionId, UserId};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::support::database::{Database, SESSIONS};
use crate::support::drive::Measured;
use crate::support::gateway::bridge;
use crate::support::mint::{AUDIENCES, Mint, bearer};

#[derive(clap::Args)]
pub struct Options {
    /// How often the person is ended.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// How many calls follow each time.
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
}

const DEVICES: usize = 16;
/// The delegated sessions of a device: chains as long as they may be.
const CHAINS: usize = 8;
const SESSIONS_OF_ONE: usize = DEVICES * (1 + CHAINS * Actor::MAX_DEPTH);
/// How many calls are under way at a time.
const AT_ONCE: usize = 64;

/// The gateway that ends the person, and two others.
struct Gateways {
    mint: Mint,
    store: Arc<dyn Store>,
    ending: Bridge,
    strict: Bridge,
    watched: Bridge,
}

/// What became of one round.
struct Round {
    took: Duration,
    /// How long the watched gateway still let calls in.
    lag: Duration,
    let_in: usize,
}

pub async fn run(options: &Options) {
    println!(
        "\nA person with {DEVICES} devices, each with {} delegated sessions in chains of {}, is ended {} times. Other people have \
         {} sessions. After each acknowledgement {} calls with all the tokens follow, half to the gateway that ended the \
         person (watched) and half to another one (strict):\n",
        CHAINS * Actor::MAX_DEPTH,
        Actor::MAX_DEPTH,
        options.times,
        options.rows,
        options.calls
    );
    println!(
        "| store | what ends | sessions | p50 ms | p99 ms | max ms | calls let in | a third one, watched, refuses after p50 ms | max ms |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let [fresh, analyzed] = Database::postgres_both(options.rows).await;
    for database in [fresh, analyzed, Database::sqlite(options.rows).await] {
        let gateways = Gateways::open(&database).await;
        for end in ["revoked", "disabled by an event"] {
            let mut rounds = Vec::new();
            for number in 0..options.times {
                rounds.push(gateways.round(end, number, options.calls).await);
            }
            let took = Measured::of(rounds.iter().map(|round| round.took).collect(), Duration::ZERO);
            let lag = Measured::of(rounds.iter().map(|round| round.lag).collect(), Duration::ZERO);
            println!(
                "| {} | the person, {end} | {SESSIONS_OF_ONE} | {:.2} | {:.2} | {:.2} | {} of {} | {:.2} | {:.2} |",
                database.name(),
                took.p50 * 1e3,
                took.p99 * 1e3,
                took.max * 1e3,
                rounds.iter().map(|round| round.let_in).sum::<usize>(),
                options.calls * rounds.len(),
                lag.p50 * 1e3,
                lag.max * 1e3
            );
        }
    }
}

impl Gateways {
    async fn open(database: &Database) -> Self {
        let mint = Mint::new();
        let open = async |freshness| bridge(freshness, 4, &mint, &database.address).await.bridge;
        let (ending, watched) = (open(Freshness::watched()).await, open(Freshness::watched()).await);
        let strict = open(Freshness::Strict).await;
        Self { store: database.open(8).await, ending, strict, watched, mint }
    }

    /// Lets a new person's tokens in everywhere, ends the person, and calls on.
    async fn round(&self, end: &str, number: usize, calls: usize) -> Round {
        let user = UserId::parse(format!("{}-{number}", end.replace(' ', "-"))).unwrap();
        let heads = self.sign_in(&user).await;
        let [ending, strict, watched] =
            [&self.ending, &self.strict, &self.watched].map(|bridge| bridge.authenticator("bridge").unwrap());
        // Twice: the first call starts a watcher, and the verdict of the second is cached.
        for _ in 0..2 {
            for authenticator in [&ending, &strict, &watched] {
                assert_eq!(let_in(authenticator, heads.iter()).await, heads.len(), "all live");
            }
            while ![&self.ending, &self.watched].iter().all(|bridge| bridge.watch_status().proven) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let begun = Instant::now();
        self.end(end, &user).await;
        let took = begun.elapsed();
        let acknowledged = Instant::now();
        while let_in(&watched, heads.iter().take(1)).await > 0 {
            tokio::task::yield_now().await;
        }
        let lag = acknowledged.elapsed();
        // An event tells the fence of its gateway where it is received, which is not here: both are then others.
        while end != "revoked" && let_in(&ending, heads.iter().take(1)).await > 0 {
            tokio::task::yield_now().await;
        }
        let half = calls / 2;
        let mut admitted = 0;
        for authenticator in [&ending, &strict] {
            admitted += let_in(authenticator, heads.iter().cycle().take(half)).await;
        }
        Round { took, lag, let_in: admitted }
    }

    async fn end(&self, end: &str, user: &UserId) {
        if end == "revoked" {
            let ended = self.ending.admin().revoke_user(user).await.unwrap();
            assert_eq!(ended, Some(SESSIONS_OF_ONE as u64));
            return;
        }
        let hash = AssertionHash::of(&ClientId::parse("idp").unwrap(), user.as_str());
        let event = SecurityEvent::new(hash, Duration::from_secs(3600), EventAction::Disable(user.clone()));
        let outcome = self.store.apply_event(&event).await.unwrap();
        assert_eq!(outcome, EventOutcome::Done(Some(SESSIONS_OF_ONE as u64)));
    }

    /// The heads of requests with the tokens of all of a person's sessions.
    async fn sign_in(&self, user: &UserId) -> Vec<HeaderMap> {
        let scopes = || Scopes::parse("bridge:call").unwrap();
        self.store.put_user(&KnownUser::new(user.clone(), scopes())).await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..DEVICES {
            let open =
                OpenSession::Vouched { user: user.clone(), scopes: scopes(), session: session("sp_bridge") };
            let device = self.store.open_session(open).await.unwrap().id;
            heads.push(self.head(user, &device, "sp_bridge"));
            for _ in 0..CHAINS {
                let mut parent = device.clone();
                for depth in 0..Actor::MAX_DEPTH {
                    let client = format!("agent-{depth}");
                    let open = OpenSession::Delegated {
                        user: user.clone(),
                        parent,
                        actor: None,
                        scopes: scopes(),
                        session: session(&client),
                    };
                    parent = self.store.open_session(open).await.unwrap().id;
                    heads.push(self.head(user, &parent, &client));
                }
            }
        }
        assert_eq!(heads.len(), SESSIONS_OF_ONE);
        heads
    }

    fn head(&self, user: &UserId, session: &SessionId, client: &str) -> HeaderMap {
        let token = self.mint.token_of(user.as_str(), session.as_str(), client, &AUDIENCES);
        HeaderMap::from_iter([(AUTHORIZATION, bearer(&token))])
    }
}

fn session(client: &str) -> NewSession {
    let id = RequestedId::Fresh(SessionId::random());
    NewSession::new(id, ClientId::parse(client).unwrap(), Duration::from_secs(3600))
        .limit(SessionLimit::new(32, WhenFull::Refuse))
}

/// How many of these calls are let in.
async fn let_in(authenticator: &Authenticator, heads: impl Iterator<Item = &HeaderMap>) -> usize {
    let heads: Vec<_> = heads.collect();
    let mut admitted = 0;
    for at_once in heads.chunks(AT_ONCE) {
        let answers = join_all(at_once.iter().map(|head| authenticator.authenticate(head))).await;
        admitted += answers.iter().filter(|answer| answer.is_ok()).count();
    }
    admitted
}
