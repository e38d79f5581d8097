//! Chains of actors (RFC 8693 §4.1), and who may act (§4.4).

use bridge_auth::issue::AccessRequest;
use bridge_auth::token::Actor;
use bridge_auth::{Scopes, SignedIn};
use serde_json::json;

use super::{ACCESS, agent, by_bridge, by_public, exchange, exchanged, for_party, gateway};
use crate::oauth::given::{claims, hook, server};
use crate::support::bridge::user;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    m6_the_newest_actor_is_outermost_and_a_fifth_is_refused,
    m6_introspection_and_the_caller_show_the_whole_chain,
    m6_only_the_party_of_may_act_may_act,
];

async fn m6_the_newest_actor_is_outermost_and_a_fifth_is_refused(db: impl Backend) {
    let gateway = gateway(&db).await;
    let mut token = gateway.link("alice").await;
    for (depth, id) in ["planner", "coder", "tester", "reader"].into_iter().enumerate() {
        let new = exchanged(&gateway, &agent(id), &token, &[]).await;
        let (old, said) = (claims(&token), claims(&new));
        let mut act = json!({ "sub": id });
        if depth > 0 {
            act["act"] = old["act"].clone();
        }
        assert_eq!((&said["act"], &said["sub"], &said["client_id"]), (&act, &json!("alice"), &json!(id)));
        assert!(gateway.admits(&new).await);
        token = new;
    }
    let four = json!({ "sub": "reader", "act": { "sub": "tester", "act": { "sub": "coder", "act": { "sub": "planner" } } } });
    assert_eq!(claims(&token)["act"], four);
    for client in ["fifth", "reader", "mimic"] {
        let answer = exchange(&gateway, &agent(client), &token, &[]).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{client} {answer:?}");
        assert!(answer.text("error_description").contains("chain of actors"), "{answer:?}");
    }
    assert!(gateway.admits(&token).await, "a refused exchange ends nothing");
}

async fn m6_introspection_and_the_caller_show_the_whole_chain(db: impl Backend) {
    let gateway = gateway(&db).await;
    let linked = gateway.link("alice").await;
    let first = exchanged(&gateway, &agent("planner"), &linked, &[]).await;
    let second = exchanged(&gateway, &agent("coder"), &first, &[]).await;
    let seen = async |token: &str| server().send(&gateway, "/introspect", &[("token", token)]).await.json();
    let act = json!({ "sub": "coder", "act": { "sub": "planner" } });
    let known = seen(&second).await;
    assert_eq!(json!([known["active"], known["sub"], known["username"]]), json!([true, "alice", "alice"]));
    assert_eq!((&known["act"], &known["client_id"]), (&act, &json!("coder")));
    let plain = seen(&linked).await;
    assert!(
        plain["active"] == true && plain.get("act").is_none() && plain.get("may_act").is_none(),
        "{plain}"
    );

    let bearer = format!("Bearer {second}").parse().unwrap();
    let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer)]);
    let caller = gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
    let actor = caller.actor().unwrap();
    assert_eq!((actor.subject(), actor.issuer(), actor.depth()), ("coder", None, 2));
    assert_eq!(actor.actor().map(Actor::subject), Some("planner"));
    assert_eq!((caller.user_id().as_str(), actor.to_string().as_str()), ("alice", "coder < planner"));
}

async fn m6_only_the_party_of_may_act_may_act(db: impl Backend) {
    let gateway = gateway(&db).await;
    // `plain` may exchange nothing of others by itself.
    let token = for_party(&gateway, "alice", Actor::new("plain", None).unwrap()).await;
    let known = server().send(&gateway, "/introspect", &[("token", &token)]).await.json();
    assert_eq!(known["may_act"], json!({ "sub": "plain" }));
    for refused in [
        exchange(&gateway, &agent("planner"), &token, &[]).await,
        exchange(&gateway, &agent("mimic"), &token, &[]).await,
        by_bridge(&gateway, &token, &[]).await,
        by_public(&gateway, "app", &token, &[]).await,
    ] {
        assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    }
    let new = exchanged(&gateway, &agent("plain"), &token, &[]).await;
    assert_eq!(claims(&new)["act"], json!({ "sub": "plain" }));
    // It may make its own token narrower, and let nobody else act.
    assert!(exchange(&gateway, &agent("planner"), &new, &[]).await.is_oauth_error(400, "invalid_request"));
    let narrower = exchanged(&gateway, &agent("plain"), &new, &[("scope", "chat")]).await;
    assert_eq!(claims(&narrower)["may_act"], json!({ "sub": "plain" }));

    // Another issuer's party of the same name is another party. Our own issuer may be named or not.
    let theirs = Actor::new("plain", Some("https://them.example".to_owned())).unwrap();
    let token = for_party(&gateway, "alice", theirs).await;
    assert!(exchange(&gateway, &agent("plain"), &token, &[]).await.is_oauth_error(400, "invalid_request"));
    let ours = Actor::new("plain", Some("https://gateway.example".to_owned())).unwrap();
    exchanged(&gateway, &agent("plain"), &for_party(&gateway, "alice", ours).await, &[]).await;
}

/// Four names of 255 characters, in a script that takes four bytes for each.
#[tokio::test]
async fn a_chain_of_names_that_no_token_has_room_for_is_refused_and_leaves_no_session() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let (long, scopes) = ("𐐀".repeat(254), (0..19).map(|number| format!("{}{number}", "s".repeat(50))));
    let scopes = Scopes::parse(scopes.collect::<Vec<_>>().join(" ")).unwrap();
    let issuer = gateway.bridge.issuer();
    let open = async |name: &str, scopes: &Scopes| {
        issuer.register_user(&SignedIn::new(user(name), scopes.clone())).await.unwrap();
        let access = issuer.open_access(AccessRequest::for_user(user(name), scopes.clone())).await.unwrap();
        access.token.expose().to_owned()
    };
    let person = user(&format!("{long}s"));
    let mut token = open(person.as_str(), &scopes).await;
    let (mut refused, mut depth) = (None, 0);
    for (number, client) in ["planner", "coder", "tester", "reader"].into_iter().enumerate() {
        let actor = open(&format!("{long}{number}"), &Scopes::default()).await;
        let more = [("actor_token", &*actor), ("actor_token_type", ACCESS)];
        let answer = exchange(&gateway, &agent(client), &token, &more).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
        (token, depth) = (answer.text("access_token"), depth + 1);
    }
    let refused = refused.expect("four such names are longer than a token may be");
    assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    assert!(refused.text("error_description").contains("names"), "{refused:?}");
    let admitted = gateway.bridge.authenticator("bridge").unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer)]);
    assert_eq!(admitted.authenticate(&headers).await.unwrap().actor().map_or(0, Actor::depth), depth);
    let ended = gateway.bridge.admin().revoke_user(&person).await.unwrap();
    assert_eq!(ended, Some(1 + depth as u64), "the session without a token has ended before");
}

#[tokio::test]
async fn m6_an_actor_token_says_who_acts_and_may_act_names_its_person_too() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let (alice, bob, carol) =
        (gateway.link("alice").await, gateway.link("bob").await, gateway.link("carol").await);
    let by = async |subject: &str, actor: &str| {
        let more = [("actor_token", actor), ("actor_token_type", ACCESS)];
        exchange(&gateway, &agent("planner"), subject, &more).await
    };
    let new = by(&alice, &bob).await.text("access_token");
    let said = claims(&new);
    assert_eq!((&said["sub"], &said["act"]), (&json!("alice"), &json!({ "sub": "bob" })));
    assert!(gateway.admits(&new).await);

    let for_bob = for_party(&gateway, "alice", Actor::new("bob", None).unwrap()).await;
    assert!(by(&for_bob, &carol).await.is_oauth_error(400, "invalid_request"));
    assert!(
        exchange(&gateway, &agent("planner"), &for_bob, &[]).await.is_oauth_error(400, "invalid_request")
    );
    assert_eq!(by(&for_bob, &bob).await.status, 200);

    // Who is named by these is not the one who acts, or nobody.
    let hooks = hook(&gateway, "bob").await.token(&gateway).await;
    for bad in [&new, &hooks, "garbage", &bob[..bob.len() - 2]] {
        let answer = by(&alice, bad).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    }
    // A person with the id of a client would pass for the client.
    let namesake = gateway.link("coder").await;
    assert!(by(&alice, &namesake).await.is_oauth_error(400, "invalid_request"));
    gateway.operate(http::Method::DELETE, "/users/bob/sessions").await;
    assert!(by(&alice, &bob).await.is_oauth_error(400, "invalid_request"), "bob's session has ended");
}
