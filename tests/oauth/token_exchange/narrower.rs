//! No sequence of exchanges widens anything: scope, audience, life or depth (CHECKLIST M7, A128).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridge_auth::clock::{Clock, SystemClock};
use proptest::prelude::*;
use serde_json::json;

use super::sequences::{AUDIENCES, SCOPES, Step, World, post, step, words};
use super::{agent, fields};
use crate::oauth::given::{MCP, claims, code_grant, pkce_code, post as post_form};
use crate::support::gateway::{Gateway, send};
use crate::support::{Backend, SqliteBackend};

/// Takes the steps, after a link of all that there is, and looks at whoever should be in.
async fn take_all(mut world: World, steps: Vec<Step>) {
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
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(cases(48)) })]

    #[test]
    fn m7_no_sequence_of_exchanges_widens_scope_audience_life_or_depth(
        steps in prop::collection::vec(step(), 1..32),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { take_all(World::start().await, steps).await });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(cases(12)) })]

    #[test]
    fn m7_no_sequence_of_exchanges_widens_anything_over_postgres(
        steps in prop::collection::vec(step().prop_map(Step::in_minutes), 1..32),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { take_all(World::over_postgres().await, steps).await });
    }
}

/// How many cases to run, when the environment does not say.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// What a sequence of the tests above came to.
#[tokio::test]
async fn m7_a_token_ends_with_whoever_acts_by_it() {
    for mut world in [World::start().await, World::over_postgres().await] {
        for person in [0, 1] {
            world.link(person, &SCOPES.to_vec(), AUDIENCES.to_vec(), 3600, None).await;
        }
        let (alice, bob) = (world.issued[0].token.clone(), world.issued[1].token.clone());
        let acting = [("actor_token", &*bob), ("actor_token_type", super::ACCESS)];
        let exchanged = post(world.bridge(), "planner", &fields(&alice, &acting)).await.unwrap();
        world.keep(exchanged.clone(), Some(0), Some(1));
        let below = post(world.bridge(), "coder", &fields(&exchanged, &[])).await.unwrap();
        world.keep(below, Some(2), None);
        world.check().await;
        world.end(1).await;
        world.check().await;
        assert_eq!(world.live().await, [true, false, false, false]);
        assert_eq!(post(world.bridge(), "coder", &fields(&exchanged, &[])).await, None);
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
    world.keep(narrow, Some(0), None);
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
    world.pass(3599).await;
    let last = claims(&ask(&world, 0, &[]).await.unwrap());
    assert_eq!(last["exp"], world.issued[0].claims["exp"]);
    world.pass(1).await;
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
