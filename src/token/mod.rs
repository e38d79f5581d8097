//! STUB: replaced by branch `token`.
#![allow(missing_docs, missing_debug_implementations, dead_code, clippy::todo)]
use crate::clock::Clock;
use crate::id::*;
use std::sync::Arc;
use std::time::Duration;
pub(crate) const MAX_TOKEN_BYTES: usize = 8192;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidToken {
    #[error("x")]
    Expired,
}
impl InvalidToken {
    pub fn reason(&self) -> &'static str {
        "expired"
    }
}
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("x")]
    SelfTest,
}
#[derive(Debug, Clone, Copy)]
pub enum Algorithm {
    EdDsa,
    Rs256,
    Ps256,
    Es256,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub(crate) issuer: String,
    pub(crate) subject: Subject,
    pub(crate) audiences: Vec<Audience>,
    pub(crate) expires_at: u64,
    pub(crate) issued_at: u64,
    pub(crate) not_before: u64,
    pub(crate) token_id: String,
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    pub(crate) session: SessionId,
    pub(crate) authenticated_at: u64,
}
impl Claims {
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }
    pub fn session(&self) -> &SessionId {
        &self.session
    }
    pub fn client(&self) -> &ClientId {
        &self.client
    }
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    User(UserId),
    HookClient { owner: UserId },
}
#[derive(Debug, Clone)]
pub struct SigningKey;
impl SigningKey {
    pub fn generate(_: Algorithm) -> Result<Self, KeyError> {
        todo!()
    }
}
#[derive(Debug, Clone)]
pub struct KeyRing;
impl KeyRing {
    pub fn new(_: SigningKey) -> Result<Self, KeyError> {
        todo!()
    }
    pub fn load_or_generate(_: impl AsRef<std::path::Path>, _: Algorithm) -> Result<Self, KeyError> {
        todo!()
    }
    pub(crate) fn sign(&self, _: &Claims) -> Result<AccessToken, KeyError> {
        todo!()
    }
    pub fn self_test(&self) -> Result<(), KeyError> {
        todo!()
    }
    pub fn jwks(&self) -> String {
        todo!()
    }
}
#[derive(Debug)]
pub(crate) struct TokenVerifier;
impl TokenVerifier {
    pub(crate) fn new(_: KeyRing, _: String, _: Arc<dyn Clock>, _: Duration, _: Duration) -> Self {
        todo!()
    }
    pub(crate) fn verify(&self, _: &str) -> Result<Claims, InvalidToken> {
        todo!()
    }
}
