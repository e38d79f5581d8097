//! What does not sign in.

use serde_json::{Value, json};

use crate::authenticator::{Passkey, VERIFIED};
use crate::support::{Browser, Gateway};

/// What an authenticator says that is not true.
type Lie = fn(&mut Passkey);

#[tokio::test]
async fn a_counter_that_does_not_advance_is_refused() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    passkey.counter = 7;
    assert_eq!(browser.sign_in(&passkey).await, 204);
    for counter in [7, 6, 1, 0] {
        passkey.counter = counter;
        assert_eq!(browser.sign_in(&passkey).await, 401, "{counter}");
    }
    passkey.counter = 8;
    assert_eq!(browser.sign_in(&passkey).await, 204);
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_by_the_browser_that_asked() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    passkey.counter = 2;
    let begun = browser.begin_sign_in().await;
    let answer = passkey.assertion(&begun);

    let mut thief = Browser::at(&gateway);
    assert_eq!(thief.post("sign-in", &answer).await.status(), 401, "no cookie");
    thief.begin_sign_in().await;
    assert_eq!(thief.post("sign-in", &answer).await.status(), 401, "another browser's cookie");
    assert_eq!(thief.who().await, None);
    assert_eq!(browser.post("sign-in", &answer).await.status(), 204, "the thief has not spent it");
    passkey.counter = 3;
    assert_eq!(browser.post("sign-in", &passkey.assertion(&begun)).await.status(), 401, "a second use");

    // A wrong answer spends it too.
    let begun = browser.begin_sign_in().await;
    let mut wrong = passkey.clone();
    wrong.origin = "https://evil.example".to_owned();
    assert_eq!(browser.post("sign-in", &wrong.assertion(&begun)).await.status(), 401);
    assert_eq!(browser.post("sign-in", &passkey.assertion(&begun)).await.status(), 401);
}

#[tokio::test]
async fn a_challenge_is_answered_within_five_minutes() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    passkey.counter = 2;
    let file = gateway.home.path().join("bridge-auth/gateway.passkeys.db");
    let database = rusqlite::Connection::open(file).unwrap();
    for (seconds, status) in [(295, 204), (301, 401)] {
        let begun = browser.begin_sign_in().await;
        let passed = "UPDATE passkey_challenges SET expires_at = expires_at - ?";
        assert_eq!(database.execute(passed, [seconds]).unwrap(), 1, "{seconds}");
        assert_eq!(browser.post("sign-in", &passkey.assertion(&begun)).await.status(), status, "{seconds}");
        passkey.counter += 1;
    }
}

#[tokio::test]
async fn a_challenge_is_good_for_what_it_was_asked_for() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    passkey.counter = 2;
    let creation = browser.begin_creation("bob").await;
    assert_eq!(browser.post("sign-in", &passkey.assertion(&creation)).await.status(), 401);
    let sign_in = browser.begin_sign_in().await;
    let created = passkey.creation(sign_in["publicKey"]["challenge"].as_str().unwrap());
    assert_eq!(browser.post("create", &created).await.status(), 400);
}

#[tokio::test]
async fn what_is_wrong_with_a_passkey_is_refused_alike() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    passkey.counter = 2;
    let stranger = Browser::at(&gateway).register("mallory").await;
    let lies: [(&str, Lie); 5] = [
        ("another origin", |key| key.origin = "https://evil.example".to_owned()),
        ("another port", |key| key.origin = "http://localhost:1".to_owned()),
        ("another relying party", |key| key.relying_party = "evil.example".to_owned()),
        ("nobody was recognised", |key| key.flags &= !VERIFIED),
        ("an unknown passkey", |key| key.id = vec![7; 32]),
    ];
    let mut told = Vec::new();
    for (lie, tell) in lies {
        let mut lying = passkey.clone();
        tell(&mut lying);
        let begun = browser.begin_sign_in().await;
        let answer = browser.post("sign-in", &lying.assertion(&begun)).await;
        assert_eq!(answer.status(), 401, "{lie}");
        told.push(answer.text().await.unwrap());
    }
    let begun = browser.begin_sign_in().await;
    let mut theirs = passkey.clone();
    theirs.id = stranger.id;
    let answer = browser.post("sign-in", &theirs.assertion(&begun)).await;
    assert_eq!(answer.status(), 401, "another person's passkey");
    told.push(answer.text().await.unwrap());
    let begun = browser.begin_sign_in().await;
    let mut forged = passkey.assertion(&begun);
    forged["response"]["signature"] = json!("A".repeat(86));
    let answer = browser.post("sign-in", &forged).await;
    assert_eq!(answer.status(), 401);
    told.push(answer.text().await.unwrap());
    assert!(told.iter().all(|words| *words == told[0]), "{told:?}");
    assert_eq!(browser.sign_in(&passkey).await, 204);
}

#[tokio::test]
async fn of_simultaneous_sign_ins_with_one_state_of_a_passkey_one_wins() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    for round in 1..=5 {
        passkey.counter += 1;
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut racer = Browser::at(&gateway);
            let begun = racer.begin_sign_in().await;
            let answer = passkey.assertion(&begun);
            racers.spawn(async move { racer.post("sign-in", &answer).await.status().as_u16() });
        }
        let statuses = racers.join_all().await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 204).count(),
            1,
            "round {round}: {statuses:?}"
        );
        assert!(statuses.iter().all(|status| [204, 401].contains(status)), "{statuses:?}");
    }
}

#[tokio::test]
async fn a_name_is_one_persons_and_one_passkey_is_created_once() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    browser.register("alice").await;
    for name in ["alice", "ALICE", " alice "] {
        let mut other = Browser::at(&gateway);
        let options = other.begin_creation(name).await;
        let (_, created) = Passkey::create(&other.origin, &options);
        let answer = other.post("create", &created).await;
        assert_eq!(answer.status(), 409, "{name}");
        let told: Value = answer.json().await.unwrap();
        assert_eq!(told["problem"], "This name is taken. Choose another one.");
        assert_eq!(other.who().await, None);
    }
    for name in ["", "a b", &"a".repeat(65), "\u{202e}alice"] {
        let answer = browser.post("begin-creation", &json!({ "name": name })).await;
        assert_eq!(answer.status(), 422, "{name:?}");
    }
}

#[tokio::test]
async fn no_other_site_and_no_form_reaches_the_script_s_calls() {
    let gateway = Gateway::start().await;
    let mut evil = Browser::at(&gateway);
    evil.origin = "https://evil.example".to_owned();
    for call in ["begin-sign-in", "sign-in", "begin-creation", "create"] {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = gateway.url(&format!("/login/passkey/{call}"));
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let answer =
                client.post(&url).header(name, value).json(&json!({ "name": "a" })).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{call} {name}");
        }
        if call != "begin-sign-in" {
            assert_eq!(
                client.post(&url).form(&[("name", "a")]).send().await.unwrap().status(),
                415,
                "{call}"
            );
        }
        let big = client.post(&url).json(&json!({ "name": "a".repeat(40_000) })).send().await.unwrap();
        assert_eq!(big.status().as_u16(), if call == "begin-sign-in" { 200 } else { 413 }, "{call}");
    }
}
