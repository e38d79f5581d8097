//! `Identity`: every caller may ask who it is.

use tonic::{Request, Response, Status};

use crate::caller;
use crate::proto::identity_server::Identity;
use crate::proto::{WhoAmIReply, WhoAmIRequest};

pub(crate) struct IdentityService;

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIReply>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(WhoAmIReply {
            user_id: caller.user_id().to_string(),
            session_id: caller.session_id().to_string(),
            scopes: caller.scopes().iter().map(ToString::to_string).collect(),
        }))
    }
}
