//! `POST /revoke`: the end of a token (RFC 7009).

use http::request::Parts;

use super::answer::{Answer, Refusal};
use super::body::RequestBody;
use crate::bridge::Bridge;

pub(super) async fn answer(_: &Bridge, _: &Parts, _: RequestBody) -> Answer {
    Err(Refusal::not_found().into())
}
