//! The connections of the gateway: what each may take, and how each ends when the gateway stops.
//!
//! `axum::serve` has no time-outs. And at a stop it waits for a connection whose client has not yet sent a whole
//! header, which may be never. Here a stop waits only for what is under way: a request until the last byte of its answer.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{ServiceExt as _, service_fn};

/// How often an HTTP/2 client must show that it is still there, and how long the proof may take.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection without work must be quiet before a stop closes it. HTTP/2 ends with a last exchange.
const QUIET: Duration = Duration::from_millis(500);
/// How long to wait when no connection can be accepted. Most likely there are no free file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// All connections that are open.
pub struct Connections {
    http: Builder<TokioExecutor>,
    app: Router,
    header_timeout: Duration,
    open: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Connections {
    /// Connections that `app` answers. The header of a request must be there within `header_timeout`, from the moment
    /// that the client connects or has its last answer.
    pub fn new(app: Router, header_timeout: Duration) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PONG_WITHIN);
        Self { http, app, header_timeout, open: JoinSet::new(), stopping: watch::Sender::new(false) }
    }

    /// Accepts connections until `stop`.
    pub async fn accept_until(&mut self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.open(stream, peer),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "cannot accept a connection, and try again");
                        sleep(ACCEPT_AGAIN).await;
                    }
                },
                // So that the set does not grow.
                Some(_) = self.open.join_next() => {}
                () = &mut stop => return,
            }
        }
    }

    /// Ends every connection as soon as nothing is under way on it, and returns how many still had work after `within`.
    /// They are cut off.
    pub async fn end(mut self, within: Duration) -> usize {
        self.stopping.send_replace(true);
        let _ = timeout(within, async { while self.open.join_next().await.is_some() {} }).await;
        self.open.len()
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        let work = Work::default();
        let (app, begun) = (self.app.clone(), work.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let request_work = begun.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            let answering = app.clone().oneshot(request.map(Body::new));
            async move {
                let Ok(answer) = answering.await;
                Ok::<_, std::convert::Infallible>(answer.map(|body| Answer { body, _request: request_work }))
            }
        });
        let stream = TokioIo::new(Watched { stream, work: work.clone() });
        let connection = self.http.serve_connection(stream, TowerToHyperService::new(service)).into_owned();
        let (mut stopping, header_timeout) = (self.stopping.subscribe(), self.header_timeout);
        self.open.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = work.is_late_to_begin(header_timeout) => return,
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                _ = connection => {}
                () = work.is_over() => {}
            }
        });
    }
}

/// What is under way on a connection.
#[derive(Clone, Default)]
struct Work(watch::Sender<State>);

#[derive(Default)]
struct State {
    has_begun: bool,
    requests: usize,
    /// Whether bytes wait for the client to read.
    is_writing: bool,
}

impl Work {
    fn begin(&self) -> RequestWork {
        self.0.send_modify(|state| {
            state.has_begun = true;
            state.requests += 1;
        });
        RequestWork(self.clone())
    }

    fn set_writing(&self, is_writing: bool) {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.is_writing, is_writing) != is_writing);
    }

    /// Completes when no first request has come in time. Later requests have hyper's own time-out.
    async fn is_late_to_begin(&self, header_timeout: Duration) {
        let mut state = self.0.subscribe();
        if timeout(header_timeout, state.wait_for(|state| state.has_begun)).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Completes when nothing is under way, and nothing comes for a moment.
    async fn is_over(&self) {
        let mut state = self.0.subscribe();
        loop {
            let _ = state.wait_for(|state| !state.is_busy()).await;
            if timeout(QUIET, state.wait_for(State::is_busy)).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.requests > 0 || self.is_writing
    }
}

/// One request that is under way, until it is dropped.
struct RequestWork(Work);

impl Drop for RequestWork {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.requests -= 1);
    }
}

/// The body of an answer. Its request is under way until the body is.
struct Answer {
    body: Body,
    _request: RequestWork,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells whether its client is slow to read.
struct Watched {
    stream: TcpStream,
    work: Work,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.work.set_writing(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.work.set_writing(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
