//! Who operates.

/// An operator whom the host's own guard has let in.
///
/// The guard puts it into the extensions of each request for [`AdminService`](crate::service::AdminService). The
/// service trusts nothing else. The name goes into the audit log, with everything that the operator changes. The
/// operators' page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operator {
    /// The name of the operator, as the host chooses it.
    pub name: String,
}

impl Operator {
    /// An operator who is called `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}
