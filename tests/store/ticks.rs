//! What is read after a tick shows that tick.

use bridge_auth::SessionId;
use bridge_auth::store::{RevocationCursor, SessionKey};

use super::given::{sign_in, user};
use crate::support::Backend;

super::promises![a_look_up_and_a_reading_show_the_tick_that_was_acknowledged_before];

async fn a_look_up_and_a_reading_show_the_tick_that_was_acknowledged_before(db: impl Backend) {
    // Each has ticks of its own, and shows those.
    let (store, other) = (db.open().await, db.open().await);
    let session = sign_in(&*store, &user(&*store, "alice").await).await;
    let mut cursor = RevocationCursor::default();
    for _ in 0..5 {
        let ticks = [store.tick().await.unwrap(), other.tick().await.unwrap()];
        for (store, proof) in [&store, &other].into_iter().zip(ticks) {
            let read = store.session_statuses(std::slice::from_ref(&session)).await.unwrap();
            assert!(read.found.iter().any(|status| status.id == session));
            // Nobody else makes one: it is the newest.
            assert_eq!(read.tick, proof.tick);
            let key = SessionKey::of(session.clone());
            let rows = store.row_states(std::slice::from_ref(&key)).await.unwrap();
            assert!(rows.found.iter().any(|row| row.digest == key.digest()));
            assert_eq!(rows.tick, proof.tick);
            // Also where nothing is found.
            let no_rows = store.row_states(&[SessionKey::of(SessionId::random())]).await.unwrap();
            assert_eq!((no_rows.found.len(), no_rows.tick), (0, proof.tick));
            let nothing = store.session_statuses(&[SessionId::random()]).await.unwrap();
            assert_eq!((nothing.found.len(), nothing.tick), (0, proof.tick));
            let page = store.revocations_since(&cursor, 100).await.unwrap();
            assert_eq!(page.tick, proof.tick);
            cursor = page.next;
        }
    }
}
