//! Which assertions of an external issuer a host accepts.

use std::sync::Arc;

use super::people::PeopleMapper;
use super::workloads::WorkloadMapper;
use crate::id::{FirstInvalid, Scopes, TextOr};
use crate::token::AssertionKind;
use crate::validate::BuildError;

/// Which identity assertions of an issuer open sessions
/// (draft-ietf-oauth-identity-assertion-authz-grant, "ID-JAG"; MCP's Enterprise-Managed Authorization).
///
/// An identity assertion is a JWT in which the identity provider says: this person may use this client here. The client
/// exchanges it for access at the token endpoint (`urn:ietf:params:oauth:grant-type:jwt-bearer`, RFC 7523). The session
/// belongs to the person. So ending the person's sessions ends it too.
///
/// [`ExternalIssuer::identity_assertions`](super::ExternalIssuer::identity_assertions) takes it.
#[derive(Debug, Clone, Default)]
#[must_use = "give it to ExternalIssuer::identity_assertions"]
pub struct IdentityAssertions {
    pub(super) registered_with: Option<Scopes>,
    pub(super) default_scopes: Scopes,
    invalid: FirstInvalid,
}

/// What a host accepts of the assertions of one issuer.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    pub(super) identity: Option<IdentityAssertions>,
    pub(super) workloads: Option<Arc<dyn WorkloadMapper>>,
}

impl IdentityAssertions {
    /// Assertions about people whom this gateway knows already.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a person known whom the [mapper](super::ExternalIssuer::people) names and this gateway has never seen, with
    /// these scopes. Default: they are refused.
    ///
    /// A person who is known keeps the scopes that they have. A disabled person stays disabled.
    pub fn register_unknown_people(mut self, scopes: impl TextOr<Scopes>) -> Self {
        self.registered_with = self.invalid.read("the scopes of unknown people", scopes);
        self
    }

    /// The scopes of an assertion that has no `scope`. Default: none.
    ///
    /// The session has those of them that the person holds.
    pub fn default_scopes(mut self, scopes: impl TextOr<Scopes>) -> Self {
        if let Some(scopes) = self.invalid.read("the default scopes of identity assertions", scopes) {
            self.default_scopes = scopes;
        }
        self
    }
}

impl Assertions {
    /// Whether any assertion is accepted.
    pub(super) const fn are_accepted(&self) -> bool {
        self.identity.is_some() || self.workloads.is_some()
    }

    pub(super) fn check(&self, people: Option<&Arc<dyn PeopleMapper>>) -> Result<(), BuildError> {
        let Some(identity) = &self.identity else { return Ok(()) };
        if people.is_none() {
            return Err(BuildError::IdentityAssertions {
                needs: "ExternalIssuer::people, which says who the people are here",
            });
        }
        Ok(identity.invalid.check()?)
    }

    pub(super) const fn accept(&self, kind: AssertionKind) -> bool {
        match kind {
            AssertionKind::Person => self.identity.is_some(),
            AssertionKind::Workload => self.workloads.is_some(),
        }
    }
}
