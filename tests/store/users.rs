//! Operators find people by the beginning of an id or a label.

use bridge_auth::UserId;
use bridge_auth::store::{KnownUser, Store, UserQuery, UserRecord};

use super::given::{scopes, user};
use crate::support::{Backend, known};

super::promises![
    people_are_listed_in_the_order_of_their_ids,
    people_are_found_by_the_beginning_of_an_id,
    people_are_found_by_the_beginning_of_a_label_in_any_letter_case,
    who_is_found_twice_is_listed_once,
    no_character_of_a_search_is_special,
    a_page_has_its_limit_and_the_next_one_goes_on,
    a_label_stays_until_another_one_takes_its_place,
    a_label_holds_nothing_that_is_not_shown,
    a_search_for_very_many_labels_finds_the_first_thousand,
];

async fn put(store: &dyn Store, id: &str, label: &str) {
    let user = KnownUser::new(UserId::parse(id).unwrap(), scopes("read"));
    store.put_user(&user.label(label)).await.unwrap();
}

async fn ids(store: &dyn Store, text: &str) -> Vec<String> {
    let page = store.users(&UserQuery::new(text)).await.unwrap();
    assert_eq!(page.next, None);
    page.users.into_iter().map(|user| user.id.as_str().to_owned()).collect()
}

async fn label_of(store: &dyn Store, id: &str) -> Option<String> {
    let found = store.users(&UserQuery::new(id)).await.unwrap().users;
    found.into_iter().find(|user| user.id.as_str() == id).unwrap().label
}

async fn people_are_listed_in_the_order_of_their_ids(db: impl Backend) {
    let store = db.open().await;
    assert_eq!(ids(&*store, "").await, [""; 0]);
    for name in ["bob", "Zoe", "ärger", "alice", "Bob", "~", "\u{1f600}", "\u{ff5e}"] {
        user(&*store, name).await;
    }
    let disabled = UserId::parse("bob").unwrap();
    store.disable_user(&disabled).await.unwrap();
    // Byte for byte.
    assert_eq!(ids(&*store, "").await, ["Bob", "Zoe", "alice", "bob", "~", "ärger", "\u{ff5e}", "\u{1f600}"]);
    let found = store.users(&UserQuery::new("bob")).await.unwrap().users;
    assert_eq!(found, [UserRecord::new(disabled).disabled(true)]);
}

async fn people_are_found_by_the_beginning_of_an_id(db: impl Backend) {
    let store = db.open().await;
    for name in ["ann", "anna", "Anna", "anne", "ao", "an", "än"] {
        user(&*store, name).await;
    }
    for (text, found) in [
        ("an", &["an", "ann", "anna", "anne"][..]),
        ("anna", &["anna"]),
        ("annab", &[]),
        ("A", &["Anna"]),
        ("ä", &["än"]),
        ("a", &["an", "ann", "anna", "anne", "ao"]),
    ] {
        assert_eq!(ids(&*store, text).await, found, "{text}");
    }
}

async fn people_are_found_by_the_beginning_of_a_label_in_any_letter_case(db: impl Backend) {
    let store = db.open().await;
    for (id, label) in [
        ("7", "Ann@example.com"),
        ("3", "ann@example.org"),
        ("5", "bob@x"),
        ("9", "ΣΊΣΥΦΟΣ"),
        ("8", "Müller"),
    ] {
        put(&*store, id, label).await;
    }
    user(&*store, "2").await;
    for (text, found) in [
        ("ann@example.", &["3", "7"][..]),
        ("ANN@EXAMPLE.C", &["7"]),
        ("σίσ", &["9"]),
        ("ΣΊΣΥΦΟς", &["9"]),
        ("mÜL", &["8"]),
        ("nn@example", &[]),
    ] {
        assert_eq!(ids(&*store, text).await, found, "{text}");
    }
    assert_eq!(label_of(&*store, "7").await.as_deref(), Some("Ann@example.com"), "as it was given");
    assert_eq!(label_of(&*store, "2").await, None);
}

async fn who_is_found_twice_is_listed_once(db: impl Backend) {
    let store = db.open().await;
    put(&*store, "ann", "Ann@example.com").await;
    put(&*store, "anx", "other").await;
    put(&*store, "zed", "an").await;
    assert_eq!(ids(&*store, "an").await, ["ann", "anx", "zed"]);
    assert_eq!(ids(&*store, "").await, ["ann", "anx", "zed"]);
}

async fn no_character_of_a_search_is_special(db: impl Backend) {
    let store = db.open().await;
    for (id, label) in [("100%", "%_\\"), ("a_b", "x"), ("a\\b", "y"), ("axb", "z'\"")] {
        put(&*store, id, label).await;
    }
    for (text, found) in [
        ("%", &["100%"][..]),
        ("100%", &["100%"]),
        ("a_", &["a_b"]),
        ("a\\", &["a\\b"]),
        ("_", &[]),
        ("z'\"", &["axb"]),
        ("*", &[]),
        ("a\0", &[]),
        ("\0", &[]),
        ("\u{10ffff}", &[]),
        ("a\u{10ffff}", &[]),
        (" ", &[]),
    ] {
        assert_eq!(ids(&*store, text).await, found, "{text:?}");
    }
    assert_eq!(ids(&*store, &"a".repeat(10_000)).await, [""; 0]);
    assert_eq!(ids(&*store, &"%_\\".repeat(500)).await, [""; 0]);
}

async fn a_page_has_its_limit_and_the_next_one_goes_on(db: impl Backend) {
    let store = db.open().await;
    // Every other one is found by the label.
    for n in 0..11 {
        let (id, label) = if n % 2 == 0 {
            (format!("p{n:02}"), "x".to_owned())
        } else {
            (format!("q{n:02}"), format!("P{n:02}"))
        };
        put(&*store, &id, &label).await;
    }
    for limit in [0, 1, 2, 3, 10, 11, 100] {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut query = UserQuery::new("p").limit(limit);
        loop {
            let page = store.users(&query).await.unwrap();
            pages += 1;
            assert!(page.users.len() <= limit.max(1) as usize);
            seen.extend(page.users.into_iter().map(|user| user.id));
            match page.next {
                Some(next) => query = query.after(next),
                None => break,
            }
        }
        assert!(seen.is_sorted() && seen.len() == 11, "{seen:?}");
        assert_eq!(pages, 11_u32.div_ceil(limit.max(1)));
    }
    let nobody = store.users(&UserQuery::new("p").after(UserId::parse("zz").unwrap())).await.unwrap();
    assert_eq!((nobody.users, nobody.next), (vec![], None));
    let all = store.users(&UserQuery::new("p").after(UserId::parse("a").unwrap())).await.unwrap();
    assert_eq!(all.users.len(), 11);
}

async fn a_label_stays_until_another_one_takes_its_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    assert_eq!(label_of(&*store, "alice").await, None);
    put(&*store, "alice", "first").await;
    store.put_user(&known(&alice, &scopes("read write"))).await.unwrap();
    assert_eq!(label_of(&*store, "alice").await.as_deref(), Some("first"));
    put(&*store, "alice", "Second").await;
    assert_eq!(label_of(&*store, "alice").await.as_deref(), Some("Second"));
    assert_eq!(
        (ids(&*store, "first").await, ids(&*store, "second").await),
        (vec![], vec!["alice".to_owned()])
    );
    // The letter case alone.
    put(&*store, "alice", "SECOND").await;
    assert_eq!(label_of(&*store, "alice").await.as_deref(), Some("SECOND"));
    store.disable_user(&alice).await.unwrap();
    put(&*store, "alice", "").await;
    let found = store.users(&UserQuery::new("alice")).await.unwrap().users;
    assert_eq!(found, [UserRecord::new(alice).disabled(true)], "removed, and nobody was enabled");
    assert_eq!(ids(&*store, "second").await, [""; 0]);
}

async fn a_label_holds_nothing_that_is_not_shown(db: impl Backend) {
    let store = db.open().await;
    put(&*store, "alice", " a\0l\u{202e}\nice ").await;
    assert_eq!(label_of(&*store, "alice").await.as_deref(), Some("alice"));
    put(&*store, "alice", &"\u{1f52}".repeat(10_000)).await;
    assert_eq!(label_of(&*store, "alice").await.unwrap().chars().count(), 256);
    assert_eq!(ids(&*store, "\u{1f52}\u{1f52}").await, ["alice"]);
    let longest = UserId::parse("\u{1f600}".repeat(255)).unwrap();
    put(&*store, longest.as_str(), &"\u{1f52}".repeat(256)).await;
    assert_eq!(ids(&*store, "\u{1f600}").await, [longest.as_str()]);
}

async fn a_search_for_very_many_labels_finds_the_first_thousand(db: impl Backend) {
    let store = db.open().await;
    for n in 0..1005 {
        // The order of the ids is not that of the labels.
        put(&*store, &format!("{:04}", 2000 - n), &format!("person-{n:04}")).await;
    }
    let mut query = UserQuery::new("PERSON").limit(300);
    let mut seen = Vec::new();
    loop {
        let page = store.users(&query).await.unwrap();
        seen.extend(page.users.into_iter().map(|user| user.id.as_str().to_owned()));
        let Some(next) = page.next else { break };
        query = query.after(next);
    }
    let first_thousand: Vec<_> = (1001..=2000).map(|id| format!("{id:04}")).collect();
    assert_eq!(seen, first_thousand);
    assert_eq!(ids(&*store, "person-1004").await, ["0996"]);
}
