//! The write side's one object.

use std::fmt;
use std::sync::Arc;

use super::settings::IssueSettings;
use super::signed_in::SignedIn;
use crate::clock::HostClock;
use crate::id::{ClientId, RefreshToken, UserId};
use crate::store::{KnownUser, RefreshStatus, Store, StoreError, within_deadline};
use crate::token::KeyRing;

/// Issues what bridges are let in with: [`Bridge::issuer`](crate::Bridge::issuer) hands it out.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct Issuer {
    pub(super) settings: Arc<IssueSettings>,
    pub(super) keys: KeyRing,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: HostClock,
}

impl Issuer {
    pub(crate) fn new(
        settings: Arc<IssueSettings>,
        keys: KeyRing,
        store: Arc<dyn Store>,
        clock: HostClock,
    ) -> Self {
        Self { settings, keys, store, clock }
    }

    /// Makes a person known, or sets what a known person and their hooks may do. A disabled one stays disabled.
    ///
    /// [`issue_code`](Self::issue_code) does this by itself; call it before
    /// [`open_access`](Self::open_access).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Done or not done, never half.
    pub async fn register_user(&self, signed_in: &SignedIn) -> Result<(), StoreError> {
        let user = KnownUser {
            id: signed_in.user_id.clone(),
            scopes: signed_in.scopes.clone(),
            hook_scopes: signed_in.hook_scopes.clone(),
        };
        within_deadline(self.settings.deadlines.write, self.store.put_user(&user)).await
    }

    /// What is to say of a refresh token now; `None` when nobody was given it.
    pub(crate) async fn refresh_status(
        &self,
        token: &RefreshToken,
    ) -> Result<Option<RefreshStatus>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.refresh_status(&token.hash())).await
    }
}

/// Whether a person has the id of the client they call through: such a token would not be told from a
/// client's own.
pub(super) fn is_client(user: &UserId, client: &ClientId) -> bool {
    user.as_str() == client.as_str()
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
