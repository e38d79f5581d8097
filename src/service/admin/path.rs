//! What a path of the operators' endpoints names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::id::{ClientId, UserId};
use crate::service::answer::EndpointError;

/// What a path of the operators' endpoints names. An id is a path segment that is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'p> {
    /// The page for people.
    Page,
    Users,
    User(&'p str),
    EventsOf(&'p str),
    /// All sessions of a user.
    SessionsOf(&'p str),
    Disable(&'p str),
    Enable(&'p str),
    /// All sessions of a client.
    SessionsOfClient(&'p str),
    Session(&'p str),
    Health,
}

impl<'p> Resource<'p> {
    /// What `path` names. A router that nests the service at `/admin` hands `/admin` and `/admin/` on as `/`.
    pub(super) fn at(path: &'p str) -> Option<Self> {
        if path.is_empty() || path == "/" {
            return Some(Self::Page);
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        let parts = (segments.next()?, segments.next(), segments.next(), segments.next());
        Some(match parts {
            ("health", None, ..) => Self::Health,
            ("users", None, ..) => Self::Users,
            ("users", Some(user), None, _) if !user.is_empty() => Self::User(user),
            ("users", Some(user), Some("events"), None) => Self::EventsOf(user),
            ("users", Some(user), Some("sessions"), None) => Self::SessionsOf(user),
            ("users", Some(user), Some("disable"), None) => Self::Disable(user),
            ("users", Some(user), Some("enable"), None) => Self::Enable(user),
            ("clients", Some(client), Some("sessions"), None) => Self::SessionsOfClient(client),
            ("sessions", Some(session), None, _) => Self::Session(session),
            _ => return None,
        })
    }

    /// The template of its path, below the place where the host mounted the operators' service.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Page => "/",
            Self::Users => "/users",
            Self::User(_) => "/users/{id}",
            Self::EventsOf(_) => "/users/{id}/events",
            Self::SessionsOf(_) => "/users/{id}/sessions",
            Self::Disable(_) => "/users/{id}/disable",
            Self::Enable(_) => "/users/{id}/enable",
            Self::SessionsOfClient(_) => "/clients/{id}/sessions",
            Self::Session(_) => "/sessions/{id}",
            Self::Health => "/health",
        }
    }

    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Page => "GET, HEAD, POST",
            Self::Users | Self::User(_) | Self::EventsOf(_) | Self::Health => "GET, HEAD",
            Self::SessionsOf(_) => "GET, HEAD, DELETE",
            Self::SessionsOfClient(_) | Self::Session(_) => "DELETE",
            Self::Disable(_) | Self::Enable(_) => "POST",
        }
    }
}

/// The user id in a path segment.
pub(super) fn user_id(segment: &str) -> Result<UserId, EndpointError> {
    decoded(segment)
        .and_then(|text| UserId::parse(text).ok())
        .ok_or(EndpointError::invalid_request("The user id in the path is malformed."))
}

/// The client id in a path segment.
pub(super) fn client_id(segment: &str) -> Result<ClientId, EndpointError> {
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

    #[test]
    fn only_the_very_paths_lead_anywhere() {
        assert_eq!(Resource::at("/users/a/events"), Some(Resource::EventsOf("a")));
        for path in
            ["//", "users", "/users/", "/user", "/health/", "/users/a/", "/users/a/events/", "/sessions/a/b"]
        {
            assert_eq!(Resource::at(path), None, "{path}");
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
            let _ = Resource::at(&path).map(Resource::methods);
            let _ = user_id(&path);
            let _ = client_id(&path);
        }
    }
}
