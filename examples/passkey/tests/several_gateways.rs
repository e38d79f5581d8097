//! Two gateways share one PostgreSQL database.

use crate::postgres::PostgresBackend;
use crate::support::{Browser, Gateway};

const ISSUER: &str = "http://localhost:8080";

/// Two gateways that start at the same time on an empty database.
async fn pair(database: &PostgresBackend) -> [Gateway; 2] {
    let url = database.url();
    let arguments = ["--issuer", ISSUER, "--database", &url];
    let start = || Gateway::start_in(tempfile::tempdir().unwrap(), &arguments);
    let (first, second) = tokio::join!(start(), start());
    [first, second]
}

#[tokio::test]
async fn what_one_gateway_began_another_one_ends() {
    let database = PostgresBackend::empty().await;
    let [first, second] = pair(&database).await;
    let mut here = Browser::at(&first);
    let mut passkey = here.register("alice").await;
    let begun = here.begin_sign_in().await;
    let mut there = Browser::at(&second);
    there.cookies = here.cookies.clone();
    assert_eq!(there.who().await.as_deref(), Some("alice"), "a login of the other gateway");
    passkey.counter = 2;
    assert_eq!(there.post("sign-in", &passkey.assertion(&begun)).await.status(), 204);
    assert_eq!(
        here.post("sign-in", &passkey.assertion(&begun)).await.status(),
        401,
        "the challenge is spent everywhere"
    );
}

#[tokio::test]
async fn of_simultaneous_sign_ins_at_several_gateways_one_wins() {
    let database = PostgresBackend::empty().await;
    let gateways = pair(&database).await;
    let mut passkey = Browser::at(&gateways[0]).register("alice").await;
    for round in 1..=5 {
        passkey.counter += 1;
        let mut racers = tokio::task::JoinSet::new();
        for gateway in gateways.iter().cycle().take(8) {
            let mut racer = Browser::at(gateway);
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
    }
}

#[tokio::test]
async fn a_name_is_one_persons_at_all_gateways() {
    let database = PostgresBackend::empty().await;
    let [first, second] = pair(&database).await;
    Browser::at(&first).register("alice").await;
    let mut other = Browser::at(&second);
    let options = other.begin_creation("Alice").await;
    let (_, created) = crate::authenticator::Passkey::create(&other.origin, &options);
    assert_eq!(other.post("create", &created).await.status(), 409);
}
