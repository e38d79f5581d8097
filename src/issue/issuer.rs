//! The issuer: the one object of the write side.

use std::fmt;
use std::sync::Arc;

use super::settings::IssueSettings;
use super::signed_in::SignedIn;
use crate::client_metadata::MetadataClients;
use crate::clock::HostClock;
use crate::id::{ClientId, RefreshToken, UserId};
use crate::store::{KnownUser, RefreshStatus, Store, StoreError, within_deadline};
use crate::token::KeyRing;

/// Issues codes, access and hook clients.
///
/// [`Bridge::issuer`](crate::Bridge::issuer) hands it out.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct Issuer {
    pub(super) settings: Arc<IssueSettings>,
    pub(super) keys: KeyRing,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: HostClock,
    /// The clients that metadata documents describe, where the host accepts them.
    pub(super) documents: Option<Arc<MetadataClients>>,
}

impl Issuer {
    pub(crate) fn new(
        settings: Arc<IssueSettings>,
        keys: KeyRing,
        store: Arc<dyn Store>,
        clock: HostClock,
        documents: Option<Arc<MetadataClients>>,
    ) -> Self {
        Self { settings, keys, store, clock, documents }
    }

    /// Makes a person known, or changes the scopes of a known person and their hooks.
    ///
    /// A disabled person stays disabled.
    ///
    /// [`issue_code`](Self::issue_code) does this by itself. Call it before [`open_access`](Self::open_access).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// It is done or not done, never half done.
    pub async fn register_user(&self, signed_in: &SignedIn) -> Result<(), StoreError> {
        let user = KnownUser {
            id: signed_in.user_id.clone(),
            scopes: signed_in.scopes.clone(),
            hook_scopes: signed_in.hook_scopes.clone(),
            label: signed_in.label.clone(),
        };
        within_deadline(self.settings.deadlines.write, self.store.put_user(&user)).await
    }

    /// The state of a refresh token. `None`: it was never issued.
    pub(crate) async fn refresh_status(
        &self,
        token: &RefreshToken,
    ) -> Result<Option<RefreshStatus>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.refresh_status(&token.hash())).await
    }
}

/// Whether the person has the same id as the client, or that of a workload. Nobody could tell such a person's token from
/// a token of the client.
pub(super) fn is_client(user: &UserId, client: &ClientId) -> bool {
    user.as_str() == client.as_str() || user.is_for_workload()
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
