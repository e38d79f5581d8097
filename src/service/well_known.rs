//! The documents by which OAuth clients find their way (RFC 8414, RFC 9728).

use bytes::Bytes;
use http::{Request, Response};

use super::answer::{Failure, Refusal, Wording};
use super::body::RequestBody;
use crate::bridge::Bridge;

pub(super) async fn serve(_: &Bridge, _: Request<RequestBody>) -> Response<Bytes> {
    Failure::from(Refusal::not_found()).into_response(Wording::Problem)
}
