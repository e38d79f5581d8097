//! The people of this gateway, as `axum-login` wants to know them. A real gateway has them in a table.

use std::convert::Infallible;
use std::sync::Arc;

use axum_login::{AuthUser, AuthnBackend};
use serde::Deserialize;

/// A person.
#[derive(Clone)]
pub struct User {
    id: i64,
    name: &'static str,
    /// Whether the person may use the models for operators.
    pub(crate) may_administrate: bool,
    password_hash: String,
}

/// What a person types.
#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: String,
}

/// All people.
#[derive(Debug, Clone)]
pub struct Users(Arc<[User]>);

impl Users {
    /// Alice and bob, with the passwords `alice's password` and `bob's password`.
    #[must_use]
    pub fn demo() -> Self {
        let user = |id, name, may_administrate| {
            let password_hash = password_auth::generate_hash(format!("{name}'s password"));
            User { id, name, may_administrate, password_hash }
        };
        Self([user(1, "alice", true), user(2, "bob", false)].into())
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// A new password ends the browser's sessions.
    fn session_auth_hash(&self) -> &[u8] {
        self.password_hash.as_bytes()
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, typed: Credentials) -> Result<Option<User>, Infallible> {
        let user = self.0.iter().find(|user| user.name == typed.name).cloned();
        // To compare a password is slow on purpose, so it must not hold up the others.
        let compared = tokio::task::spawn_blocking(move || {
            user.filter(|user| password_auth::verify_password(typed.password, &user.password_hash).is_ok())
        });
        Ok(compared.await.ok().flatten())
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(self.0.iter().find(|user| user.id == *id).cloned())
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}
