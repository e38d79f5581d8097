//! The consent page: a person says yes or no to a program. It is asked each time, and nothing is remembered.

use url::Url;

use super::device::offered;
use super::redirect::{AuthorizationError, Redirect, shown_host};
use super::visit::{Visit, name_of, page};
use super::{AskedConsent, Shown};
use crate::issue::{CodeRequest, LinkableClient, SPENT_FOR, SignedIn, is_loopback};
use crate::pages::{AuthorizeProblem, ConsentView, MessageView};
use crate::service::answer::{Answer, EndpointFailure};
use crate::service::rate_limited;
use crate::service::request_body::RequestBody;
use crate::store::IssueCodeError;

/// Shows who asks for what. It changes nothing.
pub(super) fn show(
    visit: &Visit<'_>,
    person: &SignedIn,
    client: &LinkableClient,
    asked: AskedConsent,
) -> Answer {
    let scopes = offered(person, asked.scopes.as_ref(), client);
    let redirect = redirect(visit, &asked);
    if scopes.is_empty() && asked.scopes.as_ref().is_some_and(|asked| !asked.is_empty()) {
        return Err(visit.tell(client, &redirect, NO_SUCH_SCOPE));
    }
    let asked = AskedConsent { scopes: Some(scopes.clone()), ..asked };
    let ticket = visit.state.issuer.ticket(&person.user_id, Shown::Consent(Box::new(asked.clone())));
    let target = Url::parse(&asked.redirect_uri).ok();
    let view = ConsentView {
        person: name_of(person),
        not_you: &visit.not_you(),
        program: &client.name,
        site: client.shown_site(),
        client_host: client.host.as_deref(),
        redirect_host: &target.as_ref().map(shown_host).unwrap_or_default(),
        redirect_is_loopback: target.as_ref().is_some_and(is_loopback),
        scopes: &scopes,
        resource: asked.resource.as_ref().map(AsRef::as_ref),
        ticket: &ticket.map_err(|fault| visit.unsigned(&fault))?,
    };
    Ok(page(visit.site.pages.consent(&view)))
}

/// Answers the program with what the person decided. A ticket decides once.
pub(super) async fn decide(visit: &Visit<'_>, body: RequestBody) -> Answer {
    let form = visit.form(body).await?;
    let person = visit.signed_in()?;
    let ticket = form.value("ticket").unwrap_or_default();
    let Some(ticket) = visit.state.issuer.read_ticket::<Shown>(ticket, &person.user_id) else {
        return Err(visit.refuse(MessageView::PageExpired));
    };
    let Shown::Consent(asked) = ticket.shown else { return Err(visit.refuse(MessageView::PageExpired)) };
    visit.within(rate_limited::decision_of(visit.state, &person.user_id).await)?;
    match form.value("decision") {
        Some("deny") => {
            still_linkable(visit, &asked).await?;
            let spent = visit.state.issuer.spend_ticket(&ticket.hash).await;
            if !spent.map_err(|fault| visit.unavailable(&fault))? {
                return Err(visit.refuse(MessageView::ConsentUsed));
            }
            Ok(redirect(visit, &asked).with_error(ACCESS_DENIED))
        }
        Some("allow") => {
            still_linkable(visit, &asked).await?;
            let issued = visit.state.issuer.issue_code(person, request(&asked, ticket.hash)).await;
            let issued = issued.map_err(|error| match error {
                IssueCodeError::TicketUsed => visit.refuse(MessageView::ConsentUsed),
                IssueCodeError::Store(fault) => visit.unavailable(&fault),
                IssueCodeError::UnknownUser | IssueCodeError::UserDisabled | IssueCodeError::ReservedUser => {
                    visit.refuse(MessageView::AccountDisabled)
                }
                IssueCodeError::ChallengeRequired | IssueCodeError::Resource => {
                    visit.refuse_request(AuthorizeProblem::Malformed)
                }
            })?;
            Ok(redirect(visit, &asked).with_code(issued.code.expose()))
        }
        _ => Err(visit.refuse_request(AuthorizeProblem::Malformed)),
    }
}

/// The page was shown a while ago, perhaps by another gateway. A client or a redirect that the host has removed since gets nothing.
async fn still_linkable(visit: &Visit<'_>, asked: &AskedConsent) -> Result<(), EndpointFailure> {
    let client = visit.linkable_client(&asked.client).await?;
    let redirect = client.redirect_uri(Some(&asked.redirect_uri));
    redirect.map(drop).ok_or_else(|| visit.refuse_request(AuthorizeProblem::RedirectUnknown))
}

fn request(asked: &AskedConsent, ticket: crate::id::AssertionHash) -> CodeRequest {
    let AskedConsent { client, redirect_uri, scopes, resource, challenge, state: _ } = asked.clone();
    CodeRequest { resource, scopes, ..CodeRequest::default() }
        .challenge(challenge)
        .client(client)
        .redirect_uri(redirect_uri)
        .ticket(ticket, SPENT_FOR)
}

fn redirect<'a>(visit: &'a Visit<'_>, asked: &'a AskedConsent) -> Redirect<'a> {
    let issuer = &visit.state.settings.issuer;
    Redirect { uri: &asked.redirect_uri, state: asked.state.as_deref(), issuer }
}

const ACCESS_DENIED: AuthorizationError =
    AuthorizationError { code: "access_denied", description: "The person said no." };
const NO_SUCH_SCOPE: AuthorizationError =
    AuthorizationError { code: "invalid_scope", description: "The person may give none of these scopes." };
