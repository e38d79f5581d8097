//! The operators' page and its JSON, as documented.

use std::error::Error;
use std::time::SystemTime;

use async_trait::async_trait;
use bridge_auth::UserId;
use bridge_auth::issue::{AuditEvent, AuditTrail};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::RequestBuilder;
use url::form_urlencoded;

use super::book::Book;
use crate::oauth::given::{FORM, Fields};
use crate::support::ListedByAdmin as _;
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, OPERATOR};

/// A trail that cannot tell about one person.
#[derive(Debug)]
pub struct Trail;

#[async_trait]
impl AuditTrail for Trail {
    async fn recent(&self, user: &UserId, _: u32) -> Result<Vec<AuditEvent>, Box<dyn Error + Send + Sync>> {
        match user.as_str() {
            "unlucky" => Err("the log is away".into()),
            _ => Ok(vec![AuditEvent::new(SystemTime::now(), "code_issued").field("code", "x")]),
        }
    }
}

fn get(gateway: &Gateway, path: &str) -> RequestBuilder {
    gateway.request(Method::GET, path).header(AUTHORIZATION, OPERATOR)
}

fn form(gateway: &Gateway, fields: Fields<'_>) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = gateway.request(Method::POST, "/admin").header(AUTHORIZATION, OPERATOR);
    request.header(CONTENT_TYPE, FORM).body(body)
}

pub async fn acts(gateway: &Gateway, book: &mut Book) {
    gateway.link("heidi").await;
    for (method, path, done) in [
        ("get", "/users/{user}/sessions", 200),
        ("delete", "/users/{user}/sessions", 200),
        ("delete", "/clients/{client}/sessions", 200),
        ("post", "/users/{user}/disable", 204),
        ("post", "/users/{user}/enable", 204),
        ("delete", "/sessions/{id}", 204),
    ] {
        let name = format!("{method} /admin{path}");
        let session = gateway.bridge.admin().sessions_of(&user("bob")).await.unwrap();
        let id = match session.first() {
            Some(session) => session.id.to_string(),
            None => {
                gateway.link("bob").await;
                let sessions = gateway.bridge.admin().sessions_of(&user("bob")).await;
                sessions.unwrap()[0].id.to_string()
            }
        };
        let at = |user: &str, id: &str| {
            let path = path.replace("{user}", user).replace("{client}", user).replace("{id}", id);
            gateway.request(method.to_uppercase().parse().unwrap(), &format!("/admin{path}"))
        };
        let by_operator = |request: RequestBuilder| request.header(AUTHORIZATION, OPERATOR);
        book.call(&name, done, by_operator(at("heidi", &id))).await;
        book.call(&name, 401, at("heidi", &id)).await;
        if !path.starts_with("/sessions") {
            book.call(&name, 400, by_operator(at("%00", ""))).await;
        }
        if method != "get" {
            let of_nobody = if path.starts_with("/clients") { 200 } else { 404 };
            book.call(&name, of_nobody, by_operator(at("nobody", "sess_of_nobody"))).await;
            let cross_site = by_operator(at("heidi", &id)).header("sec-fetch-site", "cross-site");
            book.call(&name, 403, cross_site).await;
        }
    }
}

pub async fn people(gateway: &Gateway, book: &mut Book) {
    gateway.link("peggy").await;
    let users = "get /admin/users";
    let page = book.call(users, 200, get(gateway, "/admin/users?limit=1")).await;
    assert!(page.json()["next_after"].is_string(), "{page:?}");
    book.call(users, 200, get(gateway, "/admin/users?q=peggy")).await;
    book.call(users, 400, get(gateway, "/admin/users?limit=0")).await;
    let user = "get /admin/users/{user}";
    book.call(user, 200, get(gateway, "/admin/users/peggy")).await;
    book.call(user, 400, get(gateway, "/admin/users/%00")).await;
    book.call(user, 404, get(gateway, "/admin/users/nobody")).await;
    let events = "get /admin/users/{user}/events";
    book.call(events, 200, get(gateway, "/admin/users/peggy/events")).await;
    book.call(events, 400, get(gateway, "/admin/users/%00/events")).await;
    book.call(events, 503, get(gateway, "/admin/users/unlucky/events")).await;
    let health = "get /admin/health";
    book.call(health, 200, get(gateway, "/admin/health")).await;
    for (operation, path) in [
        (users, "/admin/users"),
        (user, "/admin/users/peggy"),
        (events, "/admin/users/peggy/events"),
        (health, "/admin/health"),
    ] {
        book.call(operation, 401, gateway.request(Method::GET, path)).await;
    }
}

pub async fn page(gateway: &Gateway, book: &mut Book) {
    let (show, act) = ("get /admin", "post /admin");
    for path in ["/admin", "/admin?q=peggy", "/admin?user=peggy", "/admin?user=unlucky2&q="] {
        let status = if path.contains("unlucky2") { 404 } else { 200 };
        book.call(show, status, get(gateway, path)).await;
    }
    book.call(show, 400, get(gateway, "/admin?user=peggy&cursor=x")).await;
    book.call(show, 401, gateway.request(Method::GET, "/admin")).await;
    let enable = [("action", "enable"), ("user", "peggy")];
    book.call(act, 200, form(gateway, &enable)).await;
    book.call(act, 400, form(gateway, &[])).await;
    book.call(act, 401, gateway.request(Method::POST, "/admin")).await;
    book.call(act, 403, form(gateway, &enable).header("sec-fetch-site", "cross-site")).await;
    book.call(act, 404, form(gateway, &[("action", "enable"), ("user", "nobody")])).await;
}

pub async fn store_down(gateway: &Gateway, book: &mut Book) {
    book.call("get /admin", 503, get(gateway, "/admin?q=a")).await;
    book.call("post /admin", 503, form(gateway, &[("action", "enable"), ("user", "peggy")])).await;
    book.call("get /admin/users", 503, get(gateway, "/admin/users")).await;
    book.call("get /admin/users/{user}", 503, get(gateway, "/admin/users/peggy")).await;
    book.call("get /admin/health", 200, get(gateway, "/admin/health")).await;
}
