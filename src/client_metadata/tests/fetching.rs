//! What an answer must be.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;

#[tokio::test]
async fn row_l14_a_document_is_fetched_once_with_a_plain_request() {
    let scene = Scene::new().await;
    scene.serve(&scene.document(&json!({})));
    let document = scene.find().await.unwrap();
    assert_eq!(document.client_id, scene.id());
    assert_eq!(document.host(), format!("client.example:{}", scene.server.port()));
    let requests = scene.server.requests();
    let head = requests[0].to_ascii_lowercase();
    assert!(head.starts_with("get /app.json http/1.1\r\n"), "{head}");
    let names: Vec<_> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names, ["accept", "user-agent", "host"], "{head}");
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn row_l14_only_200_with_json_of_at_most_5_kib_is_a_document() {
    let scene = Scene::new().await;
    let good = scene.document(&json!({})).to_string();
    let redirect = format!("location: https://127.0.0.1:{}/secret", scene.server.port());
    for (reply, refusal) in [
        (Reply::status("201 Created", "a: b"), Refusal::Status(201)),
        (Reply::status("204 No Content", "a: b"), Refusal::Status(204)),
        (Reply::status("404 Not Found", "a: b"), Refusal::Status(404)),
        (Reply::status("500 Internal Server Error", "a: b"), Refusal::Status(500)),
        (Reply::status("301 Moved Permanently", &redirect), Refusal::Redirect),
        (Reply::status("302 Found", &redirect), Refusal::Redirect),
        (Reply::status("303 See Other", &redirect), Refusal::Redirect),
        (Reply::status("307 Temporary Redirect", &redirect), Refusal::Redirect),
        (Reply::status("308 Permanent Redirect", &redirect), Refusal::Redirect),
        (Reply::with("a: b", good.as_bytes()), Refusal::ContentType),
        (Reply::with("content-type: text/html", good.as_bytes()), Refusal::ContentType),
        (Reply::with("content-type: text/json", good.as_bytes()), Refusal::ContentType),
        (Reply::with("content-type: application/jsonp", good.as_bytes()), Refusal::ContentType),
        (Reply::with("content-type: ;", good.as_bytes()), Refusal::ContentType),
        (Reply::json("not json"), Refusal::Malformed),
        (Reply::json(""), Refusal::Malformed),
    ] {
        scene.server.answer(reply.clone());
        let refused = scene.refusal().await;
        assert_eq!(refused, refusal);
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/oauth-client+json"] {
        scene.clock.advance(Duration::from_secs(24 * 3600));
        scene.server.answer(Reply::with(&format!("content-type: {kind}"), good.as_bytes()));
        assert!(scene.find().await.is_ok(), "{kind}");
    }
    assert_eq!(
        scene.server.connections(),
        scene.server.requests().len(),
        "each fetch has its own connection"
    );
    assert!(
        scene.server.requests().iter().all(|head| head.starts_with("GET /app.json ")),
        "a redirect was followed"
    );
}

#[tokio::test]
async fn row_l14_a_document_of_5_kib_and_one_byte_is_refused_whether_it_says_so_or_not() {
    let scene = Scene::new().await;
    let good = scene.document(&json!({})).to_string();
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = body
            .as_bytes()
            .chunks(1000)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
        Reply::Bytes(format!("{head}{}0\r\n\r\n", chunks.collect::<String>()).into_bytes())
    };
    let unsized_ = |body: &str| {
        Reply::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}").into_bytes())
    };
    for reply in [&Reply::json as &dyn Fn(&str) -> Reply, &chunked, &unsized_] {
        scene.server.answer(reply(&padded(5121)));
        assert_eq!(scene.refusal().await, Refusal::TooLarge);
        scene.clock.advance(Duration::from_secs(60));
        scene.server.answer(reply(&padded(5120)));
        assert!(scene.find().await.is_ok());
    }
    // A body without an end is not read to its end.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    scene.server.answer(Reply::Endless(head.into(), b"1\r\n \r\n".repeat(1000)));
    assert_eq!(scene.refusal().await, Refusal::TooLarge);
    // A length that is a lie: the connection ends early.
    scene.clock.advance(Duration::from_secs(24 * 3600));
    scene.server.answer(Reply::Bytes(
        [Reply::head("content-type: application/json", 5000).as_bytes(), b"{}"].concat(),
    ));
    assert_eq!(scene.find().await, Err(ClientDocumentError::Unavailable));
}

#[tokio::test]
async fn row_l14_a_body_that_is_small_only_until_it_is_unpacked_is_not_unpacked() {
    let scene = Scene::new().await;
    let bomb = packed(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 5120, "{}", bomb.len());
    scene.server.answer(Reply::with("content-type: application/json\r\ncontent-encoding: gzip", &bomb));
    assert_eq!(scene.refusal().await, Refusal::Encoded);
    scene.server.answer(Reply::with("content-type: application/json", &bomb));
    assert_eq!(scene.refusal().await, Refusal::Malformed);
    let good = packed(scene.document(&json!({})).to_string().as_bytes());
    scene.server.answer(Reply::with("content-type: application/json\r\ncontent-encoding: gzip", &good));
    assert_eq!(scene.refusal().await, Refusal::Encoded);
}

#[tokio::test]
async fn row_l14_a_fetch_ends_after_5_seconds_however_the_answer_drips() {
    let scene = Scene::new().await;
    let head = Reply::head("content-type: application/json", 5000);
    scene.server.answer(Reply::Drip(head.into(), Duration::from_millis(200)));
    let began = Instant::now();
    assert_eq!(scene.refusal().await, Refusal::TooSlow);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(4900) && took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn row_l14_headers_without_end_and_silence_end_with_the_time_too() {
    let scene = Scene::with(lenient().timeout(Duration::from_millis(300))).await;
    for reply in [
        Reply::Nothing,
        Reply::Drip(b"HTTP/1.1 200 OK\r\na: ".to_vec(), Duration::from_millis(10)),
        Reply::Endless(Vec::new(), b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()),
    ] {
        scene.server.answer(reply);
        let began = Instant::now();
        scene.clock.advance(Duration::from_secs(60));
        assert!(scene.find().await.is_err());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    scene.server.answer(Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: bbbbbbbbbbbbbbbb\r\n".to_vec()));
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(scene.find().await, Err(ClientDocumentError::Unavailable));
}

#[tokio::test]
async fn row_l14_a_server_without_a_good_certificate_is_not_asked() {
    let scene = Scene::new().await;
    scene.serve(&scene.document(&json!({})));
    let port = scene.server.port();
    // A name that the certificate does not have.
    let other = id(&format!("https://other.example:{port}/app.json"));
    assert_eq!(scene.clients.find(&other).await, Err(ClientDocumentError::Unavailable));
    // An authority that nobody trusts.
    let settings = ClientMetadata::open().danger_allow_addresses(["127.0.0.1/32"]);
    let clients = gateway(settings, &scene.dns, &scene.clock);
    assert_eq!(clients.find(&scene.id()).await, Err(ClientDocumentError::Unavailable));
    assert_eq!(scene.server.connections(), 2);
    assert_eq!(scene.server.requests().len(), 0);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let bytes = bytes.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let packed = gzip.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    packed
}
