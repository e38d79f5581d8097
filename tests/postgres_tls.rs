//! Whom the store trusts when it speaks TLS to PostgreSQL, and where it does not speak it.

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bridge_auth::store::{PostgresStore, Store, StoreError};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::postgres::{Cluster, connect, give_to_server};

/// A name that is another machine's, though the address beside it is this one's.
const ELSEWHERE: &str = "db.example";

/// A server with a certificate for `localhost` and [`ELSEWHERE`], and the authorities it is and is not of.
struct Tls {
    cluster: Cluster,
    ca: PathBuf,
    other_ca: PathBuf,
    _folder: TempDir,
}

impl Tls {
    fn start() -> Self {
        let folder = open_folder();
        let [ca, other_ca] = ["ca", "other"].map(|name| authority(folder.path(), name));
        let (certificate, key) = server_certificate(folder.path(), &["localhost", ELSEWHERE]);
        give_to_server(&certificate);
        give_to_server(&key);
        let cluster = Cluster::start_with(&[
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{}'", certificate.display()),
            format!("ssl_key_file = '{}'", key.display()),
        ]);
        Self { cluster, ca, other_ca, _folder: folder }
    }
}

fn url(cluster: &Cluster, host: &str, query: &str) -> String {
    format!("postgres://postgres:hunter2@{host}:{}/postgres?{query}", cluster.port())
}

fn url_elsewhere(cluster: &Cluster, query: &str) -> String {
    url(cluster, ELSEWHERE, &format!("hostaddr=127.0.0.1&{query}"))
}

fn pairs_elsewhere(cluster: &Cluster, more: &str) -> String {
    let port = cluster.port();
    format!(
        "host={ELSEWHERE} hostaddr=127.0.0.1 port={port} user=postgres password='hunter2' dbname=postgres {more}"
    )
}

async fn refused(url: &str) -> StoreError {
    PostgresStore::connect(url).await.expect_err(url)
}

/// All that the chain of sources says.
fn told(error: &StoreError) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How many connections call themselves `name`: with TLS, without.
async fn connections(cluster: &Cluster, name: &str) -> (usize, usize) {
    let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1";
    let rows = connect(&cluster.url()).await.query(sql, &[&name]).await.unwrap();
    let encrypted = rows.iter().filter(|row| row.get(0)).count();
    (encrypted, rows.len() - encrypted)
}

/// A store that has a connection.
async fn connected(url: &str) -> PostgresStore {
    let store = PostgresStore::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    store.ping().await.unwrap();
    store
}

#[tokio::test]
async fn tls_trusts_the_named_root_and_host_alone() {
    let Tls { cluster, ca, other_ca, _folder } = Tls::start();
    let url = |host: &str, query: &str| url(&cluster, host, query);
    let root = |file: &Path| format!("sslmode=verify-full&sslrootcert={}", file.display());

    PostgresStore::connect(&url("localhost", &root(&ca))).await.unwrap();
    PostgresStore::builder(&url("localhost", "sslmode=require"))
        .root_certificates(&ca)
        .connect()
        .await
        .unwrap();
    PostgresStore::connect(&url("127.0.0.1", "sslmode=disable")).await.unwrap();
    for (host, query) in [
        ("localhost", root(&other_ca)),
        ("127.0.0.1", root(&ca)),
        ("127.0.0.1", format!("sslmode=prefer&sslrootcert={}", ca.display())),
        ("127.0.0.1", format!("sslmode=allow&sslrootcert={}", ca.display())),
        ("localhost", "sslmode=require".to_owned()),
        ("localhost", "sslmode=prefer".to_owned()),
    ] {
        let refused = refused(&url(host, &query)).await;
        assert!(format!("{refused:?}").contains("InvalidCertificate"), "{host} {query}: {refused:?}");
    }
}

#[tokio::test]
async fn without_sslmode_another_machine_gets_verified_tls_and_this_one_none() {
    let Tls { cluster, ca, .. } = &Tls::start();
    let root = ca.display();
    let quoted = format!("sslrootcert='{root}'");
    for (name, url) in [
        ("a", url_elsewhere(cluster, &format!("application_name=a&sslrootcert={root}"))),
        ("b", url_elsewhere(cluster, &format!("application_name=b&sslmode=prefer&sslrootcert={root}"))),
        ("c", url_elsewhere(cluster, &format!("application_name=c&sslmode=allow&sslrootcert={root}"))),
        ("d", pairs_elsewhere(cluster, &format!("application_name=d {quoted}"))),
        ("e", pairs_elsewhere(cluster, &format!("application_name=e sslmode=verify-full {quoted}"))),
        ("f", pairs_elsewhere(cluster, &format!("application_name=f sslmode='verify-ca' {quoted}"))),
    ] {
        let _store = connected(&url).await;
        // The connection that migrated may not have ended yet.
        assert!(matches!(connections(cluster, name).await, (1.., 0)), "{url}");
    }
    for (name, url) in [
        ("g", url(cluster, "127.0.0.1", "application_name=g")),
        ("h", url(cluster, "localhost", "application_name=h")),
        ("i", url_elsewhere(cluster, "application_name=i&sslmode=disable")),
    ] {
        let _store = connected(&url).await;
        assert!(matches!(connections(cluster, name).await, (0, 1..)), "{url}");
    }
    let unknown = refused(&url_elsewhere(cluster, "")).await;
    assert!(format!("{unknown:?}").contains("InvalidCertificate"), "{unknown:?}");
}

#[tokio::test]
async fn what_listens_for_revocations_speaks_tls_too() {
    let Tls { cluster, ca, .. } = &Tls::start();
    let query = format!("application_name=listening&sslrootcert={}", ca.display());
    let store = connected(&url_elsewhere(cluster, &query)).await;
    let mut hints = store.revocation_hints().unwrap();
    timeout(Duration::from_secs(30), hints.changed()).await.expect("it listens").unwrap();
    assert!(matches!(connections(cluster, "listening").await, (1.., 0)));
}

#[tokio::test]
async fn without_tls_at_the_server_another_machine_is_refused_and_told_what_to_write() {
    let folder = open_folder();
    let socket = format!("unix_socket_directories = '{}'", folder.path().display());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let cluster = &Cluster::start_with(&[socket]);
    let port = cluster.port();
    for local in [
        url(cluster, "127.0.0.1", ""),
        url(cluster, "localhost", "sslmode=prefer"),
        format!("host={} port={port} user=postgres dbname=postgres", folder.path().display()),
        format!("postgres:///postgres?user=postgres&port={port}&host={}", folder.path().display()),
        url_elsewhere(cluster, "sslmode=disable"),
        pairs_elsewhere(cluster, "sslmode=disable"),
    ] {
        connected(&local).await;
    }
    for (url, cure) in [
        (url_elsewhere(cluster, ""), "sslmode=verify-full&sslrootcert=FILE"),
        (url_elsewhere(cluster, "sslmode=prefer"), "sslmode=verify-full&sslrootcert=FILE"),
        (url_elsewhere(cluster, "sslmode=allow"), "sslmode=verify-full&sslrootcert=FILE"),
        (pairs_elsewhere(cluster, ""), "sslmode=verify-full sslrootcert=FILE"),
        (pairs_elsewhere(cluster, "sslmode=verify-full"), "sslmode=verify-full sslrootcert=FILE"),
    ] {
        let refused = refused(&url).await;
        let told = told(&refused);
        for needed in [ELSEWHERE, cure, "sslmode=disable", "server does not support TLS"] {
            assert!(told.contains(needed), "{url}: {needed}: {told}");
        }
        assert!(!format!("{told} {refused:?}").contains("hunter2"), "{told}");
        let unmigrated = PostgresStore::builder(&url).migrate(false).connect().await.unwrap_err();
        assert!(format!("{unmigrated:?}").contains(ELSEWHERE), "{unmigrated:?}");
    }
    // Another fault is not explained so.
    let absent = refused(&format!("postgres://postgres@{ELSEWHERE}:1/postgres?hostaddr=127.0.0.1")).await;
    assert!(!told(&absent).contains("sslmode"), "{absent:?}");
}

fn open_folder() -> TempDir {
    let everyone = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(everyone).tempdir().unwrap()
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// Makes a certificate authority, and returns its certificate.
fn authority(folder: &Path, name: &str) -> PathBuf {
    openssl(
        folder,
        &format!("req -x509 {NEW_KEY} -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"),
    );
    folder.join(format!("{name}.pem"))
}

/// Makes a certificate for `hosts`, signed by the authority `ca`, and its key.
fn server_certificate(folder: &Path, hosts: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<_> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
    std::fs::write(folder.join("san"), format!("subjectAltName={}", names.join(","))).unwrap();
    openssl(folder, &format!("req {NEW_KEY} -subj /CN=server -keyout server.key -out server.csr"));
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
    (folder.join("server.pem"), folder.join("server.key"))
}
