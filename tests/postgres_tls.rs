//! Whom the store trusts when it speaks TLS to PostgreSQL.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bridge_auth::store::PostgresStore;

use crate::support::postgres::{Cluster, give_to_server};

#[tokio::test]
async fn tls_trusts_the_named_root_and_host_alone() {
    let everyone = std::fs::Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(everyone).tempdir().unwrap();
    let [ca, other_ca] = ["ca", "other"].map(|name| authority(folder.path(), name));
    let (certificate, key) = server_certificate(folder.path(), "localhost");
    give_to_server(&certificate);
    give_to_server(&key);
    let cluster = Cluster::start_with(&[
        "ssl = on".to_owned(),
        format!("ssl_cert_file = '{}'", certificate.display()),
        format!("ssl_key_file = '{}'", key.display()),
    ]);
    let url =
        |host: &str, query: &str| format!("postgres://postgres@{host}:{}/postgres?{query}", cluster.port());
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
        ("localhost", "sslmode=require".to_owned()),
    ] {
        let refused = PostgresStore::connect(&url(host, &query)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("InvalidCertificate"), "{host} {query}: {refused:?}");
    }
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

/// Makes a certificate for `host`, signed by the authority `ca`, and its key.
fn server_certificate(folder: &Path, host: &str) -> (PathBuf, PathBuf) {
    std::fs::write(folder.join("san"), format!("subjectAltName=DNS:{host}")).unwrap();
    openssl(folder, &format!("req {NEW_KEY} -subj /CN={host} -keyout server.key -out server.csr"));
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
    (folder.join("server.pem"), folder.join("server.key"))
}
