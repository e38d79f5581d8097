//! The layer, over real tokens and a real store: who gets in, what the inner service sees, when it is called.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::FromRequestParts;
use bridge_auth::caller::CallerKind;
use bridge_auth::header::IDENTITY_HEADERS;
use bridge_auth::id::TraceId;
use bridge_auth::rejection::InvalidCredential;
use bridge_auth::store::Origin;
use bridge_auth::{Bridge, Caller, Freshness, Rejection, Scopes};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::bridge::{access, builder, user};
use crate::support::{Backend, SqliteBackend};

/// The headers of a request and the caller in its extensions.
type Head = (HeaderMap, Option<Caller>);

/// What the inner service saw of the request it was last called with, and how often it was called.
#[derive(Clone, Default)]
struct Seen {
    calls: Arc<AtomicUsize>,
    last: Arc<std::sync::Mutex<Option<Head>>>,
}

impl Seen {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn last(&self) -> Head {
        self.last.lock().unwrap().take().expect("the inner service was called")
    }

    /// An inner service that remembers. Its body types are not those of any framework.
    fn service(
        &self,
    ) -> impl Service<Request<String>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + use<> {
        let seen = self.clone();
        service_fn(move |request: Request<String>| {
            seen.calls.fetch_add(1, Ordering::SeqCst);
            let caller = request.extensions().get().cloned();
            *seen.last.lock().unwrap() = Some((request.headers().clone(), caller));
            async { Ok(Response::new(Full::from("inner"))) }
        })
    }
}

fn request(authorization: Option<HeaderValue>) -> Request<String> {
    let mut request = Request::new("body".to_owned());
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

async fn send<S, B>(service: S, request: Request<String>) -> Response<Bytes>
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn bridge() -> (SqliteBackend, Bridge) {
    let backend = SqliteBackend::start().await;
    let bridge = builder(&backend).await.build().unwrap();
    (backend, bridge)
}

/// All six identity headers in every spelling, each twice.
fn spoofed(headers: &mut HeaderMap) {
    for name in IDENTITY_HEADERS {
        let name = name.as_str();
        for spelt in [name.to_owned(), name.replace('-', "_"), name.replacen('-', "_", 1)] {
            // `x-session-id` itself is compared with the token's: the spelling below is what is spoofed.
            if spelt != "x-session-id" {
                let spelt = HeaderName::from_bytes(spelt.as_bytes()).unwrap();
                headers.append(spelt.clone(), HeaderValue::from_static("admin"));
                headers.append(spelt, HeaderValue::from_static("root"));
            }
        }
    }
}

fn holds_spoof(headers: &HeaderMap) -> bool {
    headers
        .iter()
        .any(|(name, value)| name.as_str().starts_with('x') && (value == "admin" || value == "root"))
}

#[tokio::test]
async fn a_live_session_gets_in_with_trusted_headers_and_without_its_token() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice@example.com", "a").await;
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().layer(seen.service());
    let mut request = request(Some(access.token.to_header_value()));
    spoofed(request.headers_mut());
    request.headers_mut().insert("x-other", HeaderValue::from_static("kept"));
    let response = send(service, request).await;
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"inner"[..]));
    assert_eq!(response.headers()[CACHE_CONTROL], "private");
    assert_eq!(response.headers()[VARY], "authorization");

    let (headers, caller) = seen.last();
    assert!(!headers.contains_key(AUTHORIZATION));
    assert!(!holds_spoof(&headers), "{headers:?}");
    assert_eq!(headers["x-user-id"], "alice@example.com");
    assert_eq!(headers["x-session-id"], access.session.as_str());
    assert_eq!(headers["x-client-id"], "sp_bridge");
    assert_eq!(headers["x-policy-version"], "unversioned");
    assert_eq!(headers["x-call-source"], "bridge");
    assert_eq!(headers["x-trace-id"].len(), 32);
    assert_eq!(headers["x-other"], "kept");
    assert_eq!(headers.len(), 7);
    assert_eq!(caller.unwrap().user_id(), &user("alice@example.com"));
}

/// A session is asked for, then asked for as one whose row was seen, then remembered; each with the headers written and not.
#[tokio::test]
async fn on_every_path_what_was_spoofed_is_gone_and_all_is_written_or_nothing() {
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag: Duration::from_secs(60) }] {
        let backend = SqliteBackend::start().await;
        let bridge = builder(&backend).await.freshness(freshness).build().unwrap();
        for written in [true, false] {
            let access = access(&bridge, "alice@example.com", "").await;
            let layer = || bridge.layer("bridge").unwrap().identity_headers(written);
            let seen = Seen::default();
            let nested = ServiceBuilder::new().layer(layer().optional()).layer(layer());
            for _ in 0..3 {
                for round in 0..3 {
                    let mut request = request(Some(access.token.to_header_value()));
                    spoofed(request.headers_mut());
                    if round == 2 {
                        request
                            .headers_mut()
                            .insert("x-user-id", HeaderValue::from_static("alice@example.com"));
                    }
                    let status = match round {
                        0 => send(layer().layer(seen.service()), request).await.status(),
                        1 => send(layer().optional().layer(seen.service()), request).await.status(),
                        _ => send(nested.clone().service(seen.service()), request).await.status(),
                    };
                    assert_eq!(status, StatusCode::OK);
                    let (headers, caller) = seen.last();
                    assert!(!holds_spoof(&headers), "{headers:?}");
                    assert_eq!(headers.len(), if written { 6 } else { 0 }, "{headers:?}");
                    assert_eq!(caller.unwrap().user_id(), &user("alice@example.com"));
                }
                let mut nobody = request(None);
                spoofed(nobody.headers_mut());
                nobody.headers_mut().insert("x-session-id", HeaderValue::from_static("admin"));
                assert_eq!(send(layer().optional().layer(seen.service()), nobody).await.status(), 200);
                let (headers, caller) = seen.last();
                assert_eq!(headers.len(), usize::from(written), "no more than the trace: {headers:?}");
                assert!(!holds_spoof(&headers) && caller.is_none());
                while freshness != Freshness::Strict && !bridge.watch_status().proven {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_trace_is_the_handlers_to_ask_for_though_nothing_is_written() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let traces = service_fn(async |request: Request<String>| {
        let mut parts = request.into_parts().0;
        let [first, again] = [
            TraceId::from_request_parts(&mut parts, &()).await.unwrap(),
            TraceId::from_request_parts(&mut parts, &()).await.unwrap(),
        ];
        assert_eq!(first, again);
        Ok::<_, Infallible>(Response::new(Full::from(first.to_string())))
    });
    let service = bridge.layer("bridge").unwrap().identity_headers(false).layer(traces);
    let traced = |parent: Option<&'static str>| {
        let mut request = request(Some(access.token.to_header_value()));
        if let Some(parent) = parent {
            request.headers_mut().insert("traceparent", HeaderValue::from_static(parent));
        }
        request
    };
    let continued = traced(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_eq!(&send(service.clone(), continued).await.body()[..], b"4bf92f3577b34da6a3ce929d0e0e4736");
    let [one, other] = [send(service.clone(), traced(None)).await, send(service, traced(None)).await];
    assert_eq!(one.body().len(), 32);
    assert_ne!(one.body(), other.body());
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_inner_service() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let token = access.token.expose();
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().layer(seen.service());
    let header = |text: &str| Some(HeaderValue::from_str(text).unwrap());
    for (value, status) in [
        (None, 401),
        (header("Basic YTpi"), 401),
        (header("Bearer garbage"), 401),
        (header(&format!("Bearer {}x", token)), 401),
        (header(&format!("Bearer {}", &token[..token.len() - 1])), 401),
        (header("Bearer"), 400),
        (header(&format!("Bearer {token}, Bearer {token}")), 400),
        (header(&format!("Bearer {}", "a".repeat(65_536))), 431),
    ] {
        let mut request = request(value);
        spoofed(request.headers_mut());
        let response = send(service.clone(), request).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert!(status != 401 || response.headers().contains_key(WWW_AUTHENTICATE));
        assert!(response.extensions().get::<Rejection>().is_some());
    }
    let mut twice = request(Some(access.token.to_header_value()));
    twice.headers_mut().append(AUTHORIZATION, access.token.to_header_value());
    assert_eq!(send(service.clone(), twice).await.status(), 400);
    let mut both_ways = request(Some(access.token.to_header_value()));
    *both_ways.uri_mut() = "/?access_token=x".parse().unwrap();
    assert_eq!(send(service.clone(), both_ways).await.status(), 400);
    let mut query_alone = request(None);
    *query_alone.uri_mut() = format!("/?access_token={token}").parse().unwrap();
    let response = send(service, query_alone).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(seen.calls(), 0);
}

#[tokio::test]
async fn a_session_id_that_differs_from_the_tokens_is_refused_and_its_own_is_not() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let service = bridge.layer("bridge").unwrap().layer(Seen::default().service());
    for (declared, status) in [(vec![access.session.as_str()], 200), (vec!["sess_other"], 401)] {
        let mut request = request(Some(access.token.to_header_value()));
        for id in declared {
            request.headers_mut().append("x-session-id", HeaderValue::from_str(id).unwrap());
        }
        assert_eq!(send(service.clone(), request).await.status(), status);
    }
    let mut both = request(Some(access.token.to_header_value()));
    both.headers_mut().append("x-session-id", access.session.to_header_value());
    both.headers_mut().append("x-session-id", HeaderValue::from_static("sess_other"));
    assert_eq!(send(service, both).await.status(), 401);
}

#[tokio::test]
async fn an_optional_layer_lets_nobody_in_as_nobody_and_refuses_a_bad_credential() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().optional().layer(seen.service());

    let mut nobody = request(None);
    spoofed(nobody.headers_mut());
    nobody.headers_mut().append("x-session-id", HeaderValue::from_static("admin"));
    assert_eq!(send(service.clone(), nobody).await.status(), 200);
    let (headers, caller) = seen.last();
    assert!(caller.is_none() && !holds_spoof(&headers), "{headers:?}");
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-trace-id"]);

    assert_eq!(send(service.clone(), request(Some(access.token.to_header_value()))).await.status(), 200);
    assert!(seen.last().1.is_some());

    bridge.admin().revoke_session(&access.session).await.unwrap();
    assert_eq!(send(service.clone(), request(Some(access.token.to_header_value()))).await.status(), 401);
    assert_eq!(send(service, request(Some(HeaderValue::from_static("Bearer x")))).await.status(), 401);
    assert_eq!(seen.calls(), 2);
}

#[tokio::test]
async fn each_layer_requires_its_own_audience_scopes_and_kind() {
    let backend = SqliteBackend::start().await;
    let builder = builder(&backend).await.audiences(["bridge"]).other_audiences(["mcp"]);
    let bridge = builder.build().unwrap();
    let access = access(&bridge, "alice", "a b").await;
    let try_with = async |layer: bridge_auth::BridgeAuthLayer| {
        send(layer.layer(Seen::default().service()), request(Some(access.token.to_header_value()))).await
    };
    let layer = |audience| bridge.layer(audience).unwrap();
    let scopes = |text| Scopes::parse(text).unwrap();
    assert_eq!(try_with(layer("bridge").require_scopes(scopes("a b"))).await.status(), 200);
    assert_eq!(try_with(layer("bridge").require_kind(CallerKind::User)).await.status(), 200);
    assert_eq!(try_with(layer("mcp")).await.status(), 401);
    assert_eq!(try_with(layer("bridge").require_kind(CallerKind::HookClient)).await.status(), 403);
    let lacking = try_with(layer("bridge").require_scopes(scopes("c a"))).await;
    assert_eq!(lacking.status(), 403);
    assert_eq!(lacking.headers()[WWW_AUTHENTICATE], "Bearer error=\"insufficient_scope\", scope=\"a c\"");
    assert!(bridge.layer("brige").is_err(), "an audience nobody gets is a mistake, found at start-up");
}

#[tokio::test]
async fn a_hook_clients_token_is_not_a_persons() {
    let (_backend, bridge) = bridge().await;
    let person = access(&bridge, "alice", "a").await;
    let authenticator = bridge.authenticator("bridge").unwrap().admit_hook_clients();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, person.token.to_header_value())]);
    let caller = authenticator.authenticate(&headers).await.unwrap();
    let client = bridge.issuer().provision_client(&caller).await.unwrap();
    assert_eq!(client.id.as_str(), "bridge:alice");
    let hook =
        bridge.issuer().client_access(&client.id, &client.secret, None, Origin::unknown()).await.unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, hook.token.to_header_value())]);
    let caller = authenticator.authenticate(&headers).await.unwrap();
    assert_eq!((caller.kind(), caller.user_id()), (CallerKind::HookClient, &user("alice")));
    assert_eq!(caller.client_id(), &client.id);
    assert_eq!(caller.scopes().to_string(), "hook:govern hook:track");
    let people_only = authenticator.require_kind(CallerKind::User);
    assert!(matches!(people_only.authenticate(&headers).await, Err(Rejection::CallerKind { .. })));
    assert!(bridge.issuer().provision_client(&caller).await.is_err(), "a client begets no client");

    bridge.admin().revoke_session(&person.session).await.unwrap();
    let revoked = Err(Rejection::InvalidCredential(InvalidCredential::SessionRevoked));
    assert_eq!(bridge.authenticator("bridge").unwrap().authenticate(&headers).await.map(drop), revoked);
    assert!(
        bridge.issuer().client_access(&client.id, &client.secret, None, Origin::unknown()).await.is_err()
    );
}

#[tokio::test]
async fn nested_layers_of_one_bridge_take_each_others_verdict_and_add_their_own_demands() {
    let (backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "a").await;
    let outer = bridge.layer("bridge").unwrap().optional();
    let nested = |inner: bridge_auth::BridgeAuthLayer| {
        ServiceBuilder::new().layer(outer.clone()).layer(inner).service(Seen::default().service())
    };
    let with_token = || request(Some(access.token.to_header_value()));
    let layer = || bridge.layer("bridge").unwrap();
    assert_eq!(send(nested(layer()), with_token()).await.status(), 200);
    assert_eq!(
        send(nested(layer().require_scopes(Scopes::parse("b").unwrap())), with_token()).await.status(),
        403
    );
    assert_eq!(send(nested(layer()), request(None)).await.status(), 401);

    let stranger = builder(&backend).await.build().unwrap();
    assert_eq!(send(nested(stranger.layer("bridge").unwrap()), with_token()).await.status(), 401);
}

/// Between two layers a request waits for longer than the outer one's word is good.
#[tokio::test]
async fn an_outer_layers_verdict_is_taken_for_a_second_and_then_the_session_is_asked_for_again() {
    let (_backend, bridge) = bridge().await;
    let layer = || bridge.layer("bridge").unwrap();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let through = async |inner: bridge_auth::BridgeAuthLayer, revoked: bool| {
        let access = access(&bridge, "alice", "a").await;
        let seen = Seen::default();
        let slow = {
            let (bridge, inner, kept) = (bridge.clone(), inner.layer(seen.service()), kept.clone());
            service_fn(move |request: Request<String>| {
                let (bridge, inner) = (bridge.clone(), inner.clone());
                *kept.lock().unwrap() = request.extensions().get::<Caller>().cloned();
                async move {
                    if revoked {
                        bridge.admin().revoke_user(&user("alice")).await.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(1100)).await;
                    inner.oneshot(request).await
                }
            })
        };
        let sent = request(Some(access.token.to_header_value()));
        let answer = layer().layer(slow).oneshot(sent).await.unwrap();
        (
            answer.status().as_u16(),
            (seen.calls() > 0).then(|| seen.last().1.map(|caller| caller.user_id().to_string())),
        )
    };
    let alice = Some(Some("alice".to_owned()));
    assert_eq!(through(layer(), false).await, (200, alice.clone()));
    assert_eq!(through(layer().optional(), false).await, (200, alice), "and is not nobody");
    assert_eq!(through(layer().require_scopes(Scopes::parse("b").unwrap()), false).await, (403, None));
    assert_eq!(through(layer(), true).await, (401, None));
    assert_eq!(through(layer().optional(), true).await, (401, None));

    // A caller that a host has kept is no proof to a layer later.
    let mut later = request(None);
    later.extensions_mut().insert(kept.lock().unwrap().take().unwrap());
    assert_eq!(
        send(layer().layer(Seen::default().service()), later).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

async fn trace(request: Request<String>) -> TraceId {
    TraceId::from_request_parts(&mut request.into_parts().0, &()).await.unwrap()
}

#[tokio::test]
async fn a_verdict_grows_no_younger_by_being_passed_on_from_layer_to_layer() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let layer = || bridge.layer("bridge").unwrap();
    let seen = Seen::default();
    let innermost = layer().layer(seen.service());
    let pause = async || tokio::time::sleep(Duration::from_millis(600)).await;
    let second = {
        let bridge = bridge.clone();
        layer().layer(service_fn(move |request: Request<String>| {
            let (bridge, inner) = (bridge.clone(), innermost.clone());
            async move {
                bridge.admin().revoke_user(&user("alice")).await.unwrap();
                pause().await;
                inner.oneshot(request).await
            }
        }))
    };
    let first = layer().layer(service_fn(move |request: Request<String>| {
        let inner = second.clone();
        async move {
            pause().await;
            inner.oneshot(request).await
        }
    }));
    let answer = first.oneshot(request(Some(access.token.to_header_value()))).await.unwrap();
    assert_eq!((answer.status(), seen.calls()), (StatusCode::UNAUTHORIZED, 0));
}

#[tokio::test]
async fn nested_layers_tell_of_one_trace_also_where_it_is_not_written() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let layer = |written| bridge.layer("bridge").unwrap().identity_headers(written);
    for written in [true, false] {
        for sent in [None, Some("4bf92f3577b34da6a3ce929d0e0e4736")] {
            let outer = Arc::new(std::sync::Mutex::new(None));
            let inner = layer(written).layer(service_fn(async |request: Request<String>| {
                Ok::<_, Infallible>(Response::new(Full::from(trace(request).await.to_string())))
            }));
            let between = {
                let outer = outer.clone();
                service_fn(move |request: Request<String>| {
                    let (inner, outer) = (inner.clone(), outer.clone());
                    async move {
                        let mut copy = Request::new(String::new());
                        *copy.extensions_mut() = request.extensions().clone();
                        *outer.lock().unwrap() = Some(trace(copy).await.to_string());
                        inner.oneshot(request).await
                    }
                })
            };
            let mut request = request(Some(access.token.to_header_value()));
            if let Some(sent) = sent {
                request.headers_mut().insert("x-trace-id", HeaderValue::from_static(sent));
            }
            let answer = send(layer(written).layer(between), request).await;
            let outer = outer.lock().unwrap().take().unwrap();
            assert_eq!(answer.body(), outer.as_bytes());
            assert!(sent.is_none_or(|sent| sent == outer));
        }
    }
}

#[tokio::test]
async fn the_host_words_the_body_and_nothing_else() {
    let (_backend, bridge) = bridge().await;
    let layer = bridge.layer("bridge").unwrap().rejection_body(|rejection: &Rejection| {
        (HeaderValue::from_static("text/plain"), Bytes::from(format!("no: {}", rejection.code())))
    });
    let response = send(layer.layer(Seen::default().service()), request(None)).await;
    assert_eq!(
        (response.status(), &response.body()[..]),
        (StatusCode::UNAUTHORIZED, &b"no: credential_required"[..])
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn the_hosts_words_reach_the_guarded_endpoints_too() {
    let backend = SqliteBackend::start().await;
    let words = |rejection: &Rejection| {
        (HeaderValue::from_static("text/plain"), Bytes::from(format!("no: {}", rejection.code())))
    };
    let bridge = builder(&backend).await.rejection_body(words).build().unwrap();
    let mut request = Request::new(Full::<Bytes>::default());
    *request.uri_mut() = "/v1/auth/bridge/sessions".parse().unwrap();
    let (parts, body) = bridge.service().oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.status, StatusCode::UNAUTHORIZED);
    assert_eq!(&body.collect().await.unwrap().to_bytes()[..], b"no: credential_required");
}

#[tokio::test]
async fn the_ready_service_is_the_one_that_is_called() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let seen = Seen::default();
    let mut service = ServiceBuilder::new()
        .layer(bridge.layer("bridge").unwrap())
        .concurrency_limit(1)
        .service(seen.service());
    for round in 1..=3 {
        let ready = service.ready().await.unwrap();
        let response = ready.call(request(Some(access.token.to_header_value()))).await.unwrap();
        assert_eq!((response.status(), seen.calls()), (StatusCode::OK, round));
        let refused = service.ready().await.unwrap().call(request(None)).await.unwrap();
        assert_eq!(refused.status(), 401);
        let mut other = service.clone();
        let free = tokio::time::timeout(Duration::from_secs(5), other.ready());
        free.await.expect("a refusal gives its place back").unwrap();
    }
}

#[tokio::test]
async fn it_runs_over_a_buffer_and_a_concurrency_limit_under_load() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let seen = Seen::default();
    let service = ServiceBuilder::new()
        .layer(bridge.layer("bridge").unwrap())
        .buffer(4)
        .concurrency_limit(1)
        .service(seen.service());
    let calls = (0..64).map(|n| {
        let authorization = (n % 2 == 0).then(|| access.token.to_header_value());
        let service = service.clone();
        async move { service.oneshot(request(authorization)).await.unwrap().status() }
    });
    let statuses = futures_util::future::join_all(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 32);
    assert_eq!(seen.calls(), 32);
}

#[tokio::test]
async fn dropping_a_request_while_it_is_judged_leaves_the_service_working() {
    let (_backend, bridge) = bridge().await;
    let access = access(&bridge, "alice", "").await;
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().layer(seen.service());
    for _ in 0..50 {
        let call = service.clone().oneshot(request(Some(access.token.to_header_value())));
        let _ = tokio::time::timeout(Duration::from_micros(50), call).await;
    }
    let response = send(service, request(Some(access.token.to_header_value()))).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_trace_is_continued_and_its_id_is_the_one_the_inner_service_sees() {
    let (_backend, bridge) = bridge().await;
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().optional().layer(seen.service());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = request(None);
    let parent = HeaderValue::from_str(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();
    request.headers_mut().insert("traceparent", parent.clone());
    send(service, request).await;
    let (headers, _) = seen.last();
    assert_eq!(
        (&headers["x-trace-id"], &headers["traceparent"]),
        (&HeaderValue::from_static(trace), &parent)
    );
}

#[tokio::test]
async fn an_expired_or_revoked_session_and_a_disabled_person_are_refused_at_the_next_request() {
    let (backend, bridge) = bridge().await;
    let authenticator = bridge.authenticator("bridge").unwrap();
    let verdict = async |access: &bridge_auth::issue::Access| {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
        authenticator.authenticate(&headers).await.map(drop)
    };
    let refused = |reason| Err(Rejection::InvalidCredential(reason));

    let alice = access(&bridge, "alice", "").await;
    assert_eq!(verdict(&alice).await, Ok(()));
    bridge.admin().disable_user(&user("alice")).await.unwrap();
    assert_eq!(verdict(&alice).await, refused(InvalidCredential::SessionRevoked));
    bridge.admin().enable_user(&user("alice")).await.unwrap();
    assert_eq!(verdict(&alice).await, refused(InvalidCredential::SessionRevoked));

    let bob = access(&bridge, "bob", "").await;
    bridge.admin().revoke_client(&bob.client).await.unwrap();
    assert_eq!(verdict(&bob).await, refused(InvalidCredential::SessionRevoked));

    let carol = access(&bridge, "carol", "").await;
    backend.pass_time(Duration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(verdict(&carol).await, refused(InvalidCredential::SessionExpired));
    backend.pass_time(Duration::from_secs(2 * 3600)).await;
    bridge.admin().sweep(|_| ()).await.unwrap();
    assert_eq!(verdict(&carol).await, refused(InvalidCredential::SessionUnknown));
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_503_with_retry_after_and_no_challenge() {
    let backend = SqliteBackend::start().await;
    let bridge = builder(&backend).await.retry_after(Duration::from_secs(7)).build().unwrap();
    let access = access(&bridge, "alice", "").await;
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().layer(seen.service());
    backend.break_down();
    let response = send(service, request(Some(access.token.to_header_value()))).await;
    assert_eq!((response.status(), seen.calls()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(response.headers()[RETRY_AFTER], "7");
    assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
}

#[tokio::test]
async fn a_refused_grpc_call_is_answered_with_a_grpc_status_whatever_the_host_words() {
    let (_backend, bridge) = bridge().await;
    let words = |_: &Rejection| (HeaderValue::from_static("text/plain"), Bytes::from("no"));
    let seen = Seen::default();
    let service = bridge.layer("bridge").unwrap().rejection_body(words).layer(seen.service());
    let mut call = request(None);
    *call.method_mut() = http::Method::POST;
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    let response = send(service, call).await;
    assert_eq!((response.status(), seen.calls()), (StatusCode::OK, 0));
    assert_eq!(
        (&response.headers()["grpc-status"], &response.body()[..]),
        (&HeaderValue::from(16), &b""[..])
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc+proto");
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(response.extensions().get(), Some(&Rejection::NoCredential));
}

/// Names that the layer reads, writes or looks into, spelt as they should be and not, and others.
const FUZZED: [&str; 22] = [
    "authorization",
    "cookie",
    "sec-websocket-protocol",
    "x-api-key",
    "connection",
    "x-user-id",
    "x_user_id",
    "x-session-id",
    "x_session-id",
    "x-trace-id",
    "traceparent",
    "tracestate",
    "origin",
    "sec-fetch-site",
    "content-type",
    "host",
    "proxy-authorization",
    "forwarded",
    "vary",
    "a",
    "x",
    "x-client_id",
];

/// Pieces of which values are made; `T` is a live token.
const PIECES: [&str; 20] = [
    "T",
    "T",
    "Bearer ",
    "bearer",
    "Basic ",
    ",",
    ";",
    "=",
    "\"",
    " ",
    "\t",
    "t=",
    "chat",
    "\u{e9}",
    "x-user-id",
    ".",
    "eyJ",
    "https://gateway.example",
    "same-origin",
    "application/grpc",
];

/// Of whatever lines of headers: no layer panics, and behind none of them the token is to be found.
#[test]
fn whatever_the_headers_no_layer_panics_or_lets_the_token_through() {
    use bridge_auth::authenticate::TokenSource;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build().unwrap();
    let (_backend, bridge) = runtime.block_on(bridge());
    let access = runtime.block_on(access(&bridge, "alice", ""));
    let token = access.token.expose();
    let layer = || bridge.layer("bridge").unwrap();
    let all = |layer: bridge_auth::BridgeAuthLayer| {
        let layer = layer.token_from(TokenSource::Header(HeaderName::from_static("x-api-key")));
        layer.token_from(TokenSource::Cookie("t".to_owned())).token_from(TokenSource::WebSocketProtocol)
    };
    let stacks = [
        vec![layer()],
        vec![layer().optional()],
        vec![all(layer())],
        vec![all(layer().optional())],
        vec![layer(), all(layer().optional())],
        vec![all(layer().admit_hook_clients()), layer().optional()],
        vec![all(layer().optional()), all(layer().optional())],
    ];
    let value = proptest::collection::vec(0..PIECES.len(), 0..6);
    let lines = proptest::collection::vec((0..FUZZED.len(), value), 0..12);
    let check = |(places, with_bearer): (Vec<(usize, Vec<usize>)>, bool)| {
        for stack in &stacks {
            let mut sent = request(with_bearer.then(|| access.token.to_header_value()));
            for (name, pieces) in &places {
                let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
                let Ok(value) = HeaderValue::from_bytes(text.replace('T', token).as_bytes()) else {
                    continue;
                };
                sent.headers_mut().append(FUZZED[*name], value);
            }
            let seen = Seen::default();
            // The first of the stack is the innermost.
            let inner = tower::util::BoxCloneService::new(
                seen.service().map_response(|r| r.map(axum::body::Body::new)),
            );
            let service = stack.iter().fold(inner, |inner, layer| {
                let guarded = layer.layer(inner).map_response(|answer| answer.map(axum::body::Body::new));
                tower::util::BoxCloneService::new(guarded)
            });
            let sent_headers = sent.headers().clone();
            let answer = runtime.block_on(service.oneshot(sent)).unwrap();
            prop_assert!(!answer.status().is_server_error(), "{:?}", sent_headers);
            if seen.calls() == 0 {
                continue;
            }
            let (headers, caller) = seen.last();
            let leaks =
                |value: &HeaderValue| memchr::memmem::find(value.as_bytes(), token.as_bytes()).is_some();
            // A value that was glued to more of its own alphabet was no token to anybody.
            let found: Vec<_> = headers.iter().filter(|(_, value)| leaks(value)).collect();
            prop_assert!(caller.is_none() || found.is_empty(), "{:?} {:?}", found, sent_headers);
            let users: Vec<_> = headers.get_all("x-user-id").iter().collect();
            prop_assert_eq!(users.len(), usize::from(caller.is_some()));
            prop_assert!(!headers.contains_key("x_user_id") && !headers.contains_key("x-client_id"));
        }
        Ok(())
    };
    TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() })
        .run(&(lines, any::<bool>()), check)
        .unwrap();
}
