//! Operators find people.

use bridge_auth::store::UserQuery;
use bridge_auth::{Scopes, SignedIn};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::bridge::user;
use crate::support::gateway::Gateway;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    operators_find_people_by_the_beginning_of_an_id_or_a_label,
    a_list_of_people_comes_in_pages_that_miss_nobody,
    one_person_is_found_by_the_exact_id_whoever_is_called_alike,
];

/// People who have signed in before, each with a label.
async fn known(gateway: &Gateway, people: &[(&str, &str)]) {
    for (name, label) in people {
        let person = SignedIn::new(user(name), Scopes::parse("chat").unwrap()).label(*label);
        gateway.bridge.issuer().register_user(&person).await.unwrap();
    }
}

async fn found(gateway: &Gateway, query: &str) -> Value {
    let answer = gateway.operate(Method::GET, &format!("/users{query}")).await;
    assert!(answer.status == StatusCode::OK && answer.is_not_stored(), "{query} {answer:?}");
    answer.json()
}

fn ids(page: &Value) -> Vec<&str> {
    page["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect()
}

async fn operators_find_people_by_the_beginning_of_an_id_or_a_label(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    known(&gateway, &[("u1", "Alice@example.com"), ("u2", "bob@example.com"), ("alina", "")]).await;
    assert_eq!(ids(&found(&gateway, "?q=ali").await), ["alina", "u1"]);
    assert_eq!(ids(&found(&gateway, "?q=ALICE").await), ["u1"], "the case of a label does not matter");
    assert_eq!(ids(&found(&gateway, "?q=U1").await), [""; 0], "the case of an id does");
    assert_eq!(ids(&found(&gateway, "?q=example").await), [""; 0], "only the beginning counts");
    for everyone in ["", "?q="] {
        assert_eq!(ids(&found(&gateway, everyone).await), ["alina", "u1", "u2"]);
    }
    for nobody in ["%25", "u_", "*", "%00", "\u{1f52}", "%ff", "' OR 1=1 --"] {
        let nobody = format!("?q={nobody}").replace(' ', "+");
        assert_eq!(ids(&found(&gateway, &nobody).await), [""; 0], "{nobody}");
    }
    let alina = json!({ "users": [{ "id": "alina", "disabled": false }] });
    assert_eq!(found(&gateway, "?q=alina").await, alina);
    gateway.bridge.admin().disable_user(&user("u1")).await.unwrap();
    let alice = json!({ "id": "u1", "label": "Alice@example.com", "disabled": true });
    assert_eq!(found(&gateway, "?q=alice").await, json!({ "users": [alice] }));
    let one = gateway.operate(Method::GET, "/users/u1").await;
    assert_eq!((one.status, one.json()), (StatusCode::OK, alice));
    for malformed in ["?limit=0", "?limit=1001", "?limit=x", "?after=", "?after=%00"] {
        let refused = gateway.operate(Method::GET, &format!("/users{malformed}")).await;
        assert!(refused.is_problem(400, "invalid_request"), "{malformed} {refused:?}");
    }
}

async fn a_list_of_people_comes_in_pages_that_miss_nobody(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let names: Vec<_> = (0..7).map(|number| format!("person-{number}")).collect();
    known(&gateway, &names.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>()).await;
    let (mut seen, mut query) = (Vec::new(), "?q=person&limit=3".to_owned());
    loop {
        let page = found(&gateway, &query).await;
        assert!(page["users"].as_array().unwrap().len() <= 3);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next_after"].as_str() {
            Some(after) => query = format!("?q=person&limit=3&after={after}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
}

async fn one_person_is_found_by_the_exact_id_whoever_is_called_alike(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let admin = gateway.bridge.admin();
    let (longer, labelled): (Vec<_>, Vec<_>) =
        (0..120).map(|number| (format!("m{number}"), format!("a{number:03}"))).unzip();
    known(&gateway, &longer.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>()).await;
    known(&gateway, &labelled.iter().map(|name| (name.as_str(), "M")).collect::<Vec<_>>()).await;
    assert_eq!(admin.user(&user("m")).await.unwrap(), None);
    let none = gateway.operate(Method::GET, "/users/m").await;
    assert!(none.is_problem(404, "not_found"), "{none:?}");
    known(&gateway, &[("m", "mallory@example.com")]).await;
    let first = admin.users(&UserQuery::new("m").limit(1)).await.unwrap();
    assert_eq!(first.users[0].id, user("a000"), "people with such a label come before");
    let found = admin.user(&user("m")).await.unwrap().unwrap();
    assert_eq!((found.id, found.label.as_deref()), (user("m"), Some("mallory@example.com")));
    assert_eq!(admin.user(&user("M")).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_that_cannot_answer_hides_nobody() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    db.break_down();
    for path in ["/users?q=a", "/users/a"] {
        let answer = gateway.operate(Method::GET, path).await;
        assert!(answer.is_problem(503, "temporarily_unavailable"), "{path} {answer:?}");
    }
    let health = gateway.operate(Method::GET, "/health").await;
    assert_eq!(health.status, StatusCode::OK);
    let causes = health.json()["unavailable"].as_object().unwrap().clone();
    assert_eq!(causes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 2, "{causes:?}");
}
