//! The operators' endpoints.

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::answer::{Answer, EndpointError, Wording, json, no_content};
use super::cross_site;
use super::endpoint::check_method;
use super::request_body::RequestBody;
use super::sessions::{Listing, asked};
use super::state::ServiceState;
use crate::id::{ClientId, SessionId, UserId};
use crate::store::{DeviceQuery, StoreError};
use crate::telemetry::audit;

/// An operator whom the host's own guard has let in.
///
/// The guard puts it into the extensions of each request for [`AdminService`](crate::service::AdminService). The
/// service trusts nothing else. The name goes into the audit log, with everything that the operator changes.
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

/// What a path of the operators' endpoints names.
enum Resource<'p> {
    /// All sessions of a user. The user id is a path segment that is not decoded yet.
    SessionsOf(&'p str),
    /// All sessions of a client. The client id is such a segment too.
    SessionsOfClient(&'p str),
    Session(&'p str),
    Disable(&'p str),
    Enable(&'p str),
}

pub(super) async fn serve(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    let (parts, _) = request.into_parts();
    answer(state, &parts).await.unwrap_or_else(|failure| failure.into_response(Wording::Problem))
}

async fn answer(state: &ServiceState, parts: &Parts) -> Answer {
    let operator = parts.extensions.get::<Operator>().ok_or_else(|| {
        EndpointError::unauthenticated(state, "operator_required", "Only an operator may call this.")
    })?;
    let resource = Resource::at(parts.uri.path()).ok_or_else(EndpointError::not_found)?;
    check_method(&parts.method, resource.methods())?;
    if parts.method != Method::GET && parts.method != Method::HEAD {
        cross_site::refuse_cross_site(state, parts)?;
    }
    let answer = match resource {
        Resource::SessionsOf(user) if parts.method == Method::DELETE => {
            revoke_all(state, operator, &user_id(user)?).await
        }
        Resource::SessionsOf(user) => list(state, &user_id(user)?, &asked(&parts.uri)?).await,
        Resource::SessionsOfClient(client) => revoke_client(state, operator, &client_id(client)?).await,
        Resource::Session(id) => revoke(state, operator, id).await,
        Resource::Disable(user) => disable(state, operator, &user_id(user)?).await,
        Resource::Enable(user) => enable(state, operator, &user_id(user)?).await,
    };
    answer
        .map_err(|fault| EndpointError::unavailable(state, &fault))?
        .ok_or_else(|| EndpointError::not_found().into())
}

impl<'p> Resource<'p> {
    fn at(path: &'p str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let parts = (segments.next()?, segments.next()?, segments.next(), segments.next());
        Some(match parts {
            ("users", user, Some("sessions"), None) => Self::SessionsOf(user),
            ("users", user, Some("disable"), None) => Self::Disable(user),
            ("users", user, Some("enable"), None) => Self::Enable(user),
            ("clients", client, Some("sessions"), None) => Self::SessionsOfClient(client),
            ("sessions", session, None, None) => Self::Session(session),
            _ => return None,
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::SessionsOf(_) => "GET, HEAD, DELETE",
            Self::SessionsOfClient(_) | Self::Session(_) => "DELETE",
            Self::Disable(_) | Self::Enable(_) => "POST",
        }
    }
}

/// The answer to what was done. `None`: no such user or session exists.
type Done = Result<Option<Response<Bytes>>, StoreError>;

async fn list(state: &ServiceState, user: &UserId, query: &DeviceQuery) -> Done {
    let page = state.admin.devices_of(user, query).await?;
    Ok(Some(json(StatusCode::OK, &Listing::new(&page, None))))
}

/// How many sessions were revoked.
#[derive(Serialize)]
struct Count {
    revoked: u64,
}

async fn revoke_all(state: &ServiceState, operator: &Operator, user: &UserId) -> Done {
    let revoked = state.admin.revoke_user(user).await?;
    audit!("operator_revoked_user", operator = ?operator.name, user_id = %user, found = revoked.is_some());
    Ok(revoked.map(|revoked| json(StatusCode::OK, &Count { revoked })))
}

/// Revokes the sessions of a client. An unknown client is no 404, because there is no list of clients: it had no
/// sessions.
async fn revoke_client(state: &ServiceState, operator: &Operator, client: &ClientId) -> Done {
    let revoked = state.admin.revoke_client(client).await?;
    audit!("operator_revoked_client", operator = ?operator.name, client_id = %client, sessions = revoked);
    Ok(Some(json(StatusCode::OK, &Count { revoked })))
}

async fn revoke(state: &ServiceState, operator: &Operator, id: &str) -> Done {
    let Ok(session) = SessionId::parse(id) else {
        return Ok(None);
    };
    let found = state.admin.revoke_session(&session).await?;
    audit!("operator_revoked_session", operator = ?operator.name, session_id = %session, found);
    Ok(found.then(no_content))
}

async fn disable(state: &ServiceState, operator: &Operator, user: &UserId) -> Done {
    let found = state.admin.disable_user(user).await?;
    audit!("operator_disabled_user", operator = ?operator.name, user_id = %user, found);
    Ok(found.then(no_content))
}

async fn enable(state: &ServiceState, operator: &Operator, user: &UserId) -> Done {
    let found = state.admin.enable_user(user).await?;
    audit!("operator_enabled_user", operator = ?operator.name, user_id = %user, found);
    Ok(found.then(no_content))
}

/// The user id in a path segment.
fn user_id(segment: &str) -> Result<UserId, EndpointError> {
    decoded(segment)
        .and_then(|text| UserId::parse(text).ok())
        .ok_or(EndpointError::invalid_request("The user id in the path is malformed."))
}

/// The client id in a path segment.
fn client_id(segment: &str) -> Result<ClientId, EndpointError> {
    decoded(segment)
        .and_then(|text| ClientId::parse(text).ok())
        .ok_or(EndpointError::invalid_request("The client id in the path is malformed."))
}

/// Decodes a path segment once.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    #[test]
    fn a_user_id_is_decoded_once() {
        let decoded = |segment: &str| user_id(segment).ok().map(|user| user.as_str().to_owned());
        assert_eq!(decoded("a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(decoded("a%252Fb").as_deref(), Some("a%2Fb"));
        assert_eq!(decoded("%C3%A9").as_deref(), Some("é"));
        for malformed in ["", "%00", "a%0Ab", "%ff", "%20"] {
            assert_eq!(decoded(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn every_user_can_be_named_in_a_path(text in any::<String>()) {
            let segment = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(user_id(&segment).ok(), UserId::parse(&text).ok());
            let path = format!("/users/{segment}/sessions");
            if !text.is_empty() {
                let is_theirs = matches!(Resource::at(&path), Some(Resource::SessionsOf(found)) if found == segment);
                prop_assert!(is_theirs);
            }
        }

        #[test]
        fn reading_a_path_never_panics(path in any::<String>()) {
            let _ = Resource::at(&path).map(|resource| resource.methods());
            let _ = user_id(&path);
            let _ = client_id(&path);
        }
    }
}
