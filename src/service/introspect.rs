//! `POST /introspect`: what a token is worth now (RFC 7662).

use http::request::Parts;

use super::answer::{Answer, Refusal};
use super::body::RequestBody;
use crate::bridge::Bridge;

pub(super) async fn answer(_: &Bridge, _: &Parts, _: RequestBody) -> Answer {
    Err(Refusal::not_found().into())
}
