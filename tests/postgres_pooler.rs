//! The store behind PgBouncer: whole in session mode with its defaults, refused in every other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bridge_auth::Freshness;
use bridge_auth::store::{PostgresStore, Store, StoreError, StoreErrorKind};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use deadpool_postgres::{Manager, Pool};
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::support::bridge::builder_over;
use crate::support::gateway::Gateway;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::connect;
use crate::support::record::Record;
use crate::support::{Backend, PostgresBackend};

/// In both of its forms: as a database is that no gateway was on yet, and as one that has all migrations.
async fn refused(url: &str) -> [StoreError; 2] {
    let migrating =
        PostgresStore::connect(url).await.expect_err("it would migrate through a transaction pooler");
    let checking = PostgresStore::builder(url).migrate(false).connect().await.expect_err("it would go on");
    [migrating, checking]
}

fn assert_is_told_of_the_pooler(error: &StoreError) {
    let told = Record::told(error);
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
    assert!(
        told.contains("pool_mode = session") && told.contains("connect to PostgreSQL directly"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_a66_a_transaction_pooler_is_refused_before_anything_is_prepared_or_changed() {
    for mode in ["transaction", "statement"] {
        for more in
            ["", "default_pool_size = 1", "server_round_robin = 1", "ignore_startup_parameters = options"]
        {
            let backend = PostgresBackend::empty().await;
            let lines = [&format!("pool_mode = {mode}"), more];
            let bouncer = PgBouncer::start(&backend.url(), &lines);
            for error in refused(&bouncer.url(&backend.url())).await {
                assert_is_told_of_the_pooler(&error);
            }
            let client = backend.client().await;
            let sql = "SELECT to_regnamespace('bridge_auth') IS NULL";
            assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "{mode} {more}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_pooler_is_refused_under_the_load_of_others_too() {
    let backend = PostgresBackend::empty().await;
    let lines = ["pool_mode = transaction", "ignore_startup_parameters = options"];
    let bouncer = PgBouncer::start(&backend.url(), &lines);
    let url = bouncer.url(&backend.url());
    let over = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    for _ in 0..8 {
        let (client, over) = (connect(&url).await, over.clone());
        others.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                client.batch_execute("BEGIN; SELECT pg_sleep(0.0005); COMMIT").await.unwrap();
            }
        });
    }
    for _ in 0..10 {
        for error in refused(&url).await {
            assert_is_told_of_the_pooler(&error);
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = others.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_session_mode_with_the_defaults_of_pgbouncer_everything_works() {
    let backend = PostgresBackend::empty().await;
    let bouncer = PgBouncer::start(&backend.url(), &[]);
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let watched = Freshness::Watched { max_lag: Duration::from_secs(1) };
    let mut gateways = Vec::new();
    for freshness in [Freshness::Strict, watched] {
        let store = PostgresStore::connect(&bouncer.url(&backend.url())).await.unwrap();
        store.check().await.unwrap();
        let bridge = builder_over(Arc::new(store), keys.clone()).freshness(freshness).build().unwrap();
        gateways.push(Gateway::over(bridge).await);
    }
    let [strict, watched] = &gateways[..] else { panic!("there are two") };
    for round in 0..20 {
        let token = strict.link("alice").await;
        assert!(strict.admits(&token).await && watched.admits(&token).await, "{round}");
        strict.operate(Method::DELETE, "/users/alice/sessions").await;
        assert!(!strict.admits(&token).await, "{round}");
        // Heard of, or read, within the lag.
        let acknowledged = std::time::Instant::now();
        while watched.admits(&token).await {
            assert!(acknowledged.elapsed() < Duration::from_secs(1), "{round}");
        }
    }
    while !watched.bridge.watch_status().proven {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn options_in_the_url_that_a_pooler_refuses_are_explained() {
    let backend = PostgresBackend::start().await;
    let bouncer = PgBouncer::start(&backend.url(), &[]);
    let url = format!("{}?options=-c%20work_mem%3D8MB", bouncer.url(&backend.url()));
    let error = PostgresStore::connect(&url).await.unwrap_err();
    let told = Record::told(&error);
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
    assert!(told.contains("remove `options` from the database's URL"), "{told}");
    assert!(told.contains("unsupported startup parameter"), "{told}");
}

/// Something between that changes settings on their way: the address to connect to instead.
async fn between(url: &str, sent: &'static str, arrives: &'static str) -> String {
    assert_eq!(sent.len(), arrives.len());
    let mut url = reqwest::Url::parse(url).unwrap();
    let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let mut bytes = vec![0; 65536];
                while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                    let read = &mut bytes[..length];
                    let place = read.windows(sent.len()).position(|window| window == sent.as_bytes());
                    if let Some(place) = place {
                        read[place..place + sent.len()].copy_from_slice(arrives.as_bytes());
                    }
                    to_server.write_all(read).await.unwrap();
                }
            });
        }
    });
    url.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_do_not_reach_the_server_are_noticed_and_refused() {
    let backend = PostgresBackend::start().await;
    for (setting, sent, arrives) in [
        ("statement_timeout", "statement_timeout = 10000", "statement_timeout = 00000"),
        ("statement_timeout", "statement_timeout = 2000", "statement_timeout = 0000"),
        ("lock_timeout", "lock_timeout = 1000", "lock_timeout = 9999"),
        ("jit", "jit = off", "jit = on "),
        ("default_transaction_isolation", "'read committed'", "'serializable'  "),
    ] {
        let url = between(&backend.url(), sent, arrives).await;
        for error in refused(&url).await {
            let told = Record::told(&error);
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
            assert!(told.contains(&format!("the setting {setting} did not reach the server")), "{told}");
        }
    }
    let url = between(&backend.url(), "nothing", "nothing").await;
    PostgresStore::connect(&url).await.unwrap();
}

/// A pool as a host makes it.
fn pool(url: &str, size: usize) -> Pool {
    Pool::builder(Manager::new(url.parse().unwrap(), NoTls)).max_size(size).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_the_host_is_checked_before_its_first_use() {
    let backend = PostgresBackend::empty().await;
    for (setting, sent, arrives) in [
        ("statement_timeout", "statement_timeout = 10000", "statement_timeout = 00000"),
        ("default_transaction_isolation", "'read committed'", "'serializable'  "),
    ] {
        let url = between(&backend.url(), sent, arrives).await;
        let store = PostgresStore::from_pool(pool(&url, 4));
        for error in [store.migrate().await.unwrap_err(), store.check().await.unwrap_err()] {
            let told = Record::told(&error);
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
            assert!(told.contains(&format!("the setting {setting} did not reach the server")), "{told}");
        }
    }
    let lone = PostgresStore::from_pool(pool(&backend.url(), 1)).migrate().await.unwrap_err();
    assert!(Record::told(&lone).contains("at least two"), "{lone:?}");
    for size in [2, 3, 8] {
        let store = PostgresStore::from_pool(pool(&backend.url(), size));
        store.migrate().await.unwrap();
        store.check().await.unwrap();
        store.ping().await.unwrap();
    }
    // One server connection, which others use when the gateway is refused: it was not set to anything.
    let lines = ["pool_mode = transaction", "default_pool_size = 1"];
    let bouncer = PgBouncer::start(&backend.url(), &lines);
    let store = PostgresStore::from_pool(pool(&bouncer.url(&backend.url()), 4));
    for error in [store.migrate().await.unwrap_err(), store.check().await.unwrap_err()] {
        assert_is_told_of_the_pooler(&error);
    }
    let other = connect(&bouncer.url(&backend.url())).await;
    let left = other.simple_query("SHOW statement_timeout").await.unwrap();
    assert!(left.iter().any(|it| matches!(it, SimpleQueryMessage::Row(row) if row.get(0) == Some("0"))));
}
