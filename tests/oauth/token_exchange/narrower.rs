//! No sequence of exchanges widens anything: scope, audience, life or depth (CHECKLIST M7, A128).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::issue::{AccessRequest, RegisteredClient, TokenExchange};
use bridge_auth::testing::TestBridge;
use bridge_auth::token::Actor;
use bridge_auth::{Bridge, Scopes, SignedIn};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Value, json};
use tower::ServiceExt;
use url::form_urlencoded;

use super::{SECRET, agent, fields};
use crate::oauth::given::{FORM, MCP, claims, code_grant, pkce_code, post as post_form};
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, send};
use crate::support::{Backend, SqliteBackend};

type Words = Vec<&'static str>;

const PEOPLE: [&str; 2] = ["alice", "bob"];
const SCOPES: [&str; 3] = ["admin", "chat", "tools"];
const AUDIENCES: [&str; 3] = ["bridge", "files", "mcp"];
const CLIENTS: [&str; 5] = ["planner", "coder", "mimic", "plain", "sp_bridge"];
const LONGEST_CHAIN: usize = 4;

#[derive(Debug, Clone)]
enum Step {
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

fn step() -> impl Strategy<Value = Step> {
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
struct Issued {
    token: String,
    claims: Value,
    /// The token that it was exchanged from.
    from: Option<usize>,
    is_ended: bool,
}

struct World {
    bridges: TestBridge,
    issued: Vec<Issued>,
    held: [BTreeSet<&'static str>; 2],
    exchanges: usize,
}

fn words(claim: &Value) -> BTreeSet<&str> {
    match claim {
        Value::Array(all) => all.iter().map(|word| word.as_str().unwrap()).collect(),
        text => text.as_str().unwrap().split(' ').filter(|word| !word.is_empty()).collect(),
    }
}

/// How many actors a chain has.
fn depth(act: &Value) -> usize {
    if act.is_null() { 0 } else { 1 + depth(&act["act"]) }
}

impl World {
    async fn start() -> Self {
        let bridges = TestBridge::with(|builder| {
            let named = |id: &str| RegisteredClient::new(id, id).secret(SECRET);
            builder
                .audiences(AUDIENCES)
                .token_exchange(TokenExchange::new())
                .client(named("planner").exchanges_tokens(true))
                .client(named("coder").exchanges_tokens(true))
                .client(named("mimic").exchanges_tokens(true).impersonates(true))
                .client(named("plain"))
        });
        let held = [BTreeSet::from(SCOPES), BTreeSet::from(SCOPES)];
        let world = Self { bridges: bridges.await, issued: Vec::new(), held, exchanges: 0 };
        world.register(0).await;
        world.register(1).await;
        world
    }

    fn bridge(&self) -> &Bridge {
        self.bridges.bridge()
    }

    async fn register(&self, person: usize) {
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
        self.line(token).all(|issued| !issued.is_ended)
            && self.issued[token].claims["exp"].as_u64().unwrap() > now
    }

    /// The time, as the bridge writes it into a token.
    async fn now(&self) -> u64 {
        let scopes = Scopes::default();
        let request = AccessRequest::for_user(user("clock"), scopes.clone());
        self.bridge().issuer().register_user(&SignedIn::new(user("clock"), scopes)).await.unwrap();
        let access = self.bridge().issuer().open_access(request).await.unwrap();
        claims(access.token.expose())["iat"].as_u64().unwrap()
    }

    async fn link(
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
        self.keep(access.token.expose().to_owned(), None);
    }

    fn keep(&mut self, token: String, from: Option<usize>) {
        self.issued.push(Issued { claims: claims(&token), token, from, is_ended: false });
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
        self.keep(token, Some(from));
        self.exchanges += 1;
    }

    async fn take(&mut self, step: Step) {
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
                let which = at(which, self);
                let session = self.issued[which].claims["sid"].as_str().unwrap().parse().unwrap();
                self.bridges.revoke_session(&session).await;
                self.issued[which].is_ended = true;
            }
            Step::Pass(seconds) => self.bridges.advance(Duration::from_secs(seconds)),
        }
    }

    /// Whoever should be let in is, and nobody else.
    async fn check(&self) {
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
async fn post(bridge: &Bridge, client: &str, form: &[(&str, &str)]) -> Option<String> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn m7_no_sequence_of_exchanges_widens_scope_audience_life_or_depth(
        steps in prop::collection::vec(step(), 1..32),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::start().await;
            let everything = Step::Link {
                person: 0,
                scopes: SCOPES.to_vec(),
                audiences: AUDIENCES.to_vec(),
                life: 3600,
                may_act: None,
            };
            for step in std::iter::once(everything).chain(steps) {
                world.take(step).await;
            }
            world.check().await;
        });
    }
}

#[tokio::test]
async fn m7_a128_what_is_wider_is_refused_and_what_is_narrower_is_not() {
    let mut world = World::start().await;
    world.link(0, &SCOPES.to_vec(), AUDIENCES.to_vec(), 3600, None).await;
    let token = |world: &World, number: usize| world.issued[number].token.clone();
    let ask = async |world: &World, from: usize, more: &[(&str, &str)]| {
        post(world.bridge(), "planner", &fields(&token(world, from), more)).await
    };
    let narrow =
        ask(&world, 0, &[("scope", "chat"), ("audience", "mcp"), ("audience", "bridge")]).await.unwrap();
    world.keep(narrow, Some(0));
    let said = &world.issued[1].claims;
    assert_eq!((&said["scope"], words(&said["aud"])), (&"chat".into(), BTreeSet::from(["bridge", "mcp"])));
    for wider in [
        &[("scope", "chat tools")][..],
        &[("scope", "tools")],
        &[("scope", "unheard-of")],
        &[("scope", "chat chat")],
        &[("audience", "files")],
        &[("audience", "mcp"), ("audience", "files")],
    ] {
        assert_eq!(ask(&world, 1, wider).await, None, "{wider:?}");
    }
    // What the person has lost since is refused when it is asked for, and is left out when it is not.
    world.held[0] = BTreeSet::from(["tools"]);
    world.register(0).await;
    assert_eq!(ask(&world, 1, &[("scope", "chat")]).await, None);
    let left = ask(&world, 0, &[]).await.unwrap();
    assert_eq!(claims(&left)["scope"], "tools");
    // Every second counts.
    world.bridges.advance(Duration::from_secs(3599));
    let last = claims(&ask(&world, 0, &[]).await.unwrap());
    assert_eq!(last["exp"], world.issued[0].claims["exp"]);
    world.bridges.advance(Duration::from_secs(1));
    assert_eq!(ask(&world, 0, &[]).await, None);
}

/// A clock that is a second later each time that it is asked.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn now(&self) -> Duration {
        SystemClock.now() + Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn m7_a_token_lives_no_longer_than_the_old_one_however_long_the_exchange_takes() {
    let db = SqliteBackend::start().await;
    let bridge = super::exchanging(&db).await.clock(Hasty::default()).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let said = claims(&super::exchanged(&gateway, &agent("planner"), &bob, &[]).await);
    assert_eq!(said["exp"], claims(&bob)["exp"]);
    // The actor's token ends first.
    let more = [("actor_token", &*alice), ("actor_token_type", super::ACCESS)];
    let said = claims(&super::exchanged(&gateway, &agent("planner"), &bob, &more).await);
    assert!(claims(&alice)["exp"].as_u64() < claims(&bob)["exp"].as_u64());
    assert_eq!(said["exp"], claims(&alice)["exp"]);
}

#[tokio::test]
async fn m7_a_token_with_less_than_its_session_is_exchanged_for_no_more_than_it_has() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::over(super::exchanging(&db).await.refresh_tokens(true).build().unwrap()).await;
    let code = pkce_code(&gateway, "alice").await;
    let linked = send(post_form(&gateway, "/token", &code_grant(&code))).await;
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "sp_bridge"),
        ("refresh_token", &*linked.text("refresh_token")),
        ("scope", "chat"),
        ("resource", MCP),
    ];
    let narrow = send(post_form(&gateway, "/token", &refresh)).await.text("access_token");
    assert_eq!((&claims(&narrow)["scope"], &claims(&narrow)["aud"]), (&json!("chat"), &json!([MCP])));
    let ask = async |more| super::exchange(&gateway, &agent("planner"), &narrow, more).await;
    assert!(ask(&[("scope", "chat tools")]).await.is_oauth_error(400, "invalid_scope"));
    assert!(ask(&[("audience", "bridge")]).await.is_oauth_error(400, "invalid_target"));
    for more in [&[][..], &[("scope", "chat"), ("resource", MCP)], &[("audience", MCP)]] {
        let said = claims(&ask(more).await.text("access_token"));
        assert_eq!((&said["scope"], &said["aud"]), (&json!("chat"), &json!([MCP])));
    }
}
