//! A person's visit to a page: who they are, and what they are told.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use url::Url;

use super::SignInPages;
use super::redirect::{AuthorizationError, Redirect, see_other, shown_host};
use crate::client_metadata::ClientDocumentError;
use crate::id::{ClientId, UserId};
use crate::issue::{LinkableClient, SignedIn, UnknownClient};
use crate::layer_verdict::LayerVerdict;
use crate::pages::{AuthorizeProblem, MessageView, Page};
use crate::rate_limit::RateLimited;
use crate::rejection::Rejection;
use crate::service::answer::{EndpointError, EndpointFailure, RefusedPage, whole_seconds};
use crate::service::oauth::form::Form;
use crate::service::rate_limited::note_limit;
use crate::service::request_body::RequestBody;
use crate::service::state::ServiceState;
use crate::service::{cross_site, session_origin};
use crate::store::{StoreError, StoreErrorKind, log_fault};
use crate::telemetry::note;
use crate::token::KeyError;

/// A request for a page.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) state: &'a ServiceState,
    pub(super) site: &'a SignInPages,
    pub(super) parts: &'a Parts,
    /// Where the page is. `None`: the host chooses it, and does not say.
    url: Option<&'a Url>,
}

impl<'a> Visit<'a> {
    /// A visit to the page at `url`.
    pub(super) fn new(
        state: &'a ServiceState,
        site: &'a SignInPages,
        parts: &'a Parts,
        url: &'a Url,
    ) -> Self {
        Self { state, site, parts, url: Some(url) }
    }

    /// A visit of an operator.
    pub(super) fn of_operator(state: &'a ServiceState, site: &'a SignInPages, parts: &'a Parts) -> Self {
        Self { state, site, parts, url: None }
    }

    /// The path and query of this page, as the browser knows them. A router may have cut off a prefix of the request's.
    pub(super) fn path_and_query(&self) -> String {
        let path = self.url.map_or(self.parts.uri.path(), Url::path);
        match self.parts.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// The person. Somebody who is not signed in goes to the host's login, and comes back to this page.
    pub(super) fn signed_in(&self) -> Result<&'a SignedIn, EndpointFailure> {
        self.parts
            .extensions
            .get::<SignedIn>()
            .ok_or_else(|| whole(see_other(&self.site.pages.sign_in_url(&self.path_and_query()))))
    }

    /// The person's id, when the host or a layer says who they are.
    fn person(&self) -> Option<&'a UserId> {
        let extensions = &self.parts.extensions;
        let caller = || match LayerVerdict::of(extensions)?.0 {
            LayerVerdict::Caller(caller) => Some(caller.user_id()),
            _ => None,
        };
        extensions.get::<SignedIn>().map(|person| &person.user_id).or_else(caller)
    }

    /// Where the person goes if they are somebody else.
    pub(super) fn not_you(&self) -> String {
        self.site.pages.switch_account_url(&self.path_and_query())
    }

    /// The client with this id. Its document may be fetched: so ask only for a signed-in person.
    pub(super) async fn linkable_client(
        &self,
        id: &ClientId,
    ) -> Result<Arc<LinkableClient>, EndpointFailure> {
        self.state.issuer.linkable_client(id).await.map_err(|error| match error {
            UnknownClient::NotRegistered => self.refuse_request(AuthorizeProblem::UnknownClient),
            UnknownClient::Document(ClientDocumentError::Unavailable) => {
                self.refuse(MessageView::Unavailable { retry_after: Some(self.state.retry_after()) })
            }
            UnknownClient::Document(reason) => {
                note(|known| {
                    known.detail = Some(format!("the client metadata document was not accepted: {reason}"));
                    known.claimed_client = Some(id.clone());
                });
                self.refuse_request(AuthorizeProblem::ClientMetadata)
            }
        })
    }

    /// Refuses a form of another site, and reads the form of this page.
    pub(super) async fn form(&self, body: RequestBody) -> Result<Form, EndpointFailure> {
        cross_site::refuse_cross_site(self.state, self.parts)
            .map_err(|_| self.refuse(MessageView::CrossSite))?;
        Form::read(self.parts, body).await.map_err(|_| self.refuse_request(AuthorizeProblem::Malformed))
    }

    /// A page that says why there is nothing to decide.
    pub(super) fn refuse(&self, message: MessageView<'_>) -> EndpointFailure {
        let (code, detail) = told(&message);
        let response = self.site.pages.message(&message).into_response();
        EndpointFailure::Page(Box::new(RefusedPage { response, code, detail }))
    }

    /// A page that says what is wrong with the request of a program.
    pub(super) fn refuse_request(&self, what: AuthorizeProblem) -> EndpointFailure {
        self.refuse(MessageView::BadRequest { what })
    }

    /// Tells a client what is wrong with its request. The browser of a person goes by itself only to a client that the host
    /// registered: anybody can write a metadata document, so its redirect is as good as any link (RFC 9700 §4.11.2).
    pub(super) fn tell(
        &self,
        client: &LinkableClient,
        redirect: &Redirect<'_>,
        error: AuthorizationError,
    ) -> EndpointFailure {
        note(|known| known.claimed_client = Some(client.id.clone()));
        let response = if client.host.is_none() {
            redirect.with_error(error)
        } else {
            let host = Url::parse(redirect.uri).map(|url| shown_host(&url)).unwrap_or_default();
            let message = MessageView::ReturnToProgram { host: &host, link: &redirect.error_url(error) };
            self.site.pages.message(&message).into_response()
        };
        EndpointFailure::Page(Box::new(RefusedPage { response, code: error.code, detail: error.description }))
    }

    /// A page that says to try again later. Logs why.
    pub(super) fn unavailable(&self, fault: &StoreError) -> EndpointFailure {
        log_fault(fault, "the store could not answer a page");
        self.state.auth.unavailable(fault.kind());
        note(|known| known.reason = Some(Rejection::Unavailable(fault.kind()).reason()));
        let may_pass = fault.kind() != StoreErrorKind::Misconfigured;
        let retry_after = may_pass.then(|| self.state.retry_after());
        self.refuse(MessageView::Unavailable { retry_after })
    }

    /// A page that says that nothing could be signed. Logs why.
    pub(super) fn unsigned(&self, fault: &KeyError) -> EndpointFailure {
        if let KeyError::TokenTooLong = fault {
            return self.refuse_request(AuthorizeProblem::Malformed);
        }
        tracing::error!(error = fault as &dyn std::error::Error, "a ticket could not be signed");
        self.refuse(MessageView::Unavailable { retry_after: None })
    }

    /// What a limit lets through, or a page that says how long to wait.
    pub(super) fn within<T>(&self, checked: Result<T, RateLimited>) -> Result<T, EndpointFailure> {
        checked.map_err(|limited| {
            match limited.by {
                "person" => note_limit(&limited, self.person()),
                "address" => note_limit(&limited, session_origin::address(self.state, self.parts).as_ref()),
                _ => note_limit(&limited, None::<&str>),
            }
            self.refuse(MessageView::TooManyAttempts { seconds: whole_seconds(limited.wait) })
        })
    }
}

/// What the log tells of a page that refuses: a word, and a sentence.
fn told(message: &MessageView<'_>) -> (&'static str, &'static str) {
    match message {
        MessageView::DeviceAllowed { .. } => ("allowed", "the program was let in"),
        MessageView::DeviceDenied => ("access_denied", "the person said no"),
        MessageView::CodeExpired => ("code_expired", "no program waits with this user code any more"),
        MessageView::PageExpired => {
            ("page_expired", "the ticket of the form is too old, or another person's")
        }
        MessageView::ConsentUsed => ("consent_used", "the ticket of the form was used before"),
        MessageView::BadRequest { what } => match what {
            AuthorizeProblem::UnknownClient => ("unknown_client", "no such client may be linked"),
            AuthorizeProblem::ClientMetadata => {
                ("client_metadata", "the client metadata document was not accepted")
            }
            AuthorizeProblem::RedirectMissing => ("redirect_missing", "redirect_uri is missing"),
            AuthorizeProblem::RedirectUnknown => ("redirect_unknown", "redirect_uri is not the client's own"),
            AuthorizeProblem::Malformed => {
                ("invalid_request", "a parameter is missing, repeated or malformed")
            }
        },
        MessageView::ReturnToProgram { .. } => ("invalid_request", "the request of the program is refused"),
        MessageView::CrossSite => ("cross_site", "a page of another site sent the form"),
        MessageView::TooManyAttempts { .. } => ("slow_down", "too many attempts"),
        MessageView::Unavailable { .. } => ("temporarily_unavailable", "the page cannot be answered now"),
        MessageView::AccountDisabled => ("user_disabled", "the account may not link a program"),
    }
}

/// The answer of a page.
pub(super) fn page(page: Page) -> Response<Bytes> {
    page.into_response()
}

/// The name that the pages call a person.
pub(super) fn name_of(signed_in: &SignedIn) -> &str {
    signed_in.name.as_deref().unwrap_or(signed_in.user_id.as_str())
}

/// An answer that is complete.
pub(super) fn whole(response: Response<Bytes>) -> EndpointFailure {
    EndpointFailure::Whole(Box::new(response))
}

/// There is no such page here.
pub(super) fn not_found() -> EndpointFailure {
    EndpointError::not_found().into()
}
