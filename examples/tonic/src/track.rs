//! `Track`: its guard lets in only callers with the scope, so its method need not ask.

use tonic::{Request, Response, Status, Streaming};

use crate::caller;
use crate::proto::track_server::Track;
use crate::proto::{AppendReply, AppendRequest};

pub(crate) struct TrackService;

#[tonic::async_trait]
impl Track for TrackService {
    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<AppendReply>, Status> {
        let user_id = caller(&request)?.user_id().to_string();
        let mut reports = request.into_inner();
        let mut count = 0;
        while reports.message().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(AppendReply { user_id, count }))
    }
}
