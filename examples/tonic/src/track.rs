//! `Track`: its guard lets in only callers with the scope, so the methods do not check it.

use std::pin::Pin;

use bridge_auth::UserId;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use crate::caller;
use crate::proto::track_server::Track;
use crate::proto::{AppendReply, AppendRequest, FollowReply, FollowRequest};

/// How many reports a slow follower may be behind before it misses some.
const BACKLOG: usize = 64;

pub(crate) struct TrackService {
    reports: broadcast::Sender<Report>,
}

#[derive(Clone)]
struct Report {
    user: UserId,
    event: String,
}

impl TrackService {
    pub(crate) fn new() -> Self {
        Self { reports: broadcast::channel(BACKLOG).0 }
    }
}

#[tonic::async_trait]
impl Track for TrackService {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<FollowReply, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<AppendReply>, Status> {
        let user = caller(&request)?.user_id().clone();
        let mut sent = request.into_inner();
        let mut count = 0;
        while let Some(AppendRequest { event }) = sent.message().await? {
            // The error means that nobody follows now, and is ignored.
            let _ = self.reports.send(Report { user: user.clone(), event });
            count += 1;
        }
        Ok(Response::new(AppendReply { user_id: user.to_string(), count }))
    }

    async fn follow(&self, request: Request<FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let user = caller(&request)?.user_id().clone();
        let reports = BroadcastStream::new(self.reports.subscribe());
        let own = reports.filter_map(move |report| match report {
            Ok(report) => (report.user == user).then_some(Ok(FollowReply { event: report.event })),
            Err(_missed) => {
                Some(Err(Status::data_loss("this follower was too slow, and missed some reports")))
            }
        });
        Ok(Response::new(Box::pin(own)))
    }
}
