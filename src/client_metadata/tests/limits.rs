//! How often a person can make the gateway fetch.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn requests_for_one_document_share_one_fetch() {
    let scene = Scene::new().await;
    scene.serve(&scene.document(&json!({})));
    let found = join_all((0..100).map(|_| scene.find())).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!((scene.server.connections(), scene.dns.asked()), (1, 1));
}

#[tokio::test]
async fn a_request_that_is_dropped_drops_no_fetch() {
    let scene = Scene::new().await;
    let head = Reply::head("content-type: application/json", 5000);
    scene.server.answer(Reply::Drip(head.into(), Duration::from_millis(100)));
    let dropped = tokio::spawn({
        let (clients, id) = (scene.clients.clone(), scene.id());
        async move { clients.find(&id).await }
    });
    scene.server.until_requested(1).await;
    dropped.abort();
    let again = tokio::time::timeout(Duration::from_millis(300), scene.find()).await;
    assert!(again.is_err(), "the fetch still runs: {again:?}");
    assert_eq!(scene.server.connections(), 1);
}

#[tokio::test]
async fn after_a_failure_a_document_is_left_alone_for_ten_seconds() {
    let scene = Scene::new().await;
    scene.server.answer(Reply::status("404 Not Found", "a: b"));
    for (later, connections) in [(0, 1), (0, 1), (9, 1), (1, 2), (9, 2), (1, 3)] {
        scene.clock.advance(Duration::from_secs(later));
        assert_eq!(scene.find().await, Err(ClientDocumentError::Refused(Refusal::Status(404))));
        assert_eq!(scene.server.connections(), connections);
    }
    // The client is found as soon as it is repaired and the pause is over.
    scene.serve(&scene.document(&json!({})));
    scene.clock.advance(Duration::from_secs(10));
    assert!(scene.find().await.is_ok());
}

#[tokio::test]
async fn no_more_than_sixteen_fetches_run_at_once() {
    let scene = Scene::with(lenient().timeout(Duration::from_secs(4))).await;
    let waiting: Vec<_> = (0..16)
        .map(|number| {
            let (clients, id) = (scene.clients.clone(), scene.named(&format!("slow/{number}")));
            tokio::spawn(async move { clients.find(&id).await })
        })
        .collect();
    scene.server.until_requested(16).await;
    assert_eq!(scene.find().await, Err(ClientDocumentError::Unavailable));
    assert_eq!(scene.server.connections(), 16);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Err(ClientDocumentError::Refused(Refusal::TooSlow)));
    }
    // Their places are free again, and the one that found none is not held to have failed.
    scene.serve(&scene.document(&json!({})));
    assert!(scene.find().await.is_ok());
}

#[tokio::test]
async fn a_loop_over_many_urls_makes_sixty_fetches_and_keeps_known_clients() {
    let scene = Scene::new().await;
    scene.serve(&scene.document(&json!({})));
    assert!(scene.find().await.is_ok());
    let mut limited = 0;
    for number in 0..300 {
        let url = scene.named(&format!("loop/{number}"));
        match scene.clients.find(&url).await {
            Err(ClientDocumentError::Refused(Refusal::OtherClientId)) => {}
            Err(ClientDocumentError::Unavailable) => limited += 1,
            other => panic!("{other:?}"),
        }
    }
    // The budget grows by one a second, and a slow machine takes a while.
    let fetches = scene.server.connections();
    assert!((60..120).contains(&fetches) && limited == 301 - fetches, "{fetches} fetches, {limited} limited");
    // A document that needs a new fetch is used a little longer.
    scene.clock.advance(Duration::from_secs(3600));
    assert!(scene.find().await.is_ok());
}
