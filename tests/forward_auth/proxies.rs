//! Real proxies, with the configurations of `examples/forward_auth`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::{Json, Router};
use bridge_auth::header::IDENTITY_HEADERS;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Scene;
use crate::support::proxy::{Kind, Proxy};
use crate::support::wire::raw;

const KINDS: [Kind; 2] = [Kind::Nginx, Kind::Haproxy];

/// A service behind the proxy. It answers what it was sent.
struct Backend {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Backend {
    async fn start() -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(echo).with_state(calls.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, calls, serving }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn echo(
    State(calls): State<Arc<AtomicUsize>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    calls.fetch_add(1, Ordering::SeqCst);
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
    };
    let headers: Vec<_> = headers.iter().map(line).collect();
    Json(json!({ "path": uri.path(), "headers": headers, "body": String::from_utf8_lossy(&body) }))
}

/// Everything, with one proxy.
struct Behind {
    kind: Kind,
    scene: Scene,
    backend: Backend,
    proxy: Proxy,
}

impl Behind {
    async fn start(kind: Kind) -> Self {
        let (scene, backend) = (Scene::start().await, Backend::start().await);
        let proxy = Proxy::start(kind, scene.gateway.address, backend.address).await;
        Self { kind, scene, backend, proxy }
    }

    /// The status and the whole answer to a `GET` of `target` with these lines.
    async fn get(&self, target: &str, lines: &str) -> (u16, String) {
        let request = format!("GET {target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{lines}\r\n");
        self.send(&request).await
    }

    async fn send(&self, request: &str) -> (u16, String) {
        let answer = raw(self.proxy.address, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{:?}: no status: {answer:?}", self.kind)), answer.to_lowercase())
    }

    fn alice(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.scene.alice)
    }

    fn calls(&self) -> usize {
        self.backend.calls.load(Ordering::SeqCst)
    }

    /// What the backend saw of the identity headers, once `lines` were sent.
    async fn seen(&self, lines: &str) -> Vec<(String, String)> {
        let (status, answer) = self.get("/v1/messages", lines).await;
        assert_eq!(status, 200, "{:?} {lines:?} {answer}", self.kind);
        let (begin, end) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
        let seen: Value = serde_json::from_str(&answer[begin..=end]).unwrap();
        serde_json::from_value(seen["headers"].clone()).unwrap()
    }
}

/// Whether the backend was told, once each, that alice calls, and no token.
fn say_alice(seen: &[(String, String)]) -> bool {
    let named = |name: &str| {
        let is_it = |(sent, _): &&(String, String)| sent.replace('_', "-").eq_ignore_ascii_case(name);
        seen.iter().filter(is_it).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    IDENTITY_HEADERS.iter().all(|name| named(name.as_str()).len() == 1)
        && named("x-user-id") == ["alice"]
        && named("x-client-id") == ["sp_bridge"]
        && named("x-policy-version") == ["unversioned"]
        && named("x-call-source") == ["bridge"]
        && named("x-session-id")[0].starts_with("sess_")
        && named("x-trace-id")[0].len() == 32
        && !seen.iter().any(|(name, value)| {
            name == "authorization" || name == "x-api-key" || value.contains("eyj") || value.contains("admin")
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_behind_a_proxy_is_told_who_calls_and_gets_no_token() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        let seen = behind.seen(&behind.alice()).await;
        assert!(say_alice(&seen), "{kind:?} {seen:?}");
        // Some clients send one token twice.
        let seen = behind.seen(&format!("{}X-Api-Key: {}\r\n", behind.alice(), behind.scene.alice)).await;
        assert!(say_alice(&seen), "{kind:?} {seen:?}");
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let traced = format!("{}traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n", behind.alice());
        let seen = behind.seen(&traced).await;
        assert!(seen.contains(&("x-trace-id".to_owned(), trace.to_owned())), "{kind:?} {seen:?}");
        let request = format!(
            "POST /v1/messages?a=b HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: 5\r\n{}\r\nhello",
            behind.alice()
        );
        let (status, answer) = behind.send(&request).await;
        assert!(status == 200 && answer.contains("\"body\":\"hello\""), "{kind:?} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_a35_a36_a37_no_spelling_of_an_identity_header_reaches_the_backend() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        for name in IDENTITY_HEADERS {
            let name = name.as_str();
            for spelt in [
                name.to_owned(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                name.to_uppercase().replace('-', "_"),
                name.replacen("x-", "X-", 1).replacen('-', "_", 2),
            ] {
                for lines in [
                    format!("{spelt}: admin\r\n{}", behind.alice()),
                    format!("{}{spelt}:admin\r\n{spelt}: admin, admin\r\n", behind.alice()),
                ] {
                    let (status, _) = behind.get("/v1/messages", &lines).await;
                    // The guard reads a declared session, and refuses another than the token's. nginx drops the
                    // spellings with `_` before it asks.
                    let is_declared = spelt.eq_ignore_ascii_case("x-session-id");
                    let is_read = kind == Kind::Haproxy && name == "x-session-id";
                    if is_declared || (is_read && status == 401) {
                        assert_eq!(status, 401, "{kind:?} {lines}");
                        continue;
                    }
                    let seen = behind.seen(&lines).await;
                    assert!(say_alice(&seen), "{kind:?} {lines} {seen:?}");
                }
            }
        }
        let hop = format!("connection: x-user-id, x-session-id\r\n{}", behind.alice());
        let seen = behind.seen(&hop).await;
        let names_one = |(name, value): &(String, String)| name == "connection" && value.contains("x-");
        assert!(say_alice(&seen) && !seen.iter().any(names_one), "{kind:?} {seen:?}");
    }
}

/// A backend that takes h2c would let the client write requests of its own on the connection behind the proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_no_upgrade_but_a_web_sockets_reaches_the_backend() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        for lines in [
            "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nconnection: upgrade, http2-settings\r\n",
            "upgrade: foo, h2c\r\nconnection: upgrade\r\n",
            "upgrade: h2c, websocket\r\nconnection: upgrade\r\n",
            "upgrade: websocket\r\nupgrade: h2c\r\nconnection: upgrade\r\n",
        ] {
            let (status, answer) = behind.get("/v1/messages", &format!("{lines}{}", behind.alice())).await;
            assert!(status == 400 || status == 200, "{kind:?} {lines} {answer}");
            assert!(!answer.contains("h2c") && !answer.contains("http2-settings"), "{kind:?} {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_the_client_as_the_guard_meant_it() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        let bob = format!("Authorization: Bearer {}\r\n", behind.scene.bob);
        for (lines, expected, challenge) in [
            ("", 401, "www-authenticate: bearer scope=\"chat\"\r\n"),
            ("Authorization: Bearer a.b.c\r\n", 401, "error=\"invalid_token\""),
            ("Authorization: Bearer a b\r\n", 401, "error=\"invalid_request\""),
            (&*bob, 403, "www-authenticate: bearer error=\"insufficient_scope\", scope=\"chat\"\r\n"),
        ] {
            let (status, answer) = behind.get("/v1/messages", lines).await;
            assert_eq!(status, expected, "{kind:?} {lines:?} {answer}");
            assert!(answer.contains(challenge), "{kind:?} {lines:?} {answer}");
        }
        behind
            .scene
            .gateway
            .bridge
            .admin()
            .revoke_user(&crate::support::bridge::user("alice"))
            .await
            .unwrap();
        assert_eq!(behind.get("/v1/messages", &behind.alice()).await.0, 401, "{kind:?}");
        assert_eq!(behind.calls(), 0, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_lets_nobody_in_and_calls_no_token_bad() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        behind.scene.store.break_look_ups();
        let (status, answer) = behind.get("/v1/messages", &behind.alice()).await;
        assert_eq!(status, 503, "{kind:?} {answer}");
        assert!(
            answer.contains("retry-after: 1\r\n") && !answer.contains("www-authenticate"),
            "{kind:?} {answer}"
        );
        assert_eq!(behind.calls(), 0, "{kind:?}");
        behind.scene.store.mend();
        assert!(say_alice(&behind.seen(&behind.alice()).await), "{kind:?}");
        // Nobody listens there.
        let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let proxy = Proxy::start(kind, nowhere, behind.backend.address).await;
        let behind = Behind { proxy, ..behind };
        let calls = behind.calls();
        let (status, answer) = behind.get("/v1/messages", &behind.alice()).await;
        assert!(status == 503 && !answer.contains("www-authenticate"), "{kind:?} {answer}");
        assert_eq!(behind.calls(), calls, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_a38_a39_a40_no_path_method_or_header_goes_round_the_question() {
    for kind in KINDS {
        let behind = Behind::start(kind).await;
        for target in [
            "/",
            "//",
            "/./v1",
            "/%2e%2e/v1",
            "/v1/..;/healthz",
            "/healthz",
            "/.well-known/jwks.json",
            "/v1/messages/%2f..",
            "/v1/messages?access_token=x",
            "/auth",
            "/_bridge_auth",
            "/@refused",
            "http://gateway/v1/messages",
            "http://127.0.0.1/_bridge_auth",
        ] {
            for line in [
                "",
                "X-Original-URI: /healthz\r\n",
                "X-Original-URL: /healthz\r\n",
                "X-Forwarded-Uri: /healthz\r\nX-Forwarded-Method: OPTIONS\r\n",
                "X-HTTP-Method-Override: OPTIONS\r\n",
                "X-Rejection-Code: x\r\nX-User-Id: admin\r\n",
                "Content-Type: application/grpc\r\n",
                "User-Agent: GoogleHC/1.0\r\n",
            ] {
                let (status, answer) = behind.get(target, line).await;
                assert!([400, 401, 404].contains(&status), "{kind:?} {target} {line} {answer}");
            }
        }
        for method in ["HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PROPFIND", "X"] {
            let request = format!(
                "{method} /v1/messages HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n"
            );
            let (status, answer) = behind.send(&request).await;
            assert!([401, 405].contains(&status), "{kind:?} {method} {answer}");
        }
        assert_eq!(behind.calls(), 0, "{kind:?}");
    }
}
