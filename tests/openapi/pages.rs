//! The device grant and the pages for people, as documented.

use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use reqwest::RequestBuilder;

use super::book::Book;
use super::bridge_operation;
use crate::oauth::given::with_oauth;
use crate::sign_in::given::{
    DEVICE_CODE, EDITOR, Fields, SERVER, authorize, basic, form, location, member, post, ticket,
};
use crate::support::SqliteBackend;
use crate::support::bridge::{ISSUER, builder};
use crate::support::gateway::{Gateway, PREFIX, send};

fn get(gateway: &Gateway, person: &str, path: &str) -> RequestBuilder {
    gateway.request(Method::GET, &format!("{PREFIX}{path}")).header(COOKIE, format!("login={person}"))
}

fn submit(gateway: &Gateway, person: &str, path: &str, fields: Fields<'_>) -> RequestBuilder {
    form(gateway, path, fields).header(COOKIE, format!("login={person}"))
}

/// What a program gets: its device code, and the page for its user code.
async fn codes(gateway: &Gateway, book: &mut Book) -> (String, String) {
    let start = bridge_operation("post", "/device_authorization");
    let started =
        book.call(&start, 200, post(gateway, "/device_authorization", &[("client_id", EDITOR)])).await;
    (started.text("device_code"), format!("/device?user_code={}", started.text("user_code")))
}

pub async fn device(gateway: &Gateway, db: &SqliteBackend, book: &mut Book) {
    let start = bridge_operation("post", "/device_authorization");
    let (device_code, page) = codes(gateway, book).await;
    let malformed = [("client_id", EDITOR), ("scope", "\"")];
    book.call(&start, 400, post(gateway, "/device_authorization", &malformed)).await;
    let wrong =
        post(gateway, "/device_authorization", &[]).header(AUTHORIZATION, basic(format!("{SERVER}:x")));
    book.call(&start, 401, wrong).await;

    let (show, decide) = (bridge_operation("get", "/device"), bridge_operation("post", "/device"));
    let poll = [("grant_type", DEVICE_CODE), ("client_id", EDITOR), ("device_code", device_code.as_str())];
    let token = bridge_operation("post", "/token");
    let pending = book.call(&token, 400, post(gateway, "/token", &poll)).await;
    assert_eq!(pending.text("error"), "authorization_pending");
    book.call(&show, 303, gateway.request(Method::GET, &format!("{PREFIX}{page}"))).await;
    book.call(&show, 200, get(gateway, "quentin", "/device")).await;
    let url = |path: &str| format!("{ISSUER}{PREFIX}{path}");
    let without_clients = with_oauth(builder(db).await)
        .pages(bridge_auth::pages::Pages::new("/login"))
        .device_authorization_endpoint(url("/device_authorization"));
    let other = Gateway::over(without_clients.build().unwrap()).await;
    book.call(&show, 400, get(&other, "quentin", &page)).await;
    let shown = book.call(&show, 200, get(gateway, "quentin", &page)).await;
    let allow = [("ticket", &*ticket(&shown)), ("decision", "allow")];
    book.call(&decide, 303, form(gateway, "/device", &allow)).await;
    book.call(&decide, 403, submit(gateway, "quentin", "/device", &allow).header("origin", "null")).await;
    book.call(&decide, 400, submit(gateway, "quentin", "/device", &[("decision", "allow")])).await;
    book.call(&decide, 200, submit(gateway, "quentin", "/device", &allow)).await;
    book.call(&token, 200, post(gateway, "/token", &poll)).await;
}

pub async fn consent(gateway: &Gateway, book: &mut Book) {
    let (show, decide) = (bridge_operation("get", "/authorize"), bridge_operation("post", "/authorize"));
    let request = authorize(&[]);
    book.call(&show, 303, gateway.request(Method::GET, &format!("{PREFIX}{request}"))).await;
    book.call(&show, 400, get(gateway, "rupert", &authorize(&[("client_id", Some("unknown"))]))).await;
    book.call(&show, 303, get(gateway, "rupert", &authorize(&[("code_challenge", None)]))).await;
    let shown = book.call(&show, 200, get(gateway, "rupert", &request)).await;
    let allow = [("ticket", &*ticket(&shown)), ("decision", "allow")];
    book.call(&decide, 403, submit(gateway, "rupert", &request, &allow).header("origin", "null")).await;
    book.call(&decide, 400, submit(gateway, "rupert", &request, &[("decision", "allow")])).await;
    let allowed = book.call(&decide, 303, submit(gateway, "rupert", &request, &allow)).await;
    assert!(member(&location(&allowed), "code").is_some());
    book.call(&decide, 409, submit(gateway, "rupert", &request, &allow)).await;
}

pub async fn devices(gateway: &Gateway, book: &mut Book) {
    let (show, end) = (bridge_operation("get", "/devices"), bridge_operation("post", "/devices"));
    gateway.link("sybil").await;
    book.call(&show, 200, get(gateway, "sybil", "/devices")).await;
    book.call(&show, 303, gateway.request(Method::GET, &format!("{PREFIX}/devices"))).await;
    book.call(&show, 400, get(gateway, "sybil", "/devices?cursor=x")).await;
    let all = [("end_others", "yes")];
    book.call(&end, 303, form(gateway, "/devices", &all)).await;
    book.call(&end, 400, submit(gateway, "sybil", "/devices", &[])).await;
    book.call(&end, 403, submit(gateway, "sybil", "/devices", &all).header("origin", "null")).await;
    book.call(&end, 200, submit(gateway, "sybil", "/devices", &all)).await;
}

/// A person who asks for too much: nothing but time lets them do more.
pub async fn too_many(gateway: &Gateway, book: &mut Book) {
    let request = authorize(&[]);
    let shown = send(get(gateway, "trudy", &request)).await;
    let allow = [("ticket", &*ticket(&shown)), ("decision", "allow")];
    let (_, page) = codes(gateway, book).await;
    while send(get(gateway, "trudy", &page).header("x-forwarded-for", "198.51.100.2")).await.status == 200 {}
    book.call(&bridge_operation("get", "/device"), 429, get(gateway, "trudy", &page)).await;
    let decide = || submit(gateway, "trudy", &request, &allow);
    while send(decide()).await.status != 429 {}
    let authorized = decide();
    book.call(&bridge_operation("post", "/authorize"), 429, authorized).await;
    let end = || submit(gateway, "trudy", "/devices", &[("end_others", "yes")]);
    while send(end()).await.status != 429 {}
    let ended = end();
    book.call(&bridge_operation("post", "/devices"), 429, ended).await;
}

/// What a person was shown before the store went down.
pub struct Shown {
    page: String,
    device: String,
    consent: String,
}

pub async fn shown(gateway: &Gateway, book: &mut Book) -> Shown {
    let (_, page) = codes(gateway, book).await;
    let device =
        ticket(&book.call(&bridge_operation("get", "/device"), 200, get(gateway, "victor", &page)).await);
    let consent = ticket(&send(get(gateway, "victor", &authorize(&[]))).await);
    Shown { page, device, consent }
}

pub async fn store_down(gateway: &Gateway, book: &mut Book, shown: &Shown) {
    let start = post(gateway, "/device_authorization", &[("client_id", EDITOR)]);
    book.call(&bridge_operation("post", "/device_authorization"), 503, start).await;
    book.call(&bridge_operation("get", "/device"), 503, get(gateway, "victor", &shown.page)).await;
    let allow = |ticket| [("ticket", ticket), ("decision", "allow")];
    let device = submit(gateway, "victor", "/device", &allow(&shown.device));
    book.call(&bridge_operation("post", "/device"), 503, device).await;
    let consent = submit(gateway, "victor", &authorize(&[]), &allow(&shown.consent));
    book.call(&bridge_operation("post", "/authorize"), 503, consent).await;
    book.call(&bridge_operation("get", "/devices"), 503, get(gateway, "victor", "/devices")).await;
    let ended = submit(gateway, "victor", "/devices", &[("end_others", "yes")]);
    book.call(&bridge_operation("post", "/devices"), 503, ended).await;
}
