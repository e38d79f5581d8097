//! A client that is refused hears so, however much it sends (N11), and holds nothing for long.

use std::future::ready;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use bridge_auth::drain::DrainLimits;
use bridge_auth::host_login::{FoundOperator, OperatorLayer};
use bridge_auth::{SignInLayer, SignedIn};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::support::bridge::{access, builder};
use crate::support::gateway::{Gateway, PREFIX};
use crate::support::{Backend, SqliteBackend, stock};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn gateway() -> (SqliteBackend, Gateway) {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    (db, gateway)
}

/// A gateway with these limits, at the guard and at the endpoints. `/upload` reads the body.
async fn gateway_with(limits: DrainLimits) -> (SqliteBackend, Gateway, String) {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.drain_refused(limits).build().unwrap();
    let token = access(&bridge, "alice", "").await.token.expose().to_owned();
    let layer = bridge.layer("bridge").unwrap();
    let routes = Router::new()
        .route("/upload", post(|body: Bytes| async move { body.len().to_string() }))
        .layer(layer);
    (db, Gateway::with_routes(bridge, routes).await, token)
}

/// The layers that ask the host's own login. `/operators` and `/later` know nobody, `/team` knows no operator, and
/// behind `/signed-in` and `/down` the login fails.
async fn gateway_with_logins() -> (SqliteBackend, Gateway) {
    let upload = || post(|body: Bytes| async move { body.len().to_string() });
    let fault = || ready(Err::<FoundOperator, _>(io::Error::other("no database")));
    let routes = Router::new()
        .route("/operators", upload().layer(OperatorLayer::new(|_| None)))
        .route("/team", upload().layer(OperatorLayer::new(|_| FoundOperator::NotAnOperator)))
        .route("/later", upload().layer(OperatorLayer::from_async(|_| ready(Ok::<_, io::Error>(None)))))
        .route("/down", upload().layer(OperatorLayer::from_async(move |_| fault())))
        .route(
            "/signed-in",
            upload().layer(SignInLayer::from_async(|_| {
                ready(Err::<Option<SignedIn>, _>(io::Error::other("no database")))
            })),
        );
    let db = SqliteBackend::start().await;
    let gateway = Gateway::with_routes(builder(&db).await.build().unwrap(), routes).await;
    (db, gateway)
}

fn head(path: &str, lines: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n")
}

/// The status that a client sees that writes its whole request before it reads.
fn status_after_writing(address: SocketAddr, head: &str, length: usize) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    let chunk = [b'x'; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let size = left.min(chunk.len());
        stream.write_all(&chunk[..size])?;
        left -= size;
    }
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status[9..]).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n11_a_client_that_sends_all_before_it_reads_hears_the_refusal() {
    let (_db, gateway) = gateway_with_logins().await;
    let bad = "authorization: Bearer bad.bad.bad\r\n";
    let json = "content-type: application/json\r\n";
    for (path, lines, expected, lengths) in [
        ("/v1/echo".to_owned(), bad, "401", &[200_000, 1_000_000, 5_000_000, 20_000_000][..]),
        (format!("{PREFIX}/session"), json, "413", &[200_000, 5_000_000]),
        (format!("{PREFIX}/session"), "content-type: text/plain\r\n", "415", &[5_000_000]),
        (format!("{PREFIX}/token"), json, "415", &[5_000_000]),
        (format!("{PREFIX}/capabilities"), json, "405", &[5_000_000]),
        (format!("{PREFIX}/code"), json, "401", &[5_000_000]),
        (format!("{PREFIX}/logout"), bad, "401", &[5_000_000]),
        (format!("{PREFIX}/nowhere"), json, "404", &[5_000_000]),
        ("/admin/sessions/a".to_owned(), json, "401", &[5_000_000]),
        ("/operators".to_owned(), json, "401", &[200_000, 5_000_000]),
        ("/later".to_owned(), json, "401", &[5_000_000]),
        ("/team".to_owned(), json, "403", &[5_000_000]),
        ("/down".to_owned(), json, "503", &[5_000_000]),
        ("/signed-in".to_owned(), json, "503", &[200_000, 5_000_000]),
    ] {
        for length in lengths {
            for _ in 0..3 {
                let (address, length) = (gateway.address, *length);
                let head = head(&path, &format!("content-length: {length}\r\n{lines}"));
                let status =
                    spawn_blocking(move || status_after_writing(address, &head, length)).await.unwrap();
                assert_eq!(status.ok().as_deref(), Some(expected), "{path} {length}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n11_stock_clients_hear_the_refusal() {
    let (_db, gateway) = gateway().await;
    for script in ["refused_upload.py", "refused_upload.mjs"] {
        let mut command = stock::script(Path::new(env!("CARGO_MANIFEST_DIR")), script);
        command.env("GATEWAY", format!("http://{}", gateway.address)).env("PREFIX", PREFIX);
        stock::succeeds(&mut command).await;
    }
}

/// Reads one answer with a `Content-Length`, as text.
async fn answer(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let read = async {
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(seen).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        head + &String::from_utf8(body).unwrap()
    };
    timeout(PATIENCE, read).await.expect("there is an answer")
}

#[tokio::test]
async fn the_answer_does_not_wait_for_the_body() {
    let (_db, gateway) = gateway().await;
    for path in ["/v1/echo".to_owned(), format!("{PREFIX}/capabilities")] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head(&path, "content-length: 1000000\r\n").as_bytes()).await.unwrap();
        stream.write_all(b"the first bytes").await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_word_is_refused_and_told_that_the_connection_ends() {
    let (_db, gateway) = gateway().await;
    for path in ["/v1/echo".to_owned(), format!("{PREFIX}/session"), format!("{PREFIX}/capabilities")] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let lines = "expect: 100-continue\r\ncontent-length: 1000000\r\ncontent-type: application/json\r\n";
        stream.write_all(head(&path, lines).as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains("100 Continue"), "{answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_connection_goes_on_behind_a_refused_body() {
    let (_db, gateway, token) = gateway_with(DrainLimits::default()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    for _ in 0..3 {
        let body = "x".repeat(100_000);
        let refused = head("/upload", "content-length: 100000\r\nauthorization: Bearer a.b.c\r\n") + &body;
        stream.write_all(refused.as_bytes()).await.unwrap();
        let answer_to_it = answer(&mut stream).await;
        assert!(answer_to_it.starts_with("HTTP/1.1 401"), "{answer_to_it}");
        assert!(!answer_to_it.to_lowercase().contains("connection: close"), "{answer_to_it}");
        let lines = format!("content-length: 5\r\nauthorization: Bearer {token}\r\n");
        stream.write_all((head("/upload", &lines) + "hello").as_bytes()).await.unwrap();
        let answer_to_it = answer(&mut stream).await;
        assert!(
            answer_to_it.starts_with("HTTP/1.1 200") && answer_to_it.ends_with("\r\n\r\n5"),
            "{answer_to_it}"
        );
    }
}

/// How many bytes a client can write until its connection is closed.
fn written_until_closed(address: SocketAddr, head: &str, chunk: &[u8]) -> usize {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < PATIENCE {
        match stream.write(chunk) {
            Ok(length @ 1..) => written += length,
            Ok(0) => return written,
            Err(error) => {
                let is_closed = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
                assert!(is_closed.contains(&error.kind()), "{error}");
                return written;
            }
        }
    }
    panic!("{written} bytes were taken, and the connection is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_an_upload_without_end_is_closed_at_the_limit() {
    let (_db, gateway, _) = gateway_with(DrainLimits::default().bytes(256 * 1024)).await;
    let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
    for path in ["/upload".to_owned(), format!("{PREFIX}/capabilities")] {
        let head = head(&path, "transfer-encoding: chunked\r\n");
        let (address, chunk) = (gateway.address, chunk.clone());
        let written = spawn_blocking(move || written_until_closed(address, &head, &chunk)).await.unwrap();
        // What the sockets on both sides hold comes on top.
        assert!((256 * 1024..32 << 20).contains(&written), "{path}: {written}");
    }
}

#[tokio::test]
async fn a_client_is_told_that_a_declared_length_is_beyond_the_limit() {
    let (_db, gateway, _) = gateway_with(DrainLimits::default().bytes(1000)).await;
    for (length, closes) in [(1000, false), (1001, true)] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head("/upload", &format!("content-length: {length}\r\n")).as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert_eq!(answer.to_lowercase().contains("connection: close"), closes, "{answer}");
    }
}

#[tokio::test]
async fn attack_a_client_that_stalls_is_cut_off_in_time() {
    for (limits, least, most) in [
        (DrainLimits::default().within(Duration::from_millis(700)), Duration::from_millis(600), PATIENCE),
        (DrainLimits::off(), Duration::ZERO, Duration::from_secs(10)),
    ] {
        let (_db, gateway, _) = gateway_with(limits).await;
        for path in ["/upload".to_owned(), format!("{PREFIX}/capabilities")] {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            stream.write_all(head(&path, "content-length: 1000000\r\n").as_bytes()).await.unwrap();
            stream.write_all(b"the first bytes").await.unwrap();
            let begun = Instant::now();
            answer(&mut stream).await;
            let closed = timeout(most, stream.read_u8()).await.expect("it is closed");
            assert!(closed.is_err() && begun.elapsed() >= least, "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_refusal_is_heard_over_http_2() {
    let (_db, gateway) = gateway().await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for path in ["/v1/echo".to_owned(), format!("{PREFIX}/capabilities")] {
        for _ in 0..5 {
            let body = Full::new(Bytes::from(vec![b'x'; 5_000_000]));
            let request = Request::builder().method(Method::POST).uri(format!("http://gateway{path}"));
            let answer = sender.send_request(request.body(body).unwrap());
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            let expected = [StatusCode::UNAUTHORIZED, StatusCode::METHOD_NOT_ALLOWED];
            assert!(expected.contains(&answer.status()), "{path} {}", answer.status());
        }
    }
}
