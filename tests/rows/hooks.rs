//! Section 2.7, N8: a hook client's token opens what the host opens to hooks, and nothing else.

use axum::Router;
use axum::routing::{get, post};
use bridge_auth::authenticate::Authenticator;
use bridge_auth::caller::CallerKind;
use bridge_auth::store::Origin;
use bridge_auth::{Bridge, BridgeAuthLayer, Caller, Rejection};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::support::bridge::{access, builder};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

/// The tokens of alice's bridge and of her hook client.
async fn tokens(bridge: &Bridge) -> [String; 2] {
    let person = access(bridge, "alice", "chat").await.token;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, person.to_header_value())]);
    let caller = bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
    let client = bridge.issuer().provision_client(&caller).await.unwrap();
    let hook = bridge.issuer().client_access(&client.id, &client.secret, None, Origin::unknown()).await;
    [person.expose().to_owned(), hook.unwrap().token.expose().to_owned()]
}

/// A route for each kind of layer, and who is let in at each: the person, the hook client.
fn routes(bridge: &Bridge) -> (Router, Vec<(&'static str, [u16; 2])>) {
    let layer = || bridge.layer("bridge").unwrap();
    let route = |path: &str, layer: BridgeAuthLayer| Router::new().route(path, get(who)).layer(layer);
    let nested = |path, inner, outer: BridgeAuthLayer| route(path, inner).layer(outer);
    let (people, hooks) = (CallerKind::User, CallerKind::HookClient);
    let routes = [
        route("/people", layer()),
        route("/optional", layer().optional()),
        route("/both", layer().admit_hook_clients()),
        route("/optional/both", layer().optional().admit_hook_clients()),
        route("/required/people", layer().require_kind(people)),
        route("/required/people/still", layer().require_kind(people).admit_hook_clients()),
        route("/required/hooks", layer().require_kind(hooks)),
        route("/required/hooks/still", layer().admit_hook_clients().require_kind(hooks)),
        nested("/nested/people", layer(), layer().admit_hook_clients().optional()),
        nested("/nested/both", layer().admit_hook_clients(), layer().admit_hook_clients().optional()),
        nested("/nested/hooks", layer().require_kind(hooks), layer().admit_hook_clients()),
        nested("/nested/never", layer().admit_hook_clients(), layer().optional()),
    ];
    let expected = vec![
        ("/people", [200, 403]),
        ("/optional", [200, 403]),
        ("/both", [200, 200]),
        ("/optional/both", [200, 200]),
        ("/required/people", [200, 403]),
        ("/required/people/still", [200, 403]),
        ("/required/hooks", [403, 200]),
        ("/required/hooks/still", [403, 200]),
        ("/nested/people", [200, 403]),
        ("/nested/both", [200, 200]),
        ("/nested/hooks", [403, 200]),
        ("/nested/never", [200, 403]),
    ];
    (routes.into_iter().reduce(Router::merge).unwrap(), expected)
}

async fn who(caller: Caller) -> String {
    format!("{:?}", caller.kind())
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.is_problem(403, "insufficient_scope")
        && answer.header("www-authenticate") == "Bearer error=\"insufficient_scope\""
}

#[tokio::test]
async fn attack_n8_a_hook_token_at_a_route_for_people() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let tokens = tokens(&bridge).await;
    let (routes, expected) = routes(&bridge);
    let gateway = Gateway::with_routes(bridge, routes).await;
    // The second round finds the tokens remembered.
    for _ in 0..2 {
        for (path, statuses) in &expected {
            for ((token, status), kind) in tokens.iter().zip(statuses).zip(["User", "HookClient"]) {
                let answer = gateway.call(Method::GET, path, token).await;
                assert_eq!(answer.status, *status, "{kind} at {path}: {answer:?}");
                if *status == 200 {
                    assert_eq!(answer.body, kind, "{path}");
                } else {
                    assert!(is_forbidden(&answer), "{kind} at {path}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn attack_n8_an_authenticator_admits_people_alone_unless_it_is_told() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let [person, hook] = tokens(&bridge).await.map(|token| {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    });
    let authenticator = || bridge.authenticator("bridge").unwrap();
    let kind = async |authenticator: Authenticator, headers: &HeaderMap| {
        authenticator.authenticate(headers).await.map(|caller| caller.kind())
    };
    let (user, hooks) = (CallerKind::User, CallerKind::HookClient);
    let refused = |found| Err(Rejection::CallerKind { found, required: Default::default() });
    assert_eq!(kind(authenticator(), &person).await, Ok(user));
    assert_eq!(kind(authenticator(), &hook).await, refused(hooks));
    assert_eq!(kind(authenticator().admit_hook_clients(), &person).await, Ok(user));
    assert_eq!(kind(authenticator().admit_hook_clients(), &hook).await, Ok(hooks));
    assert_eq!(kind(authenticator().require_kind(hooks), &hook).await, Ok(hooks));
    assert_eq!(kind(authenticator().require_kind(hooks), &person).await, refused(user));
    assert_eq!(kind(authenticator().require_kind(user).admit_hook_clients(), &hook).await, refused(hooks));
}

#[tokio::test]
async fn attack_n8_of_the_guarded_endpoints_a_hook_token_opens_the_logout_alone() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let [person, hook] = tokens(&gateway.bridge).await;
    for (method, path) in [
        (Method::GET, "/sessions"),
        (Method::DELETE, "/sessions/sess_other"),
        (Method::POST, "/oauth-client"),
    ] {
        let answer = gateway.call(method, &format!("{PREFIX}{path}"), &hook).await;
        assert!(is_forbidden(&answer), "{path} {answer:?}");
    }
    let log_out = format!("{PREFIX}/logout");
    assert_eq!(gateway.call(Method::POST, &log_out, &hook).await.status, StatusCode::NO_CONTENT);
    assert!(!gateway.admits(&hook).await && gateway.admits(&person).await);
}

#[tokio::test]
async fn attack_n8_a_call_of_grpc_is_denied_in_its_own_words() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let [_, hook] = tokens(&bridge).await;
    let routes = Router::new().route("/people", post(who)).layer(bridge.layer("bridge").unwrap());
    let gateway = Gateway::with_routes(bridge, routes).await;
    let call = gateway.request(Method::POST, "/people").header("content-type", "application/grpc");
    let answer = send(call.bearer_auth(hook)).await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "7"));
}
