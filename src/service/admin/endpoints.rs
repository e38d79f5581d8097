//! Leads an operator's request to its answer.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::operator::Operator;
use super::path::{Resource, client_id, user_id};
use super::{acts, events, health, people};
use crate::id::SessionId;
use crate::service::answer::{Answer, EndpointError, Wording, json, no_content};
use crate::service::endpoint::check_method;
use crate::service::request_body::RequestBody;
use crate::service::sessions::{Listing, asked};
use crate::service::state::ServiceState;
use crate::service::{cross_site, pages, refused};
use crate::store::StoreError;
use crate::telemetry::OwnRoute;

pub(in crate::service) async fn serve(
    state: &ServiceState,
    request: Request<RequestBody>,
) -> Response<Bytes> {
    let (mut parts, body) = request.into_parts();
    if let Some(resource) = Resource::at(parts.uri.path()) {
        let route = OwnRoute(resource.template().to_owned());
        parts.extensions.insert(route);
    }
    refused::or_told(state, &parts, Wording::Problem, answer(state, &parts, body)).await
}

async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let operator = parts.extensions.get::<Operator>().ok_or_else(|| {
        EndpointError::unauthenticated(state, "operator_required", "Only an operator may call this.")
    })?;
    let resource = Resource::at(parts.uri.path())
        .filter(|resource| *resource != Resource::Page || state.pages.is_some())
        .ok_or_else(EndpointError::not_found)?;
    check_method(&parts.method, resource.methods())?;
    if resource == Resource::Page {
        return pages::operators::answer(state, operator, parts, body).await;
    }
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return read(state, parts, resource).await;
    }
    cross_site::refuse_cross_site(state, parts)?;
    let done = act(state, operator, resource).await?;
    Ok(done.ok_or_else(EndpointError::not_found)?)
}

async fn read(state: &ServiceState, parts: &Parts, resource: Resource<'_>) -> Answer {
    match resource {
        Resource::Health => Ok(health::answer(state)),
        Resource::Users => people::list(state, &parts.uri).await,
        Resource::User(user) => people::one(state, &user_id(user)?).await,
        Resource::EventsOf(user) => events::answer(state, &user_id(user)?).await,
        Resource::SessionsOf(user) => {
            let page = state.admin.devices_of(&user_id(user)?, &asked(&parts.uri)?).await;
            let page = page.map_err(|fault| EndpointError::unavailable(state, &fault))?;
            Ok(json(StatusCode::OK, &Listing::new(&page, None)))
        }
        // These only act.
        Resource::Page
        | Resource::Disable(_)
        | Resource::Enable(_)
        | Resource::SessionsOfClient(_)
        | Resource::Session(_) => Err(EndpointError::not_found().into()),
    }
}

/// How many sessions were revoked.
#[derive(Serialize)]
struct Count {
    revoked: u64,
}

/// Does what a request asks for. `None`: no such user or session exists.
async fn act(
    state: &ServiceState,
    operator: &Operator,
    resource: Resource<'_>,
) -> Result<Option<Response<Bytes>>, EndpointError> {
    let count = |revoked| json(StatusCode::OK, &Count { revoked });
    let unavailable = |fault: StoreError| EndpointError::unavailable(state, &fault);
    let found = match resource {
        Resource::SessionsOf(user) => {
            let revoked = acts::end_all(state, operator, &user_id(user)?).await.map_err(unavailable)?;
            return Ok(revoked.map(count));
        }
        Resource::SessionsOfClient(client) => {
            // An unknown client is no 404, because there is no list of clients: it had no sessions.
            let revoked = acts::end_client(state, operator, &client_id(client)?).await;
            return Ok(Some(count(revoked.map_err(unavailable)?)));
        }
        Resource::Session(id) => match SessionId::parse(id) {
            Ok(session) => acts::end_session(state, operator, &session).await,
            Err(_) => Ok(false),
        },
        Resource::Disable(user) => acts::disable(state, operator, &user_id(user)?).await,
        Resource::Enable(user) => acts::enable(state, operator, &user_id(user)?).await,
        // These are only read.
        Resource::Page | Resource::Health | Resource::Users | Resource::User(_) | Resource::EventsOf(_) => {
            Ok(false)
        }
    };
    Ok(found.map_err(unavailable)?.then(no_content))
}
