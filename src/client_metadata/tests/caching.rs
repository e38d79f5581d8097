//! How long a document is used.

use http::HeaderMap;

use super::super::cache_life::CacheLife;
use super::*;

const DAY: u64 = 24 * 3600;

#[tokio::test]
async fn a_document_is_kept_as_long_as_its_server_says_within_bounds() {
    for (header, seconds) in [
        ("a: b", 3600),
        ("cache-control: max-age=120", 120),
        ("cache-control: public, Max-Age=\"120\", immutable", 120),
        ("cache-control: max-age=600\r\nage: 200", 400),
        ("cache-control: max-age=600\r\ncache-control: max-age=300", 300),
        ("cache-control: max-age=0", 60),
        ("cache-control: max-age=5", 60),
        ("cache-control: max-age=-1", 60),
        ("cache-control: no-store", 60),
        ("cache-control: max-age=9000, no-cache", 60),
        ("cache-control: max-age=31536000", DAY),
        ("cache-control: max-age=99999999999999999999", 60),
    ] {
        let scene = Scene::new().await;
        let good = scene.document(&json!({})).to_string();
        scene
            .server
            .answer(Reply::with(&format!("content-type: application/json\r\n{header}"), good.as_bytes()));
        assert!(scene.find().await.is_ok());
        scene.clock.advance(Duration::from_secs(seconds - 1));
        assert!(scene.find().await.is_ok());
        assert_eq!(scene.server.connections(), 1, "{header}: kept for {seconds} s");
        scene.clock.advance(Duration::from_secs(1));
        assert!(scene.find().await.is_ok());
        assert_eq!(scene.server.connections(), 2, "{header}: kept for {seconds} s");
    }
}

#[tokio::test]
async fn the_longest_life_and_the_number_of_documents_are_the_hosts_to_say() {
    let scene = Scene::with(lenient().cache(2, Duration::from_secs(90))).await;
    let day = "content-type: application/json\r\ncache-control: max-age=86400";
    let serve = |name: &str| {
        let good = with_members(scene.named(name).as_str(), &json!({})).to_string();
        scene.server.answer(Reply::with(day, good.as_bytes()));
    };
    serve("a");
    for (later, connections) in [(0, 1), (89, 1), (1, 2)] {
        scene.clock.advance(Duration::from_secs(later));
        assert!(scene.clients.find(&scene.named("a")).await.is_ok());
        assert_eq!(scene.server.connections(), connections);
    }
    for name in ["b", "c", "d", "e", "f", "g"] {
        serve(name);
        assert!(scene.clients.find(&scene.named(name)).await.is_ok());
        assert!(scene.clients.kept() <= 2);
    }
}

#[tokio::test]
async fn a_document_is_used_longer_only_while_its_server_cannot_say_more() {
    let scene = Scene::new().await;
    scene.serve(&scene.document(&json!({})));
    assert!(scene.find().await.is_ok());
    scene.server.answer(Reply::status("503 Service Unavailable", "a: b"));
    for later in [3600, 10, 3600, DAY - 7300] {
        scene.clock.advance(Duration::from_secs(later));
        assert!(scene.find().await.is_ok(), "{later}");
    }
    assert_eq!(scene.server.connections(), 5);
    // A day after it was fetched it is not used any more.
    scene.clock.advance(Duration::from_secs(90));
    assert_eq!(scene.find().await, Err(ClientDocumentError::Refused(Refusal::Status(503))));

    // A document that breaks a rule now, or has gone, takes the kept one away.
    for reply in [Reply::json("{}"), Reply::status("410 Gone", "a: b")] {
        let scene = Scene::new().await;
        scene.serve(&scene.document(&json!({})));
        assert!(scene.find().await.is_ok());
        scene.server.answer(reply);
        scene.clock.advance(Duration::from_secs(3600));
        assert!(scene.find().await.is_err());
        scene.server.answer(Reply::status("503 Service Unavailable", "a: b"));
        scene.clock.advance(Duration::from_secs(10));
        assert!(scene.find().await.is_err());
    }

    // So does a server that does not want it to be used unasked.
    for directive in ["no-store", "no-cache", "max-age=60, must-revalidate"] {
        let scene = Scene::new().await;
        let good = scene.document(&json!({})).to_string();
        let headers = format!("content-type: application/json\r\ncache-control: {directive}");
        scene.server.answer(Reply::with(&headers, good.as_bytes()));
        assert!(scene.find().await.is_ok());
        scene.server.answer(Reply::status("503 Service Unavailable", "a: b"));
        scene.clock.advance(Duration::from_secs(60));
        assert!(scene.find().await.is_err(), "{directive}");
    }
}

#[test]
fn directives_that_are_not_understood_change_nothing() {
    let mut headers = HeaderMap::new();
    let unsaid = CacheLife::of(&headers);
    for value in ["", ",,;=", "private=\"a, b\"", "s-maxage=5", "max-stale", "stale-if-error=60"] {
        headers.insert("cache-control", value.parse().unwrap());
        headers.insert("age", "not a number".parse().unwrap());
        assert_eq!(CacheLife::of(&headers), unsaid, "{value}");
    }
}
