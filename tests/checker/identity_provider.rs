//! The identity provider of the checked people: it tells a gateway when a person's sessions are to end.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// An issuer that serves its keys until it is dropped.
pub struct IdentityProvider {
    pub issuer: String,
    key: EncodingKey,
    serving: AbortHandle,
}

/// What an event says about a person.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// CAEP 1.0 §3.1
    SessionRevoked,
    /// RISC 1.0 §2.3
    AccountDisabled,
}

const KEY_ID: &str = "events";

impl IdentityProvider {
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn start() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
        public.common.key_id = Some(KEY_ID.to_owned());
        let keys = json!({ "keys": [public] }).to_string();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(serve(listener, keys)).abort_handle();
        Self { issuer, key, serving }
    }

    /// A logout token (OpenID Connect Back-Channel Logout 1.0) for `client` about `person`.
    pub fn logs_out(&self, person: &str, client: &str) -> String {
        self.sign("logout+jwt", |now| {
            json!({
                "iss": self.issuer, "aud": client, "iat": now, "exp": now + 120, "jti": id(), "sub": person,
                "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
            })
        })
    }

    /// A security event token (RFC 8417) for `gateway` about `person`.
    pub fn says(&self, event: Event, person: &str, gateway: &str) -> String {
        self.sign("secevent+jwt", |now| {
            json!({
                "iss": self.issuer, "aud": gateway, "iat": now, "jti": id(),
                "sub_id": { "format": "iss_sub", "iss": self.issuer, "sub": person },
                "events": { event.kind(): Value::Object(Default::default()) },
            })
        })
    }

    fn sign(&self, typ: &str, claims: impl FnOnce(u64) -> Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(KEY_ID.to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        jsonwebtoken::encode(&header, &claims(now), &self.key).unwrap()
    }
}

fn id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Event {
    fn kind(self) -> &'static str {
        match self {
            Self::SessionRevoked => "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
            Self::AccountDisabled => "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
        }
    }
}

/// Answers every request with the keys.
async fn serve(listener: TcpListener, keys: String) {
    let mut answers = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        while answers.try_join_next().is_some() {}
        answers.spawn(timeout(Duration::from_secs(10), answer(connection, keys.clone())));
    }
}

async fn answer(mut connection: TcpStream, keys: String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_buf(&mut request).await {
            Ok(1..) if request.len() < 10_000 => {}
            _ => return,
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/jwk-set+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        keys.len()
    );
    let _ = connection.write_all((head + &keys).as_bytes()).await;
}
