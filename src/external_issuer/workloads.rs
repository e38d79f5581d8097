//! Which clients the workloads of an external issuer are here.

use std::fmt;

use async_trait::async_trait;

use super::people::ExternalSubject;
use crate::id::{ClientId, Scopes};
use crate::store::StoreError;

/// The client that a workload is here, and what it may do.
///
/// A workload is a program that its platform identifies, such as a Kubernetes pod or a SPIFFE workload. No person stands
/// behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workload {
    /// The client id. It cannot be that of a hook client.
    pub client: ClientId,
    /// What the workload may do.
    pub scopes: Scopes,
}

impl Workload {
    /// The workload is `client`, and may do what `scopes` say.
    #[must_use]
    pub const fn new(client: ClientId, scopes: Scopes) -> Self {
        Self { client, scopes }
    }
}

/// Finds the client that a workload of an external issuer is.
///
/// A closure `Fn(&ExternalSubject) -> Option<Workload>` is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which clients the workloads of an external issuer are",
    label = "give a closure `|who: &ExternalSubject| -> Option<Workload>`, or a type that implements `WorkloadMapper`"
)]
#[async_trait]
pub trait WorkloadMapper: Send + Sync + 'static {
    /// The client. `None`: the host does not know the workload.
    ///
    /// [`ExternalSubject::subject`] is `system:serviceaccount:<namespace>:<name>` for Kubernetes, and a SPIFFE ID for
    /// SPIFFE.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be found out: the answer is 503.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes longer than [`store_deadline`](crate::BridgeBuilder::store_deadline).
    async fn workload(&self, who: &ExternalSubject) -> Result<Option<Workload>, StoreError>;
}

#[async_trait]
impl<F> WorkloadMapper for F
where
    F: Fn(&ExternalSubject) -> Option<Workload> + Send + Sync + 'static,
{
    async fn workload(&self, who: &ExternalSubject) -> Result<Option<Workload>, StoreError> {
        Ok(self(who))
    }
}

impl fmt::Debug for dyn WorkloadMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkloadMapper")
    }
}
