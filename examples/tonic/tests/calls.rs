//! Calls over a real socket, with the client that tonic generates: what a guarded service learns, and what a refused
//! client gets.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use example_tonic::proto::identity_client::IdentityClient;
use example_tonic::proto::track_client::TrackClient;
use example_tonic::proto::{
    AppendReply, AppendRequest, FollowReply, FollowRequest, WhoAmIReply, WhoAmIRequest,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// A server on a free port, with its own SQLite file.
struct Server {
    bridge: Bridge,
    folder: TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.db");
        let bridge = example_tonic::bridge(&format!("http://{address}"), &path).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn({
            let bridge = bridge.clone();
            async move { example_tonic::serve(listener, &bridge, async { drop(stopped.await) }).await }
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { bridge, folder, address, http, stop, served }
    }

    /// Links a bridge for alice as bridges do: it exchanges a code for a token over HTTP.
    async fn link(&self, scopes: &str) -> Value {
        self.link_as("alice", scopes).await
    }

    async fn link_as(&self, name: &str, scopes: &str) -> Value {
        let person = SignedIn::new(UserId::parse(name).unwrap(), Scopes::parse(scopes).unwrap());
        let issued = self.bridge.issuer().issue_code(&person, Default::default()).await.unwrap();
        let exchange = json!({ "code": issued.code.expose() });
        let answer = self.http.post(self.url("session")).json(&exchange).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    fn url(&self, endpoint: &str) -> String {
        format!("http://{}/v1/auth/bridge/{endpoint}", self.address)
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn who_am_i(&self, token: Option<&str>) -> Result<WhoAmIReply, Status> {
        let request = with_token(Request::new(WhoAmIRequest {}), token);
        Ok(IdentityClient::new(self.channel().await).who_am_i(request).await?.into_inner())
    }

    async fn append(&self, token: &str, events: &[&str]) -> Result<AppendReply, Status> {
        let reports: Vec<_> =
            events.iter().map(|event| AppendRequest { event: (*event).to_owned() }).collect();
        let request = with_token(Request::new(tokio_stream::iter(reports)), Some(token));
        Ok(TrackClient::new(self.channel().await).append(request).await?.into_inner())
    }

    /// Removes what every look-up needs. From now on the store cannot answer.
    fn break_store(&self) {
        let file = rusqlite::Connection::open(self.folder.path().join("bridges.db")).unwrap();
        file.execute_batch("ALTER TABLE sessions RENAME TO lost").unwrap();
    }
}

fn with_token<T>(mut request: Request<T>, token: Option<&str>) -> Request<T> {
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap()
}

fn metadata<'a>(status: &'a Status, name: &str) -> Option<&'a str> {
    Some(status.metadata().get(name)?.to_str().unwrap())
}

#[tokio::test]
async fn a_linked_bridge_is_known_to_the_method_it_calls() {
    let server = Server::start().await;
    let access = server.link("hook:track").await;

    let reply = server.who_am_i(Some(text(&access, "token"))).await.unwrap();

    assert_eq!(reply.user_id, "alice");
    assert_eq!(reply.session_id, text(&access["headers"], "x-session-id"));
    assert_eq!(reply.scopes, ["hook:track"]);
}

#[tokio::test]
async fn a_call_cannot_say_who_it_is_from() {
    let server = Server::start().await;
    let access = server.link("").await;
    let mut request = with_token(Request::new(WhoAmIRequest {}), Some(text(&access, "token")));
    request.metadata_mut().insert("x-user-id", "mallory".parse().unwrap());

    let reply = IdentityClient::new(server.channel().await).who_am_i(request).await.unwrap();

    assert_eq!(reply.into_inner().user_id, "alice");
}

#[tokio::test]
async fn a_call_without_a_token_is_unauthenticated_and_told_what_to_send() {
    let server = Server::start().await;
    let status = server.who_am_i(None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "Send an access token in the Authorization header: Bearer <token>.");
    assert_eq!(metadata(&status, "www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_malformed_credential_is_an_invalid_argument() {
    let server = Server::start().await;
    let status = server.who_am_i(Some("two words")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_revoked_session_is_unauthenticated_at_the_next_call() {
    let server = Server::start().await;
    let access = server.link("").await;
    let token = text(&access, "token");
    server.who_am_i(Some(token)).await.unwrap();

    let ended = server.http.post(server.url("logout")).bearer_auth(token).send().await.unwrap();
    assert_eq!(ended.status(), 204);

    let status = server.who_am_i(Some(token)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(metadata(&status, "www-authenticate"), Some("Bearer error=\"invalid_token\""));
}

#[tokio::test]
async fn a_missing_scope_is_permission_denied_before_any_report_is_read() {
    let server = Server::start().await;
    let access = server.link("hook:govern").await;

    let status = server.append(text(&access, "token"), &["edited a file"]).await.unwrap_err();

    assert_eq!(status.code(), Code::PermissionDenied);
    let challenge = metadata(&status, "www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"insufficient_scope\", scope=\"hook:track\""));
}

#[tokio::test]
async fn a_stream_with_the_scope_is_taken_whole() {
    let server = Server::start().await;
    let access = server.link("hook:track").await;
    let reply = server.append(text(&access, "token"), &["ran a command", "edited a file"]).await.unwrap();
    assert_eq!(reply, AppendReply { user_id: "alice".to_owned(), count: 2 });
}

#[tokio::test]
async fn a_follower_sees_its_own_persons_reports_until_its_session_is_revoked() {
    let server = Server::start().await;
    let (alice, bob) = (server.link("hook:track").await, server.link_as("bob", "hook:track").await);
    let (alice, bob) = (text(&alice, "token"), text(&bob, "token"));
    let request = with_token(Request::new(FollowRequest {}), Some(alice));
    let mut followed = TrackClient::new(server.channel().await).follow(request).await.unwrap().into_inner();

    server.append(bob, &["bob's"]).await.unwrap();
    server.append(alice, &["alice's"]).await.unwrap();
    assert_eq!(followed.message().await.unwrap(), Some(FollowReply { event: "alice's".to_owned() }));

    let ended = server.http.post(server.url("logout")).bearer_auth(alice).send().await.unwrap();
    assert_eq!(ended.status(), 204);
    let status = timeout(Duration::from_secs(30), followed.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(server.append(alice, &[]).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_broken_store_is_unavailable_and_calls_no_token_bad() {
    let server = Server::start().await;
    let access = server.link("").await;
    server.break_store();

    let status = server.who_am_i(Some(text(&access, "token"))).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(metadata(&status, "grpc-retry-pushback-ms"), Some("1000"));
    assert_eq!(metadata(&status, "www-authenticate"), None);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends() {
    let server = Server::start().await;
    server.who_am_i(None).await.unwrap_err();
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
}
