//! `GET /users` and `GET /users/{id}`: operators find people.

use http::{StatusCode, Uri};
use serde::Serialize;
use url::form_urlencoded;

use crate::id::UserId;
use crate::service::answer::{Answer, EndpointError, json};
use crate::service::sessions::page_limit;
use crate::service::state::ServiceState;
use crate::store::{UserQuery, UserRecord};

/// A page of people.
#[derive(Serialize)]
struct People<'a> {
    users: Vec<Person<'a>>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<&'a UserId>,
}

#[derive(Serialize)]
struct Person<'a> {
    id: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    disabled: bool,
}

impl<'a> Person<'a> {
    fn new(user: &'a UserRecord) -> Self {
        Self { id: &user.id, label: user.label.as_deref(), disabled: user.disabled }
    }
}

pub(super) async fn list(state: &ServiceState, uri: &Uri) -> Answer {
    let page = state.admin.users(&asked(uri)?).await;
    let page = page.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    let users = page.users.iter().map(Person::new).collect();
    Ok(json(StatusCode::OK, &People { users, next_after: page.next.as_ref() }))
}

pub(super) async fn one(state: &ServiceState, user: &UserId) -> Answer {
    let found = state.admin.user(user).await.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    let found = found.ok_or_else(EndpointError::not_found)?;
    Ok(json(StatusCode::OK, &Person::new(&found)))
}

/// The people that the query asks for. Unknown parameters are ignored.
fn asked(uri: &Uri) -> Result<UserQuery, EndpointError> {
    let mut query = UserQuery::new("");
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*name {
            "q" => query.text = value.into_owned(),
            "limit" => query.limit = page_limit(&value).ok_or(NO_PAGE)?,
            "after" => query.after = Some(UserId::parse(&*value).map_err(|_| NO_PAGE)?),
            _ => {}
        }
    }
    Ok(query)
}

const NO_PAGE: EndpointError = EndpointError::invalid_request(
    "limit must be 1 to 1000. after must be the next_after of the page before.",
);
