//! What is signed in of a person, whole.

use async_trait::async_trait;
use bridge_auth::issue::Admin;
use bridge_auth::store::{Device, DeviceQuery, KnownUser, Session, Store, StoreError};
use bridge_auth::{Scopes, UserId};

/// All the devices of a person, page by page, and their sessions.
#[async_trait]
pub trait Listed {
    async fn all_devices_of(&self, user: &UserId) -> Result<Vec<Device>, StoreError>;

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>, StoreError> {
        let devices = self.all_devices_of(user).await?;
        Ok(devices.into_iter().map(|device| device.session).collect())
    }
}

#[async_trait]
impl<S: Store + ?Sized> Listed for S {
    async fn all_devices_of(&self, user: &UserId) -> Result<Vec<Device>, StoreError> {
        let mut query = DeviceQuery::default();
        let mut all = Vec::new();
        loop {
            let page = self.devices_of(user, &query).await?;
            all.extend(page.devices);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// The same as operators see them.
#[async_trait]
pub trait ListedByAdmin {
    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>, StoreError>;
}

#[async_trait]
impl ListedByAdmin for Admin {
    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>, StoreError> {
        let page = self.devices_of(user, &DeviceQuery::default()).await?;
        Ok(page.devices.into_iter().map(|device| device.session).collect())
    }
}

/// A person whose hooks are not narrowed.
pub fn known(user: &UserId, scopes: &Scopes) -> KnownUser {
    KnownUser::new(user.clone(), scopes.clone())
}
