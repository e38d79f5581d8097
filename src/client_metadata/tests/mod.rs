//! Real servers with certificates, and names that lead where a test says.

mod caching;
mod documents;
mod fetching;
mod hostile;
mod limits;
mod server;
mod urls;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Value, json};

use super::clients::MetadataClients;
use super::document::ClientDocument;
use super::error::{ClientDocumentError, Refusal};
use super::settings::ClientMetadata;
use crate::clock::{Clock, HostClock};
use crate::id::ClientId;
use server::{ROOT, Reply, Server};

/// What a gateway is asked for, the servers' addresses allowed.
fn lenient() -> ClientMetadata {
    strict().danger_allow_addresses(["127.0.0.1/32"])
}

/// The same, but only public addresses may be reached. So nothing but the addresses keeps it from the servers.
fn strict() -> ClientMetadata {
    ClientMetadata::open().root_certificate_pem(&ROOT.certificate)
}

fn id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

/// A server, and a gateway whose names all lead to it.
struct Scene {
    server: Server,
    dns: Dns,
    clock: Ahead,
    clients: Arc<MetadataClients>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(lenient()).await
    }

    async fn with(settings: ClientMetadata) -> Self {
        let server = Server::start().await;
        let (dns, clock) = (Dns::always("127.0.0.1"), Ahead::default());
        let clients = gateway(settings, &dns, &clock);
        Self { server, dns, clock, clients }
    }

    fn id(&self) -> ClientId {
        self.named("app.json")
    }

    fn named(&self, path: &str) -> ClientId {
        id(&format!("https://client.example:{}/{path}", self.server.port()))
    }

    /// A good document, but for these members. `null` takes a member away.
    fn document(&self, members: &Value) -> Value {
        with_members(self.id().as_str(), members)
    }

    async fn find(&self) -> Result<Arc<ClientDocument>, ClientDocumentError> {
        self.clients.find(&self.id()).await
    }

    /// Why the document is refused that the server answers with now.
    async fn refusal(&self) -> Refusal {
        self.clock.advance(Duration::from_secs(3600 * 24));
        match self.find().await {
            Err(ClientDocumentError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn serve(&self, document: &Value) {
        self.server.answer(Reply::json(&document.to_string()));
    }
}

fn gateway(settings: ClientMetadata, dns: &Dns, clock: &Ahead) -> Arc<MetadataClients> {
    let clock = HostClock::new(clock.clone());
    Arc::new(MetadataClients::with_resolver(settings, clock, Arc::new(dns.clone())).unwrap())
}

fn with_members(id: &str, members: &Value) -> Value {
    let mut document = json!({
        "client_id": id, "client_name": "Example", "client_uri": "https://client.example/",
        "redirect_uris": ["https://client.example/callback", "http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "scope": "read write", "logo_uri": "https://client.example/logo.png",
    });
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => _ = document.as_object_mut().unwrap().remove(name),
            value => document[name] = value.clone(),
        }
    }
    document
}

/// Answers with each of its answers once, and then always with the last.
#[derive(Clone)]
struct Dns(Arc<Answers>);

struct Answers {
    next: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Dns {
    fn new(answers: &[&[&str]]) -> Self {
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let next = Mutex::new(answers.iter().map(parsed).collect());
        Self(Arc::new(Answers { next, asked: AtomicUsize::new(0) }))
    }

    fn always(address: &str) -> Self {
        Self::new(&[&[address]])
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Dns {
    fn resolve(&self, _name: Name) -> Resolving {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut next = self.0.next.lock().unwrap();
        let answer = if next.len() > 1 { next.pop_front().unwrap() } else { next[0].clone() };
        // A port that the resolver names must not count.
        let addresses = answer.into_iter().map(|address| SocketAddr::new(address, 1));
        Box::pin(async move { Ok(Box::new(addresses) as Addrs) })
    }
}

/// A clock that a test sets forward.
#[derive(Debug, Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Ahead {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Duration {
        Duration::from_secs(1_000_000 + self.0.load(Ordering::SeqCst))
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
