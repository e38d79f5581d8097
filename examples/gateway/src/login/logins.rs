//! Who is signed in, by the cookie of their browser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use axum_extra::extract::CookieJar;
use bridge_auth::id::ClientSecret;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{CookieKind, Person};

const COOKIE: &str = "gateway_login";
/// How long a person stays signed in.
pub const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// More logins than any demo needs. Beyond this number everyone is signed out, so that memory is bounded.
const MAX_LOGINS: usize = 10_000;

/// Keeps who is signed in. A key is the SHA-256 of a cookie, so that what is kept signs nobody in.
#[async_trait]
pub trait LoginStore: Send + Sync {
    /// Keeps a login for [`LIFE`].
    async fn add(&self, key: [u8; 32], person: &Person) -> Result<()>;
    async fn find(&self, key: [u8; 32]) -> Result<Option<Person>>;
    async fn remove(&self, key: [u8; 32]) -> Result<()>;
}

/// Who is signed in.
#[derive(Clone)]
pub struct Logins {
    store: Arc<dyn LoginStore>,
    cookie: CookieKind,
}

impl Logins {
    pub fn new(store: Arc<dyn LoginStore>, issuer: &Url) -> Self {
        Self { store, cookie: CookieKind::of(issuer) }
    }

    /// Logins that end with the process.
    pub fn in_memory(issuer: &Url) -> Self {
        Self::new(Arc::new(MemoryLogins::default()), issuer)
    }

    /// Signs a person in, with a new cookie: a cookie that was known before the login is worth nothing after it.
    pub async fn sign_in(&self, cookies: CookieJar, person: &Person) -> Result<CookieJar> {
        self.remove(&cookies).await?;
        let value = ClientSecret::random().expose().to_owned();
        self.store.add(key(&value), person).await?;
        Ok(cookies.add(self.cookie.cookie(COOKIE, value)))
    }

    pub async fn sign_out(&self, cookies: CookieJar) -> Result<CookieJar> {
        self.remove(&cookies).await?;
        Ok(cookies.remove(self.cookie.forgotten(COOKIE)))
    }

    pub async fn who(&self, cookies: &CookieJar) -> Result<Option<Person>> {
        match self.key_in(cookies) {
            Some(key) => self.store.find(key).await,
            None => Ok(None),
        }
    }

    async fn remove(&self, cookies: &CookieJar) -> Result<()> {
        match self.key_in(cookies) {
            Some(key) => self.store.remove(key).await,
            None => Ok(()),
        }
    }

    fn key_in(&self, cookies: &CookieJar) -> Option<[u8; 32]> {
        cookies.get(&self.cookie.name(COOKIE)).map(|cookie| key(cookie.value()))
    }
}

fn key(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
}

/// Logins in memory. A second gateway knows nothing of them.
#[derive(Default)]
pub struct MemoryLogins(Mutex<HashMap<[u8; 32], (Person, Instant)>>);

#[async_trait]
impl LoginStore for MemoryLogins {
    async fn add(&self, key: [u8; 32], person: &Person) -> Result<()> {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MAX_LOGINS {
            logins.retain(|_, (_, since)| since.elapsed() < LIFE);
        }
        if logins.len() >= MAX_LOGINS {
            logins.clear();
        }
        logins.insert(key, (person.clone(), Instant::now()));
        Ok(())
    }

    async fn find(&self, key: [u8; 32]) -> Result<Option<Person>> {
        let logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = logins.get(&key).filter(|(_, since)| since.elapsed() < LIFE);
        Ok(found.map(|(person, _)| person.clone()))
    }

    async fn remove(&self, key: [u8; 32]) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        Ok(())
    }
}
