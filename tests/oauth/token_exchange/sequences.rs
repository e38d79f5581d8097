//! Sequences of links, exchanges and ends, and what should come of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::issue::{AccessRequest, RegisteredClient, TokenExchange};
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::testing::TestBridge;
use bridge_auth::token::Actor;
use bridge_auth::{Bridge, BridgeBuilder, Scopes, SignedIn};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::Value;
use tower::ServiceExt;
use url::form_urlencoded;

use super::{SECRET, agent, fields};
use crate::oauth::given::{FORM, claims};
use crate::support::bridge::{builder, user};
use crate::support::{Backend, PostgresBackend};

pub type Words = Vec<&'static str>;

pub const PEOPLE: [&str; 2] = ["alice", "bob"];
pub const SCOPES: [&str; 3] = ["admin", "chat", "tools"];
pub const AUDIENCES: [&str; 3] = ["bridge", "files", "mcp"];
pub const CLIENTS: [&str; 5] = ["planner", "coder", "mimic", "plain", "sp_bridge"];
const LONGEST_CHAIN: usize = 4;

#[derive(Debug, Clone)]
pub enum Step {
    /// A person gets a token of their own.
    Link {
        person: usize,
        scopes: Words,
        audiences: Words,
        life: u64,
        may_act: Option<usize>,
    },
    Exchange {
        from: Index,
        client: usize,
        scopes: Option<Words>,
        audiences: Words,
        actor: Option<Index>,
    },
    /// The host says what a person may do from now on.
    Hold {
        person: usize,
        scopes: Words,
    },
    /// The session of a token ends.
    End(Index),
    Pass(u64),
}

impl Step {
    /// The same in whole minutes.
    pub fn in_minutes(self) -> Self {
        let minutes = |seconds: u64| seconds.div_ceil(60) * 60;
        match self {
            Self::Link { person, scopes, audiences, life, may_act } => {
                Self::Link { person, scopes, audiences, life: minutes(life), may_act }
            }
            Self::Pass(seconds) => Self::Pass(minutes(seconds)),
            step => step,
        }
    }
}

pub fn step() -> impl Strategy<Value = Step> {
    let scopes = || subsequence(SCOPES.to_vec(), 0..=SCOPES.len());
    let audiences = |least| subsequence(AUDIENCES.to_vec(), least..=AUDIENCES.len());
    let link =
        (0..PEOPLE.len(), scopes(), audiences(1), 1..3600_u64, prop::option::weighted(0.2, 0..CLIENTS.len()))
            .prop_map(|(person, scopes, audiences, life, may_act)| Step::Link {
                person,
                scopes,
                audiences,
                life,
                may_act,
            });
    let exchange = (
        any::<Index>(),
        0..CLIENTS.len(),
        prop::option::of(scopes()),
        audiences(0),
        prop::option::weighted(0.2, any::<Index>()),
    )
        .prop_map(|(from, client, scopes, audiences, actor)| Step::Exchange {
            from,
            client,
            scopes,
            audiences,
            actor,
        });
    prop_oneof![
        2 => link,
        12 => exchange,
        1 => (0..PEOPLE.len(), scopes()).prop_map(|(person, scopes)| Step::Hold { person, scopes }),
        1 => any::<Index>().prop_map(Step::End),
        1 => (1..600_u64).prop_map(Step::Pass),
    ]
}

/// A token that was issued.
pub struct Issued {
    pub token: String,
    pub claims: Value,
    /// The token that it was exchanged from.
    from: Option<usize>,
    /// The token of who acts, if it was shown.
    actor: Option<usize>,
    is_ended: bool,
}

/// Where the bridge has its rows, and how time passes there.
enum Place {
    Memory(TestBridge),
    Postgres { db: PostgresBackend, bridge: Bridge, clock: Standing },
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
struct Standing {
    start: Duration,
    moved: Arc<AtomicU64>,
}

impl Clock for Standing {
    fn now(&self) -> Duration {
        self.start + Duration::from_secs(self.moved.load(Ordering::SeqCst))
    }
}

pub struct World {
    place: Place,
    pub issued: Vec<Issued>,
    pub held: [BTreeSet<&'static str>; 2],
}

pub fn words(claim: &Value) -> BTreeSet<&str> {
    match claim {
        Value::Array(all) => all.iter().map(|word| word.as_str().unwrap()).collect(),
        text => text.as_str().unwrap().split(' ').filter(|word| !word.is_empty()).collect(),
    }
}

/// How many actors a chain has.
fn depth(act: &Value) -> usize {
    if act.is_null() { 0 } else { 1 + depth(&act["act"]) }
}

/// What may be exchanged, and the clients that exchange.
fn clients(builder: BridgeBuilder) -> BridgeBuilder {
    let named = |id: &str| RegisteredClient::new(id, id).secret(SECRET);
    builder
        .audiences(AUDIENCES)
        .token_exchange(TokenExchange::new())
        .client(named("planner").exchanges_tokens(true))
        .client(named("coder").exchanges_tokens(true))
        .client(named("mimic").exchanges_tokens(true).impersonates(true))
        .client(named("plain"))
}

impl World {
    /// Over SQLite in memory.
    pub async fn start() -> Self {
        Self::at(Place::Memory(TestBridge::with(clients).await)).await
    }

    /// Over PostgreSQL. Its time goes on by itself, so the steps must have whole minutes.
    pub async fn over_postgres() -> Self {
        let db = PostgresBackend::start().await;
        let clock = Standing { start: SystemClock.now(), moved: Arc::default() };
        let builder = builder(&db).await.clock(clock.clone()).rate_limits(RateLimits::off()).oauth();
        let bridge = clients(builder).build().unwrap();
        Self::at(Place::Postgres { db, bridge, clock }).await
    }

    async fn at(place: Place) -> Self {
        let held = [BTreeSet::from(SCOPES), BTreeSet::from(SCOPES)];
        let world = Self { place, issued: Vec::new(), held };
        world.register(0).await;
        world.register(1).await;
        world
    }

    pub fn bridge(&self) -> &Bridge {
        match &self.place {
            Place::Memory(bridges) => bridges.bridge(),
            Place::Postgres { bridge, .. } => bridge,
        }
    }

    pub async fn pass(&self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        match &self.place {
            Place::Memory(bridges) => bridges.advance(by),
            Place::Postgres { db, clock, .. } => {
                db.pass_time(by).await;
                clock.moved.fetch_add(seconds, Ordering::SeqCst);
            }
        }
    }

    pub async fn register(&self, person: usize) {
        let scopes = Scopes::collect(self.held[person].iter().copied()).unwrap();
        self.bridge().issuer().register_user(&SignedIn::new(user(PEOPLE[person]), scopes)).await.unwrap();
    }

    /// The first token that was not exchanged from another one, and all between.
    fn line(&self, token: usize) -> impl Iterator<Item = &Issued> {
        std::iter::successors(Some(&self.issued[token]), |issued| Some(&self.issued[issued.from?]))
    }

    /// Whether the token should be let in, for some audience.
    async fn is_live(&self, token: usize) -> bool {
        let now = self.now().await;
        self.line_is_live(token) && self.issued[token].claims["exp"].as_u64().unwrap() > now
    }

    /// Whether nothing that it hangs on has ended. Whoever acts by a token of their own takes along what they act by.
    fn line_is_live(&self, token: usize) -> bool {
        self.line(token)
            .all(|issued| !issued.is_ended && issued.actor.is_none_or(|actor| self.line_is_live(actor)))
    }

    /// The time, as the bridge writes it into a token.
    async fn now(&self) -> u64 {
        let scopes = Scopes::default();
        let request = AccessRequest::for_user(user("clock"), scopes.clone());
        self.bridge().issuer().register_user(&SignedIn::new(user("clock"), scopes)).await.unwrap();
        let access = self.bridge().issuer().open_access(request).await.unwrap();
        claims(access.token.expose())["iat"].as_u64().unwrap()
    }

    pub async fn link(
        &mut self,
        person: usize,
        scopes: &Words,
        audiences: Words,
        life: u64,
        may_act: Option<usize>,
    ) {
        let scopes = Scopes::collect(scopes.iter().copied()).unwrap();
        let request = AccessRequest::for_user(user(PEOPLE[person]), scopes)
            .audiences(audiences.into_iter().map(|name| name.parse().unwrap()))
            .token_life(Duration::from_secs(life));
        let party = may_act.map(|client| Actor::new(CLIENTS[client], None).unwrap());
        let request = party.into_iter().fold(request, AccessRequest::may_act);
        let access = self.bridge().issuer().open_access(request).await.unwrap();
        self.keep(access.token.expose().to_owned(), None, None);
    }

    pub fn keep(&mut self, token: String, from: Option<usize>, actor: Option<usize>) {
        self.issued.push(Issued { claims: claims(&token), token, from, actor, is_ended: false });
    }

    /// Whether an exchange should be allowed.
    async fn may(
        &self,
        from: usize,
        client: &str,
        scopes: Option<&Words>,
        audiences: &Words,
        actor: Option<usize>,
    ) -> bool {
        let old = &self.issued[from].claims;
        let person = PEOPLE.iter().position(|person| old["sub"] == *person).unwrap();
        let party = match actor {
            // Nobody knows who acts by the delegated token of another.
            Some(actor) if !self.is_live(actor).await || !self.issued[actor].claims["act"].is_null() => {
                return false;
            }
            Some(actor) => self.issued[actor].claims["sub"].as_str().unwrap(),
            None => client,
        };
        let is_confidential = client != "sp_bridge";
        let may_act = old["may_act"]["sub"].as_str();
        let may_client =
            old["client_id"] == client || (is_confidential && (client != "plain" || may_act == Some(client)));
        let is_named = client != "mimic" || actor.is_some() || !old["act"].is_null();
        let new_depth = depth(&old["act"]) + usize::from(is_named);
        self.is_live(from).await
            && may_client
            && may_act.is_none_or(|only| only == party)
            && new_depth <= LONGEST_CHAIN
            && self.line(from).count() <= LONGEST_CHAIN
            && scopes.is_none_or(|asked| {
                asked
                    .iter()
                    .all(|scope| words(&old["scope"]).contains(scope) && self.held[person].contains(scope))
            })
            && audiences.iter().all(|audience| words(&old["aud"]).contains(audience))
    }

    async fn exchange(
        &mut self,
        from: usize,
        client: &str,
        scopes: Option<Words>,
        audiences: Words,
        actor: Option<usize>,
    ) {
        let should = self.may(from, client, scopes.as_ref(), &audiences, actor).await;
        let asked = scopes.as_ref().map(|scopes| scopes.join(" ")).unwrap_or_default();
        let mut form = fields(&self.issued[from].token, &[]);
        form.extend(audiences.iter().map(|audience| ("audience", *audience)));
        form.push(("scope", &asked));
        if let Some(actor) = actor {
            form.extend([("actor_token", &*self.issued[actor].token), ("actor_token_type", super::ACCESS)]);
        }
        let answer = post(self.bridge(), client, &form).await;
        // An empty scope is none that was asked for. Then all are meant.
        assert_eq!(
            answer.is_some(),
            should,
            "{client} {scopes:?} {audiences:?} {actor:?} {:?}",
            self.issued[from].claims
        );
        let Some(token) = answer else { return };
        let (old, new) = (&self.issued[from].claims, claims(&token));
        assert!(words(&new["scope"]).is_subset(&words(&old["scope"])), "{old} {new}");
        assert!(words(&new["aud"]).is_subset(&words(&old["aud"])), "{old} {new}");
        assert!(new["exp"].as_u64() <= old["exp"].as_u64(), "{old} {new}");
        if let Some(actor) = actor {
            assert!(new["exp"].as_u64() <= self.issued[actor].claims["exp"].as_u64());
        }
        assert!((&new["sub"], &new["may_act"]) == (&old["sub"], &old["may_act"]), "{old} {new}");
        let is_named = depth(&new["act"]) > 0;
        assert!(is_named || client == "mimic", "{new}");
        assert!(
            depth(&new["act"]) <= LONGEST_CHAIN && (!is_named || new["act"]["act"] == old["act"]),
            "{old} {new}"
        );
        let person = PEOPLE.iter().position(|person| old["sub"] == *person).unwrap();
        assert!(words(&new["scope"]).is_subset(&self.held[person]), "{new}");
        self.keep(token, Some(from), actor);
    }

    pub async fn take(&mut self, step: Step) {
        let at = |index: Index, world: &Self| index.index(world.issued.len());
        match step {
            Step::Link { person, scopes, audiences, life, may_act } => {
                self.link(person, &scopes, audiences, life, may_act).await;
            }
            _ if self.issued.is_empty() => {}
            Step::Exchange { from, client, scopes, audiences, actor } => {
                let (from, actor) = (at(from, self), actor.map(|actor| at(actor, self)));
                // An empty list of scopes cannot be sent.
                let scopes = scopes.filter(|scopes| !scopes.is_empty());
                self.exchange(from, CLIENTS[client], scopes, audiences, actor).await;
            }
            Step::Hold { person, scopes } => {
                self.held[person] = scopes.into_iter().collect();
                self.register(person).await;
            }
            Step::End(which) => {
                self.end(at(which, self)).await;
            }
            Step::Pass(seconds) => self.pass(seconds).await,
        }
    }

    /// The session of a token ends.
    pub async fn end(&mut self, which: usize) {
        let session = self.issued[which].claims["sid"].as_str().unwrap().parse().unwrap();
        self.bridge().admin().revoke_session(&session).await.unwrap();
        self.issued[which].is_ended = true;
    }

    /// Which tokens should be let in.
    pub async fn live(&self) -> Vec<bool> {
        let mut live = Vec::new();
        for number in 0..self.issued.len() {
            live.push(self.is_live(number).await);
        }
        live
    }

    /// Whoever should be let in is, and nobody else.
    pub async fn check(&self) {
        let authenticators = AUDIENCES.map(|audience| self.bridge().authenticator(audience).unwrap());
        for number in 0..self.issued.len() {
            let issued = &self.issued[number];
            let bearer = format!("Bearer {}", issued.token).parse().unwrap();
            let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
            for (audience, authenticator) in AUDIENCES.iter().zip(&authenticators) {
                let should = words(&issued.claims["aud"]).contains(audience) && self.is_live(number).await;
                let is_in = authenticator.authenticate(&headers).await.is_ok();
                assert_eq!(is_in, should, "{audience} {}", issued.claims);
            }
        }
    }
}

/// The token that `client` gets for a form. `None`: it is refused as RFC 8693 §2.2.2 says.
pub async fn post(bridge: &Bridge, client: &str, form: &[(&str, &str)]) -> Option<String> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let request = Request::post("/token").header(CONTENT_TYPE, FORM);
    let request = if client == "sp_bridge" {
        body.append_pair("client_id", client);
        request
    } else {
        request.header(AUTHORIZATION, agent(client).basic())
    };
    let response = bridge.service().oneshot(request.body(Body::from(body.finish())).unwrap()).await.unwrap();
    let status = response.status();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    if status == StatusCode::OK {
        return Some(answer["access_token"].as_str().unwrap().to_owned());
    }
    let codes = ["invalid_request", "invalid_scope", "invalid_target"];
    assert!(status == 400 && codes.iter().any(|code| answer["error"] == *code), "{status} {answer}");
    None
}
